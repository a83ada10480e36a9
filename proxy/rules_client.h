// RulesClient: keeps the proxy's rules up to date and tells the coordinator what they have become.

#pragma once

#include <memory>
#include <stop_token>
#include <string>
#include <thread>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/synchronization/mutex.h"
#include "common/rpc/client.h"
#include "proxy/traffic.h"

namespace sluice::proxy {

struct RulesClientOptions {
  std::string coordinator;  // tcp://host:port
  std::string proxy_id;
  std::string address;     // host:port where clients connect
  std::string state_file;  // empty: nothing is kept
};

// Two threads: one waits in a long poll for the next epoch, the other sends acknowledgements at
// once, so that neither waits for the other.
class RulesClient {
 public:
  // Loads the state file into `traffic` when there is one, then starts. `traffic` outlives this.
  static absl::StatusOr<std::unique_ptr<RulesClient>> Start(const RulesClientOptions& options,
                                                            Traffic& traffic);
  RulesClient(const RulesClient&) = delete;
  RulesClient& operator=(const RulesClient&) = delete;
  ~RulesClient();  // REQUIRES: traffic is closed, so that no thread waits in it

 private:
  RulesClient(RulesClientOptions options, Traffic& traffic, std::unique_ptr<rpc::Client> client);

  void Follow();       // the long poll
  void Acknowledge();  // the acknowledgements
  absl::Status Poll(const Traffic::Acknowledgement& state, absl::Duration wait);
  // A rule set came in: obeys it, or remembers why not.
  void Receive(schemas::RuleSet::Reader set);
  void Refuse(uint64_t epoch, absl::string_view reason);
  bool Pause(absl::Duration time);

  const RulesClientOptions options_;
  Traffic& traffic_;
  std::unique_ptr<rpc::Client> client_;

  absl::Mutex mutex_;
  bool stopping_ ABSL_GUARDED_BY(mutex_) = false;
  uint64_t refused_epoch_ ABSL_GUARDED_BY(mutex_) = 0;
  std::string refused_reason_ ABSL_GUARDED_BY(mutex_);
  bool refused_again_ ABSL_GUARDED_BY(mutex_) = false;

  absl::Mutex receive_mutex_;  // one rule set at a time, the file included

  std::jthread follower_;
  std::jthread acknowledger_;
};

}  // namespace sluice::proxy
