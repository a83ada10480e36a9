// Tables without a key between two real mysqlds: every row arrives as often as it stands.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "tests/agent/target/options_world.h"

namespace sluice::testing {
namespace {

using schemas::StreamState;
using ::testing::HasSubstr;

constexpr uint64_t kStream = 9;

std::vector<std::string> Sorted(std::vector<std::string> rows) {
  std::sort(rows.begin(), rows.end());
  return rows;
}

// As sets in which a row may stand several times.
void ExpectSameRows(StreamWorld& world, const std::string& table) {
  const auto source = Sorted(StreamWorld::Dump(world.source_mysqld(), kSourceDatabase, table));
  const auto target = Sorted(StreamWorld::Dump(world.target_mysqld(), kTargetDatabase, table));
  EXPECT_FALSE(source.empty());
  ASSERT_EQ(source.size(), target.size());
  EXPECT_EQ(source, target);
}

target::StreamSpec WithoutKeys(std::vector<std::string> tables) {
  target::StreamSpec spec = StreamWorld::Spec(kStream, std::move(tables));
  spec.options.allow_no_key = true;
  return spec;
}

TEST(NoKeyTest, IsRefusedByNameUnlessAllowed) {
  const auto world = StreamWorld::Start(SmallTuning());
  ASSERT_NE(world, nullptr);
  world->CreateTable("heap (a INT)");
  ASSERT_TRUE(world->Create(StreamWorld::Spec(kStream, {"heap"})).ok());
  const SeenStatus status = world->AwaitState(kStream, StreamState::ERROR);
  EXPECT_THAT(status.message,
              HasSubstr("heap has neither a primary key nor a NOT NULL unique key"));
}

TEST(NoKeyTest, RowsThatAreAlikeArriveEachOnceThroughRestartsUnderWrites) {
  const auto world = StreamWorld::Start(SmallTuning());
  ASSERT_NE(world, nullptr);
  world->CreateTable(
      "heap (a INT, b VARCHAR(20) COLLATE utf8mb4_0900_ai_ci, u INT, UNIQUE KEY (u))");
  world->CreateTable("keyed (id INT PRIMARY KEY, a INT)");
  FillTable(*world, "heap", "i % 50, IF(i % 3, 'a', 'A'), IF(i % 5, NULL, i)", 1500);
  FillTable(*world, "keyed", "i, i", 500);
  Writer writer(world->source_mysqld(), [](std::mt19937& random) -> std::string {
    const auto a = random() % 50;
    switch (random() % 4) {
      case 0:
        return absl::StrCat("DELETE FROM heap WHERE a = ", a, " LIMIT 2");
      case 1:
        return absl::StrCat("UPDATE heap SET b = IF(BINARY b = 'a', 'A', 'a') WHERE a = ", a,
                            " LIMIT 3");
      case 2:
        return absl::StrCat("UPDATE keyed SET a = a + 1 WHERE id = ", a);
      default:
        return absl::StrCat("INSERT INTO heap VALUES (", a, ", 'a', NULL), (", a, ", 'a', NULL)");
    }
  });
  ASSERT_TRUE(world->Create(WithoutKeys({"heap", "keyed"})).ok());
  std::mt19937 random(3);
  for (int restarts = 0; restarts < 8; ++restarts) {
    absl::SleepFor(absl::Milliseconds(50 + random() % 300));  // Delay: the agent ends at any time
    world->StopTarget();
    world->StartTarget();
  }
  world->AwaitState(kStream, StreamState::RUNNING);
  for (int restarts = 0; restarts < 5; ++restarts) {
    absl::SleepFor(absl::Milliseconds(random() % 200));  // Delay: likewise, while it applies
    world->StopTarget();
    world->StartTarget();
  }
  EXPECT_GT(writer.End(), 50);
  world->AwaitState(kStream, StreamState::RUNNING);
  world->Drain(kStream);
  ExpectSameRows(*world, "heap");
  world->ExpectSame("keyed");
}

TEST(NoKeyTest, ACopyInSeveralFetchesIsOfOneSnapshotAndBeginsAnewAfterARestart) {
  const auto world = StreamWorld::Start(SmallTuning());
  ASSERT_NE(world, nullptr);
  world->CreateTable("heap (a INT, b INT)");
  constexpr int kRows = 230000;
  FillTable(*world, "heap", "i % 1000, i % 3", kRows);
  Writer writer(world->source_mysqld(), [](std::mt19937& random) {
    return absl::StrCat("INSERT INTO heap VALUES (", random() % 1000, ", 9)");
  });
  ASSERT_TRUE(world->Create(WithoutKeys({"heap"})).ok());
  world->AwaitStatus(kStream, [](const SeenStatus& status) { return status.rows_copied > 0; });
  world->StopTarget();
  world->StartTarget();
  world->AwaitState(kStream, StreamState::RUNNING);
  EXPECT_GE(world->Status(kStream)->rows_copied, kRows);
  EXPECT_GT(writer.End(), 10);
  world->Drain(kStream);
  ExpectSameRows(*world, "heap");
}

TEST(NoKeyTest, ARowIsFoundByItsBytesInEveryType) {
  const auto world = StreamWorld::Start(SmallTuning());
  ASSERT_NE(world, nullptr);
  world->CreateTable(
      "heap (n INT, f FLOAT, d DOUBLE, dec_ DECIMAL(20,5), bits BIT(9), e ENUM('a','b'), s "
      "SET('x','y'), y YEAR, da DATE, t TIME(3), dt DATETIME(6), ts TIMESTAMP(2) NULL, c CHAR(5) "
      "CHARACTER SET latin1, v VARCHAR(20), u VARCHAR(9) CHARACTER SET utf16, bin BINARY(6), bl "
      "BLOB, j JSON, g GEOMETRY, vec VECTOR(2), gen INT AS (n + 1), inv INT INVISIBLE)");
  const std::vector<std::string> columns = {"n", "f",   "d",  "dec_", "bits", "e",   "s",
                                            "y", "da",  "t",  "dt",   "ts",   "c",   "v",
                                            "u", "bin", "bl", "j",    "g",    "vec", "inv"};
  const std::vector<std::pair<std::string, std::string>> values = {
      {"n", "-7"},
      {"f", "1.1"},
      {"f", "-0e0"},
      {"f", "0e0"},
      {"d", "1e-300"},
      {"d", "-0e0"},
      {"d", "0e0"},
      {"dec_", "-1.50000"},
      {"bits", "b'100000001'"},
      {"e", "2"},
      {"s", "3"},
      {"y", "2024"},
      {"da", "'0000-00-00'"},
      {"t", "'-12:30:01.5'"},
      {"dt", "'2024-02-29 23:59:59.123456'"},
      {"ts", "'2024-01-01 00:00:00.25'"},
      {"c", "_latin1 0xE4"},
      {"v", "'Straße'"},
      {"v", "'strasse '"},
      {"v", "'strasse'"},
      {"u", "'\xF0\x9F\x98\x80'"},
      {"bin", "X'0001'"},
      {"bl", "X'00FF27'"},
      {"bl", "''"},
      {"j", "'{\"a\": [1, 2.5, null], \"b\": \"\\\\u00e4\"}'"},
      {"j", "CAST(1.50 AS JSON)"},
      {"g", "ST_GeomFromText('POINT(1 2)')"},
      {"vec", "TO_VECTOR('[1,2]')"},
      {"inv", "9"}};
  std::vector<std::string> inserts = {"SET SESSION sql_mode = ''"};
  for (int copies = 0; copies < 2; ++copies) {
    for (const auto& [column, value] : values) {
      inserts.push_back(absl::StrCat("INSERT INTO heap (", column, ") VALUES (", value, ")"));
    }
  }
  world->OnSource(inserts);
  ASSERT_TRUE(world->Create(WithoutKeys({"heap"})).ok());
  world->AwaitState(kStream, StreamState::RUNNING);
  ExpectSameRows(*world, "heap");
  world->OnSource(inserts);
  // One of each four goes, another changes.
  std::vector<std::string> changes = {"SET SESSION sql_mode = ''", "DELETE FROM heap LIMIT 29"};
  for (const std::string& column : columns) {
    changes.push_back(absl::StrCat("UPDATE heap SET n = COALESCE(n, 0) + 1 WHERE ", column,
                                   " IS NOT NULL LIMIT 2"));
  }
  world->OnSource(changes);
  world->Drain(kStream);
  ExpectSameRows(*world, "heap");
  EXPECT_EQ(world->Status(kStream)->state, StreamState::RUNNING);
}

TEST(NoKeyTest, ARowThatIsNotThereStopsTheStream) {
  const auto world = StreamWorld::Start(SmallTuning());
  ASSERT_NE(world, nullptr);
  world->CreateTable("heap (a INT)");
  world->OnSource({"INSERT INTO heap VALUES (1), (1), (2)"});
  ASSERT_TRUE(world->Create(WithoutKeys({"heap"})).ok());
  world->AwaitState(kStream, StreamState::RUNNING);
  world->OnTarget({"DELETE FROM heap WHERE a = 2"});
  world->OnSource({"DELETE FROM heap WHERE a = 2"});
  const SeenStatus status = world->AwaitState(kStream, StreamState::ERROR);
  EXPECT_THAT(status.message, HasSubstr("heap"));
  EXPECT_THAT(status.message, HasSubstr("a row that the source has changed is not there"));
}

}  // namespace
}  // namespace sluice::testing
