// Blocker: how a session that stands in the way of a gate is told to people.

#include "agent/gate/blocker.h"

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/time/time.h"

namespace sluice::gate {

std::string DescribeBlockers(const std::vector<Blocker>& blockers) {
  if (blockers.empty()) {
    return "nobody that can be seen now";
  }
  return absl::StrJoin(blockers, "; ", [](std::string* out, const Blocker& blocker) {
    if (blocker.connection_id == 0) {
      absl::StrAppend(out, "a prepared XA transaction (see XA RECOVER)");
      return;
    }
    absl::StrAppend(out, "connection ", blocker.connection_id, " (", blocker.user, "@",
                    blocker.host, ", for ",
                    absl::FormatDuration(absl::Milliseconds(blocker.age_ms)));
    if (!blocker.statement.empty()) {
      absl::StrAppend(out, ": ", blocker.statement);
    }
    absl::StrAppend(out, ")");
  });
}

}  // namespace sluice::gate
