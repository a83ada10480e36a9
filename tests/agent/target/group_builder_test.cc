// Tests of gathering transactions into groups.

#include "agent/target/group_builder.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "tests/agent/source/binlog_events.h"

namespace sluice::target {
namespace {

using binlog::EventType;
using sluice::testing::MakeEvent;
using sluice::testing::MakeGtid;
using sluice::testing::MakeQuery;
using sluice::testing::MakeRows;
using sluice::testing::MakeTableMap;
using sluice::testing::MakeXid;

TablePlans Plans() {
  mysql::TableSchema schema;
  schema.database = "target";
  schema.name = "customer";
  for (const char* name : {"id", "v"}) {
    schema.columns.emplace_back().name = name;
  }
  schema.key_columns = {"id"};
  std::vector<TablePlan> plans = {*MakeTablePlan(std::move(schema), "customer")};
  return TablePlans(std::move(plans));
}

class GroupBuilderTest : public ::testing::Test {
 protected:
  absl::Status Add(const std::vector<std::string>& events) {
    for (const std::string& event : events) {
      const auto buffer = std::make_shared<const std::string>(event);
      const absl::Status status = builder_.Add(*buffer, buffer);
      if (!status.ok()) {
        return status;
      }
    }
    return absl::OkStatus();
  }

  static std::vector<std::string> Begin(uint64_t number) {
    return {MakeGtid(number, 1000 + number), MakeQuery("shop", "BEGIN"),
            MakeTableMap(10, "shop", "customer", 2)};
  }
  static std::string Insert(const std::vector<std::vector<int32_t>>& rows) {
    return MakeRows(EventType::kWriteRows, 10, 2, rows);
  }

  const WatchedTables watched_{.database = "shop", .tables = {"customer"}};
  const TablePlans plans_ = Plans();
  GroupBuilder builder_{watched_, plans_, {.changes_max = 3, .bytes_max = 1U << 20U}};
};

TEST_F(GroupBuilderTest, TransactionsGatherUntilTheyAreTaken) {
  ASSERT_TRUE(Add(Begin(5)).ok());
  ASSERT_TRUE(Add({Insert({{1, 2}})}).ok());
  EXPECT_FALSE(builder_.WorthTaking()) << "its end has not come";
  ASSERT_TRUE(Add({MakeXid()}).ok());
  EXPECT_TRUE(builder_.WorthTaking());
  EXPECT_TRUE(builder_.Whole());
  ASSERT_TRUE(Add(Begin(6)).ok());
  EXPECT_TRUE(builder_.WorthTaking()) << "nothing of the next one is in it";
  ASSERT_TRUE(Add({Insert({{1, 3}}), MakeXid()}).ok());
  const ChangeGroup group = builder_.Take();
  EXPECT_FALSE(group.open);
  EXPECT_EQ(group.ended.ToString(), "01010101-0101-0101-0101-010101010101:5-6");
  EXPECT_EQ(group.transactions, 2U);
  EXPECT_EQ(group.transaction_us, 1006);
  EXPECT_EQ(group.rows, 2U);
  EXPECT_FALSE(builder_.WorthTaking());
  EXPECT_FALSE(builder_.Whole());
}

TEST_F(GroupBuilderTest, ALargeTransactionIsTakenInPartsThatSayThatTheyAre) {
  ASSERT_TRUE(Add(Begin(5)).ok());
  ASSERT_TRUE(Add({Insert({{1, 1}, {2, 2}, {3, 3}})}).ok());
  EXPECT_TRUE(builder_.Full());
  EXPECT_TRUE(builder_.WorthTaking());
  EXPECT_FALSE(builder_.Whole());
  ChangeGroup group = builder_.Take();
  EXPECT_TRUE(group.open);
  EXPECT_EQ(group.rows, 3U);
  EXPECT_TRUE(group.ended.empty());
  ASSERT_TRUE(Add({Insert({{4, 4}}), MakeXid()}).ok());
  group = builder_.Take();
  EXPECT_FALSE(group.open);
  EXPECT_EQ(group.rows, 1U);
  EXPECT_EQ(group.transactions, 1U);
  EXPECT_FALSE(group.ended.empty());
}

// A backlog comes in groups that can be committed, or every second one can.
TEST_F(GroupBuilderTest, TransactionsWithinTheBoundsAreNotForEverOpen) {
  for (const int32_t rows : {1, 2, 3, 4, 5, 6, 7}) {
    GroupBuilder builder(watched_, plans_, {.changes_max = 8, .bytes_max = 1U << 20U});
    std::vector<bool> open;
    for (uint64_t number = 1; number <= 60; ++number) {
      std::vector<std::vector<int32_t>> images;
      for (int32_t row = 0; row < rows; ++row) {
        images.push_back({row, 1});
      }
      std::vector<std::string> events = Begin(number);
      events.push_back(Insert(images));
      events.push_back(MakeXid());
      for (const std::string& event : events) {
        if (builder.Full()) {
          open.push_back(builder.Take().open);
        }
        const auto buffer = std::make_shared<const std::string>(event);
        ASSERT_TRUE(builder.Add(*buffer, buffer).ok());
      }
    }
    EXPECT_GE(open.size(), 7U) << rows;
    for (size_t i = 1; i < open.size(); ++i) {
      EXPECT_FALSE(open[i - 1] && open[i]) << rows << " rows, group " << i;
      EXPECT_TRUE(rows > 2 || !open[i]) << "small transactions need no parts";
    }
  }
}

TEST_F(GroupBuilderTest, AnAnswerWithoutEventsIsWorthHearingOfOnce) {
  builder_.Heard(17, true);
  EXPECT_TRUE(builder_.WorthTaking());
  const ChangeGroup group = builder_.Take();
  EXPECT_EQ(group.source_time_us, 17);
  EXPECT_TRUE(group.caught_up);
  EXPECT_TRUE(group.changes.empty());
  EXPECT_FALSE(builder_.WorthTaking());
}

// Who adds waits until it is not full, and who takes until it is worth taking: one of the two must
// hold.
TEST_F(GroupBuilderTest, WhatIsFullIsWorthTakingThoughItHoldsNoChangeYet) {
  const std::string event = MakeGtid(5, 1005);
  const auto buffer = std::make_shared<const std::string>(event + std::string(2U << 20U, 'x'));
  ASSERT_TRUE(builder_.Add(absl::string_view(*buffer).substr(0, event.size()), buffer).ok());
  EXPECT_TRUE(builder_.Full());
  EXPECT_TRUE(builder_.WorthTaking());
  const ChangeGroup group = builder_.Take();
  EXPECT_FALSE(group.open);
  EXPECT_TRUE(group.changes.empty());
  EXPECT_TRUE(group.ended.empty());
  EXPECT_FALSE(builder_.Full());
}

TEST_F(GroupBuilderTest, WhatIsWholeBeforeAFailureCanBeTaken) {
  ASSERT_TRUE(Add(Begin(5)).ok());
  ASSERT_TRUE(Add({Insert({{1, 1}}), MakeXid()}).ok());
  EXPECT_FALSE(Add({MakeGtid(6), MakeQuery("shop", "ALTER TABLE customer ADD x INT")}).ok());
  EXPECT_TRUE(builder_.Whole());
  EXPECT_EQ(builder_.Take().rows, 1U);
}

TEST_F(GroupBuilderTest, APreparedTransactionIsAGapUntilItIsDecided) {
  ASSERT_TRUE(Add({MakeGtid(5), MakeQuery("shop", "XA START X'61',X'',1"),
                   MakeTableMap(10, "shop", "customer", 2), Insert({{1, 1}, {2, 2}}),
                   MakeQuery("shop", "XA END X'61',X'',1"),
                   MakeEvent(EventType::kXaPrepare, std::string(14, '\0'))})
                  .ok());
  EXPECT_FALSE(builder_.WorthTaking());
  ASSERT_TRUE(Add({MakeGtid(6), MakeQuery("shop", "BEGIN"), MakeXid()}).ok());
  builder_.Heard(1, true);
  ChangeGroup group = builder_.Take();
  EXPECT_EQ(group.ended.ToString(), "01010101-0101-0101-0101-010101010101:6");
  EXPECT_EQ(group.rows, 0U);
  ASSERT_TRUE(Add({MakeGtid(7), MakeQuery("shop", "XA COMMIT X'61',X'',1")}).ok());
  group = builder_.Take();
  EXPECT_EQ(group.ended.ToString(), "01010101-0101-0101-0101-010101010101:5:7");
  EXPECT_EQ(group.rows, 2U);
  EXPECT_EQ(group.changes.tables().front().rows.size(), 2U);
}

TEST_F(GroupBuilderTest, NothingIsAddedBehindAStatementForTheTarget) {
  WatchedTables watched = watched_;
  watched.on_ddl = DdlPolicy::kHandOver;
  GroupBuilder builder(watched, plans_, {});
  const std::string sql = "ALTER TABLE customer ADD x INT";
  for (const std::string& event :
       {MakeGtid(5), MakeQuery("shop", "BEGIN"), MakeXid(), MakeGtid(6), MakeQuery("shop", sql)}) {
    const auto buffer = std::make_shared<const std::string>(event);
    EXPECT_FALSE(builder.Full());
    ASSERT_TRUE(builder.Add(*buffer, buffer).ok());
  }
  EXPECT_TRUE(builder.Full());
  ASSERT_TRUE(builder.WorthTaking());
  const ChangeGroup group = builder.Take();
  ASSERT_TRUE(group.ddl.has_value());
  EXPECT_EQ(group.ddl->query.sql, sql);
  EXPECT_EQ(group.ddl->gtid.number, 6U);
  EXPECT_EQ(group.ended.ToString(), "01010101-0101-0101-0101-010101010101:5");
  EXPECT_TRUE(builder.Full());
  EXPECT_FALSE(builder.WorthTaking());
}

TEST_F(GroupBuilderTest, APartOfATransactionIsNotWhole) {
  ASSERT_TRUE(Add(Begin(5)).ok());
  ASSERT_TRUE(Add({Insert({{1, 1}}), MakeXid()}).ok());
  ASSERT_TRUE(Add(Begin(6)).ok());
  ASSERT_TRUE(Add({Insert({{2, 2}})}).ok());
  EXPECT_FALSE(builder_.Whole());
}

}  // namespace
}  // namespace sluice::target
