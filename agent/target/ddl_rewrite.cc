// RewriteDdl: finds the names of tables by the words in front of them.

#include "agent/target/ddl_rewrite.h"

#include <algorithm>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "common/base/status_macros.h"
#include "common/mysql/connection.h"

namespace sluice::target {
namespace {

constexpr size_t kShownBytes = 512;

// Owned by one thread.
class Rewriter {
 public:
  Rewriter(const DdlPlaces& places, absl::string_view default_database, absl::string_view sql,
           std::vector<sql::Token> tokens)
      : places_(places),
        default_database_(default_database),
        sql_(sql),
        tokens_(std::move(tokens)) {}

  absl::StatusOr<RewrittenDdl> Run() {
    SLUICE_ASSIGN_OR_RETURN(size_t at, MainName());
    RewrittenDdl rewritten;
    SLUICE_ASSIGN_OR_RETURN(const Name main, TakeName(at));
    rewritten.table = main.table;
    SLUICE_RETURN_IF_ERROR(Replace(main));
    for (at = main.next; Is(0, "ALTER") && at < tokens_.size(); ++at) {
      SLUICE_RETURN_IF_ERROR(CheckClause(at));
      if (Is(at, "REFERENCES")) {
        SLUICE_ASSIGN_OR_RETURN(const Name parent, TakeName(at + 1));
        SLUICE_RETURN_IF_ERROR(Replace(parent));
      }
    }
    out_.append(sql_.data() + copied_, sql_.size() - copied_);
    rewritten.sql = std::move(out_);
    return rewritten;
  }

 private:
  struct Name {
    std::string database;
    std::string table;
    size_t begin = 0;  // of the text
    size_t end = 0;
    size_t next = 0;  // token
  };

  [[nodiscard]] bool Is(size_t i, absl::string_view word) const {
    return i < tokens_.size() && tokens_[i].Is(word);
  }
  [[nodiscard]] bool IsDot(size_t i) const {
    return i < tokens_.size() && tokens_[i].kind == sql::TokenKind::kPunctuation &&
           tokens_[i].value == ".";
  }
  [[nodiscard]] bool IsName(size_t i) const {
    return i < tokens_.size() && (tokens_[i].kind == sql::TokenKind::kIdentifier ||
                                  tokens_[i].kind == sql::TokenKind::kQuotedName);
  }

  [[nodiscard]] absl::Status Refuse(absl::string_view why) const {
    return absl::FailedPreconditionError(
        absl::StrCat("a statement of the source cannot be carried out on the target, since ", why,
                     ": ", sql_.substr(0, kShownBytes), sql_.size() > kShownBytes ? "…" : "",
                     "; cancel the workflow and create it anew"));
  }

  // The token where the name of the changed table begins.
  absl::StatusOr<size_t> MainName() const {
    if (Is(0, "TRUNCATE")) {
      return Is(1, "TABLE") ? 2 : 1;
    }
    if (Is(0, "ALTER") && Is(1, "TABLE")) {
      return 2;
    }
    if (Is(0, "CREATE") || Is(0, "DROP")) {
      const bool index = std::any_of(
          tokens_.begin(), tokens_.begin() + std::min<std::ptrdiff_t>(3, std::ssize(tokens_)),
          [](const sql::Token& token) { return token.Is("INDEX"); });
      for (size_t i = 1; index && i < tokens_.size(); ++i) {
        if (Is(i, "ON")) {
          return i + 1;
        }
      }
    }
    return Refuse("it takes a table out of the stream, or brings one in");
  }

  // What changes more than the one table.
  [[nodiscard]] absl::Status CheckClause(size_t at) const {
    if (Is(at, "RENAME") && !Is(at + 1, "COLUMN") && !Is(at + 1, "INDEX") && !Is(at + 1, "KEY")) {
      return Refuse("it gives the table another name");
    }
    if (Is(at, "EXCHANGE") && Is(at + 1, "PARTITION")) {
      return Refuse("it exchanges rows with another table");
    }
    if ((Is(at, "DISCARD") || Is(at, "IMPORT")) &&
        (Is(at + 1, "PARTITION") || Is(at + 1, "TABLESPACE"))) {
      return Refuse("it exchanges files");
    }
    return absl::OkStatus();
  }

  absl::StatusOr<Name> TakeName(size_t at) const {
    if (!IsName(at)) {
      return Refuse("the name of its table cannot be found");
    }
    Name name;
    name.begin = tokens_[at].begin;
    name.database = default_database_;
    size_t last = at;
    if (IsDot(at + 1) && IsName(at + 2)) {
      name.database = tokens_[at].value;
      last = at + 2;
    }
    name.table = tokens_[last].value;
    name.end = tokens_[last].end;
    name.next = last + 1;
    return name;
  }

  absl::Status Replace(const Name& name) {
    if (name.database != places_.watched.database || !places_.watched.tables.contains(name.table)) {
      return Refuse(absl::StrCat("table ", name.table, " is not moved"));
    }
    out_.append(sql_.data() + copied_, name.begin - copied_);
    out_ += mysql::QuoteTable(places_.database, places_.physical(name.table));
    copied_ = name.end;
    return absl::OkStatus();
  }

  const DdlPlaces& places_;
  const std::string default_database_;
  const absl::string_view sql_;
  const std::vector<sql::Token> tokens_;
  std::string out_;
  size_t copied_ = 0;  // bytes of sql_
};

}  // namespace

absl::StatusOr<RewrittenDdl> RewriteDdl(const DdlPlaces& places, absl::string_view default_database,
                                        absl::string_view sql,
                                        const sql::TokenizerOptions& quotes) {
  SLUICE_ASSIGN_OR_RETURN(std::vector<sql::Token> tokens, sql::Tokenize(sql, quotes));
  return Rewriter(places, default_database, sql, std::move(tokens)).Run();
}

}  // namespace sluice::target
