// Copier: rows of snapshots into the target's tables, by several sessions at once.

#pragma once

#include <functional>
#include <string>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "agent/target/copy_worker.h"
#include "agent/target/source_client.h"
#include "agent/target/stream_record.h"
#include "agent/target/transaction_retry.h"
#include "common/mysql/connection.h"

namespace sluice::target {

struct CopierContext {
  RetryContext retry;
  const mysql::ConnectionOptions& local;
  SourceClient& source;
  StreamRecord& record;                             // its copy progress changes at commits only
  std::function<void(const CopyTable&)> on_commit;  // one call at a time, in any thread
  StreamThrottle* throttle = nullptr;               // nullptr: nothing is throttled
  std::function<void(const WriteTimes&)> on_times = nullptr;  // after each commit, in any thread
};

// Owned by one thread.
class Copier {
 public:
  Copier(const CopierContext& context, const CopierOptions& options);

  // How many sessions copy, and how many snapshots are of use to them.
  static size_t Workers(const CopierOptions& options);

  // Copies from the snapshots of a session until the deadline (but some rows at least), the end of
  // the last table, or until the stream is stopped (CANCELLED). NOT_FOUND when the source has lost
  // the session. All that is copied is committed on return.
  absl::Status CopyUntil(const std::string& session, absl::Time deadline);

 private:
  absl::Status RunWorkers(const std::string& session, absl::Time deadline);

  const CopierContext context_;
  const CopierOptions options_;
  WriteTimes times_;
};

}  // namespace sluice::target
