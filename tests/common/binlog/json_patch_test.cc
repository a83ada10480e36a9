// Tests of partial updates of JSON documents. What a server really writes is tested by the
// fidelity suite; here are the rules one by one, and bytes that no server writes.

#include "common/binlog/json_patch.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include "absl/strings/str_cat.h"
#include "common/binlog/json_binary.h"
#include "common/binlog/json_literal.h"
#include "common/binlog/json_path.h"

namespace sluice::binlog {
namespace {

using ::testing::HasSubstr;

enum Operation : uint8_t { kReplace = 0, kInsert = 1, kRemove = 2 };

const std::string kEmptyObject("\x00\x00\x00\x04\x00", 5);
const std::string kEmptyArray("\x02\x00\x00\x04\x00", 5);
const std::string kNull("\x04\x00", 2);

std::string Int(int16_t value) {
  return {'\x05', static_cast<char>(value & 0xFF), static_cast<char>((value >> 8) & 0xFF)};
}

std::string Text(absl::string_view value) {
  return absl::StrCat("\x0c", std::string(1, static_cast<char>(value.size())), value);
}

std::string Diff(Operation operation, absl::string_view path, absl::string_view value = "") {
  std::string diff(1, static_cast<char>(operation));
  diff.push_back(static_cast<char>(path.size()));
  absl::StrAppend(&diff, path);
  if (operation != kRemove) {
    diff.push_back(static_cast<char>(value.size()));
    absl::StrAppend(&diff, value);
  }
  return diff;
}

// The patched document as the text of a literal.
std::string Patched(const std::string& document, const std::string& diffs) {
  const auto patched = ApplyJsonDiffs(document, diffs);
  if (!patched.ok()) {
    return patched.status().ToString();
  }
  std::string sql;
  const absl::Status status = AppendJsonLiteral(*patched, sql);
  return status.ok() ? sql : status.ToString();
}

std::string Literal(absl::string_view text) {
  return absl::StrCat("CAST(_utf8mb4'", text, "' AS JSON)");
}

TEST(JsonPatchTest, MembersAreInsertedReplacedAndRemoved) {
  std::string diffs = Diff(kInsert, "$.bb", Int(-7));
  diffs += Diff(kInsert, "$.a", Text("x"));
  EXPECT_EQ(Patched(kEmptyObject, diffs), Literal(R"({\"a\":\"x\",\"bb\":-7})"));
  diffs += Diff(kReplace, "$.bb", kEmptyArray);
  EXPECT_EQ(Patched(kEmptyObject, diffs), Literal(R"({\"a\":\"x\",\"bb\":[]})"));
  diffs += Diff(kInsert, "$.bb[0]", kNull);
  diffs += Diff(kRemove, "$.a");
  EXPECT_EQ(Patched(kEmptyObject, diffs), Literal(R"({\"bb\":[null]})"));
}

TEST(JsonPatchTest, CellsMoveAsideAndCloseUp) {
  std::string diffs = Diff(kInsert, "$[0]", Int(1));
  diffs += Diff(kInsert, "$[0]", Int(0));
  diffs += Diff(kInsert, "$[9]", Int(2));
  EXPECT_EQ(Patched(kEmptyArray, diffs), Literal("[0,1,2]"));
  diffs += Diff(kRemove, "$[1]");
  diffs += Diff(kReplace, "$[last]", Int(5));
  diffs += Diff(kReplace, "$[last-1]", Int(4));
  EXPECT_EQ(Patched(kEmptyArray, diffs), Literal("[4,5]"));
}

TEST(JsonPatchTest, TheWholeDocumentMayBeReplaced) {
  EXPECT_EQ(Patched(kEmptyArray, Diff(kReplace, "$", kNull)), Literal("null"));
  EXPECT_EQ(Patched(kEmptyArray, Diff(kReplace, "$", Int(3))), Literal("3"));
}

TEST(JsonPatchTest, AScalarIsItsOwnFirstCell) {
  EXPECT_EQ(Patched(Int(3), Diff(kReplace, "$[0]", Int(4))), Literal("4"));
  EXPECT_EQ(Patched(Int(3), Diff(kReplace, "$[last]", Int(4))), Literal("4"));
}

TEST(JsonPatchTest, WhatDoesNotFitTheDocumentIsRefused) {
  for (const std::string& diff :
       {Diff(kReplace, "$.a", Int(1)), Diff(kRemove, "$.a"), Diff(kRemove, "$"),
        Diff(kInsert, "$", Int(1)), Diff(kInsert, "$[0]", Int(1)), Diff(kInsert, "$.a.b", Int(1)),
        Diff(kInsert, "$.a", Int(1)) + Diff(kInsert, "$.a", Int(1))}) {
    const auto patched = ApplyJsonDiffs(kEmptyObject, diff);
    EXPECT_TRUE(absl::IsInvalidArgument(patched.status())) << patched.status();
    EXPECT_THAT(std::string(patched.status().message()), HasSubstr("does not fit the document"));
  }
}

TEST(JsonPatchTest, DiffsCannotNestDeeperThanADocumentMay) {
  std::string path = "$";
  std::string diffs;
  for (int depth = 2; depth <= kJsonDepthMax; ++depth) {
    path += ".a";
    diffs += Diff(kInsert, path, kEmptyObject);
  }
  EXPECT_TRUE(ApplyJsonDiffs(kEmptyObject, diffs).ok());
  path += ".a";
  EXPECT_TRUE(ApplyJsonDiffs(kEmptyObject, diffs + Diff(kInsert, path, Int(1))).ok());
  EXPECT_FALSE(ApplyJsonDiffs(kEmptyObject, diffs + Diff(kInsert, path, kEmptyObject)).ok());
}

TEST(JsonPatchTest, NoPrefixOfDiffsCrashes) {
  const std::string diffs = Diff(kInsert, "$.key", Text("some text")) + Diff(kRemove, "$.key");
  for (size_t size = 0; size < diffs.size(); ++size) {
    ApplyJsonDiffs(kEmptyObject, diffs.substr(0, size)).status().IgnoreError();
  }
  EXPECT_FALSE(ApplyJsonDiffs(kEmptyObject, std::string("\x03\x01$", 3)).ok());
}

TEST(JsonPathTest, NamesMayBeQuotedAndEscaped) {
  const auto path = ParseJsonPath(R"($.plain."a.b\"\\\n\u00e4\ud83d\ude00"[12][last-3])");
  ASSERT_TRUE(path.ok()) << path.status();
  ASSERT_EQ(path->size(), 4U);
  EXPECT_EQ((*path)[0].key, "plain");
  EXPECT_EQ((*path)[1].key, "a.b\"\\\n\xc3\xa4\xf0\x9f\x98\x80");
  EXPECT_EQ((*path)[2].index, 12U);
  EXPECT_TRUE((*path)[3].from_last);
  EXPECT_EQ((*path)[3].index, 3U);
}

TEST(JsonPathTest, AnythingElseIsRefused) {
  for (const char* path :
       {"", ".a", "$.", "$a", "$[", "$[x]", "$[-1]", "$[1", "$.*", "$[*]", "$**.a", "$.\"a",
        R"($."\u12")", R"($."\ud800")", "$[last+1]", "$[99999999999999999999]"}) {
    EXPECT_FALSE(ParseJsonPath(path).ok()) << path;
  }
}

}  // namespace
}  // namespace sluice::binlog
