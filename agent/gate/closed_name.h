// ClosedName: the names under which a gate keeps a table and its view aside. Pure.

#pragma once

#include <string>

#include "absl/strings/string_view.h"

namespace sluice::gate {

// "_sluice_closed_<table>": where a closed table stands. A table name over 39 bytes is cut to its
// first 30 bytes (less where that would split a character), "_" and 8 hex digits of a hash of the
// whole name, so names stay distinct and the result leaves room below MySQL's 64 characters: RENAME
// TABLE also renames generated constraints ("<table>_ibfk_1", "<table>_chk_1") and fails with error
// 1059 when one of those does not fit.
std::string ClosedName(absl::string_view table);

// "_sluice_view_<table>", cut in the same way: where the view of a readable gate is prepared, and
// where it is put when the gate leaves that state.
std::string ViewName(absl::string_view table);

// True for every result of ClosedName.
bool IsClosedName(absl::string_view table);

}  // namespace sluice::gate
