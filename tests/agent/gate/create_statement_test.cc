// RewriteCreateTable, SameColumns.

#include "agent/gate/create_statement.h"

#include <gtest/gtest.h>

#include "absl/strings/str_join.h"

namespace sluice::gate {
namespace {

std::string Rewritten(const std::string& create, const std::string& name,
                      const std::map<std::string, std::string>& references = {}) {
  auto result = RewriteCreateTable(create, name, references);
  EXPECT_TRUE(result.ok()) << result.status();
  return result.ok() ? *result : "";
}

TEST(RewriteCreateTableTest, ChangesOnlyTheName) {
  EXPECT_EQ(
      Rewritten("CREATE TABLE `t` (\n  `t` int NOT NULL AUTO_INCREMENT,\n  PRIMARY KEY (`t`)\n) "
                "ENGINE=InnoDB AUTO_INCREMENT=17 DEFAULT CHARSET=utf8mb4",
                "n"),
      "CREATE TABLE `n` (\n  `t` int NOT NULL AUTO_INCREMENT,\n  PRIMARY KEY (`t`)\n) "
      "ENGINE=InnoDB AUTO_INCREMENT=17 DEFAULT CHARSET=utf8mb4");
}

TEST(RewriteCreateTableTest, QuotesOddNamesBothWays) {
  EXPECT_EQ(Rewritten("CREATE TABLE `a``b` (`x` int)", "c`d"), "CREATE TABLE `c``d` (`x` int)");
}

TEST(RewriteCreateTableTest, LeadsForeignKeysToTheMappedTables) {
  const std::string create =
      "CREATE TABLE `c` (\n  CONSTRAINT `c_ibfk_1` FOREIGN KEY (`p`) REFERENCES `p` (`id`),\n"
      "  CONSTRAINT `c_ibfk_2` FOREIGN KEY (`q`) REFERENCES `q` (`id`) ON DELETE CASCADE\n)";
  EXPECT_EQ(Rewritten(create, "C", {{"p", "P"}}),
            "CREATE TABLE `C` (\n  CONSTRAINT `c_ibfk_1` FOREIGN KEY (`p`) REFERENCES `P` (`id`),\n"
            "  CONSTRAINT `c_ibfk_2` FOREIGN KEY (`q`) REFERENCES `q` (`id`) ON DELETE CASCADE\n)");
}

TEST(RewriteCreateTableTest, LeavesReferencesToOtherSchemasAlone) {
  const std::string rest = " (CONSTRAINT `k` FOREIGN KEY (`p`) REFERENCES `p`.`p` (`id`))";
  EXPECT_EQ(Rewritten("CREATE TABLE `c`" + rest, "C", {{"p", "P"}}), "CREATE TABLE `C`" + rest);
}

TEST(RewriteCreateTableTest, DoesNotLookIntoQuotes) {
  const std::string rest =
      " (\n  `REFERENCES` varchar(9) DEFAULT 'it''s \\' REFERENCES `p`' COMMENT 'REFERENCES `p`',\n"
      "  `x` int\n) COMMENT='a \"REFERENCES `p`\"'";
  EXPECT_EQ(Rewritten("CREATE TABLE `c`" + rest, "C", {{"p", "P"}}), "CREATE TABLE `C`" + rest);
}

TEST(RewriteCreateTableTest, KeepsPartitionsAndVersionComments) {
  const std::string rest =
      " (\n  `a` int /*!80023 INVISIBLE */\n)\n/*!50100 PARTITION BY HASH (`a`)\nPARTITIONS 4 */";
  EXPECT_EQ(Rewritten("CREATE TABLE `c`" + rest, "C"), "CREATE TABLE `C`" + rest);
}

TEST(RewriteCreateTableTest, RefusesWhatIsNoTable) {
  for (const char* text : {"", "CREATE VIEW `v` AS SELECT 1", "CREATE TABLE t (a int)",
                           "CREATE TABLE `t", "CREATE TABLE `t` (`a` int DEFAULT 'x"}) {
    EXPECT_EQ(RewriteCreateTable(text, "n", {}).status().code(), absl::StatusCode::kInvalidArgument)
        << text;
  }
}

TEST(LeaveOutForeignKeysTest, KeepsThoseBetweenTheTablesAndTheCommas) {
  const std::string begin = "CREATE TABLE `c` (\n  `p` int,\n  KEY `k` (`p`),\n";
  const std::string to_p = "  CONSTRAINT `a` FOREIGN KEY (`p`) REFERENCES `p` (`id`)";
  const std::string to_q =
      "  CONSTRAINT `FOREIGN KEY` FOREIGN KEY (`x``y`, `) REFERENCES `) REFERENCES `q` (`a`, `b`) "
      "ON DELETE CASCADE";
  const std::string away = "  CONSTRAINT `z` FOREIGN KEY (`p`) REFERENCES `s`.`p` (`id`)";
  const std::string check = "  CONSTRAINT `chk` CHECK ((`p` > 0))";
  const std::string end = "\n) ENGINE=InnoDB";
  const auto text = [&](const std::vector<std::string>& lines) {
    return begin + absl::StrJoin(lines, ",\n") + end;
  };
  const std::string all = text({to_p, to_q, away, check});
  EXPECT_EQ(LeaveOutForeignKeys(all, {"p", "q"}), text({to_p, to_q, check}));
  EXPECT_EQ(LeaveOutForeignKeys(all, {"p"}), text({to_p, check}));
  EXPECT_EQ(LeaveOutForeignKeys(all, {"q", "s.p"}), text({to_q, away, check}));
  EXPECT_EQ(LeaveOutForeignKeys(text({to_p, to_q}), {"p"}), text({to_p}));
  EXPECT_EQ(LeaveOutForeignKeys(text({to_p, to_q}), {}),
            "CREATE TABLE `c` (\n  `p` int,\n  KEY `k` (`p`)" + end);
}

constexpr const char* kTable =
    "CREATE TABLE `t` (\n  `id` int NOT NULL AUTO_INCREMENT,\n  `v` varchar(9) DEFAULT NULL,\n"
    "  PRIMARY KEY (`id`),\n  KEY `v` (`v`)\n) ENGINE=InnoDB AUTO_INCREMENT=5 DEFAULT "
    "CHARSET=utf8mb4 COLLATE=utf8mb4_0900_ai_ci";

TEST(SameColumnsTest, AllowsOtherKeysNamesAndCounters) {
  EXPECT_TRUE(SameColumns(
      kTable,
      "CREATE TABLE `x` (\n  `id` int NOT NULL AUTO_INCREMENT,\n  `v` varchar(9) DEFAULT NULL,\n"
      "  PRIMARY KEY (`id`)\n) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_0900_ai_ci"));
}

TEST(SameColumnsTest, SeesAnotherTypeKeyOrCharacterSet) {
  const std::string table = kTable;
  const auto with = [&](const std::string& from, const std::string& to) {
    std::string changed = table;
    changed.replace(changed.find(from), from.size(), to);
    return changed;
  };
  EXPECT_FALSE(SameColumns(table, with("varchar(9)", "varchar(8)")));
  EXPECT_FALSE(SameColumns(table, with("PRIMARY KEY (`id`)", "PRIMARY KEY (`id`,`v`)")));
  EXPECT_FALSE(SameColumns(table, with("CHARSET=utf8mb4", "CHARSET=latin1")));
  EXPECT_FALSE(SameColumns(table, with("  `v` varchar(9) DEFAULT NULL,\n", "")));
}

}  // namespace
}  // namespace sluice::gate
