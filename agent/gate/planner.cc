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

// Nothing is deleted from a join view. A DELETE of several tables is where mysqld (9.7) does not
// ask whether a view's definer may delete. Key look-ups go through the join as if it were not
// there.
constexpr absl::string_view kOneRow = " AS t JOIN (SELECT 1 AS one) AS one";

std::string CreateView(const std::string& view, const std::string& base) {
  return absl::StrCat("CREATE DEFINER = ", mysql::QuoteString(kReaderUser), "@",
                      mysql::QuoteString(kReaderHost), " SQL SECURITY DEFINER VIEW ", view,
                      " AS SELECT t.* FROM ", base, kOneRow);
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

std::string CreateGuard(const std::string& name) {
  return absl::StrCat("CREATE DEFINER = ", mysql::QuoteString(kReaderUser), "@",
                      mysql::QuoteString(kReaderHost), " SQL SECURITY DEFINER VIEW ", name,
                      " AS SELECT t.version AS ", mysql::QuoteName(kPlaceholderColumn),
                      " FROM _sluice.schema_version", kOneRow);
}

// One commit for all of them.
void AddDropViews(const std::vector<std::string>& views, std::vector<std::string>& statements) {
  if (!views.empty()) {
    statements.push_back(absl::StrCat("DROP VIEW ", absl::StrJoin(views, ", ")));
  }
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

// What the tables' shares of a plan have in common.
struct Parts {
  std::vector<std::string> unused_views;  // dropped before anything else
  std::vector<std::string> moves;
  std::vector<std::string> views_aside;  // dropped at the end
  std::vector<std::string> guards;       // come after that
};

// Adds one table's share to the plan.
class TablePlanner {
 public:
  TablePlanner(absl::string_view database, const TableNames& names, Plan& plan, Parts& parts)
      : names_(names),
        plan_(plan),
        parts_(parts),
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
    if (names_.view == Object::kGateView || names_.view == Object::kGuard) {
      parts_.unused_views.push_back(view_);
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
    if (names_.name == Object::kGateView) {
      PutViewAside();
      parts_.guards.push_back(CreateGuard(name_));  // nobody waits for this change
    }
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
      if (names_.name == Object::kGuard) {
        parts_.unused_views.push_back(name_);
      }
      plan_.before.push_back(CreateView(view_, closed_));
    }
    Move(view_, name_);
  }

  // By a rename, which a stream of these tables does not take for somebody's DROP.
  void PutViewAside() {
    if (names_.name == Object::kGateView || names_.name == Object::kGuard) {
      Move(name_, view_);
      parts_.views_aside.push_back(view_);
    }
  }

  void Move(const std::string& from, const std::string& to) {
    parts_.moves.push_back(absl::StrCat(from, " TO ", to));
  }

  const TableNames& names_;
  Plan& plan_;
  Parts& parts_;
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
    case Object::kGuard:
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
  Parts parts;
  for (const TableNames& names : tables) {
    SLUICE_RETURN_IF_ERROR(CheckTable(database, names));
    TablePlanner(database, names, plan, parts).PlanTo(wanted);
  }
  std::vector<std::string> before;
  AddDropViews(parts.unused_views, before);
  plan.before.insert(plan.before.begin(), before.begin(), before.end());
  if (!parts.moves.empty()) {
    plan.rename = absl::StrCat("RENAME TABLE ", absl::StrJoin(parts.moves, ", "));
  }
  AddDropViews(parts.views_aside, plan.after);
  plan.after.insert(plan.after.end(), parts.guards.begin(), parts.guards.end());
  return plan;
}

std::vector<std::string> PlanGuards(absl::string_view database,
                                    const std::vector<TableNames>& tables) {
  std::vector<std::string> statements;
  for (const TableNames& names : tables) {
    if (names.name == Object::kAbsent && HoldsTable(names.closed)) {
      statements.push_back(CreateGuard(mysql::QuoteTable(database, names.table)));
    }
  }
  return statements;
}

}  // namespace sluice::gate
