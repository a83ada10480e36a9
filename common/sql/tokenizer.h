// Tokenizer: a MySQL statement cut into tokens, with their places in the text. Pure.

#pragma once

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace sluice::sql {

enum class TokenKind {
  kIdentifier,  // bare word, keywords included
  kQuotedName,  // `name`; "name" with ANSI_QUOTES
  kString,
  kNumber,
  kVariable,  // @x, @@x
  kPunctuation,
};

struct Token {
  TokenKind kind = TokenKind::kPunctuation;
  std::string value;  // unquoted and unescaped for names; the raw text else
  size_t begin = 0;   // byte offsets in the statement
  size_t end = 0;

  // Without regard to case; only for kIdentifier.
  [[nodiscard]] bool Is(absl::string_view keyword) const;
};

struct TokenizerOptions {
  bool ansi_quotes = false;
  bool no_backslash_escapes = false;
  unsigned server_version = 90700;  // of /*!NNNNN … */
};

// Comments (--, #, /* */) are dropped, /*! … */ of a version not above ours and optimizer hints'
// /*+ */ as the server would treat them. INVALID_ARGUMENT, with the offset, for an unterminated
// quote or comment.
absl::StatusOr<std::vector<Token>> Tokenize(absl::string_view sql,
                                            const TokenizerOptions& options = {});

}  // namespace sluice::sql
