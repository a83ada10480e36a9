// DdlRunner: carries a statement of the source out on the target, once, whatever dies meanwhile.

#pragma once

#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/notification.h"
#include "agent/target/source_ddl.h"
#include "agent/target/statement_check.h"
#include "agent/target/stream_record.h"
#include "agent/target/stream_store.h"
#include "agent/target/table_plan.h"
#include "common/mysql/connection.h"

namespace sluice::target {

// All outlive the runner.
struct DdlRunnerContext {
  mysql::Connection& connection;  // the stream's session
  StreamStore& store;             // on it
  const mysql::ConnectionOptions& local;
  const WatchedTables& watched;
  const TablePlans& plans;
  StreamRecord& record;
  const absl::Notification& stopping;
  bool ignore_failures = false;  // a statement that mysqld refuses counts as carried out
};

// The order: an intent with the table's definition, committed; the statement, in a session that
// holds a named lock; the position behind it, committed together with the end of the intent. Who
// finds an intent for the statement at hand waits for the lock, so that nothing of an earlier
// attempt is under way, and runs the statement only if the definition is still the noted one. What
// leaves the definition as it is (TRUNCATE, a rebuild) may run twice, since no row was written in
// between.
//
// The rows before the statement have been applied, and the position says so. Owned by one thread.
class DdlRunner {
 public:
  explicit DdlRunner(const DdlRunnerContext& context) : context_(context) {}

  // On success the plans are out of date, and so is the record but for its position.
  // FAILED_PRECONDITION, with the statement and mysqld's reason, when it cannot be run here.
  absl::Status Run(const SourceDdl& ddl);

 private:
  struct Prepared {
    std::string gtid;
    std::string sql;
    std::string session;  // assignments for SET SESSION
    const TablePlan* plan = nullptr;
  };
  absl::StatusOr<Prepared> Prepare(const SourceDdl& ddl) const;
  absl::Status CarryOut(const Prepared& prepared);
  absl::Status NoteIntent(const Prepared& prepared, const std::string& definition);
  absl::Status ForgetIntent();
  absl::Status Execute(mysql::Connection& session, const Prepared& prepared);
  absl::StatusOr<std::string> Definition(const TablePlan& plan);
  absl::Status Commit(const SourceDdl& ddl, const TablePlan* plan);
  absl::Status RestartCopyIfKeyChanged(const TablePlan& plan);

  const DdlRunnerContext context_;
};

}  // namespace sluice::target
