// What a move changes in the text of SHOW CREATE TABLE: names and foreign keys. Pure.

#pragma once

#include <map>
#include <set>
#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace sluice::gate {

// The same statement for `new_name`, in which foreign keys that refer to a table of `references`
// refer to the name it maps to. Nothing else changes: AUTO_INCREMENT, comments, defaults and
// partitions stay as they are. A reference qualified by a schema is left alone. INVALID_ARGUMENT
// when the text does not begin as SHOW CREATE TABLE of a base table does, or a quote is left open.
absl::StatusOr<std::string> RewriteCreateTable(
    absl::string_view create, absl::string_view new_name,
    const std::map<std::string, std::string>& references);

// The same statement without the foreign keys that refer to other tables than `kept`. A table of
// another schema is none of them.
std::string LeaveOutForeignKeys(absl::string_view create, const std::set<std::string>& kept);

// True when two such texts have the same columns in the same order, the same primary key and the
// same default character set. AUTO_INCREMENT, secondary keys and constraints may differ.
bool SameColumns(absl::string_view left, absl::string_view right);

}  // namespace sluice::gate
