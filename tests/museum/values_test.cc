// Museum, values: types that were changed on the way, statements that were too long, and a
// comparison that passed without looking.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "tests/fidelity/raw_rows.h"
#include "tests/fidelity/stream_table.h"
#include "tests/museum/museum.h"

namespace sluice::testing {
namespace {

using MuseumValuesTest = MuseumTest;
using schemas::StreamState;

RawDifferences CompareAll(StreamWorld& world, const std::vector<std::string>& tables) {
  const auto source = TakeRows(world.source_mysqld(), kSourceDatabase, tables);
  const auto target = TakeRows(world.target_mysqld(), kTargetDatabase, tables);
  EXPECT_TRUE(source.ok()) << source.status();
  EXPECT_TRUE(target.ok()) << target.status();
  if (!source.ok() || !target.ok()) {
    return {};
  }
  return Compare(*source, *target, [](uint64_t) { return false; });
}

// 15: a retry of the verifier forgot its failure and passed without looking. What our tests
// compare with must see every single change, each time, also where a SELECT shows none.
TEST_F(MuseumValuesTest, M15TheComparisonOfTheseTestsFailsOnEverySingleMutation) {
  ASSERT_NO_FATAL_FAILURE(StartWorld());
  const std::vector<std::string> mutations = {
      "UPDATE t SET f = 16777218 WHERE n = 1", "UPDATE t SET d = -0e0 WHERE n = 1",
      "UPDATE t SET d = 0.30000000000000004e0 WHERE n = 2",
      // An UPDATE would think them the same as what stands there.
      "UPDATE t SET j = NULL WHERE n = 1; UPDATE t SET j = JSON_ARRAY(1.0) WHERE n = 1",
      "UPDATE t SET j = NULL WHERE n = 2; UPDATE t SET j = CAST('[1]' AS JSON) WHERE n = 2",
      "UPDATE t SET e = 0 WHERE n = 1", "UPDATE t SET b = x'6120' WHERE n = 1",
      "UPDATE t SET v = 'A' WHERE n = 1", "UPDATE t SET v = 'a ' WHERE n = 1",
      "UPDATE t SET v = NULL WHERE n = 2", "UPDATE t SET g = ST_SRID(g, 4326) WHERE n = 1",
      "UPDATE t SET ts = ts + INTERVAL 1 MICROSECOND WHERE n = 2",
      "UPDATE t SET hidden = 1 WHERE n = 2", "UPDATE t SET n = 3 WHERE n = 2",
      "DELETE FROM t WHERE n = 2", "INSERT INTO t (n) VALUES (3)", "DELETE FROM t",
      "ALTER TABLE t MODIFY v VARCHAR(11)", "ALTER TABLE t MODIFY e ENUM('a', '', 'c')",
      "ALTER TABLE t MODIFY hidden INT DEFAULT 0",
      "SET time_zone = '+01:00'"};  // no change: the same moments
  int seen = 0;
  for (const std::string& mutation : mutations) {
    world_->OnSource({"DROP TABLE IF EXISTS t"});
    world_->OnTarget({"DROP TABLE IF EXISTS t"});
    world_->CreateTable(
        "t (n INT NOT NULL PRIMARY KEY, f FLOAT, d DOUBLE, j JSON, e ENUM('a', '', 'b'), "
        "b BINARY(3), v VARCHAR(10), g GEOMETRY, ts TIMESTAMP(6) NULL, "
        "hidden INT DEFAULT 0 INVISIBLE)");
    const std::string row =
        "INSERT INTO t VALUES (1, 16777217, 0e0, CAST('[1.0e0]' AS JSON), '', 'a', 'a', "
        "ST_GeomFromText('POINT(1 2)'), '2020-01-01'), (2, 0.1, 0.3e0, "
        "JSON_ARRAY(CAST(1 AS UNSIGNED)), 'b', 'b', '', NULL, '2020-01-01 00:00:00.5')";
    world_->OnSource({row});
    std::vector<std::string> statements = {row, "SET sql_mode = ''"};
    for (const absl::string_view statement : absl::StrSplit(mutation, "; ")) {
      statements.emplace_back(statement);
    }
    world_->OnTarget(statements);
    const bool changes = mutation.rfind("SET ", 0) != 0;
    const RawDifferences found = CompareAll(*world_, {"t"});
    EXPECT_EQ(!found.differences.empty(), changes) << mutation << "\n"
                                                   << absl::StrJoin(found.differences, "\n");
    seen += found.differences.empty() ? 0 : 1;
  }
  EXPECT_EQ(seen, static_cast<int>(mutations.size()) - 1);
}

// 17: the size of a statement was counted in rows, and wide rows exceeded max_allowed_packet.
TEST_F(MuseumValuesTest, M17WideRowsStayBelowTheLargestPacketOfTheTarget) {
  // Statements are 1 MiB and one row; bytes that must be escaped take twice their room.
  ASSERT_NO_FATAL_FAILURE(
      StartWorld({}, {"--max-allowed-packet=64M"}, {"--max-allowed-packet=4M"}));
  world_->CreateTable("t (n INT NOT NULL PRIMARY KEY, b LONGBLOB, c LONGTEXT)");
  const std::string fill = InsertRange(
      "t", "REPEAT(x'005c27', 20000 * (i % 17)), REPEAT('\\'\\\\ü', 10000 * (i % 13))", 1, 60);
  world_->OnSource({fill});
  ASSERT_NO_FATAL_FAILURE(StartStream({"t"}));
  AwaitRunning();
  world_->OnSource(
      {"UPDATE t SET b = CONCAT(b, x'5c')", "INSERT INTO t SELECT n + 1000, b, c FROM t"});
  ASSERT_NO_FATAL_FAILURE(world_->Drain(kStream));
  // The comparison takes the rows away, which the stream would do on the target too.
  ASSERT_TRUE(world_->Control(kStream, schemas::StreamAction::STOP, 1).ok());
  const RawDifferences found = CompareAll(*world_, {"t"});
  EXPECT_EQ(found.rows, 120U);
  EXPECT_THAT(found.differences, ::testing::IsEmpty());
}

// 23: BINARY's padding, JSON, text of DECIMAL and FLOAT, uint64, mediumint, invalid UTF-8 in
// VARBINARY. (tests/fidelity does the same under every kind of key.)
TEST_F(MuseumValuesTest, M23ATableWithEveryTypeArrivesByteForByte) {
  ASSERT_NO_FATAL_FAILURE(StartWorld());
  std::vector<StreamTable> tables;
  size_t rows = 0;
  for (const ColumnGroup& group : ColumnGroups(false)) {
    rows += tables.emplace_back(KeyCases().front(), group).rows();
  }
  const RawDifferences found = MoveAndCompare(*world_, tables);
  EXPECT_EQ(found.rows, rows);
  EXPECT_GT(found.cells, 3000U);
  EXPECT_THAT(found.differences, ::testing::IsEmpty()) << absl::StrJoin(found.differences, "\n");
}

}  // namespace
}  // namespace sluice::testing
