// Answers that the proxy gives by itself.

#include "proxy/session/local_answer.h"

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "common/mysql/connection.h"

namespace sluice::proxy {
namespace {

constexpr uint8_t kEofByte = 0xFE;

bool IsPunctuation(const std::vector<sql::Token>& tokens, size_t i, absl::string_view value) {
  return i < tokens.size() && tokens[i].kind == sql::TokenKind::kPunctuation &&
         tokens[i].value == value;
}

// Whether nothing but semicolons comes from `i` on.
bool Ends(const std::vector<sql::Token>& tokens, size_t i) {
  while (IsPunctuation(tokens, i, ";")) {
    ++i;
  }
  return i >= tokens.size();
}

}  // namespace

std::vector<std::string> BuildResult(const LocalResult& result, uint64_t capabilities,
                                     uint16_t status) {
  std::vector<std::string> packets;
  packets.emplace_back(1, '\x01');
  packets.push_back(BuildTextColumn(result.column));
  const bool deprecates_eof = (capabilities & kClientDeprecateEof) != 0;
  if (!deprecates_eof) {
    packets.push_back(BuildEof({0, status}));
  }
  for (const std::optional<std::string>& row : result.rows) {
    std::string packet;
    if (row.has_value()) {
      AppendPackedString(packet, *row);
    } else {
      packet.push_back('\xFB');
    }
    packets.push_back(std::move(packet));
  }
  OkPacket ok;
  ok.status = status;
  packets.push_back(deprecates_eof ? BuildOk(ok, kEofByte) : BuildEof({0, status}));
  return packets;
}

bool MatchesLike(absl::string_view text, absl::string_view pattern) {
  // Greedy, with one place to come back to: the last %.
  size_t t = 0;
  size_t p = 0;
  size_t back_t = 0;
  size_t back_p = absl::string_view::npos;
  while (t < text.size()) {
    const bool escaped = p + 1 < pattern.size() && pattern[p] == '\\';
    if (p < pattern.size() && !escaped && pattern[p] == '%') {
      back_p = ++p;
      back_t = t;
      continue;
    }
    const char wanted = p < pattern.size() ? pattern[p + (escaped ? 1 : 0)] : '\0';
    const bool same =
        p < pattern.size() && ((!escaped && wanted == '_') ||
                               absl::ascii_tolower(static_cast<unsigned char>(wanted)) ==
                                   absl::ascii_tolower(static_cast<unsigned char>(text[t])));
    if (same) {
      p += escaped ? 2 : 1;
      ++t;
    } else if (back_p != absl::string_view::npos) {
      p = back_p;
      t = ++back_t;
    } else {
      return false;
    }
  }
  while (p < pattern.size() && pattern[p] == '%') {
    ++p;
  }
  return p == pattern.size();
}

std::string LiteralText(absl::string_view raw) {
  std::string text;
  if (raw.size() < 2) {
    return text;
  }
  const char quote = raw.front();
  raw = raw.substr(1, raw.size() - 2);
  for (size_t i = 0; i < raw.size(); ++i) {
    // \% and \_ stay as they are: they mean something to LIKE.
    const bool escape =
        raw[i] == '\\' && i + 1 < raw.size() && raw[i + 1] != '%' && raw[i + 1] != '_';
    const bool doubled = raw[i] == quote && i + 1 < raw.size() && raw[i + 1] == quote;
    i += escape || doubled ? 1 : 0;
    text.push_back(raw[i]);
  }
  return text;
}

std::optional<std::string> ShowTablesQuery(const std::vector<sql::Token>& tokens,
                                           absl::string_view keyspace) {
  size_t i = 1;
  bool full = false;
  while (i < tokens.size() && (tokens[i].Is("FULL") || tokens[i].Is("EXTENDED"))) {
    full = full || tokens[i].Is("FULL");
    ++i;
  }
  ++i;  // TABLES
  if (i < tokens.size() && (tokens[i].Is("FROM") || tokens[i].Is("IN"))) {
    i += 2;
  }
  std::string like;
  if (i + 1 < tokens.size() && tokens[i].Is("LIKE") &&
      tokens[i + 1].kind == sql::TokenKind::kString) {
    like = tokens[i + 1].value;
    i += 2;
  }
  if (!Ends(tokens, i)) {
    return std::nullopt;
  }
  std::string column = absl::StrCat("Tables_in_", keyspace);
  if (!like.empty()) {
    absl::StrAppend(&column, " (", LiteralText(like), ")");
  }
  return absl::StrCat("SELECT TABLE_NAME AS ", mysql::QuoteName(column),
                      full ? ", TABLE_TYPE AS Table_type" : "",
                      " FROM information_schema.TABLES WHERE TABLE_SCHEMA = DATABASE() AND "
                      "LEFT(TABLE_NAME, 7) <> '_sluice'",
                      like.empty() ? "" : " AND TABLE_NAME LIKE ", like, " ORDER BY TABLE_NAME");
}

bool IsSelectOf(const std::vector<sql::Token>& tokens, absl::string_view function) {
  return tokens.size() >= 4 && tokens[0].Is("SELECT") && tokens[1].Is(function) &&
         IsPunctuation(tokens, 2, "(") && IsPunctuation(tokens, 3, ")") && Ends(tokens, 4);
}

}  // namespace sluice::proxy
