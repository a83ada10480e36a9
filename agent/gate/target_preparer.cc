// PrepareTarget: creates a move's tables behind a closed gate.

#include "agent/gate/target_preparer.h"

#include <algorithm>
#include <atomic>
#include <map>
#include <set>
#include <thread>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "agent/gate/bounded_statement.h"
#include "agent/gate/closed_name.h"
#include "agent/gate/create_statement.h"
#include "agent/gate/observe.h"
#include "common/base/crash_point.h"
#include "common/base/log.h"
#include "common/base/status.h"
#include "common/base/status_macros.h"
#include "common/mysql/create_statement.h"

namespace sluice::gate {
namespace {

constexpr absl::Duration kLockWait = absl::Seconds(5);
constexpr uint64_t kTableExists = 1050;
// Fewer are not worth another session.
constexpr size_t kTablesPerHelper = 8;

std::string Join(const std::vector<std::string>& names) {
  return absl::StrJoin(names, ", ");
}

absl::StatusOr<bool> HasRows(mysql::Connection& session, const std::string& table) {
  SLUICE_ASSIGN_OR_RETURN(const mysql::QueryResult result,
                          session.Query(absl::StrCat("SELECT 1 FROM ", table, " LIMIT 1")));
  return !result.rows.empty();
}

// One preparation on a locked gate. Owned by one thread.
class Preparation {
 public:
  Preparation(agent::SessionPool& pool, GateWork& work, const TargetPreparation& wanted)
      : pool_(pool), work_(work), wanted_(wanted), session_(work.gate.session()) {
    for (const TargetTable& table : wanted.tables) {
      names_.push_back(table.name);
      closed_names_[table.name] = ClosedName(table.name);
    }
  }

  absl::Status Run() {
    SLUICE_RETURN_IF_ERROR(CheckOwner());
    SLUICE_ASSIGN_OR_RETURN(observed_, ObserveTables(session_, wanted_.id.database, names_));
    SLUICE_RETURN_IF_ERROR(RewriteStatements());
    SLUICE_RETURN_IF_ERROR(CheckExisting());
    SLUICE_RETURN_IF_ERROR(Record(kChanging, session_.connection_id()));
    SLUICE_RETURN_IF_ERROR(UseDatabase(session_));
    SLUICE_RETURN_IF_ERROR(CreateSideBySide());
    for (size_t i = 0; i < observed_.size(); ++i) {
      if (!IsPlain(i)) {
        SLUICE_RETURN_IF_ERROR(Provide(observed_[i], i));
      }
    }
    return Record(StateName(State::kClosed), 0);
  }

 private:
  absl::Status Refuse(absl::string_view text, absl::string_view subject) const {
    return WithSubject(
        absl::FailedPreconditionError(absl::StrCat("workflow ", wanted_.id.workflow, ": ", text)),
        subject);
  }

  absl::Status Record(absl::string_view state, uint64_t connection_id) {
    const uint64_t epoch = work_.row.has_value() ? work_.row->epoch : 0;
    return WriteGateRow(session_, wanted_.id,
                        {.state = std::string(state),
                         .wanted = std::string(StateName(State::kClosed)),
                         .epoch = epoch,
                         .connection_id = connection_id,
                         .tables = names_});
  }

  // The tables belong to no other workflow, and this one's gate is not in use.
  absl::Status CheckOwner() {
    SLUICE_ASSIGN_OR_RETURN(const std::vector<std::string> holders,
                            WorkflowsHolding(session_, wanted_.id.database, names_));
    for (const std::string& holder : holders) {
      if (holder != wanted_.id.workflow) {
        return Refuse(absl::StrCat("tables ", Join(names_), " of ", wanted_.id.database,
                                   " are held by the gate of workflow ", holder,
                                   "; complete or cancel it first"),
                      holder);
      }
    }
    if (work_.row.has_value() && work_.row->state != kForgotten &&
        work_.row->wanted != StateName(State::kClosed)) {
      return Refuse(
          absl::StrCat("its gate in ", wanted_.id.database, " is in use (", work_.row->state, ")"),
          wanted_.id.workflow);
    }
    return absl::OkStatus();
  }

  // A foreign key that leaves the set is here only where the operator was told and wants it so.
  absl::Status RewriteStatements() {
    const std::set<std::string> moved(names_.begin(), names_.end());
    for (const TargetTable& table : wanted_.tables) {
      auto statement = RewriteCreateTable(LeaveOutForeignKeys(table.create_statement, moved),
                                          closed_names_[table.name], closed_names_);
      if (!statement.ok()) {
        return WithSubject(
            Annotate(statement.status(), absl::StrCat("definition of table ", table.name)),
            table.name);
      }
      statements_.push_back(*std::move(statement));
    }
    return absl::OkStatus();
  }

  // All refusals come before the first change.
  absl::Status CheckExisting() {
    const bool ours = work_.row.has_value() && work_.row->state != kForgotten;
    std::vector<std::string> with_rows;
    for (size_t i = 0; i < observed_.size(); ++i) {
      const TableNames& names = observed_[i];
      switch (StateOf(names)) {
        case State::kAbsent:
          break;
        case State::kOpen: {
          SLUICE_ASSIGN_OR_RETURN(const bool rows, HasRows(session_, Quoted(names.table)));
          if (rows) {
            with_rows.push_back(names.table);
          } else {
            SLUICE_RETURN_IF_ERROR(CheckColumns(names, statements_[i]));
          }
          break;
        }
        case State::kClosed:
        case State::kReadable:
          if (!ours) {
            return Refuse(
                absl::StrCat("table ", ClosedName(names.table), " exists in ", wanted_.id.database,
                             " and belongs to no gate; look at it and drop it"),
                names.table);
          }
          break;
        case State::kMixed:
          return Refuse(absl::StrCat(names.table, " in ", wanted_.id.database,
                                     " is a view, or stands open and closed at once"),
                        names.table);
      }
    }
    if (!with_rows.empty()) {
      return Refuse(absl::StrCat("non-empty tables found in target keyspace(", wanted_.keyspace,
                                 "): ", Join(with_rows)),
                    with_rows.front());
    }
    return absl::OkStatus();
  }

  // The existing table has the columns that the statement would make.
  absl::Status CheckColumns(const TableNames& names, const std::string& statement) {
    SLUICE_ASSIGN_OR_RETURN(const std::string existing,
                            mysql::ReadCreateStatement(session_, wanted_.id.database, names.table));
    if (!SameColumns(existing, statement)) {
      return Refuse(absl::StrCat("table ", names.table, " exists in ", wanted_.id.database,
                                 " with other columns than at the source; drop it or move it away"),
                    names.table);
    }
    return absl::OkStatus();
  }

  // Absent, and without foreign keys, by which statements would wait for each other's tables.
  [[nodiscard]] bool IsPlain(size_t i) const {
    return StateOf(observed_[i]) == State::kAbsent && observed_[i].closed == Object::kAbsent &&
           !absl::StrContains(statements_[i], " REFERENCES ");
  }

  // A CREATE TABLE is ten writes to the disk, one after the other, most of which several sessions
  // share.
  absl::Status CreateSideBySide() {
    std::vector<size_t> plain;
    for (size_t i = 0; i < observed_.size(); ++i) {
      if (IsPlain(i)) {
        plain.push_back(i);
      }
    }
    std::vector<GateHelper> helpers;
    const size_t wanted = std::min(LockedGate::kHelpersMax, plain.size() / kTablesPerHelper);
    for (size_t i = 0; i < wanted; ++i) {
      SLUICE_ASSIGN_OR_RETURN(GateHelper helper, work_.gate.Help(pool_, i));
      SLUICE_RETURN_IF_ERROR(UseDatabase(helper.session()));
      helpers.push_back(std::move(helper));
    }
    std::atomic<size_t> next = 0;
    const auto create = [&](mysql::Connection& session) {
      absl::Status status;
      for (size_t at = next++; at < plain.size() && status.ok(); at = next++) {
        status = Create(session, plain[at]);
      }
      if (!status.ok()) {
        next = plain.size();
      }
      return status;
    };
    std::vector<absl::Status> results(helpers.size());
    absl::Status status;
    {
      std::vector<std::jthread> threads;
      threads.reserve(helpers.size());
      for (size_t i = 0; i < helpers.size(); ++i) {
        threads.emplace_back([&, i] { results[i] = create(helpers[i].session()); });
      }
      status = create(session_);
    }
    for (absl::Status& result : results) {
      status = status.ok() ? std::move(result) : std::move(status);
    }
    return status;
  }

  absl::Status Provide(const TableNames& names, size_t i) {
    if (names.closed == Object::kPlaceholder) {
      SLUICE_RETURN_IF_ERROR(
          session_.Execute(absl::StrCat("DROP TABLE ", Quoted(ClosedName(names.table)))).status());
    }
    switch (StateOf(names)) {
      case State::kClosed:
      case State::kReadable:
        return Guard(session_, names);
      case State::kOpen: {
        SLUICE_RETURN_IF_ERROR(TakeIn(names.table));
        TableNames taken = names;
        taken.name = Object::kAbsent;
        return Guard(session_, taken);
      }
      case State::kAbsent:
      case State::kMixed:
        break;
    }
    return Create(session_, i);
  }

  // A table that somebody creates under the name, not knowing of the move, would be in the way of
  // the cutover that opens the gate.
  absl::Status Guard(mysql::Connection& session, TableNames names) const {
    names.closed = Object::kTable;
    for (const std::string& sql : PlanGuards(wanted_.id.database, {names})) {
      SLUICE_RETURN_IF_ERROR(Appeared(session.Execute(sql).status(), names.table));
    }
    return absl::OkStatus();
  }

  static absl::Status Appeared(const absl::Status& created, const std::string& table) {
    if (created.ok()) {
      return absl::OkStatus();
    }
    if (MysqlErrnoOf(created) != kTableExists) {
      return WithSubject(Annotate(created, "creating a table at the target"), table);
    }
    return WithSubject(absl::AbortedError(absl::StrCat(
                           "a table appeared while the target was prepared: ", created.message())),
                       table);
  }

  // CREATE statements name no schema.
  absl::Status UseDatabase(mysql::Connection& session) const {
    return session.Execute(absl::StrCat("USE ", mysql::QuoteName(wanted_.id.database))).status();
  }

  // Called by several threads at once, each with a session of its own.
  absl::Status Create(mysql::Connection& session, size_t i) const {
    const std::string& table = observed_[i].table;
    SLUICE_RETURN_IF_ERROR(Appeared(
        mysql::CreateAsPrinted(session, statements_[i], mysql::QuoteName(ClosedName(table))),
        table));
    SLUICE_CRASH_POINT("prepare.after_create");
    return Guard(session, observed_[i]);
  }

  // Closes an empty open table. A row that came in at the last moment turns it back.
  absl::Status TakeIn(const std::string& table) {
    const std::string closed = ClosedName(table);
    BoundedStatement rename{
        .sql = absl::StrCat("RENAME TABLE ", Quoted(table), " TO ", Quoted(closed)),
        .database = wanted_.id.database,
        .names = {table, closed},
        .bound = kLockWait};
    SLUICE_ASSIGN_OR_RETURN(const BoundedOutcome outcome, RunBounded(pool_, session_, rename));
    if (absl::IsCancelled(outcome.status) || absl::IsAborted(outcome.status)) {
      return absl::AbortedError(
          absl::StrCat("table ", table, " is in use by ", DescribeBlockers(outcome.blockers)));
    }
    SLUICE_RETURN_IF_ERROR(outcome.status);
    SLUICE_ASSIGN_OR_RETURN(const bool rows, HasRows(session_, Quoted(closed)));
    if (!rows) {
      return absl::OkStatus();
    }
    SLUICE_RETURN_IF_ERROR(
        session_.Execute(absl::StrCat("RENAME TABLE ", Quoted(closed), " TO ", Quoted(table)))
            .status());
    return Refuse(
        absl::StrCat("non-empty tables found in target keyspace(", wanted_.keyspace, "): ", table),
        table);
  }

  [[nodiscard]] std::string Quoted(const std::string& table) const {
    return mysql::QuoteTable(wanted_.id.database, table);
  }

  agent::SessionPool& pool_;
  GateWork& work_;
  const TargetPreparation& wanted_;
  mysql::Connection& session_;
  std::vector<std::string> names_;
  std::map<std::string, std::string> closed_names_;
  std::vector<TableNames> observed_;
  std::vector<std::string> statements_;
};

}  // namespace

absl::Status PrepareTarget(GateKeeper& keeper, const TargetPreparation& preparation,
                           absl::Time deadline) {
  if (preparation.tables.empty()) {
    return absl::InvalidArgumentError(
        absl::StrCat("workflow ", preparation.id.workflow, ": no tables named"));
  }
  return keeper.WithGate(preparation.id, deadline, [&](GateWork& work) {
    return Preparation(keeper.pool(), work, preparation).Run();
  });
}

}  // namespace sluice::gate
