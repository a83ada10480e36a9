// Tests of GTID sets: text, binary form, and set algebra.

#include "common/gtid/gtid_set.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <random>
#include <set>
#include <string>
#include <vector>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"

namespace sluice::gtid {
namespace {

constexpr char kA[] = "34e78057-e52e-11f1-ad86-02fc00000001";
constexpr char kB[] = "44e78057-e52e-11f1-ad86-02fc00000002";

GtidSet Set(const std::string& text) {
  auto set = GtidSet::Parse(text);
  EXPECT_TRUE(set.ok()) << set.status();
  return set.ok() ? *set : GtidSet();
}

std::string A(const std::string& rest) {
  return absl::StrCat(kA, ":", rest);
}
std::string B(const std::string& rest) {
  return absl::StrCat(kB, ":", rest);
}

struct TextCase {
  std::string name;
  std::string input;
  std::string canonical;
};

class CanonicalTextTest : public ::testing::TestWithParam<TextCase> {};

TEST_P(CanonicalTextTest, IsPrintedAndReadBack) {
  const GtidSet set = Set(GetParam().input);
  EXPECT_EQ(set.ToString(), GetParam().canonical);
  EXPECT_EQ(Set(set.ToString()), set);
  auto decoded = GtidSet::Decode(set.Encode());
  ASSERT_TRUE(decoded.ok()) << decoded.status();
  EXPECT_EQ(*decoded, set);
}

INSTANTIATE_TEST_SUITE_P(
    GtidSetTest, CanonicalTextTest,
    ::testing::Values(TextCase{"Empty", "", ""}, TextCase{"OnlySpace", " \n , ", ""},
                      TextCase{"One", A("7"), A("7")}, TextCase{"Range", A("1-5"), A("1-5")},
                      TextCase{"Adjacent", A("1-3:4:5-6"), A("1-6")},
                      TextCase{"Overlapping", A("5-9:1-6:20"), A("1-9:20")},
                      TextCase{"OutOfOrder", A("9:1:5"), A("1:5:9")},
                      TextCase{"UpperCase", "34E78057-E52E-11F1-AD86-02FC00000001:1", A("1")},
                      TextCase{"TwoSources", B("1") + "," + A("2"), A("2") + "," + B("1")},
                      TextCase{"NewlineAfterComma", A("1-2") + ",\n" + B("3"),
                               A("1-2") + "," + B("3")},
                      TextCase{"Tags", A("tag_1:4:1-3:5-6:other:2"), A("other:2:tag_1:1-6")},
                      TextCase{"TaggedAndNot", A("1:Tag:5") + "," + A("tag:6"), A("1:tag:5-6")},
                      TextCase{"VitessPrefix", "MySQL56/" + A("1-2"), A("1-2")},
                      TextCase{"Greatest", A("9223372036854775806"), A("9223372036854775806")}),
    [](const auto& test) { return test.param.name; });

class RefusedTextTest : public ::testing::TestWithParam<std::string> {};

TEST_P(RefusedTextTest, IsNamedInTheError) {
  auto set = GtidSet::Parse(GetParam());
  ASSERT_FALSE(set.ok());
  EXPECT_EQ(set.status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(set.status().message()), ::testing::HasSubstr(GetParam().substr(0, 30)));
}

INSTANTIATE_TEST_SUITE_P(GtidSetTest, RefusedTextTest,
                         ::testing::Values("x", "34e78057:1", std::string(kA), A(""), A("1:"),
                                           A("0"), A("5-3"), A("1-"), A("-1"), A("+1"), A("1-2-3"),
                                           A("tag"), A("a:b:1"), A("9223372036854775807"), A("1x"),
                                           A("tag-x:1"), A(std::string(33, 't') + ":1")));

TEST(GtidSetTest, SubtractSplitsAnInterval) {
  GtidSet set = Set(A("1-10") + "," + B("1"));
  set.Subtract(Set(A("4-5:10")));
  EXPECT_EQ(set.ToString(), A("1-3:6-9") + "," + B("1"));
}

TEST(GtidSetTest, SubtractingEverythingOfASourceRemovesIt) {
  GtidSet set = Set(A("3-4:7"));
  set.Subtract(Set(A("1-10")));
  EXPECT_TRUE(set.empty());
}

TEST(GtidSetTest, CloseBehindLacksOnlySomeOfTheLastNumbers) {
  const GtidSet newer = Set(A("1-100:tag:1-5") + "," + B("1-50"));
  EXPECT_TRUE(newer.IsCloseBehind(newer, 0));
  EXPECT_TRUE(Set(A("1-95:98:tag:1-4") + "," + B("1-50")).IsCloseBehind(newer, 10));
  EXPECT_FALSE(Set(A("1-90:tag:1-5") + "," + B("1-50")).IsCloseBehind(newer, 9));
  EXPECT_TRUE(Set(A("1-90:tag:1-5") + "," + B("1-50")).IsCloseBehind(newer, 10));
  EXPECT_FALSE(Set(A("1-6:8-100:tag:1-5") + "," + B("1-50")).IsCloseBehind(newer, 10));
  EXPECT_TRUE(Set(A("1-200:tag:1-5") + "," + B("1-50")).IsCloseBehind(newer, 0));
  EXPECT_TRUE(Set(A("1-100") + "," + B("1-50")).IsCloseBehind(newer, 5));
  EXPECT_FALSE(Set(A("1-100") + "," + B("1-50")).IsCloseBehind(newer, 4));
}

TEST(GtidSetTest, ATagIsASourceOfItsOwn) {
  const GtidSet set = Set(A("1-5"));
  EXPECT_FALSE(set.Contains(Gtid{kA, "tag", 1}));
  EXPECT_TRUE(set.Contains(Gtid{kA, "", 1}));
  EXPECT_FALSE(set.HasTags());
  EXPECT_TRUE(Set(A("tag:1")).HasTags());
}

TEST(GtidSetTest, ContainsComparesWholeIntervals) {
  const GtidSet set = Set(A("1-5:8-9"));
  EXPECT_TRUE(set.Contains(Set(A("2-4:9"))));
  EXPECT_FALSE(set.Contains(Set(A("4-8"))));
  EXPECT_FALSE(set.Contains(Set(B("1"))));
  EXPECT_TRUE(set.Contains(GtidSet()));
  EXPECT_FALSE(GtidSet().Contains(set));
}

TEST(GtidSetTest, AddingOneByOneMergesIntervals) {
  GtidSet set;
  for (const uint64_t number : {5U, 3U, 4U, 1U, 2U, 2U}) {
    set.Add({kA, "", number});
  }
  EXPECT_EQ(set.ToString(), A("1-5"));
  EXPECT_EQ(set.Count(), 5U);
}

TEST(GtidSetTest, AgreesWithASetOfNumbers) {
  std::mt19937 random(7);
  for (int round = 0; round < 300; ++round) {
    GtidSet first;
    GtidSet second;
    std::set<uint64_t> first_numbers;
    std::set<uint64_t> second_numbers;
    for (int i = 0; i < 12; ++i) {
      const uint64_t from = 1 + random() % 40;
      const uint64_t to = from + random() % 5;
      const bool to_first = random() % 2 == 0;
      (to_first ? first : second).AddInterval(kA, "", from, to);
      for (uint64_t n = from; n <= to; ++n) {
        (to_first ? first_numbers : second_numbers).insert(n);
      }
    }
    GtidSet both = first;
    both.Union(second);
    GtidSet left = first;
    left.Subtract(second);
    EXPECT_EQ(first.Count(), first_numbers.size());
    bool covers = true;
    for (uint64_t n = 1; n <= 50; ++n) {
      const bool in_first = first_numbers.count(n) != 0;
      const bool in_second = second_numbers.count(n) != 0;
      covers = covers && (in_first || !in_second);
      EXPECT_EQ(both.Contains(Gtid{kA, "", n}), in_first || in_second);
      EXPECT_EQ(left.Contains(Gtid{kA, "", n}), in_first && !in_second);
    }
    EXPECT_EQ(first.Contains(second), covers);
    EXPECT_EQ(Set(both.ToString()), both);
  }
}

TEST(GtidSetTest, EncodesWithoutTagsAsVersionZero) {
  EXPECT_EQ(absl::BytesToHexString(Set(A("1-5:7")).Encode()),
            "0100000000000000"
            "34e78057e52e11f1ad8602fc00000001"
            "0200000000000000"
            "01000000000000000600000000000000"
            "07000000000000000800000000000000");
}

TEST(GtidSetTest, EncodesTagsAsVersionOne) {
  EXPECT_EQ(absl::BytesToHexString(Set(A("hello:3")).Encode()),
            "0101000000000001"
            "34e78057e52e11f1ad8602fc00000001"
            "0a68656c6c6f"
            "0100000000000000"
            "03000000000000000400000000000000");
}

TEST(GtidSetTest, RefusesBytesCutAnywhere) {
  for (const std::string& text : {A("1-5:7") + "," + B("1"), A("1:tag:2-9")}) {
    const std::string bytes = Set(text).Encode();
    for (size_t size = 0; size < bytes.size(); ++size) {
      EXPECT_FALSE(GtidSet::Decode(bytes.substr(0, size)).ok()) << size;
    }
    EXPECT_FALSE(GtidSet::Decode(bytes + "x").ok());
  }
}

TEST(GtidSetTest, SurvivesFlippedBits) {
  const std::string bytes = Set(A("1-5:7:tag:3-9") + "," + B("1")).Encode();
  for (size_t bit = 0; bit < bytes.size() * 8; ++bit) {
    std::string changed = bytes;
    changed[bit / 8] = static_cast<char>(changed[bit / 8] ^ (1 << (bit % 8)));
    auto set = GtidSet::Decode(changed);
    if (set.ok()) {
      EXPECT_TRUE(GtidSet::Parse(set->ToString()).ok()) << set->ToString();
    }
  }
}

}  // namespace
}  // namespace sluice::gtid
