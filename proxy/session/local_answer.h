// Answers that the proxy gives by itself: small results of text. Pure.

#pragma once

#include <optional>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "common/sql/tokenizer.h"
#include "proxy/wire/wire.h"

namespace sluice::proxy {

// One column of text; nullopt is NULL.
struct LocalResult {
  std::string column;
  std::vector<std::optional<std::string>> rows;
};

// The packets of a result, for a client with these capabilities.
std::vector<std::string> BuildResult(const LocalResult& result, uint64_t capabilities,
                                     uint16_t status);

// LIKE with % and _ and backslash, without regard to case.
bool MatchesLike(absl::string_view text, absl::string_view pattern);

// The text of a string literal token without quotes and escapes.
std::string LiteralText(absl::string_view raw);

// SHOW [FULL] TABLES [FROM k] [LIKE 'p'] as a query on information_schema of the backend's own
// database, without Sluice's own tables. nullopt for forms that are left to the server.
std::optional<std::string> ShowTablesQuery(const std::vector<sql::Token>& tokens,
                                           absl::string_view keyspace);

// Whether the statement is SELECT <function>() and nothing else.
bool IsSelectOf(const std::vector<sql::Token>& tokens, absl::string_view function);

}  // namespace sluice::proxy
