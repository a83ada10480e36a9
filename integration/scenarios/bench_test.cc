// The benchmark's program in short: servers, a copy of each kind, the comparison of rows, the JSON.

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include <cstdlib>
#include <fstream>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "integration/cluster/process.h"

namespace sluice::bench {
namespace {

std::string Program() {
  return std::string(std::getenv("SLUICE_BIN_DIR")) + "/sluice-bench";
}

// Runs it in short, and wants exit code 0; the JSON's measures.
nlohmann::json Measure(const std::vector<std::string>& names) {
  const std::string path =
      absl::StrCat(testing::TempDir(), "/bench-", getpid(), "-", absl::GetCurrentTimeNanos());
  std::vector<std::string> argv = {Program(), "--runs", "2",     "--scale",         "0.001",
                                   "--json",  path,     "--dir", testing::TempDir()};
  for (const std::string& name : names) {
    argv.insert(argv.end(), {"--only", name});
  }
  const auto result = cluster::RunCommand(argv, {}, absl::Minutes(4));
  EXPECT_TRUE(result.ok()) << result.status();
  if (!result.ok()) {
    return nlohmann::json::array();
  }
  EXPECT_EQ(result->exit_code, 0) << result->output << result->errors;
  std::ifstream file(path);
  auto document = nlohmann::json::parse(file, nullptr, false);
  EXPECT_TRUE(document.is_object());
  return document.is_object() ? document["measures"] : nlohmann::json::array();
}

void ExpectMeasured(const nlohmann::json& measure, uint64_t rows_at_least) {
  ASSERT_TRUE(measure["value"].is_number()) << measure;
  EXPECT_GT(measure["value"], 0) << measure;
  EXPECT_TRUE(measure["target"].is_number()) << measure;
  EXPECT_TRUE(measure["met"].is_boolean()) << measure;
  EXPECT_EQ(measure["runs"].size(), 2U) << measure;
  EXPECT_GE(measure["rows_verified"], rows_at_least) << measure;
}

TEST(BenchTest, NamesItsMeasures) {
  const auto result = cluster::RunCommand({Program(), "--list"}, {}, absl::Seconds(20));
  ASSERT_TRUE(result.ok()) << result.status();
  EXPECT_EQ(result->exit_code, 0);
  for (const char* name : {"copy-sysbench-vs-mydumper",
                           "copy-wide-vs-load-data",
                           "copy-single-vs-load-data",
                           "copy-many-tables",
                           "copy-agents-cpu",
                           "drain-write-only",
                           "drain-multi-row-update",
                           "drain-random-updates",
                           "drain-hot-rows",
                           "drain-inserts",
                           "decode-binlog",
                           "lag-p99",
                           "idle-cpu",
                           "idle-memory",
                           "idle-binlog",
                           "memory-blobs",
                           "memory-transaction",
                           "application-queries",
                           "cutover-one-shard",
                           "cutover-one-shard-p99",
                           "cutover-one-shard-errors",
                           "cutover-16-shards",
                           "cutover-256-shards",
                           "cutover-256-shards-coordinator",
                           "cutover-100-tables",
                           "cutover-long-transaction"}) {
    EXPECT_THAT(result->output, ::testing::HasSubstr(std::string(name) + "\t"));
  }
}

TEST(BenchTest, RefusesANameThatIsNoMeasure) {
  const auto result =
      cluster::RunCommand({Program(), "--only", "copy-of-what"}, {}, absl::Seconds(20));
  ASSERT_TRUE(result.ok()) << result.status();
  EXPECT_EQ(result->exit_code, 2);
  EXPECT_THAT(result->errors, ::testing::HasSubstr("copy-of-what"));
}

TEST(BenchTest, MeasuresACopyBesideItsLimitAndVerifiesTheRows) {
  const auto measures = Measure({"copy-wide-vs-load-data"});
  ASSERT_EQ(measures.size(), 1U);
  EXPECT_EQ(measures[0]["name"], "copy-wide-vs-load-data");
  EXPECT_EQ(measures[0]["unit"], "ratio");
  // Two tables of 500 rows, copied by two sides, twice.
  ExpectMeasured(measures[0], 4000);
}

TEST(BenchTest, MeasuresTheDrainOfABacklogBesideAReplica) {
  const auto measures = Measure({"drain-multi-row-update", "decode"});
  ASSERT_EQ(measures.size(), 3U);
  ExpectMeasured(measures[0], 4000);
  ExpectMeasured(measures[1], 2000);
  ExpectMeasured(measures[2], 2000);
}

TEST(BenchTest, MeasuresWhatClientsFeelOfACutoverAndThatNoneOfThemFails) {
  const auto measures =
      Measure({"cutover-one-shard", "cutover-one-shard-p99", "cutover-one-shard-errors"});
  ASSERT_EQ(measures.size(), 3U);
  // Two tables of 500 rows, compared after each run.
  ExpectMeasured(measures[0], 2000);
  ExpectMeasured(measures[1], 2000);
  EXPECT_EQ(measures[2]["name"], "cutover-one-shard-errors");
  EXPECT_EQ(measures[2]["value"], 0) << measures[2];
}

TEST(BenchTest, MeasuresACutoverBesideALongTransaction) {
  const auto measures = Measure({"cutover-long-transaction"});
  ASSERT_EQ(measures.size(), 1U);
  ExpectMeasured(measures[0], 2000);
  const auto& details = measures[0]["details"];
  EXPECT_GT(details["switch_ms"][0].get<double>(),
            0.5 * details["transaction_ms"][0].get<double>());
}

}  // namespace
}  // namespace sluice::bench
