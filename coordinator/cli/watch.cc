// Repeated looks at a copy.

#include "coordinator/cli/watch.h"

#include <nlohmann/json.hpp>

#include <algorithm>
#include <chrono>
#include <ostream>
#include <string>
#include <thread>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "common/base/status_macros.h"
#include "coordinator/cli/call.h"
#include "coordinator/cli/copy_rate.h"
#include "coordinator/cli/json_read.h"
#include "coordinator/cli/status_text.h"

namespace sluice::cli {
namespace {

// How long a coordinator that answered once may be away.
constexpr absl::Duration kPatience = absl::Minutes(1);

std::string LineOf(const WorkflowStatus& status, const std::string& note) {
  const TableCopy total = status.Total();
  return absl::StrCat(absl::FormatTime("%Y-%m-%dT%H:%M:%SZ", absl::Now(), absl::UTCTimeZone()), " ",
                      PercentText(total.percent), " ", total.rows_copied, "/", total.rows_total,
                      " rows ", BytesText(total.bytes_copied), "/", BytesText(total.bytes_total),
                      " ", note, "\n");
}

// Draws over what it drew before.
class Screen {
 public:
  explicit Screen(const Environment& environment) : environment_(environment) {}

  void Draw(const std::string& text) {
    if (lines_ > 0) {
      environment_.out << "\x1b[" << lines_ << "A\x1b[J";
    }
    environment_.out << text << std::flush;
    lines_ = std::count(text.begin(), text.end(), '\n');
  }

 private:
  const Environment& environment_;
  std::ptrdiff_t lines_ = 0;
};

class Watcher {
 public:
  Watcher(rpc::Client& client, const Command& command, const Environment& environment)
      : client_(client), command_(command), environment_(environment), screen_(environment) {}

  // True at the end of the copy.
  absl::StatusOr<bool> Look() {
    const absl::StatusOr<std::string> json = Call(client_, command_);
    if (!json.ok()) {
      return Missed(json.status());
    }
    answered_ = absl::Now();
    SLUICE_ASSIGN_OR_RETURN(
        const WorkflowStatus status,
        ReadStatus(*json, absl::StrCat(command_.keyspace, ".", command_.workflow)));
    const TableCopy total = status.Total();
    rate_.Add(answered_, total.rows_copied, total.bytes_copied);
    SLUICE_RETURN_IF_ERROR(Show(*json, status));
    if (const std::string why = status.WhyStuck(); !why.empty()) {
      return absl::FailedPreconditionError(
          absl::StrCat("the copy of ", status.workflow, " does not go on: ", why));
    }
    return status.CopyIsDone();
  }

 private:
  absl::StatusOr<bool> Missed(const absl::Status& status) {
    const bool passing = absl::IsUnavailable(status) || absl::IsDeadlineExceeded(status);
    if (!passing || absl::Now() - answered_ > kPatience) {
      return status;
    }
    return false;
  }

  absl::Status Show(const std::string& json, const WorkflowStatus& status) {
    if (command_.format == Format::kJson) {
      SLUICE_ASSIGN_OR_RETURN(const Json document, ParseJson(json));
      environment_.out << document.dump(-1, ' ', false, Json::error_handler_t::replace)
                       << std::endl;
      return absl::OkStatus();
    }
    const TableCopy total = status.Total();
    const bool over = status.CopyIsDone();
    const std::string note = over ? "done" : rate_.Describe(total.rows_total - total.rows_copied);
    if (environment_.out_is_terminal) {
      screen_.Draw(StatusText(status, note));
    } else {
      environment_.out << LineOf(status, note) << (over ? StatusText(status) : "") << std::flush;
    }
    return absl::OkStatus();
  }

  rpc::Client& client_;
  const Command& command_;
  const Environment& environment_;
  Screen screen_;
  CopyRate rate_;
  absl::Time answered_ = absl::InfinitePast();
};

}  // namespace

absl::Status Watch(rpc::Client& client, const Command& command, const Environment& environment) {
  Watcher watcher(client, command, environment);
  while (environment.out.good()) {
    SLUICE_ASSIGN_OR_RETURN(const bool done, watcher.Look());
    if (done) {
      return absl::OkStatus();
    }
    // Delay: between two looks; nobody tells of progress by himself.
    std::this_thread::sleep_for(absl::ToChronoNanoseconds(environment.watch_period));
  }
  return absl::OkStatus();
}

}  // namespace sluice::cli
