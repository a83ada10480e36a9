// TableBatches: DDL over many tables, a few in each statement and a few statements at once.

#pragma once

#include <atomic>
#include <cstddef>
#include <functional>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "agent/gate/locked_gate.h"
#include "agent/gate/planner.h"
#include "agent/session/session_pool.h"
#include "common/mysql/connection.h"

namespace sluice::gate {

// The statements for some tables as they stand; none where there is nothing to do. Called by
// several threads at once.
using PlanBatch =
    std::function<absl::StatusOr<std::vector<std::string>>(const std::vector<TableNames>&)>;

struct BatchLimits {
  absl::Time deadline = absl::InfiniteFuture();
  // Asked before each batch; its error ends the work. May be null.
  std::function<absl::Status()> may_go_on = nullptr;
  absl::Duration bound = absl::Seconds(5);  // of one statement
};

// Carries a plan out on the tables of a locked gate. Each statement is atomic in mysqld and holds
// no more than kTablesMax tables, so that what a crash, a deadline or a replica meets is always
// some tables that are done and others that are not begun; the plan must be one that may be made
// anew from there. A statement that waits for somebody's locks is ended at the bound; one that is
// at work for so long is done again with fewer tables, at last with one and all the time it needs.
// Tables that a foreign key joins to others are left to one session. Used once, by one thread.
class TableBatches {
 public:
  static constexpr size_t kTablesMax = 16;

  TableBatches(agent::SessionPool& pool, LockedGate& gate, const GateId& id, BatchLimits limits)
      : pool_(pool), gate_(gate), id_(id), limits_(std::move(limits)) {}

  // ABORTED names who is in the way. DEADLINE_EXCEEDED once there is no time for another batch,
  // but never before a statement is done: who repeats the request gets on. `done` is told of each
  // table whose statements have all succeeded, also when an error follows; one call at a time.
  absl::Status Run(const std::vector<TableNames>& tables, const PlanBatch& plan,
                   const std::function<void(const TableNames&)>& done);

 private:
  using Batch = std::vector<TableNames>;

  absl::StatusOr<std::set<std::string>> ReadRelated();
  absl::Status Share(const std::vector<TableNames>& tables);
  absl::Status Work(mysql::Connection& session, const std::vector<Batch>& batches,
                    std::atomic<size_t>& next);
  absl::Status MayBegin();
  absl::Status RunBatch(mysql::Connection& session, const Batch& batch, absl::Duration bound);
  absl::Status RunStatement(mysql::Connection& session, const Batch& batch, std::string sql,
                            absl::Duration bound, bool& at_work);
  absl::Status RunSmaller(mysql::Connection& session, const Batch& batch, absl::Duration bound);

  agent::SessionPool& pool_;
  LockedGate& gate_;
  const GateId& id_;
  const BatchLimits limits_;
  const PlanBatch* plan_ = nullptr;
  const std::function<void(const TableNames&)>* done_ = nullptr;

  absl::Mutex mutex_;
  bool any_ ABSL_GUARDED_BY(mutex_) = false;  // a statement is done
  absl::Duration longest_ ABSL_GUARDED_BY(mutex_) = absl::ZeroDuration();
};

}  // namespace sluice::gate
