// PlanGate: from the names that exist now to the statements that bring a gate to a state.

#include "agent/gate/planner.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "agent/gate/closed_name.h"
#include "common/base/check.h"
#include "common/base/status.h"
#include "common/base/status_macros.h"
#include "common/mysql/connection.h"

namespace sluice::gate {
namespace {

bool HoldsTable(Object closed) {
  return closed == Object::kTable;
}

std::string CreateView(const std::string& view, const std::string& base) {
  return absl::StrCat("CREATE DEFINER = ", mysql::QuoteString(kReaderUser), "@",
                      mysql::QuoteString(kReaderHost), " SQL SECURITY DEFINER VIEW ", view,
                      " AS SELECT * FROM ", base);
}

// A table with the same column names, for a view to be created on: the closed name it reads does
// not exist yet. The types do not matter; the view takes them from what later stands there. The
// invisible key keeps servers content that require a primary key, and tells what the table is.
std::string CreatePlaceholder(const std::string& closed, const std::vector<std::string>& columns) {
  std::string sql = absl::StrCat("CREATE TABLE ", closed, " (");
  for (const std::string& column : columns) {
    absl::StrAppend(&sql, mysql::QuoteName(column), " INT, ");
  }
  absl::StrAppend(&sql, mysql::QuoteName(kPlaceholderColumn),
                  " INT NOT NULL INVISIBLE PRIMARY KEY) ENGINE=InnoDB");
  return sql;
}

absl::Status CheckTable(absl::string_view database, const TableNames& names) {
  const auto refuse = [&](absl::Status status) {
    return WithSubject(std::move(status), names.table);
  };
  const std::string shown = absl::StrCat(database, ".", names.table);
  const std::string closed = ClosedName(names.table);
  if (names.name == Object::kTable && HoldsTable(names.closed)) {
    return refuse(absl::FailedPreconditionError(
        absl::StrCat("table ", shown, " stands open and closed (", closed,
                     ") at once; look at both and rename or drop the wrong one")));
  }
  if (names.name == Object::kOtherView) {
    return refuse(absl::FailedPreconditionError(
        absl::StrCat(shown, " is a view; only base tables have a gate")));
  }
  if (names.name != Object::kTable && !HoldsTable(names.closed)) {
    return refuse(
        absl::NotFoundError(absl::StrCat("table ", shown, " does not exist, nor does ", closed)));
  }
  if (names.view == Object::kTable || names.view == Object::kOtherView) {
    return refuse(absl::FailedPreconditionError(absl::StrCat(
        database, ".", ViewName(names.table), " is in the way of the gate and is not ours")));
  }
  return absl::OkStatus();
}

// Adds one table's share to the plan.
class TablePlanner {
 public:
  TablePlanner(absl::string_view database, const TableNames& names, Plan& plan,
               std::vector<std::string>& moves)
      : names_(names),
        plan_(plan),
        moves_(moves),
        name_(mysql::QuoteTable(database, names.table)),
        closed_(mysql::QuoteTable(database, ClosedName(names.table))),
        view_(mysql::QuoteTable(database, ViewName(names.table))) {}

  void PlanTo(State wanted) {
    DropLeftovers();
    switch (wanted) {
      case State::kOpen:
        return ToOpen();
      case State::kClosed:
        return ToClosed();
      case State::kReadable:
        return ToReadable();
      case State::kAbsent:
      case State::kMixed:
        break;
    }
    SLUICE_CHECK(false);
  }

 private:
  void DropLeftovers() {
    if (names_.view == Object::kGateView) {
      plan_.before.push_back(absl::StrCat("DROP VIEW ", view_));
    }
    if (names_.view == Object::kPlaceholder) {
      plan_.before.push_back(absl::StrCat("DROP TABLE ", view_));
    }
    if (names_.closed == Object::kPlaceholder) {
      plan_.before.push_back(absl::StrCat("DROP TABLE ", closed_));
    }
  }

  void ToOpen() {
    if (names_.name == Object::kTable) {
      return;
    }
    PutViewAside();
    Move(closed_, name_);
  }

  void ToClosed() {
    PutViewAside();
    if (names_.name == Object::kTable) {
      Move(name_, closed_);
    }
  }

  void ToReadable() {
    if (names_.name == Object::kGateView) {
      return;
    }
    if (names_.name == Object::kTable) {
      plan_.before.push_back(CreatePlaceholder(closed_, names_.columns));
      plan_.before.push_back(CreateView(view_, closed_));
      plan_.before.push_back(absl::StrCat("DROP TABLE ", closed_));
      Move(name_, closed_);
    } else {
      plan_.before.push_back(CreateView(view_, closed_));
    }
    Move(view_, name_);
  }

  void PutViewAside() {
    if (names_.name == Object::kGateView) {
      Move(name_, view_);
      plan_.after.push_back(absl::StrCat("DROP VIEW ", view_));
    }
  }

  void Move(const std::string& from, const std::string& to) {
    moves_.push_back(absl::StrCat(from, " TO ", to));
  }

  const TableNames& names_;
  Plan& plan_;
  std::vector<std::string>& moves_;
  std::string name_;
  std::string closed_;
  std::string view_;
};

}  // namespace

absl::string_view StateName(State state) {
  switch (state) {
    case State::kOpen:
      return "open";
    case State::kClosed:
      return "closed";
    case State::kReadable:
      return "readable";
    case State::kAbsent:
      return "absent";
    case State::kMixed:
      return "mixed";
  }
  return "mixed";
}

State StateOf(const TableNames& names) {
  const bool closed = HoldsTable(names.closed);
  switch (names.name) {
    case Object::kTable:
      return closed ? State::kMixed : State::kOpen;
    case Object::kGateView:
      return closed ? State::kReadable : State::kMixed;
    case Object::kAbsent:
      return closed ? State::kClosed : State::kAbsent;
    case Object::kPlaceholder:
    case Object::kOtherView:
      break;
  }
  return State::kMixed;
}

State StateOf(const std::vector<TableNames>& tables) {
  SLUICE_CHECK(!tables.empty());
  const State first = StateOf(tables.front());
  const bool agree = std::all_of(tables.begin(), tables.end(),
                                 [&](const TableNames& names) { return StateOf(names) == first; });
  return agree ? first : State::kMixed;
}

absl::StatusOr<Plan> PlanGate(absl::string_view database, const std::vector<TableNames>& tables,
                              State wanted) {
  Plan plan;
  std::vector<std::string> moves;
  for (const TableNames& names : tables) {
    SLUICE_RETURN_IF_ERROR(CheckTable(database, names));
    TablePlanner(database, names, plan, moves).PlanTo(wanted);
  }
  if (!moves.empty()) {
    plan.rename = absl::StrCat("RENAME TABLE ", absl::StrJoin(moves, ", "));
  }
  return plan;
}

}  // namespace sluice::gate
