// TableFinder: table positions in statements that define or maintain objects.

#include <algorithm>

#include "common/sql/table_finder.h"

namespace sluice::sql {

void TableFinder::Ddl(size_t i) {
  out_.kind = StatementKind::kDdl;
  if (Is(i, "TRUNCATE")) {
    Table(SkipWords(i + 1, {"TABLE"}));
    return;
  }
  if (Is(i, "RENAME")) {
    if (Is(i + 1, "TABLE") || Is(i + 1, "TABLES")) {
      RenameTables(i + 2);
    }
    return;
  }
  if (Is(i, "CREATE") || Is(i, "ALTER") || Is(i, "DROP")) {
    CreateOrAlter(i);
    return;
  }
  // ANALYZE, CHECK, CHECKSUM, OPTIMIZE, REPAIR [NO_WRITE_TO_BINLOG | LOCAL] TABLE t, …
  i = SkipWords(i + 1, {"NO_WRITE_TO_BINLOG", "LOCAL"});
  if (Is(i, "TABLE") || Is(i, "TABLES")) {
    TableList(i + 1);
  }
}

void TableFinder::RenameTables(size_t i) {
  while (IsName(i)) {
    i = Table(i);
    if (!Is(i, "TO")) {
      return;
    }
    i = Table(i + 1);
    if (!Punct(i, ',')) {
      return;
    }
    ++i;
  }
}

// CREATE, ALTER and DROP: looks for the word that says what kind of object it is, past DEFINER=…,
// TEMPORARY, UNIQUE, OR REPLACE and the like.
void TableFinder::CreateOrAlter(size_t i) {
  const bool drops = Is(i, "DROP");
  for (size_t at = i + 1; at < std::min(tokens_.size(), i + 24); ++at) {
    const size_t name = SkipWords(at + 1, {"IF", "NOT", "EXISTS"});
    if (Is(at, "TABLE") || Is(at, "TABLES") || Is(at, "VIEW")) {
      if (drops) {
        TableList(name);
      } else {
        DdlBody(Table(name));
      }
      return;
    }
    if (Is(at, "INDEX") || Is(at, "TRIGGER")) {
      // DROP TRIGGER names no table; its schema is the trigger's.
      size_t on = at;
      while (on < tokens_.size() && !Is(on, "ON")) {
        ++on;
      }
      if (Is(at, "TRIGGER")) {
        QualifierOnly(name);
      }
      if (on < tokens_.size()) {
        DdlBody(Table(on + 1));
      }
      return;
    }
    if (Is(at, "PROCEDURE") || Is(at, "FUNCTION") || Is(at, "EVENT")) {
      QualifierOnly(name);
      return;
    }
    if (Is(at, "DATABASE") || Is(at, "SCHEMA")) {
      out_.is_database_ddl = true;
      Schema(name);
      return;
    }
    if (Is(at, "USER") || Is(at, "ROLE") || Is(at, "SERVER") || Is(at, "TABLESPACE") ||
        Is(at, "INSTANCE")) {
      return;
    }
  }
}

// What follows the object's name: further tables stand behind LIKE, REFERENCES, RENAME TO,
// EXCHANGE PARTITION … WITH TABLE and in queries.
void TableFinder::DdlBody(size_t i) {
  for (size_t at = i; at < tokens_.size(); ++at) {
    if (Is(at, "REFERENCES") || (Is(at, "LIKE") && (at == i || Punct(at - 1, '(')))) {
      Table(at + 1);
    } else if (Is(at, "RENAME") && !Is(at + 1, "COLUMN") && !Is(at + 1, "INDEX") &&
               !Is(at + 1, "KEY")) {
      Table(SkipWords(at + 1, {"TO", "AS"}));
    }
  }
  Walk(i, tokens_.size(), Mode::kNone);
}

}  // namespace sluice::sql
