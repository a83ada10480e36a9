// DropTables: ends a gate by dropping, renaming or giving back the tables behind it.

#include "agent/gate/table_dropper.h"

#include <algorithm>
#include <map>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "agent/gate/closed_name.h"
#include "agent/gate/observe.h"
#include "agent/gate/server_gate.h"
#include "agent/gate/table_batches.h"
#include "common/base/crash_point.h"
#include "common/base/log.h"
#include "common/base/status.h"
#include "common/base/status_macros.h"

namespace sluice::gate {
namespace {

constexpr size_t kOldNameCharacters = 59;
constexpr size_t kNameCharactersMax = 64;

absl::string_view ModeName(DropMode mode) {
  switch (mode) {
    case DropMode::kDrop:
      return "drop";
    case DropMode::kRenameOld:
      return "rename";
    case DropMode::kKeep:
      return "keep";
  }
  return "drop";
}

absl::string_view DoneWord(DropMode mode) {
  switch (mode) {
    case DropMode::kDrop:
      return "dropped";
    case DropMode::kRenameOld:
      return "renamed";
    case DropMode::kKeep:
      return "given back";
  }
  return "dropped";
}

size_t Characters(absl::string_view text) {
  return static_cast<size_t>(std::count_if(text.begin(), text.end(), [](char c) {
    return (static_cast<unsigned char>(c) & 0xC0U) != 0x80U;
  }));
}

// A table that is nowhere is so under its closed name.
std::string StandsAs(const TableNames& names) {
  return names.closed != Object::kTable && names.name == Object::kTable ? names.table
                                                                        : ClosedName(names.table);
}

bool Contains(const std::vector<std::string>& names, const std::string& name) {
  return std::find(names.begin(), names.end(), name) != names.end();
}

// One request on a locked gate. Owned by one thread.
class Ending {
 public:
  Ending(GateKeeper& keeper, GateWork& work, const DropRequest& request, absl::Time deadline)
      : keeper_(keeper),
        pool_(keeper.pool()),
        work_(work),
        request_(request),
        deadline_(deadline),
        session_(work.gate.session()) {}

  absl::Status Check() {
    SLUICE_ASSIGN_OR_RETURN(observed_,
                            ObserveTables(session_, request_.id.database, request_.tables));
    if (!work_.row.has_value() || work_.row->state == kForgotten) {
      return WithoutGate().status();
    }
    SLUICE_RETURN_IF_ERROR(CheckRecord());
    // Behind a server that is closed as a whole the tables have their names until they are dropped.
    if (!FencesServer(work_.row)) {
      SLUICE_RETURN_IF_ERROR(CheckNames());
    }
    SLUICE_RETURN_IF_ERROR(CheckReferences());
    return CheckOldNames();
  }

  absl::StatusOr<std::vector<std::string>> Run() {
    SLUICE_RETURN_IF_ERROR(
        CheckEpoch(request_.id, work_.row, request_.epoch, ModeName(request_.mode)));
    SLUICE_ASSIGN_OR_RETURN(observed_,
                            ObserveTables(session_, request_.id.database, request_.tables));
    if (!work_.row.has_value() || work_.row->state == kForgotten) {
      return WithoutGate();
    }
    SLUICE_RETURN_IF_ERROR(CheckRecord());
    const bool closes_server = FencesServer(work_.row);
    if (closes_server && request_.mode != DropMode::kKeep) {
      SLUICE_RETURN_IF_ERROR(CloseNames());
    }
    SLUICE_RETURN_IF_ERROR(CheckNames());
    SLUICE_RETURN_IF_ERROR(CheckReferences());
    SLUICE_RETURN_IF_ERROR(CheckOldNames());
    SLUICE_RETURN_IF_ERROR(Record(kChanging, session_.connection_id()));
    SLUICE_CRASH_POINT("drop.before");
    SLUICE_RETURN_IF_ERROR(Act());
    if (closes_server) {
      // Before the look at the others, or two that end at once would leave it to each other.
      SLUICE_RETURN_IF_ERROR(Record(kLettingGo, session_.connection_id()));
      SLUICE_CRASH_POINT("server.letting_go");
      SLUICE_RETURN_IF_ERROR(
          Annotate(keeper_.OpenServer(work_, request_.id, deadline_), "opening the server"));
      SLUICE_CRASH_POINT("server.let_go");
    }
    SLUICE_RETURN_IF_ERROR(Record(kForgotten, 0));
    return done_;
  }

 private:
  using Tables = std::vector<TableNames>;
  using Statements = std::vector<std::string>;

  absl::Status Refuse(absl::string_view text, const std::string& subject) const {
    return WithSubject(
        absl::FailedPreconditionError(absl::StrCat("workflow ", request_.id.workflow, ": ", text)),
        subject);
  }

  absl::Status Record(absl::string_view state, uint64_t connection_id) {
    return WriteGateRow(session_, request_.id,
                        {.state = std::string(state),
                         .wanted = std::string(ModeName(request_.mode)),
                         .epoch = request_.epoch,
                         .connection_id = connection_id,
                         .tables = work_.row->tables,
                         .kind = work_.row->kind});
  }

  // Behind a server that is closed as a whole the tables have their names. Whoever may write to
  // such a server meets closed ones from here on.
  absl::Status CloseNames() {
    std::vector<TableNames> open;
    for (const TableNames& names : observed_) {
      if (StateOf(names) == State::kOpen) {
        open.push_back(names);
      }
    }
    if (open.empty()) {
      return absl::OkStatus();
    }
    Observation server;
    SLUICE_RETURN_IF_ERROR(ReadServerState(session_, request_.id, server));
    if (!server.read_only) {
      return Refuse(
          "its gate has closed this server, but the server is not read-only now; nothing"
          " is dropped",
          open.front().table);
    }
    SLUICE_RETURN_IF_ERROR(
        TableBatches(pool_, work_.gate, request_.id,
                     {.deadline = deadline_, .may_go_on = request_.may_go_on})
            .Run(
                open, [this](const Tables& batch) { return GateStatements(batch, State::kClosed); },
                [](const TableNames&) {}));
    SLUICE_ASSIGN_OR_RETURN(observed_,
                            ObserveTables(session_, request_.id.database, request_.tables));
    return absl::OkStatus();
  }

  // The repeat of a request that is done, or one for a gate that never was: fine as long as nothing
  // is closed here.
  absl::StatusOr<std::vector<std::string>> WithoutGate() {
    for (const TableNames& names : observed_) {
      if (names.closed == Object::kTable) {
        return Refuse(absl::StrCat("table ", ClosedName(names.table), " in ", request_.id.database,
                                   " belongs to no gate of the workflow"),
                      names.table);
      }
    }
    return std::vector<std::string>();
  }

  [[nodiscard]] bool Resumes() const {
    return (work_.row->state == kChanging || work_.row->state == kLettingGo) &&
           work_.row->wanted == ModeName(request_.mode);
  }

  absl::Status CheckRecord() {
    for (const std::string& table : request_.tables) {
      if (!Contains(work_.row->tables, table)) {
        return Refuse(
            absl::StrCat("table ", table, " is not behind its gate in ", request_.id.database),
            table);
      }
    }
    const std::string& state = work_.row->state;
    const bool closed = state == StateName(State::kClosed) || state == StateName(State::kReadable);
    // A preparation that was cut off left an intent to close and nothing that was ever open.
    const bool never_open = state == kChanging && work_.row->wanted == StateName(State::kClosed);
    const bool stays_open = state == StateName(State::kOpen) && request_.mode == DropMode::kKeep;
    if (!closed && !never_open && !stays_open && !Resumes()) {
      return Refuse(absl::StrCat("its gate in ", request_.id.database, " is ", state, " (wanted ",
                                 work_.row->wanted, "), not closed; nothing is dropped"),
                    request_.id.workflow);
    }
    return absl::OkStatus();
  }

  absl::Status CheckNames() {
    for (const TableNames& names : observed_) {
      const State state = StateOf(names);
      const bool stays_open = request_.mode == DropMode::kKeep && state == State::kOpen;
      // The view went first when an earlier run was cut off, or is all that is left of the table.
      const bool view_left = names.name == Object::kGateView || names.name == Object::kGuard;
      if (state != State::kClosed && state != State::kReadable && state != State::kAbsent &&
          !stays_open && !view_left) {
        return Refuse(absl::StrCat("table ", names.table, " in ", request_.id.database, " is ",
                                   StateName(state), ", not closed; nothing is dropped"),
                      names.table);
      }
    }
    return absl::OkStatus();
  }

  // Dropping a parent would leave children that point nowhere.
  absl::Status CheckReferences() {
    if (request_.mode != DropMode::kDrop) {
      return absl::OkStatus();
    }
    std::vector<std::string> closed;
    for (const TableNames& names : observed_) {
      closed.push_back(StandsAs(names));
    }
    SLUICE_ASSIGN_OR_RETURN(
        const mysql::QueryResult result,
        session_.Query(absl::StrCat(
            "SELECT CONSTRAINT_SCHEMA, TABLE_NAME, REFERENCED_TABLE_NAME"
            " FROM information_schema.REFERENTIAL_CONSTRAINTS WHERE UNIQUE_CONSTRAINT_SCHEMA = ",
            mysql::QuoteString(request_.id.database), " AND REFERENCED_TABLE_NAME IN (",
            QuotedList(closed), ")")));
    for (const mysql::Row& row : result.rows) {
      const std::string child = row[1].value_or("");
      if (row[0].value_or("") != request_.id.database || !Contains(closed, child)) {
        return Refuse(
            absl::StrCat("table ", row[0].value_or(""), ".", child, " refers to ",
                         row[2].value_or(""), " by a foreign key; drop that key or keep the data"),
            child);
      }
    }
    return absl::OkStatus();
  }

  // One batch would fail where others have been renamed by then.
  absl::Status CheckOldNames() {
    if (request_.mode != DropMode::kRenameOld) {
      return absl::OkStatus();
    }
    std::map<std::string, std::string> tables;  // by old name
    std::vector<std::string> old_names;
    for (const TableNames& names : observed_) {
      if (names.closed == Object::kTable || names.name == Object::kTable) {
        old_names.push_back(OldName(names.table));
        const auto [same, is_new] = tables.emplace(old_names.back(), names.table);
        if (!is_new) {
          return Refuse(absl::StrCat("tables ", same->second, " and ", names.table,
                                     " would both be ", old_names.back()),
                        names.table);
        }
      }
    }
    if (old_names.empty()) {
      return absl::OkStatus();
    }
    SLUICE_RETURN_IF_ERROR(CheckConstraintNames());
    SLUICE_ASSIGN_OR_RETURN(
        const mysql::QueryResult result,
        session_.Query(absl::StrCat("SELECT TABLE_NAME FROM information_schema.TABLES"
                                    " WHERE TABLE_SCHEMA = ",
                                    mysql::QuoteString(request_.id.database),
                                    " AND TABLE_NAME IN (", QuotedList(old_names), ") LIMIT 1")));
    if (!result.rows.empty()) {
      const std::string taken = result.rows.front()[0].value_or("");
      return Refuse(absl::StrCat(taken, " exists in ", request_.id.database,
                                 " already; drop it or move it away"),
                    taken);
    }
    return absl::OkStatus();
  }

  // RENAME TABLE also renames the constraints that mysqld has named after the table, and fails
  // where the new name does not fit.
  absl::Status CheckConstraintNames() {
    std::map<std::string, std::string> tables;  // by the name under which they stand
    std::vector<std::string> stands;
    for (const TableNames& names : observed_) {
      stands.push_back(StandsAs(names));
      tables[stands.back()] = names.table;
    }
    SLUICE_ASSIGN_OR_RETURN(
        const mysql::QueryResult result,
        session_.Query(absl::StrCat(
            "SELECT TABLE_NAME, SUBSTR(CONSTRAINT_NAME, CHAR_LENGTH(TABLE_NAME) + 1)"
            " FROM information_schema.TABLE_CONSTRAINTS WHERE TABLE_SCHEMA = ",
            mysql::QuoteString(request_.id.database), " AND TABLE_NAME IN (", QuotedList(stands),
            ") AND LEFT(CONSTRAINT_NAME, CHAR_LENGTH(TABLE_NAME) + 1) = CONCAT(TABLE_NAME, '_')")));
    for (const mysql::Row& row : result.rows) {
      const std::string& table = tables[row[0].value_or("")];
      const std::string constraint = absl::StrCat(OldName(table), row[1].value_or(""));
      if (Characters(constraint) > kNameCharactersMax) {
        return Refuse(absl::StrCat("as ", OldName(table), ", table ", table,
                                   " would have a constraint ", constraint,
                                   ", which is too long a name; drop the tables, keep the data, or "
                                   "give that constraint a name of its own"),
                      table);
      }
    }
    return absl::OkStatus();
  }

  absl::Status Act() {
    switch (request_.mode) {
      case DropMode::kDrop:
        return InBatches([this](const Tables& batch) { return DropStatements(batch); });
      case DropMode::kRenameOld:
        return InBatches([this](const Tables& batch) { return RenameStatements(batch); });
      case DropMode::kKeep:
        return InBatches(
            [this](const Tables& batch) { return GateStatements(batch, State::kOpen); });
    }
    return absl::OkStatus();
  }

  // What stands under the names first: who begins anew after a crash in between meets closed
  // tables.
  [[nodiscard]] Statements DropStatements(const Tables& batch) const {
    Statements statements = DropViewStatements(batch);
    std::vector<std::string> closed;
    for (const TableNames& names : batch) {
      if (names.closed != Object::kAbsent) {
        closed.push_back(Quoted(ClosedName(names.table)));
      }
    }
    if (!closed.empty()) {
      statements.push_back(absl::StrCat("DROP TABLE ", absl::StrJoin(closed, ", ")));
    }
    return statements;
  }

  [[nodiscard]] Statements RenameStatements(const Tables& batch) const {
    Statements statements = DropViewStatements(batch);
    std::vector<std::string> moves;
    for (const TableNames& names : batch) {
      if (names.closed == Object::kTable) {
        moves.push_back(
            absl::StrCat(Quoted(ClosedName(names.table)), " TO ", Quoted(OldName(names.table))));
      }
    }
    if (!moves.empty()) {
      statements.push_back(absl::StrCat("RENAME TABLE ", absl::StrJoin(moves, ", ")));
    }
    return statements;
  }

  // Of those that are there.
  [[nodiscard]] absl::StatusOr<Statements> GateStatements(const Tables& batch, State wanted) const {
    Tables present;
    for (const TableNames& names : batch) {
      if (StateOf(names) != State::kAbsent) {
        present.push_back(names);
      }
    }
    SLUICE_ASSIGN_OR_RETURN(const Plan plan, PlanGate(request_.id.database, present, wanted));
    Statements statements = plan.before;
    if (!plan.rename.empty()) {
      statements.push_back(plan.rename);
    }
    statements.insert(statements.end(), plan.after.begin(), plan.after.end());
    return statements;
  }

  [[nodiscard]] Statements DropViewStatements(const Tables& batch) const {
    std::vector<std::string> views;
    for (const TableNames& names : batch) {
      if (names.name == Object::kGateView || names.name == Object::kGuard) {
        views.push_back(Quoted(names.table));
      }
      if (names.view == Object::kGateView || names.view == Object::kGuard) {
        views.push_back(Quoted(ViewName(names.table)));
      }
    }
    return views.empty() ? Statements()
                         : Statements{absl::StrCat("DROP VIEW ", absl::StrJoin(views, ", "))};
  }

  // Adds to `done_` what had a closed table; how far it is stands in the error that ends it early.
  absl::Status InBatches(const PlanBatch& plan) {
    absl::Status status = TableBatches(pool_, work_.gate, request_.id,
                                       {.deadline = deadline_, .may_go_on = request_.may_go_on})
                              .Run(observed_, plan, [&](const TableNames& names) {
                                if (names.closed != Object::kAbsent) {
                                  done_.push_back(names.table);
                                }
                              });
    std::sort(done_.begin(), done_.end());
    if (!absl::IsDeadlineExceeded(status)) {
      return status;
    }
    const auto before = static_cast<size_t>(
        std::count_if(observed_.begin(), observed_.end(),
                      [&](const TableNames& names) { return names.closed == Object::kAbsent; }));
    return absl::DeadlineExceededError(absl::StrCat(before + done_.size(), " of ", observed_.size(),
                                                    " tables of ", request_.id.database, " are ",
                                                    DoneWord(request_.mode), " so far"));
  }

  [[nodiscard]] std::string Quoted(const std::string& table) const {
    return mysql::QuoteTable(request_.id.database, table);
  }

  GateKeeper& keeper_;
  agent::SessionPool& pool_;
  GateWork& work_;
  const DropRequest& request_;
  const absl::Time deadline_;
  mysql::Connection& session_;
  std::vector<TableNames> observed_;
  std::vector<std::string> done_;
};

}  // namespace

std::string OldName(const std::string& table) {
  size_t end = 0;
  for (size_t characters = 0; end < table.size() && characters < kOldNameCharacters; ++characters) {
    do {
      ++end;
    } while (end < table.size() && (static_cast<unsigned char>(table[end]) & 0xC0U) == 0x80U);
  }
  return absl::StrCat("_", table.substr(0, end), "_old");
}

absl::Status CheckDrop(GateKeeper& keeper, const DropRequest& request, absl::Time deadline) {
  return keeper.WithGate(request.id, deadline, [&](GateWork& work) {
    return Ending(keeper, work, request, deadline).Check();
  });
}

absl::StatusOr<std::vector<std::string>> DropTables(GateKeeper& keeper, const DropRequest& request,
                                                    absl::Time deadline) {
  if (request.tables.empty()) {
    return absl::InvalidArgumentError(
        absl::StrCat("workflow ", request.id.workflow, ": no tables named"));
  }
  auto dropped = keeper.WithGate(request.id, deadline, [&](GateWork& work) {
    return Ending(keeper, work, request, deadline).Run();
  });
  if (dropped.ok()) {
    SLUICE_LOG(kInfo, "gate ended",
               {{"workflow", request.id.workflow},
                {"database", request.id.database},
                {"mode", ModeName(request.mode)},
                {"tables", dropped->size()}});
  }
  return dropped;
}

}  // namespace sluice::gate
