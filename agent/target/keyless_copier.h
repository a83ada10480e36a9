// KeylessCopier: the copy of a table without a key, whole, from one snapshot at a known position.

#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <type_traits>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "agent/target/copy_worker.h"
#include "agent/target/source_client.h"
#include "agent/target/stream_record.h"
#include "agent/target/stream_throttle.h"
#include "agent/target/transaction_retry.h"

namespace sluice::target {

// Without a key a change can't be applied twice, so the position of the snapshot must be known to
// the transaction, as far as this table goes: a snapshot is taken only if no transaction that may
// or may not be in it touches the table. That position is durable as the last key of the table's
// range, in the commit of the last rows; a copy that was interrupted begins anew, with an empty
// table. Owned by one thread.
class KeylessCopier {
 public:
  // All outlive it; `connection` in `retry` is the stream's.
  struct Context {
    RetryContext retry;
    SourceClient& source;
    StreamRecord& record;
    const CopierOptions& options;
    absl::Duration snapshot_wait;
    StreamThrottle& throttle;
    std::function<void(const CopyTable&)> on_commit;
  };
  explicit KeylessCopier(const Context& context) : context_(context) {}

  // Copies the ordinal-th table of the stream. ABORTED when the table is written too often for a
  // snapshot at a known position, or another session has claimed the stream; CANCELLED when it is
  // stopping.
  absl::Status Copy(size_t ordinal);

 private:
  absl::StatusOr<OpenedSnapshot> OpenExact(const std::string& table);
  absl::StatusOr<bool> IsExact(const std::string& table, const OpenedSnapshot& snapshot);
  absl::Status Empty(const TablePlan& plan);
  absl::Status CopyRows(size_t ordinal, const TablePlan& plan, const OpenedSnapshot& snapshot);
  absl::Status WriteAndCommit(const TablePlan& plan, const FetchedRows& rows,
                              const CopyProgress& progress);
  // Waits while the copy is throttled here; CANCELLED when the stream is stopping.
  absl::Status AwaitTurn();
  // The same request again for as long as the source throttles it.
  template <typename Request>
  std::invoke_result_t<Request> Ask(const Request& request);
  [[nodiscard]] absl::Status CheckStopping() const;

  const Context context_;
};

}  // namespace sluice::target
