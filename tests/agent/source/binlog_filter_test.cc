// Tests of the binlog filter.

#include "agent/source/binlog_filter.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <zlib.h>

#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include "agent/source/event_splitter.h"
#include "tests/agent/source/binlog_events.h"

namespace sluice::source {
namespace {

using binlog::EventType;
using sluice::testing::MakeEvent;
using sluice::testing::MakeGtid;
using sluice::testing::MakeQuery;
using sluice::testing::MakeRows;
using sluice::testing::MakeTableMap;
using sluice::testing::MakeXid;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

class BinlogFilterTest : public ::testing::Test {
 protected:
  absl::Status Feed(const std::vector<std::string>& events) {
    for (const std::string& event : events) {
      const absl::Status status = filter_.Feed(event, out_);
      if (!status.ok()) {
        return status;
      }
    }
    return absl::OkStatus();
  }

  // The types of what came out since the last call.
  std::vector<EventType> Types() {
    std::vector<EventType> types;
    absl::string_view rest = out_;
    while (!rest.empty()) {
      const auto event = NextEvent(rest);
      EXPECT_TRUE(event.ok()) << event.status();
      const auto header = binlog::DecodeHeader(*event);
      EXPECT_TRUE(header.ok()) << header.status();
      types.push_back(header->type);
      rest.remove_prefix(event->size());
    }
    out_.clear();
    return types;
  }

  BinlogFilter filter_{"shop", {"customer", "corder"}};
  std::string out_;
};

TEST_F(BinlogFilterTest, ATransactionOfOtherTablesIsItsGtidAndItsEnd) {
  ASSERT_TRUE(Feed({MakeGtid(1), MakeQuery("shop", "BEGIN"), MakeTableMap(9, "shop", "product", 2),
                    MakeRows(EventType::kWriteRows, 9, 2, {{1, 2}}), MakeXid()})
                  .ok());
  EXPECT_THAT(Types(), ElementsAre(EventType::kGtid, EventType::kXid));
  EXPECT_EQ(filter_.TakeCompleted()->number, 1U);
  EXPECT_FALSE(filter_.TakeCompleted().has_value());
}

TEST_F(BinlogFilterTest, OnlyTheWantedRowsOfATransactionPass) {
  ASSERT_TRUE(Feed({MakeGtid(1), MakeQuery("shop", "BEGIN"), MakeTableMap(9, "shop", "product", 2),
                    MakeTableMap(10, "shop", "customer", 2),
                    MakeRows(EventType::kWriteRows, 9, 2, {{1, 2}}),
                    MakeRows(EventType::kUpdateRows, 10, 2, {{1, 2}, {1, 3}}), MakeXid()})
                  .ok());
  EXPECT_THAT(Types(), ElementsAre(EventType::kGtid, EventType::kQuery, EventType::kTableMap,
                                   EventType::kUpdateRows, EventType::kXid));
}

TEST_F(BinlogFilterTest, ALargeEventIsDrainedInPiecesThatMakeItWhole) {
  ASSERT_TRUE(
      Feed({MakeGtid(1), MakeQuery("shop", "BEGIN"), MakeTableMap(7, "shop", "customer", 2)}).ok());
  out_.clear();
  const std::string rows = sluice::testing::MakeEvent(
      EventType::kWriteRows,
      MakeRows(EventType::kWriteRows, 7, 2, {{1, 2}}).substr(binlog::kHeaderBytes) +
          std::string(5'000'000, 'x'));
  std::string drained;
  size_t largest = 0;
  ASSERT_TRUE(filter_
                  .Feed(rows, out_,
                        [&](std::string& out) {
                          largest = std::max(largest, out.size());
                          drained += std::exchange(out, std::string());
                          return absl::OkStatus();
                        })
                  .ok());
  EXPECT_LE(largest, size_t{1} << 20U);
  drained += out_;
  EXPECT_TRUE(drained == rows);
}

TEST_F(BinlogFilterTest, TheSameNameInAnotherDatabaseIsAnotherTable) {
  ASSERT_TRUE(Feed({MakeGtid(1), MakeQuery("x", "BEGIN"), MakeTableMap(10, "x", "customer", 2),
                    MakeRows(EventType::kDeleteRows, 10, 2, {{1, 2}}), MakeXid()})
                  .ok());
  EXPECT_THAT(Types(), ElementsAre(EventType::kGtid, EventType::kXid));
}

TEST_F(BinlogFilterTest, ATableIdMeansAnotherTableInTheNextTransaction) {
  ASSERT_TRUE(Feed({MakeGtid(1), MakeQuery("", "BEGIN"), MakeTableMap(10, "shop", "customer", 2),
                    MakeRows(EventType::kWriteRows, 10, 2, {{1, 2}}), MakeXid()})
                  .ok());
  Types();
  ASSERT_TRUE(Feed({MakeGtid(2), MakeQuery("", "BEGIN"), MakeTableMap(10, "shop", "product", 2),
                    MakeRows(EventType::kWriteRows, 10, 2, {{1, 2}}), MakeXid()})
                  .ok());
  EXPECT_THAT(Types(), ElementsAre(EventType::kGtid, EventType::kXid));
}

TEST_F(BinlogFilterTest, TheMarkerPassesAndOtherTablesOfTheSidecarDoNot) {
  ASSERT_TRUE(Feed({MakeGtid(1), MakeQuery("", "BEGIN"), MakeTableMap(3, "_sluice", "gate", 2),
                    MakeRows(EventType::kWriteRows, 3, 2, {{1, 2}}),
                    MakeTableMap(4, "_sluice", "marker", 2),
                    MakeRows(EventType::kWriteRows, 4, 2, {{1, 2}}), MakeXid()})
                  .ok());
  EXPECT_THAT(Types(), ElementsAre(EventType::kGtid, EventType::kQuery, EventType::kTableMap,
                                   EventType::kWriteRows, EventType::kXid));
}

TEST_F(BinlogFilterTest, EveryDdlPassesAndEndsItsTransaction) {
  ASSERT_TRUE(Feed({MakeGtid(1), MakeQuery("shop", "ALTER TABLE product ADD x INT")}).ok());
  EXPECT_THAT(Types(), ElementsAre(EventType::kGtid, EventType::kQuery));
  EXPECT_EQ(filter_.TakeCompleted()->number, 1U);
}

TEST_F(BinlogFilterTest, AStatementWithinATransactionPassesAndDoesNotEndIt) {
  ASSERT_TRUE(Feed({MakeGtid(1), MakeQuery("shop", "BEGIN"),
                    MakeQuery("shop", "UPDATE customer SET a = 1")})
                  .ok());
  EXPECT_THAT(Types(), ElementsAre(EventType::kGtid, EventType::kQuery, EventType::kQuery));
  EXPECT_FALSE(filter_.TakeCompleted().has_value());
  ASSERT_TRUE(Feed({MakeQuery("shop", "COMMIT")}).ok());
  EXPECT_EQ(filter_.TakeCompleted()->number, 1U);
}

TEST_F(BinlogFilterTest, SavepointsMatterOnlyBehindRowsOfOurs) {
  ASSERT_TRUE(Feed({MakeGtid(1), MakeQuery("shop", "BEGIN"), MakeQuery("", "SAVEPOINT `a`"),
                    MakeQuery("", "ROLLBACK TO `a`"), MakeXid()})
                  .ok());
  EXPECT_THAT(Types(), ElementsAre(EventType::kGtid, EventType::kXid));
}

TEST_F(BinlogFilterTest, ChecksumsAreTakenOffAndCheckedAsTheFormatDescriptionSays) {
  std::string description;
  sluice::testing::AppendUint(4, 2, description);  // binlog version
  description.append(50 + 4, '\0');                // server version, time
  sluice::testing::AppendUint(binlog::kHeaderBytes, 1, description);
  description.append(40, '\0');  // lengths of post-headers
  description.push_back(1);      // CRC-32
  description.append(4, '\0');
  ASSERT_TRUE(Feed({MakeEvent(EventType::kFormatDescription, description)}).ok());
  auto with_checksum = [](std::string event) {
    const size_t size = event.size() + 4;
    for (size_t i = 0; i < 4; ++i) {
      event[9 + i] = static_cast<char>((size >> (8 * i)) & 0xFFU);
    }
    const auto crc =
        crc32(0, reinterpret_cast<const Bytef*>(event.data()), static_cast<uInt>(event.size()));
    sluice::testing::AppendUint(crc, 4, event);
    return event;
  };
  ASSERT_TRUE(Feed({with_checksum(MakeGtid(1)), with_checksum(MakeXid())}).ok());
  EXPECT_EQ(out_, MakeGtid(1) + MakeXid());
  std::string broken = with_checksum(MakeGtid(2));
  broken.back() = static_cast<char>(broken.back() ^ 1);
  EXPECT_FALSE(Feed({broken}).ok());
}

TEST_F(BinlogFilterTest, WhatCannotBeFollowedIsAnError) {
  const std::string anonymous = MakeEvent(EventType::kAnonymousGtid, std::string(42, '\0'));
  EXPECT_THAT(std::string(Feed({anonymous}).message()), HasSubstr("gtid_mode=ON"));
  EXPECT_TRUE(absl::IsDataLoss(Feed({MakeEvent(uint8_t{26}, "xx")})));
  EXPECT_TRUE(absl::IsFailedPrecondition(Feed({MakeEvent(uint8_t{18}, "xx")})));
  EXPECT_TRUE(absl::IsUnimplemented(Feed({MakeEvent(uint8_t{99}, "xx")})));
  const absl::Status mariadb = Feed({MakeEvent(uint8_t{166}, "xx")});
  EXPECT_TRUE(absl::IsUnimplemented(mariadb));
  EXPECT_THAT(std::string(mariadb.message()), HasSubstr("WRITE_ROWS_COMPRESSED_V1 of MariaDB"));
}

TEST_F(BinlogFilterTest, UnknownEventsThatMayBeIgnoredAre) {
  EXPECT_TRUE(Feed({MakeEvent(uint8_t{99}, "xx", 0x80)}).ok());
  EXPECT_THAT(Types(), IsEmpty());
}

TEST_F(BinlogFilterTest, NoPrefixOfAnEventCrashes) {
  for (const std::string& event : {MakeGtid(1), MakeQuery("shop", "ALTER TABLE customer ADD x INT"),
                                   MakeTableMap(10, "shop", "customer", 2),
                                   MakeRows(EventType::kWriteRows, 10, 2, {{1, 2}})}) {
    for (size_t size = 0; size < event.size(); ++size) {
      std::string cut = event.substr(0, size);
      if (size >= binlog::kHeaderBytes) {
        for (size_t i = 0; i < 4; ++i) {
          cut[9 + i] = static_cast<char>((size >> (8 * i)) & 0xFFU);
        }
      }
      BinlogFilter filter("shop", {"customer"});
      std::string out;
      filter.Feed(cut, out).IgnoreError();
    }
  }
}

}  // namespace
}  // namespace sluice::source
