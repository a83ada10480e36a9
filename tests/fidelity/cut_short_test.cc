// Rows that strict mode refuses although a source has them: values that a source without strict
// mode has cut short arrive as they are, and nothing else is let through with them.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "tests/agent/target/stream_world.h"
#include "tests/fidelity/raw_rows.h"

namespace sluice::testing {
namespace {

using schemas::StreamState;
using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

constexpr uint64_t kStream = 1;
constexpr char kColumns[] =
    " v INT, s VARCHAR(40), e ENUM('a','b'), narrow TINYINT AS (v * 3) STORED, "
    "cut VARCHAR(3) CHARACTER SET latin1 AS (CONCAT(s, v)) VIRTUAL, number INT AS (s + 1) STORED, "
    "day DATE AS (STR_TO_DATE(s, '%Y-%m-%d')) STORED, KEY (cut)";

class CutShortTest : public ::testing::Test {
 protected:
  void SetUp() override {
    world_ = StreamWorld::Start({});
    ASSERT_NE(world_, nullptr);
    world_->CreateTable(absl::StrCat("t (n INT PRIMARY KEY,", kColumns, ")"));
    world_->CreateTable(absl::StrCat("few (n INT PRIMARY KEY,", kColumns, ")"));
  }

  void Write(int from, int count) {
    std::vector<std::string> rows;
    for (int i = from; i < from + count; ++i) {
      rows.push_back(absl::StrCat("(", i, ",", i % 5 == 0 ? i * 100 : i % 40, ",",
                                  i % 3 == 0 ? "'no number, no date'" : "'2024-02-29'", ",", i % 7,
                                  ")"));
    }
    for (const char* table : {"t", "few"}) {
      if (table == std::string("few")) {
        rows.resize(5);
      }
      world_->OnSource(
          {"SET SESSION sql_mode = ''",
           absl::StrCat("INSERT INTO ", table, " (n, v, s, e) VALUES ", absl::StrJoin(rows, ","))});
    }
  }

  void Follow() {
    ASSERT_TRUE(world_->Create(StreamWorld::Spec(kStream, tables_)).ok());
    world_->AwaitState(kStream, StreamState::RUNNING);
  }

  const std::vector<std::string> tables_ = {"t", "few"};
  std::unique_ptr<StreamWorld> world_;
};

TEST_F(CutShortTest, WhatASourceCutShortArrivesAsItIs) {
  Write(1, 500);
  ASSERT_NO_FATAL_FAILURE(Follow());
  Write(1001, 500);
  world_->OnSource({"SET SESSION sql_mode = ''", "UPDATE t SET v = v + 1000, e = 0 WHERE n % 2 = 0",
                    "UPDATE few SET n = n + 5000, s = CONCAT(s, 'x')",
                    "DELETE FROM few WHERE n < 5003"});
  const auto session = ConnectTo(world_->source_mysqld(), kSourceDatabase);
  const auto cut = session->QueryScalar("SELECT COUNT(*) > 100 FROM t WHERE narrow = 127");
  EXPECT_EQ(cut.ok() ? *cut : cut.status().ToString(), "1");
  ASSERT_NO_FATAL_FAILURE(world_->Drain(kStream));
  ASSERT_TRUE(world_->Control(kStream, schemas::StreamAction::STOP, 1).ok());
  const auto source = TakeRows(world_->source_mysqld(), kSourceDatabase, tables_);
  const auto target = TakeRows(world_->target_mysqld(), kTargetDatabase, tables_);
  ASSERT_TRUE(source.ok()) << source.status();
  ASSERT_TRUE(target.ok()) << target.status();
  const RawDifferences found = Compare(*source, *target, [](uint64_t) { return true; });
  EXPECT_THAT(found.differences, IsEmpty()) << absl::StrJoin(found.differences, "\n");
  EXPECT_EQ(found.rows, 1008U);
}

TEST_F(CutShortTest, AValueThatIsNoGeneratedOneIsNeverCutShort) {
  Write(1, 10);
  ASSERT_NO_FATAL_FAILURE(Follow());
  ASSERT_NO_FATAL_FAILURE(world_->Drain(kStream));
  world_->OnTarget({"SET SESSION sql_mode = ''", "ALTER TABLE t MODIFY s VARCHAR(20)"});
  world_->OnSource(
      {"SET SESSION sql_mode = ''",
       "INSERT INTO t (n, v, s) VALUES (900, 900, 'longer than what the target takes now')"});
  EXPECT_THAT(world_->AwaitState(kStream, StreamState::ERROR).message,
              AllOf(HasSubstr("t"), HasSubstr("1 warnings that are not about generated columns")));
  const auto session = ConnectTo(world_->target_mysqld(), kTargetDatabase);
  EXPECT_EQ(session->QueryScalar("SELECT COUNT(*) FROM t WHERE n = 900").value_or(""), "0");
}

}  // namespace
}  // namespace sluice::testing
