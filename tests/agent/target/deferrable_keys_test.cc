// Tests of which keys can be put off, and of the statements that drop and add them.

#include "agent/target/deferrable_keys.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace sluice::target {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

std::vector<std::string> Names(const std::vector<OwedKey>& keys) {
  std::vector<std::string> names;
  for (const OwedKey& key : keys) {
    names.push_back(key.name);
  }
  return names;
}

// As mysqld writes it.
constexpr char kOrders[] = R"(CREATE TABLE `orders` (
  `id` int NOT NULL,
  `n` int NOT NULL AUTO_INCREMENT COMMENT 'a, KEY `x` (`y`)',
  `parent` int DEFAULT NULL,
  `note` varchar(100) DEFAULT 'KEY `z` (`id`)',
  `twice` int GENERATED ALWAYS AS ((`parent` * 2)) VIRTUAL,
  `place` point NOT NULL /*!80003 SRID 0 */,
  `od``d` int DEFAULT NULL,
  PRIMARY KEY (`id`),
  UNIQUE KEY `u` (`parent`,`id`),
  KEY `by_n` (`n`),
  KEY `by_parent` (`parent`,`note`),
  KEY `by_note` (`note`(10) DESC,`od``d`) COMMENT 'it''s (good)',
  KEY `by_twice` (`note`,`twice`),
  KEY `by_expression` ((`parent` + 1)),
  KEY `by_``odd` (`od``d`,`n`) /*!80000 INVISIBLE */,
  SPATIAL KEY `by_place` (`place`),
  FULLTEXT KEY `words` (`note`),
  CONSTRAINT `orders_ibfk_1` FOREIGN KEY (`parent`) REFERENCES `orders` (`id`)
) ENGINE=InnoDB AUTO_INCREMENT=3 DEFAULT CHARSET=utf8mb4)";

TEST(DeferrableKeysTest, OnlyKeysThatNothingElseNeedsAreDeferred) {
  const std::vector<OwedKey> keys = DeferrableKeys(kOrders, {});
  EXPECT_THAT(Names(keys), ElementsAre("by_note", "by_`odd"));
  EXPECT_EQ(keys[0].definition, "KEY `by_note` (`note`(10) DESC,`od``d`) COMMENT 'it''s (good)'");
  EXPECT_EQ(keys[1].definition, "KEY `by_``odd` (`od``d`,`n`) /*!80000 INVISIBLE */");
}

TEST(DeferrableKeysTest, AKeyThatAnotherTablesForeignKeyNeedsStays) {
  EXPECT_THAT(Names(DeferrableKeys(kOrders, {"od`d"})), ElementsAre("by_note"));
}

TEST(DeferrableKeysTest, OtherEnginesKeepTheirKeys) {
  EXPECT_THAT(
      DeferrableKeys("CREATE TABLE `t` (\n  `a` int,\n  KEY `a` (`a`)\n) ENGINE=MyISAM", {}),
      IsEmpty());
  EXPECT_THAT(DeferrableKeys("", {}), IsEmpty());
}

TEST(DeferrableKeysTest, OneStatementDropsThemAndOneAddsThemWhileOthersWrite) {
  const std::vector<OwedKey> keys = DeferrableKeys(kOrders, {});
  EXPECT_EQ(DropKeysStatement("`d`.`t`", keys),
            "ALTER TABLE `d`.`t` DROP KEY `by_note`, DROP KEY `by_``odd`");
  EXPECT_EQ(AddKeysStatement("`d`.`t`", {keys[1]}),
            "ALTER TABLE `d`.`t` ADD KEY `by_``odd` (`od``d`,`n`) /*!80000 INVISIBLE */, "
            "ALGORITHM=INPLACE, LOCK=NONE");
}

}  // namespace
}  // namespace sluice::target
