// PlanGate: from the names that exist now to the statements that bring a gate to a state. Pure.

#pragma once

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace sluice::gate {

// What stands under a name.
enum class Object {
  kAbsent,
  kTable,
  kPlaceholder,  // the empty table that a view is prepared on
  kGateView,     // a view of ours: its definer is the reader account
  kGuard,        // a view of ours that nobody can use; it keeps the name of a closed table taken
  kOtherView,
};

// The three names of one table of a gate.
struct TableNames {
  std::string table;
  Object name = Object::kAbsent;
  Object closed = Object::kAbsent;  // under ClosedName(table)
  Object view = Object::kAbsent;    // under ViewName(table)
  std::vector<std::string>
      columns;  // visible ones in order, of the table that stands under the name
};

enum class State { kOpen, kClosed, kReadable, kAbsent, kMixed };

// "open", "closed", … as stored and shown.
absl::string_view StateName(State state);

// Leftovers of an interrupted change (placeholder, prepared view) do not count.
State StateOf(const TableNames& names);
// kMixed when the tables disagree. REQUIRES: not empty.
State StateOf(const std::vector<TableNames>& tables);

// Statements in the order to run. `rename` is the one atomic change and may be empty; what is in
// `before` neither closes nor opens anything, so it may be repeated after a crash at any place.
struct Plan {
  std::vector<std::string> before;
  std::string rename;
  std::vector<std::string> after;

  [[nodiscard]] bool empty() const { return before.empty() && rename.empty() && after.empty(); }
};

// The way from any mixture of open, closed and readable tables, leftovers included, to `wanted`
// (kOpen, kClosed or kReadable). NOT_FOUND names a table of which neither name exists;
// FAILED_PRECONDITION one whose names are both tables, or whose name is a view that is not ours.
absl::StatusOr<Plan> PlanGate(absl::string_view database, const std::vector<TableNames>& tables,
                              State wanted);

// The view that keeps the name of each closed table taken, where nothing stands under it: who does
// not know of the gate could create a table there otherwise, and write to it. Reading or writing
// it fails, since its definer may not read what it reads.
std::vector<std::string> PlanGuards(absl::string_view database,
                                    const std::vector<TableNames>& tables);

// A column of this name marks a placeholder (where it is invisible) and a guard.
inline constexpr absl::string_view kPlaceholderColumn = "_sluice_placeholder";
// The account that views of a readable gate read by; locked, and it may only SELECT.
inline constexpr absl::string_view kReaderUser = "_sluice_reader";
inline constexpr absl::string_view kReaderHost = "localhost";

}  // namespace sluice::gate
