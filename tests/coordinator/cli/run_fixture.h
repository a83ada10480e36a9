// The whole program, called as its main calls it, against a coordinator played by a server in this
// process.

#pragma once

#include <gtest/gtest.h>

#include <functional>
#include <memory>
#include <sstream>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "common/rpc/server.h"
#include "coordinator/cli/run.h"
#include "schemas/admin.capnp.h"

namespace sluice::cli {

struct Result {
  int code = -1;
  std::string out;
  std::string err;
};

class RunTest : public testing::Test {
 protected:
  using Answer = std::function<absl::StatusOr<std::string>(const rpc::RequestContext&,
                                                           schemas::AdminRequest::Reader)>;

  void Serve(Answer answer) {
    server_ = std::make_unique<rpc::Server>(rpc::ServerOptions{.url = "tcp://127.0.0.1:0"});
    server_->Register<schemas::AdminRequest, schemas::AdminReply>(
        schemas::Method::ADMIN, [answer = std::move(answer)](const rpc::RequestContext& context,
                                                             schemas::AdminRequest::Reader request,
                                                             schemas::AdminReply::Builder reply) {
          const absl::StatusOr<std::string> json = answer(context, request);
          if (json.ok()) {
            reply.setJson(*json);
          }
          return json.status();
        });
    const absl::Status started = server_->Start();
    ASSERT_TRUE(started.ok()) << started;
    url_ = server_->url();
  }

  Result Sluice(const std::vector<std::string>& args, bool terminal = false) {
    std::ostringstream out;
    std::ostringstream err;
    const int code = cli::Run(args, {.coordinator = url_,
                                     .out = out,
                                     .err = err,
                                     .out_is_terminal = terminal,
                                     .watch_period = absl::Milliseconds(5)});
    return {.code = code, .out = out.str(), .err = err.str()};
  }

  std::unique_ptr<rpc::Server> server_;
  std::string url_;
};

}  // namespace sluice::cli
