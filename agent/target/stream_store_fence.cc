// StreamStore: what keeps a stream from committing on a mysqld that is not to be written to any
// more.

#include "absl/strings/str_cat.h"
#include "agent/target/stream_store.h"
#include "common/base/status.h"
#include "common/base/status_macros.h"

namespace sluice::target {
namespace {

// A mysqld that another one follows, or is about to, takes no commit of a stream any more.
constexpr absl::string_view kWritable = "@@GLOBAL.read_only = 0";
// It is read-only since a gate has closed it (agent/gate/server_gate.h).
constexpr absl::string_view kClosedByGate =
    "(@@GLOBAL.super_read_only = 0 AND EXISTS (SELECT 1 FROM _sluice.gate WHERE kind = 'server'"
    " AND state NOT IN ('open', 'forgotten')))";
constexpr unsigned kNoSuchColumn = 1054;
constexpr unsigned kNoSuchTable = 1146;

}  // namespace

StreamStore::StreamStore(mysql::Connection& connection)
    : connection_(connection), writable_(kWritable) {}

absl::Status StreamStore::WhyNotAdvanced(const PositionRow& row) {
  SLUICE_RETURN_IF_ERROR(CheckWritable());
  return absl::AbortedError(
      absl::StrCat("stream ", row.stream_id, " was taken over by another session of an agent"));
}

// Whether read_only turns out to be that of a gate, behind which streams write. Commits of this
// session accept that from now on.
absl::StatusOr<bool> StreamStore::LearnGate() {
  if (writable_ != kWritable) {
    return false;
  }
  const auto closed =
      connection_.QueryScalar(absl::StrCat("SELECT @@GLOBAL.read_only = 1 AND ", kClosedByGate));
  if (!closed.ok() && (MysqlErrnoOf(closed.status()) == kNoSuchTable ||
                       MysqlErrnoOf(closed.status()) == kNoSuchColumn)) {
    return false;
  }
  SLUICE_RETURN_IF_ERROR(closed.status());
  if (*closed == "1") {
    writable_ = absl::StrCat("(", kWritable, " OR ", kClosedByGate, ")");
  }
  return *closed == "1";
}

absl::Status StreamStore::CheckWritable() {
  SLUICE_RETURN_IF_ERROR(LearnGate().status());
  SLUICE_ASSIGN_OR_RETURN(const std::string writable,
                          connection_.QueryScalar(absl::StrCat("SELECT ", writable_)));
  if (writable != "1") {
    return absl::UnavailableError("the target's mysqld is read-only");
  }
  return absl::OkStatus();
}

}  // namespace sluice::target
