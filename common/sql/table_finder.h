// TableFinder: walks through the tokens of a statement and notes tables and schema names. Pure.

#pragma once

#include <initializer_list>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "common/sql/statement.h"

namespace sluice::sql {

// Owned by one thread. Both arguments outlive it.
class TableFinder {
 public:
  TableFinder(const std::vector<Token>& tokens, Statement& out);

  // SELECT, INSERT, REPLACE, UPDATE, DELETE, TABLE, VALUES, WITH … from token `i` on. Sets the
  // kind.
  void Dml(size_t i);
  void Load(size_t i);
  void Ddl(size_t i);
  // Subqueries of expressions from token `i` on.
  void Queries(size_t i);
  // Names of schemas in front of columns and routines. Call last: it leaves out what is known.
  void OtherQualifiers();

  // Notes the table at `i` as touched and returns the index behind it.
  size_t Table(size_t i);
  // A list of tables: t [, t]…
  size_t TableList(size_t i);
  // Notes only the schema's name at `i`.
  size_t QualifierOnly(size_t i);
  // Notes the name at `i` as a schema that stands alone.
  void Schema(size_t i);

  // Whether token `i` is that word, unquoted. It counts as a keyword from then on.
  [[nodiscard]] bool Is(size_t i, absl::string_view keyword) const;
  [[nodiscard]] bool Punct(size_t i, char c) const;
  [[nodiscard]] bool IsName(size_t i) const;
  [[nodiscard]] bool too_deep() const { return too_deep_; }
  [[nodiscard]] size_t size() const { return tokens_.size(); }

 private:
  // Where we are in a list of table references: outside; a table must come; behind a table.
  enum class Mode { kNone, kExpect, kAfter };

  struct Level {
    Mode mode = Mode::kNone;
    bool is_query = false;  // SELECT was seen on this level, so FROM names tables
  };

  void Walk(size_t begin, size_t end, Mode mode);
  size_t Factor(size_t i, size_t end, Level& level);
  size_t Keyword(size_t i, size_t end, Level& level);
  size_t AfterTable(size_t i, Level& level);
  size_t Locking(size_t i);
  size_t With(size_t i);
  void Delete(size_t i);
  void CreateOrAlter(size_t i);
  void DdlBody(size_t i);
  void RenameTables(size_t i);
  size_t SkipWords(size_t i, std::initializer_list<absl::string_view> words) const;
  [[nodiscard]] bool IsCte(size_t i) const;

  const std::vector<Token>& tokens_;
  Statement& out_;
  std::vector<size_t> match_;          // of "(": the index of its ")"; size() when there is none
  mutable std::vector<bool> keyword_;  // what Is() said yes to
  std::vector<std::string> ctes_;      // names in scope
  int depth_ = 0;
  bool too_deep_ = false;
};

}  // namespace sluice::sql
