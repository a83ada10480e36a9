// DdlRunner: intent, statement, position.

#include "agent/target/ddl_runner.h"

#include <algorithm>
#include <memory>
#include <thread>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "agent/target/ddl_intent.h"
#include "agent/target/ddl_rewrite.h"
#include "agent/target/local_session.h"
#include "agent/target/transaction_retry.h"
#include "common/base/crash_point.h"
#include "common/base/log.h"
#include "common/base/status.h"
#include "common/base/status_macros.h"
#include "common/binlog/query_session.h"
#include "common/mysql/create_statement.h"

namespace sluice::target {
namespace {

constexpr int kLockSeconds = 10;
constexpr absl::Duration kWatch = absl::Milliseconds(100);

// SHOW CREATE TABLE without the counter, which rows move and no DDL of ours.
std::string WithoutCounter(std::string create) {
  const std::string counter = " AUTO_INCREMENT=";
  const size_t options = create.rfind("\n)");
  const size_t begin = create.find(counter, options == std::string::npos ? 0 : options);
  if (begin != std::string::npos) {
    size_t end = begin + counter.size();
    while (end < create.size() && absl::ascii_isdigit(static_cast<unsigned char>(create[end]))) {
      ++end;
    }
    create.erase(begin, end - begin);
  }
  return create;
}

}  // namespace

absl::StatusOr<DdlRunner::Prepared> DdlRunner::Prepare(const SourceDdl& ddl) const {
  SLUICE_ASSIGN_OR_RETURN(const binlog::QuerySession session,
                          binlog::DecodeQuerySession(ddl.query.status));
  const DdlPlaces places{.watched = context_.watched,
                         .database = context_.record.spec.target_database,
                         .physical = [this](const std::string& table) {
                           const TablePlan* plan = context_.plans.Find(table);
                           return plan == nullptr ? table : plan->physical;
                         }};
  SLUICE_ASSIGN_OR_RETURN(RewrittenDdl rewritten,
                          RewriteDdl(places, ddl.query.database, ddl.query.sql,
                                     {.ansi_quotes = session.AnsiQuotes(),
                                      .no_backslash_escapes = session.NoBackslashEscapes()}));
  Prepared prepared;
  prepared.gtid = ddl.gtid.ToString();
  prepared.sql = std::move(rewritten.sql);
  prepared.session = session.Assignments(ddl.seconds);
  prepared.plan = context_.plans.Find(rewritten.table);
  if (prepared.plan == nullptr) {
    return absl::InternalError(absl::StrCat("table ", rewritten.table, " has no plan"));
  }
  return prepared;
}

absl::StatusOr<std::string> DdlRunner::Definition(const TablePlan& plan) {
  SLUICE_ASSIGN_OR_RETURN(std::string create, mysql::ShowCreateTable(context_.connection,
                                                                     plan.database, plan.physical));
  return WithoutCounter(std::move(create));
}

absl::Status DdlRunner::NoteIntent(const Prepared& prepared, const std::string& definition) {
  SLUICE_RETURN_IF_ERROR(context_.store.Begin());
  absl::Status status =
      WriteDdlIntent(context_.connection, context_.record.spec.id,
                     {.gtid = prepared.gtid, .statement = prepared.sql, .definition = definition});
  if (status.ok()) {
    status = context_.store.Finish(context_.record.position, CommitKind::kState);
  }
  if (!status.ok()) {
    context_.store.Rollback();
  }
  return status;
}

// What mysqld has refused did not run, whatever the table looks like when it is tried again.
absl::Status DdlRunner::ForgetIntent() {
  SLUICE_RETURN_IF_ERROR(context_.store.Begin());
  absl::Status status = DeleteDdlIntent(context_.connection, context_.record.spec.id);
  if (status.ok()) {
    status = context_.store.Finish(context_.record.position, CommitKind::kState);
  }
  if (!status.ok()) {
    context_.store.Rollback();
  }
  return status;
}

absl::Status DdlRunner::Execute(mysql::Connection& session, const Prepared& prepared) {
  if (!prepared.session.empty()) {
    SLUICE_RETURN_IF_ERROR(
        session.Execute(absl::StrCat("SET SESSION ", prepared.session)).status());
  }
  // It may run for hours, and must not keep a stream from stopping. mysqld goes on with it, which
  // the next attempt finds out.
  absl::Notification done;
  std::jthread watcher([&] {
    while (!done.HasBeenNotified()) {
      if (context_.stopping.WaitForNotificationWithTimeout(kWatch)) {
        session.Interrupt();
        return;
      }
    }
  });
  absl::Status status = session.Execute(prepared.sql).status();
  done.Notify();
  watcher.join();
  if (context_.stopping.HasBeenNotified() && !status.ok()) {
    return absl::CancelledError("the stream is being stopped");
  }
  return status;
}

absl::Status DdlRunner::CarryOut(const Prepared& prepared) {
  SLUICE_ASSIGN_OR_RETURN(const std::unique_ptr<mysql::Connection> session,
                          ConnectLocal(context_.local));
  const uint64_t id = context_.record.spec.id;
  SLUICE_ASSIGN_OR_RETURN(const std::string locked,
                          session->QueryScalar(absl::StrCat("SELECT GET_LOCK('sluice_ddl_", id,
                                                            "', ", kLockSeconds, ")")));
  if (locked != "1") {
    return absl::UnavailableError(
        absl::StrCat("an earlier attempt at this statement still runs here: ", prepared.sql));
  }
  SLUICE_ASSIGN_OR_RETURN(const std::string definition, Definition(*prepared.plan));
  SLUICE_ASSIGN_OR_RETURN(const std::optional<DdlIntent> intent,
                          LoadDdlIntent(context_.connection, id));
  const bool noted = intent.has_value() && intent->gtid == prepared.gtid;
  if (noted && intent->definition != definition) {
    SLUICE_LOG(kInfo, "a statement of the source had run before",
               {{"stream", id}, {"statement", prepared.sql}});
    return absl::OkStatus();
  }
  if (!noted) {
    SLUICE_RETURN_IF_ERROR(NoteIntent(prepared, definition));
  }
  SLUICE_CRASH_POINT("ddl.after_intent");
  absl::Status status = Execute(*session, prepared);
  SLUICE_CRASH_POINT("ddl.after_statement");
  if (status.ok() || IsTransient(status)) {
    return status;
  }
  if (!session->healthy()) {
    return absl::UnavailableError(absl::StrCat("a statement was cut off: ", status.message()));
  }
  SLUICE_RETURN_IF_ERROR(ForgetIntent());
  return WithSubject(
      absl::FailedPreconditionError(absl::StrCat(
          "a statement that the source has executed failed on the target: ", prepared.sql, ": ",
          status.message(), "; make the target's table fit and start the stream again")),
      prepared.plan->table);
}

// Ranges of a table whose copy is not done are bounded by keys, which another key makes
// meaningless.
absl::Status DdlRunner::RestartCopyIfKeyChanged(const TablePlan& plan) {
  const auto copy = std::find_if(
      context_.record.copy.begin(), context_.record.copy.end(),
      [&plan](const CopyTable& table) { return table.table == plan.table && !table.done; });
  if (copy == context_.record.copy.end()) {
    return absl::OkStatus();
  }
  SLUICE_ASSIGN_OR_RETURN(
      const TablePlans now,
      TablePlans::Load(context_.connection, context_.record.spec.target_database, {plan.table}));
  if (now.Find(plan.table)->KeyNames() == plan.KeyNames()) {
    return absl::OkStatus();
  }
  const std::string where = absl::StrCat(" WHERE stream_id = ", context_.record.spec.id,
                                         " AND table_name = ", mysql::QuoteString(plan.table));
  SLUICE_RETURN_IF_ERROR(
      context_.connection
          .Execute(absl::StrCat("DELETE FROM _sluice.copy_range", where, " AND slot > 0"))
          .status());
  return context_.connection
      .Execute(absl::StrCat("UPDATE _sluice.copy_range SET started = 0, done = 0, last_key = '', "
                            "end_key = '', rows_copied = 0, bytes_copied = 0",
                            where))
      .status();
}

absl::Status DdlRunner::Commit(const SourceDdl& ddl, const TablePlan* plan) {
  PositionRow row = context_.record.position;
  row.position->set.Add(ddl.gtid);
  SLUICE_RETURN_IF_ERROR(context_.store.Begin());
  absl::Status status = DeleteDdlIntent(context_.connection, context_.record.spec.id);
  if (status.ok() && plan != nullptr) {
    status = RestartCopyIfKeyChanged(*plan);
  }
  if (status.ok()) {
    status = context_.store.Finish(row, CommitKind::kState);
  }
  if (!status.ok()) {
    context_.store.Rollback();
    return status;
  }
  context_.record.position = std::move(row);
  return status;
}

absl::Status DdlRunner::Run(const SourceDdl& ddl) {
  absl::StatusOr<Prepared> prepared = Prepare(ddl);
  absl::Status status = prepared.ok() ? CarryOut(*prepared) : prepared.status();
  const bool refused = !status.ok() && !IsTransient(status);
  if (refused && context_.ignore_failures) {
    SLUICE_LOG(kWarning, "a statement of the source is passed over",
               {{"stream", context_.record.spec.id}, {"reason", status}});
    status = absl::OkStatus();
  }
  SLUICE_RETURN_IF_ERROR(status);
  SLUICE_RETURN_IF_ERROR(Commit(ddl, prepared.ok() ? prepared->plan : nullptr));
  SLUICE_LOG(kInfo, "a statement of the source is carried out",
             {{"stream", context_.record.spec.id}, {"statement", ddl.query.sql}});
  return absl::OkStatus();
}

}  // namespace sluice::target
