// TableFinder: table positions in DML and DDL.

#include "common/sql/table_finder.h"

#include <algorithm>
#include <array>

#include "absl/container/flat_hash_set.h"

namespace sluice::sql {
namespace {

constexpr int kDepthMax = 200;

// Keywords that end a list of table references.
bool EndsTables(const TableFinder& finder, size_t i) {
  static constexpr std::array<absl::string_view, 17> kWords = {
      "WHERE", "GROUP", "HAVING", "WINDOW", "QUALIFY",   "ORDER", "LIMIT",  "PROCEDURE", "FOR",
      "LOCK",  "INTO",  "UNION",  "EXCEPT", "INTERSECT", "SET",   "SELECT", "VALUES"};
  return std::any_of(kWords.begin(), kWords.end(),
                     [&](absl::string_view word) { return finder.Is(i, word); });
}

}  // namespace

TableFinder::TableFinder(const std::vector<Token>& tokens, Statement& out)
    : tokens_(tokens),
      out_(out),
      match_(tokens.size(), tokens.size()),
      keyword_(tokens.size(), false) {
  std::vector<size_t> open;
  for (size_t i = 0; i < tokens_.size(); ++i) {
    if (Punct(i, '(')) {
      open.push_back(i);
    } else if (Punct(i, ')') && !open.empty()) {
      match_[open.back()] = i;
      open.pop_back();
    }
  }
}

bool TableFinder::Is(size_t i, absl::string_view keyword) const {
  if (i >= tokens_.size() || !tokens_[i].Is(keyword)) {
    return false;
  }
  keyword_[i] = true;
  return true;
}

bool TableFinder::Punct(size_t i, char c) const {
  return i < tokens_.size() && tokens_[i].kind == TokenKind::kPunctuation &&
         tokens_[i].value.size() == 1 && tokens_[i].value[0] == c;
}

bool TableFinder::IsName(size_t i) const {
  return i < tokens_.size() &&
         (tokens_[i].kind == TokenKind::kIdentifier || tokens_[i].kind == TokenKind::kQuotedName);
}

size_t TableFinder::SkipWords(size_t i, std::initializer_list<absl::string_view> words) const {
  while (std::any_of(words.begin(), words.end(),
                     [&](absl::string_view word) { return Is(i, word); })) {
    ++i;
  }
  return i;
}

bool TableFinder::IsCte(size_t i) const {
  return std::find(ctes_.begin(), ctes_.end(), tokens_[i].value) != ctes_.end();
}

size_t TableFinder::Table(size_t i) {
  if (!IsName(i)) {
    return i + 1;
  }
  if (Punct(i + 1, '.') && IsName(i + 2)) {
    out_.tables.push_back(
        {tokens_[i].value, tokens_[i + 2].value, tokens_[i].begin, tokens_[i].end});
    out_.qualifiers.push_back(
        {tokens_[i].value, tokens_[i + 2].value, tokens_[i].begin, tokens_[i].end});
    return i + 3;
  }
  if (!IsCte(i)) {
    out_.tables.push_back({"", tokens_[i].value, 0, 0});
  }
  return i + 1;
}

size_t TableFinder::TableList(size_t i) {
  i = Table(i);
  while (Punct(i, ',')) {
    i = Table(i + 1);
  }
  return i;
}

size_t TableFinder::QualifierOnly(size_t i) {
  if (IsName(i) && Punct(i + 1, '.') && IsName(i + 2)) {
    out_.qualifiers.push_back(
        {tokens_[i].value, tokens_[i + 2].value, tokens_[i].begin, tokens_[i].end});
    i += 2;
  }
  ++i;
  if (Punct(i, '.') && Punct(i + 1, '*')) {
    i += 2;
  }
  return i;
}

void TableFinder::Schema(size_t i) {
  if (IsName(i)) {
    out_.qualifiers.push_back({tokens_[i].value, "", tokens_[i].begin, tokens_[i].end});
  }
}

void TableFinder::Walk(size_t begin, size_t end, Mode mode) {
  if (depth_ >= kDepthMax) {
    too_deep_ = true;
    return;
  }
  ++depth_;
  const size_t scope = ctes_.size();
  Level level{mode, false};
  for (size_t i = begin; i < end;) {
    if (Punct(i, '(')) {
      const size_t close = std::min(match_[i], end);
      const bool expected = level.mode == Mode::kExpect;
      Walk(i + 1, close, expected ? Mode::kExpect : Mode::kNone);
      level.mode = expected ? Mode::kAfter : level.mode;
      i = close + 1;
    } else if (level.mode == Mode::kExpect) {
      i = Factor(i, end, level);
    } else if (tokens_[i].kind == TokenKind::kIdentifier && !(i > begin && Punct(i - 1, '.'))) {
      i = Keyword(i, end, level);
    } else {
      if (level.mode == Mode::kAfter && Punct(i, ',')) {
        level.mode = Mode::kExpect;
      }
      ++i;
    }
  }
  ctes_.resize(scope);
  --depth_;
}

// One table reference: a name, or what may stand in its place.
size_t TableFinder::Factor(size_t i, size_t end, Level& level) {
  if (Is(i, "LATERAL")) {
    return i + 1;
  }
  if (Punct(i, '{')) {
    return Is(i + 1, "OJ") ? i + 2 : i + 1;
  }
  if (Is(i, "TABLE")) {
    level.is_query = true;
    return i + 1;
  }
  if (Is(i, "SELECT") || Is(i, "VALUES") || Is(i, "WITH")) {
    level = {Mode::kNone, true};
    return Keyword(i, end, level);
  }
  level.mode = Mode::kAfter;
  if (!IsName(i) || Is(i, "DUAL") || (Is(i, "JSON_TABLE") && Punct(i + 1, '(')) || Is(i, "USE") ||
      Is(i, "FORCE") || Is(i, "IGNORE")) {
    return i + 1;
  }
  return Table(i);
}

size_t TableFinder::Keyword(size_t i, size_t end, Level& level) {
  if (level.mode == Mode::kAfter) {
    const size_t next = AfterTable(i, level);
    if (next != i) {
      return next;
    }
  }
  if (Is(i, "SELECT")) {
    level = {Mode::kNone, true};
  } else if (Is(i, "FROM") && level.is_query) {
    // NTH_VALUE(x, 2) FROM FIRST OVER …
    const bool in_window_function =
        i > 0 && Punct(i - 1, ')') && (Is(i + 1, "FIRST") || Is(i + 1, "LAST")) &&
        (Is(i + 2, "OVER") || Is(i + 2, "RESPECT") || Is(i + 2, "IGNORE"));
    level.mode = in_window_function ? level.mode : Mode::kExpect;
  } else if (Is(i, "TABLE")) {
    level = {Mode::kExpect, true};
  } else if (Is(i, "WITH")) {
    return std::min(With(i), end);
  } else if (Is(i, "FOR") || Is(i, "LOCK")) {
    return Locking(i);
  }
  return i + 1;
}

// Behind a table: joins, hints, and the keywords that end the list. Returns i when it is for the
// general treatment.
size_t TableFinder::AfterTable(size_t i, Level& level) {
  if (Is(i, "JOIN") || Is(i, "STRAIGHT_JOIN")) {
    level.mode = Mode::kExpect;
    return i + 1;
  }
  // USE INDEX FOR JOIN (…), … FOR ORDER BY (…)
  if (Is(i, "FOR") && i > 0 && (Is(i - 1, "INDEX") || Is(i - 1, "KEY"))) {
    return i + 2;
  }
  if (Is(i, "ON") && Is(i + 1, "DUPLICATE")) {
    level.mode = Mode::kNone;
    return i + 1;
  }
  if (EndsTables(*this, i)) {
    level.mode = Mode::kNone;
  }
  return i;
}

size_t TableFinder::Locking(size_t i) {
  if (Is(i, "LOCK")) {
    out_.for_update = out_.for_update || (Is(i + 1, "IN") && Is(i + 2, "SHARE"));
    return i + 1;
  }
  if (!Is(i + 1, "UPDATE") && !Is(i + 1, "SHARE")) {
    return i + 1;
  }
  out_.for_update = true;
  i += 2;
  if (Is(i, "OF")) {
    do {
      i = QualifierOnly(i + 1);
    } while (Punct(i, ','));
  }
  return i;
}

// WITH [RECURSIVE] name [(columns)] AS (query) [, …]. A name is visible behind its query, and
// inside it only when recursive. Returns the index behind the clause, i + 1 when it is another
// WITH.
size_t TableFinder::With(size_t i) {
  const bool recursive = Is(i + 1, "RECURSIVE");
  size_t at = i + (recursive ? 2 : 1);
  size_t behind = i + 1;
  while (IsName(at)) {
    const std::string& name = tokens_[at].value;
    ++at;
    if (Punct(at, '(')) {
      at = match_[at] + 1;
    }
    if (!Is(at, "AS") || !Punct(at + 1, '(')) {
      break;
    }
    const size_t close = match_[at + 1];
    if (recursive) {
      ctes_.push_back(name);
    }
    Walk(at + 2, close, Mode::kNone);
    if (!recursive) {
      ctes_.push_back(name);
    }
    at = behind = close + 1;
    if (!Punct(at, ',')) {
      break;
    }
    ++at;
  }
  return behind;
}

void TableFinder::Dml(size_t i) {
  if (Is(i, "WITH")) {
    i = With(i);
  }
  const size_t end = tokens_.size();
  if (Is(i, "INSERT") || Is(i, "REPLACE")) {
    out_.kind = Is(i, "INSERT") ? StatementKind::kInsert : StatementKind::kReplace;
    i = SkipWords(i + 1, {"LOW_PRIORITY", "DELAYED", "HIGH_PRIORITY", "IGNORE", "INTO"});
    Walk(Table(i), end, Mode::kNone);
  } else if (Is(i, "UPDATE")) {
    out_.kind = StatementKind::kUpdate;
    Walk(SkipWords(i + 1, {"LOW_PRIORITY", "IGNORE"}), end, Mode::kExpect);
  } else if (Is(i, "DELETE")) {
    out_.kind = StatementKind::kDelete;
    Delete(i + 1);
  } else {
    out_.kind = StatementKind::kSelect;
    Walk(i, end, Mode::kNone);
  }
}

// Three forms: FROM t …; t1, t2 FROM references …; FROM t1, t2 USING references …
// The targets of the last two are names or aliases out of the references.
void TableFinder::Delete(size_t i) {
  i = SkipWords(i, {"LOW_PRIORITY", "QUICK", "IGNORE"});
  const bool from_first = Is(i, "FROM");
  const size_t list = from_first ? i + 1 : i;
  size_t at = list;
  const size_t known = out_.qualifiers.size();
  while (IsName(at)) {
    at = QualifierOnly(at);
    if (!Punct(at, ',')) {
      break;
    }
    ++at;
  }
  if (from_first && !Is(at, "USING")) {
    out_.qualifiers.resize(known);
    Walk(list, tokens_.size(), Mode::kExpect);
    return;
  }
  Walk(at + 1, tokens_.size(), Mode::kExpect);
}

void TableFinder::Load(size_t i) {
  out_.kind = StatementKind::kLoad;
  for (; i + 1 < tokens_.size(); ++i) {
    if (Is(i, "INTO") && Is(i + 1, "TABLE")) {
      i = Table(i + 2);
      Walk(i, tokens_.size(), Mode::kNone);
      return;
    }
  }
}

void TableFinder::Queries(size_t i) {
  Walk(i, tokens_.size(), Mode::kNone);
}

void TableFinder::OtherQualifiers() {
  absl::flat_hash_set<size_t> known;
  for (const Qualifier& qualifier : out_.qualifiers) {
    known.insert(qualifier.begin);
  }
  // The first word is the statement's own: UPDATE .db.t is no name in a schema UPDATE. Nor is
  // another word that was taken for a keyword.
  for (size_t i = 1; i + 3 < tokens_.size(); ++i) {
    const bool pair = IsName(i) && Punct(i + 1, '.') && IsName(i + 2) && !Punct(i - 1, '.') &&
                      !keyword_[i] && !known.contains(tokens_[i].begin);
    if (pair && (Punct(i + 3, '.') || Punct(i + 3, '('))) {
      out_.qualifiers.push_back(
          {tokens_[i].value, tokens_[i + 2].value, tokens_[i].begin, tokens_[i].end});
    }
  }
  std::sort(out_.qualifiers.begin(), out_.qualifiers.end(),
            [](const Qualifier& a, const Qualifier& b) { return a.begin < b.begin; });
}

}  // namespace sluice::sql
