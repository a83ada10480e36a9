// DeferrableKeys: the secondary keys that a table can do without while its rows are copied. Pure.

#pragma once

#include <set>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"

namespace sluice::target {

// A secondary key that is to be added to a table, as SHOW CREATE TABLE has written it.
struct OwedKey {
  std::string name;
  std::string definition;  // KEY `name` (`a`,`b`(10) DESC) COMMENT '…'
  friend bool operator==(const OwedKey&, const OwedKey&) = default;
};

// Those of an InnoDB table's keys that only speed up queries, and that mysqld can add while the
// table is written to. Kept are the primary key, unique, FULLTEXT and SPATIAL keys, keys with
// expressions, and keys that begin with an AUTO_INCREMENT column or a column of a foreign key, be
// it of the table's own or, in `referenced`, of one that refers to the table; likewise keys over
// generated columns. `create` is the text of SHOW CREATE TABLE.
std::vector<OwedKey> DeferrableKeys(absl::string_view create,
                                    const std::set<std::string>& referenced);

// The statements for a quoted table. Adding allows writers all the while if `online`, else as the
// server has it.
std::string DropKeysStatement(absl::string_view table, const std::vector<OwedKey>& keys);
std::string AddKeysStatement(absl::string_view table, const std::vector<OwedKey>& keys,
                             bool online = true);

}  // namespace sluice::target
