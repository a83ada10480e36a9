// Blocker: how a session that stands in the way of a gate is told to people.

#include "agent/gate/blocker.h"

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/time/time.h"

namespace sluice::gate {

std::string DescribeUse(const Blocker& blocker) {
  switch (blocker.kind) {
    case BlockerKind::kBackupLock:
      return "a backup under LOCK INSTANCE FOR BACKUP, which is never ended";
    case BlockerKind::kReadLock:
      return "under FLUSH TABLES WITH READ LOCK, which is never ended";
    case BlockerKind::kSession:
    case BlockerKind::kPreparedXa:
    case BlockerKind::kServer:
      break;
  }
  return blocker.statement;
}

std::string DescribeBlockers(const std::vector<Blocker>& blockers) {
  if (blockers.empty()) {
    return "nobody that can be seen now";
  }
  return absl::StrJoin(blockers, "; ", [](std::string* out, const Blocker& blocker) {
    if (blocker.kind == BlockerKind::kPreparedXa) {
      absl::StrAppend(out, "a prepared XA transaction (see XA RECOVER)");
      return;
    }
    if (blocker.kind == BlockerKind::kServer) {
      absl::StrAppend(out, "mysqld itself (", blocker.statement, "), for a moment");
      return;
    }
    const std::string use = DescribeUse(blocker);
    absl::StrAppend(out, "connection ", blocker.connection_id, " (", blocker.user, "@",
                    blocker.host, ", for ",
                    absl::FormatDuration(absl::Milliseconds(blocker.age_ms)),
                    use.empty() ? "" : ": ", use, ")");
  });
}

}  // namespace sluice::gate
