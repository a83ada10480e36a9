// Tests of the tokenizer: quoting, comments, numbers, variables, and places in the text.

#include "common/sql/tokenizer.h"

#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "gtest/gtest.h"

namespace sluice::sql {
namespace {

const char* KindName(TokenKind kind) {
  switch (kind) {
    case TokenKind::kIdentifier:
      return "i";
    case TokenKind::kQuotedName:
      return "q";
    case TokenKind::kString:
      return "s";
    case TokenKind::kNumber:
      return "n";
    case TokenKind::kVariable:
      return "v";
    case TokenKind::kPunctuation:
      return "p";
  }
  return "?";
}

// "i:select q:a b p:,"
std::string Render(absl::string_view sql, const TokenizerOptions& options = {}) {
  absl::StatusOr<std::vector<Token>> tokens = Tokenize(sql, options);
  if (!tokens.ok()) {
    return std::string(tokens.status().message());
  }
  return absl::StrJoin(*tokens, " ", [](std::string* out, const Token& token) {
    absl::StrAppend(out, KindName(token.kind), ":", token.value);
  });
}

struct TokenCase {
  std::string sql;
  std::string expected;
};

class TokenizerTest : public testing::TestWithParam<TokenCase> {};

TEST_P(TokenizerTest, CutsTheTextAsTheServerDoes) {
  EXPECT_EQ(Render(GetParam().sql), GetParam().expected) << GetParam().sql;
}

INSTANTIATE_TEST_SUITE_P(
    Names, TokenizerTest,
    testing::Values(TokenCase{"", ""}, TokenCase{"  \n\t ", ""},
                    TokenCase{"select a,b", "i:select i:a p:, i:b"},
                    TokenCase{"`a b`.`c``d`", "q:a b p:. q:c`d"}, TokenCase{"t.1a", "i:t p:. i:1a"},
                    TokenCase{"t.1e5", "i:t p:. i:1e5"}, TokenCase{"`t`.5", "q:t p:. i:5"},
                    TokenCase{"1abc", "i:1abc"}, TokenCase{"$x _y", "i:$x i:_y"},
                    TokenCase{"größe", "i:größe"}, TokenCase{"a . b", "i:a p:. i:b"}));

INSTANTIATE_TEST_SUITE_P(Strings, TokenizerTest,
                         testing::Values(TokenCase{"'it''s'", "s:'it''s'"},
                                         TokenCase{R"('a\'b')", R"(s:'a\'b')"},
                                         TokenCase{R"('a\\' 'b')", R"(s:'a\\' s:'b')"},
                                         TokenCase{"\"x\"", "s:\"x\""},
                                         TokenCase{"x'4d' B'01' n'z'", "s:x'4d' s:B'01' s:n'z'"},
                                         TokenCase{"_utf8'x'", "i:_utf8 s:'x'"},
                                         TokenCase{"'-- no comment /*'", "s:'-- no comment /*'"},
                                         TokenCase{"'open", "unterminated quote at offset 0"},
                                         TokenCase{R"(a 'x\')", "unterminated quote at offset 2"},
                                         TokenCase{"`open", "unterminated quote at offset 0"}));

INSTANTIATE_TEST_SUITE_P(
    Numbers, TokenizerTest,
    testing::Values(TokenCase{"1 1.5 .5 1e3 1.5E-3", "n:1 n:1.5 n:.5 n:1e3 n:1.5E-3"},
                    TokenCase{"0x4D 0b01", "n:0x4D n:0b01"}, TokenCase{"a+1", "i:a p:+ n:1"},
                    TokenCase{"1-1", "n:1 p:- n:1"}, TokenCase{"1..2", "n:1. n:.2"}));

INSTANTIATE_TEST_SUITE_P(Variables, TokenizerTest,
                         testing::Values(TokenCase{"@a @`b c` @'d' @@x",
                                                   "v:@a v:@`b c` v:@'d' v:@@x"},
                                         TokenCase{"@@session.sql_mode", "v:@@session.sql_mode"},
                                         TokenCase{"@@global.`x`", "v:@@global.`x`"},
                                         TokenCase{"@a:=1", "v:@a p::= n:1"},
                                         TokenCase{"ks@replica", "i:ks v:@replica"}));

INSTANTIATE_TEST_SUITE_P(
    Comments, TokenizerTest,
    testing::Values(
        TokenCase{"a -- x\nb", "i:a i:b"}, TokenCase{"a --\nb", "i:a i:b"},
        TokenCase{"a --", "i:a"}, TokenCase{"1--1", "n:1 p:- p:- n:1"},
        TokenCase{"a # x\nb", "i:a i:b"}, TokenCase{"a/* x */b", "i:a i:b"},
        TokenCase{"a /**/ b", "i:a i:b"}, TokenCase{"select /*+ BKA(t) */ 1", "i:select n:1"},
        TokenCase{"/*! select */ 1", "i:select n:1"}, TokenCase{"/*!40101 SET x */", "i:SET i:x"},
        TokenCase{"/*!99999 SET x */ y", "i:y"}, TokenCase{"/*!080000 a */ b", "i:a i:b"},
        TokenCase{"/*!99999 a /* b */ c */ d", "i:d"},
        TokenCase{"/*!40101 a /* b */ c */ d", "i:a i:c i:d"},
        TokenCase{"/*!123 a */", "n:123 i:a"},
        TokenCase{"a /* open", "unterminated comment at offset 2"},
        TokenCase{"a /*!40101 b", "unterminated comment at offset 2"},
        TokenCase{"/*!99999 b", "unterminated comment at offset 0"}));

TEST(TokenizerOptionsTest, AnsiQuotesMakeNames) {
  TokenizerOptions options;
  options.ansi_quotes = true;
  EXPECT_EQ(Render(R"("a""b" 'c')", options), "q:a\"b s:'c'");
  EXPECT_EQ(Render(R"(@@global."x".y)", options), "v:@@global.\"x\" p:. i:y");
}

TEST(TokenizerOptionsTest, WithoutBackslashEscapesABackslashIsAByte) {
  TokenizerOptions options;
  options.no_backslash_escapes = true;
  EXPECT_EQ(Render(R"('a\' b)", options), R"(s:'a\' i:b)");
}

TEST(TokenTest, PlacesAreByteOffsets) {
  const std::string sql = "a/*x*/ `b`.'c' ";
  absl::StatusOr<std::vector<Token>> tokens = Tokenize(sql);
  ASSERT_TRUE(tokens.ok());
  ASSERT_EQ(tokens->size(), 4U);
  EXPECT_EQ(sql.substr((*tokens)[1].begin, (*tokens)[1].end - (*tokens)[1].begin), "`b`");
  EXPECT_EQ((*tokens)[3].begin, 11U);
  EXPECT_EQ((*tokens)[3].end, 14U);
}

TEST(TokenTest, OnlyBareWordsAreKeywords) {
  absl::StatusOr<std::vector<Token>> tokens = Tokenize("SeLect `select` 'select'");
  ASSERT_TRUE(tokens.ok());
  EXPECT_TRUE((*tokens)[0].Is("select"));
  EXPECT_FALSE((*tokens)[1].Is("select"));
  EXPECT_FALSE((*tokens)[2].Is("select"));
}

}  // namespace
}  // namespace sluice::sql
