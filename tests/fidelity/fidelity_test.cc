// Every column type under every kind of key through a stream, by the copy and by the binlog,
// between servers whose time zone, sql_mode and character sets differ; what both sides have stored
// in the end is compared as raw bytes (raw_rows.h says how, and why nothing hides from that).

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <iostream>
#include <memory>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "tests/agent/target/stream_world.h"
#include "tests/fidelity/stream_table.h"

namespace sluice::testing {
namespace {

// Small chunks, so that every kind of key is also the place from where a table is read on.
target::StreamTuning SmallChunks() {
  target::StreamTuning tuning;
  tuning.copier.load_rows_min = 1;
  tuning.copier.rows_max = 16;
  tuning.applier.changes_max = 500;
  return tuning;
}

// Servers of other habits on each side.
std::unique_ptr<StreamWorld> DifferentServers(bool load) {
  return StreamWorld::Start(
      SmallChunks(),
      {"--default-time-zone=+05:30", "--character-set-server=latin1", "--group-concat-max-len=4",
       "--max-sort-length=4", "--div-precision-increment=0",
       "--sql-mode=ANSI_QUOTES,NO_BACKSLASH_ESCAPES,PAD_CHAR_TO_FULL_LENGTH,PIPES_AS_CONCAT"},
      {"--default-time-zone=-08:00", "--character-set-server=utf8mb4",
       "--collation-server=utf8mb4_bin", "--group-concat-max-len=4",
       "--sql-mode=STRICT_ALL_TABLES,NO_ZERO_DATE,NO_ZERO_IN_DATE,ERROR_FOR_DIVISION_BY_ZERO",
       "--sql-generate-invisible-primary-key=ON",
       absl::StrCat("--local-infile=", load ? "ON" : "OFF")});
}

// Whether copied rows are written by LOAD DATA, where it can, or by INSERT.
class FidelityTest : public ::testing::TestWithParam<bool> {};

TEST_P(FidelityTest, EveryTypeUnderEveryKeyArrivesBitForBit) {
  const auto world = DifferentServers(GetParam());
  ASSERT_NE(world, nullptr);
  std::vector<StreamTable> tables;
  size_t cases = 0;
  size_t rows = 0;
  for (const KeyCase& key : KeyCases()) {
    // Large values under one key only.
    for (const ColumnGroup& group : ColumnGroups(tables.empty())) {
      const StreamTable& table = tables.emplace_back(key, group);
      cases += table.cases();
      rows += table.rows();
    }
  }
  const RawDifferences found = MoveAndCompare(*world, tables);
  EXPECT_EQ(found.rows, rows);
  EXPECT_THAT(found.differences, ::testing::IsEmpty()) << absl::StrJoin(found.differences, "\n");
  const auto session = ConnectTo(world->target_mysqld(), kTargetDatabase);
  ASSERT_NE(session, nullptr);
  const auto loads = session->QueryScalar(
      "SELECT COUNT_STAR > 100 FROM "
      "performance_schema.events_statements_summary_global_by_event_name WHERE EVENT_NAME = "
      "'statement/sql/load'");
  ASSERT_TRUE(loads.ok()) << loads.status();
  EXPECT_EQ(*loads, GetParam() ? "1" : "0");
  std::cout << "fidelity: " << cases << " cases of type, value, key and way in " << tables.size()
            << " tables; " << found.rows << " rows, " << found.cells << " cells compared, "
            << found.json_by_meaning << " JSON documents by meaning\n";
  RecordProperty("cases", static_cast<int>(cases));
}

INSTANTIATE_TEST_SUITE_P(Ways, FidelityTest, ::testing::Bool(),
                         [](const auto& way) { return way.param ? "ByLoad" : "ByInsert"; });

}  // namespace
}  // namespace sluice::testing
