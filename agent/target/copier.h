// Copier: rows of a snapshot into the target's tables, with the progress in the same commit.

#pragma once

#include <cstdint>
#include <functional>
#include <string>

#include "absl/status/status.h"
#include "absl/synchronization/notification.h"
#include "absl/time/time.h"
#include "agent/target/background_call.h"
#include "agent/target/row_writer.h"
#include "agent/target/source_client.h"
#include "agent/target/stream_record.h"
#include "agent/target/transaction_retry.h"

namespace sluice::target {

struct CopierOptions {
  uint32_t rows_max = 1000;        // per commit
  uint32_t bytes_max = 1U << 20U;  // of rows, per commit
  RowWriterLimits writer;
};

struct CopierContext {
  RetryContext retry;
  SourceClient& source;
  StreamRecord& record;  // its copy progress and position row change at commits only
  std::function<void(const CopyTable&)> on_commit;
};

// Copies one table after another, each from where its progress stands, and fetches the next rows
// while it writes the last ones. Owned by one thread.
class Copier {
 public:
  Copier(const CopierContext& context, CopierOptions options);

  // Copies from a snapshot until the deadline (but some rows at least), the end of the last table,
  // or until the stream is stopped (CANCELLED). NOT_FOUND when the source has lost the snapshot.
  absl::Status CopyUntil(const std::string& session, absl::Time deadline);

 private:
  absl::Status CopyTableUntil(const std::string& session, CopyTable& table, absl::Time deadline);
  absl::Status Commit(CopyTable& table, const TablePlan& plan, const FetchedRows& rows);
  void Fetch(const RowsRequest& request);

  const CopierContext context_;
  const CopierOptions options_;
  RowWriter writer_;
  BackgroundCall<absl::StatusOr<FetchedRows>> call_;
};

}  // namespace sluice::target
