// SessionUse: what of its server's session a statement reads or leaves there. Pure.

#pragma once

#include <string>
#include <vector>

#include "common/sql/tokenizer.h"

namespace sluice::sql {

// A client whose statements may run on several servers must know it, because each of them has a
// session of its own.
struct SessionUse {
  bool last_insert_id = false;  // LAST_INSERT_ID(), @@last_insert_id, @@identity; any CALL
  bool diagnostics = false;     // of the statement before: ROW_COUNT(), SHOW WARNINGS and so on
  bool named_locks = false;     // GET_LOCK() and its kin
  bool makes_temporary = false;
  // A function whose value depends on the server or the moment, or that is not known.
  bool varies = false;
  // A function that is not known to be built in: it may read tables.
  bool unknown_calls = false;
  // User variables, in lower case without @ and quotes, each once in each list.
  std::vector<std::string> reads;
  std::vector<std::string> assigns;  // that have another value afterwards
  friend bool operator==(const SessionUse&, const SessionUse&) = default;
};

SessionUse FindSessionUse(const std::vector<Token>& tokens);

}  // namespace sluice::sql
