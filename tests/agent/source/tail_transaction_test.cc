// Tests of what is kept of a transaction.

#include "agent/source/tail_transaction.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <vector>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "agent/source/event_splitter.h"
#include "tests/agent/source/binlog_events.h"
#include "tests/common/binlog/captured_events.h"

namespace sluice::source {
namespace {

using binlog::EventType;
using sluice::testing::MakeEvent;
using sluice::testing::MakeGtid;
using sluice::testing::MakeQuery;
using sluice::testing::MakeRows;
using sluice::testing::MakeTableMap;
using sluice::testing::MakeXid;

using Events = std::vector<std::string>;

const WantedTables& Shop() {
  static const WantedTables& wanted = *new WantedTables{.database = "shop", .tables = {"customer"}};
  return wanted;
}

// What a stream's filter makes of events as mysqld sends them.
std::string Filtered(const Events& events) {
  BinlogFilter filter(Shop());
  std::string out;
  for (const std::string& event : events) {
    EXPECT_TRUE(filter.Feed(event, out).ok());
  }
  return out;
}

// What a session makes of what the tail keeps.
std::string Filtered(const TailTransaction& transaction) {
  if (!transaction.Touches(Shop())) {
    return transaction.skeleton;
  }
  Events events;
  absl::string_view rest = transaction.events;
  while (!rest.empty()) {
    const auto event = NextEvent(rest);
    EXPECT_TRUE(event.ok());
    events.emplace_back(*event);
    rest.remove_prefix(event->size());
  }
  return Filtered(events);
}

std::shared_ptr<const TailTransaction> Build(const Events& events, size_t bytes_max = 1U << 20U) {
  TailTransactionBuilder builder(bytes_max);
  std::shared_ptr<const TailTransaction> built;
  for (const std::string& event : events) {
    EXPECT_EQ(built, nullptr);
    auto transaction = builder.Feed(event);
    EXPECT_TRUE(transaction.ok()) << transaction.status();
    built = transaction.ok() ? *std::move(transaction) : nullptr;
  }
  EXPECT_NE(built, nullptr);
  return built;
}

Events OfTable(const std::string& database, const std::string& table, int rows = 1) {
  Events events = {MakeGtid(7), MakeQuery(database, "BEGIN"), MakeTableMap(9, database, table, 2)};
  for (int i = 0; i < rows; ++i) {
    events.push_back(MakeRows(EventType::kWriteRows, 9, 2, {{i, 2}}));
  }
  events.push_back(MakeXid());
  return events;
}

TEST(TailTransactionTest, AStreamGetsWhatItsFilterWouldMakeOfTheBinlog) {
  const std::vector<Events> transactions = {
      OfTable("shop", "customer"),
      OfTable("shop", "another"),
      OfTable("other", "customer"),
      OfTable("_sluice", "marker"),
      OfTable("_sluice", "stream_position"),
      {MakeGtid(8), MakeQuery("shop", "ALTER TABLE customer ADD b INT")},
      {MakeGtid(8), MakeQuery("other", "XA COMMIT 'x'")},
      {MakeGtid(9), MakeQuery("", "BEGIN"), MakeQuery("", "SAVEPOINT a"),
       MakeTableMap(3, "other", "t", 1), MakeRows(EventType::kWriteRows, 3, 1, {{1}}),
       MakeTableMap(4, "shop", "customer", 1), MakeRows(EventType::kDeleteRows, 4, 1, {{1}}),
       MakeQuery("", "ROLLBACK TO a"), MakeQuery("", "COMMIT")},
      {MakeGtid(9), MakeQuery("", "XA START 'x'"), MakeTableMap(4, "shop", "customer", 1),
       MakeRows(EventType::kWriteRows, 4, 1, {{1}}), MakeQuery("", "XA END 'x'"),
       MakeEvent(EventType::kXaPrepare, std::string(1, '\0'))},
      {MakeGtid(9), MakeQuery("", "BEGIN"), MakeQuery("shop", "INSERT INTO customer VALUES (1)"),
       MakeQuery("", "SAVEPOINT a"), MakeQuery("", "COMMIT")},
  };
  for (const Events& events : transactions) {
    const auto transaction = Build(events);
    EXPECT_EQ(Filtered(*transaction), Filtered(events));
    EXPECT_TRUE(transaction->kept);
  }
}

TEST(TailTransactionTest, ACompressedOneIsKeptUnpacked) {
  const auto captured = [](const char* hex) {
    const std::string event = absl::HexStringToBytes(hex);
    return event.substr(0, event.size() - 4);
  };
  const std::string packed = captured(binlog::kPayloadHex);
  const Events events = {
      MakeGtid(7), MakeEvent(EventType::kTransactionPayload, packed.substr(binlog::kHeaderBytes))};
  const auto transaction = Build(events);
  EXPECT_FALSE(transaction->tables.empty());
  WantedTables wanted;
  wanted.database = transaction->tables.begin()->first;
  wanted.tables = {transaction->tables.begin()->second};
  BinlogFilter of_binlog(wanted);
  std::string expected;
  for (const std::string& event : events) {
    ASSERT_TRUE(of_binlog.Feed(event, expected).ok());
  }
  BinlogFilter of_tail(wanted);
  std::string seen;
  absl::string_view rest = transaction->events;
  while (!rest.empty()) {
    const auto event = NextEvent(rest);
    ASSERT_TRUE(event.ok());
    ASSERT_TRUE(of_tail.Feed(*event, seen).ok());
    rest.remove_prefix(event->size());
  }
  EXPECT_EQ(seen, expected);
}

TEST(TailTransactionTest, TheEventsOfALargeOneAreNotKept) {
  const Events events = OfTable("shop", "customer", 100);
  const auto transaction = Build(events, 1000);
  EXPECT_FALSE(transaction->kept);
  EXPECT_TRUE(transaction->events.empty());
  EXPECT_TRUE(transaction->Touches(Shop()));
  EXPECT_LT(transaction->Bytes(), 2000);
  const WantedTables other = {.database = "other", .tables = {"customer"}};
  EXPECT_FALSE(transaction->Touches(other));
  BinlogFilter filter(other);
  std::string skeleton;
  for (const std::string& event : events) {
    ASSERT_TRUE(filter.Feed(event, skeleton).ok());
  }
  EXPECT_EQ(transaction->skeleton, skeleton);
}

TEST(TailTransactionTest, ALargeOneIsKnownWhileItComes) {
  TailTransactionBuilder builder(1000);
  Events events = OfTable("shop", "customer", 100);
  events.pop_back();
  for (const std::string& event : events) {
    ASSERT_TRUE(builder.Feed(event).ok());
  }
  EXPECT_FALSE(builder.unfinished().kept);
  EXPECT_TRUE(builder.unfinished().Touches(Shop()));
}

TEST(TailTransactionTest, TooManyTablesAreAnyTable) {
  Events events = {MakeGtid(7), MakeQuery("other", "BEGIN")};
  for (int i = 0; i < 1000; ++i) {
    events.push_back(MakeTableMap(9, "other", absl::StrCat("t", i), 2));
  }
  events.push_back(MakeXid());
  const auto transaction = Build(events);
  EXPECT_TRUE(transaction->Touches(Shop()));
  EXPECT_LT(transaction->tables.size(), 1000);
}

TEST(TailTransactionTest, StatementsThatFillItAreForNobodyHere) {
  Events events = {MakeGtid(7), MakeQuery("other", "BEGIN")};
  for (int i = 0; i < 100; ++i) {
    events.push_back(MakeQuery("other", absl::StrCat("DELETE FROM t WHERE id = ", i)));
  }
  events.push_back(MakeXid());
  const auto transaction = Build(events, 1000);
  EXPECT_FALSE(transaction->kept);
  EXPECT_TRUE(transaction->Touches(Shop()));
  EXPECT_LT(transaction->Bytes(), 4000);
}

TEST(TailTransactionTest, OneThatBreaksOffIsNone) {
  Events events = OfTable("shop", "customer");
  events.pop_back();
  for (const std::string& event : OfTable("shop", "another")) {
    events.push_back(event);
  }
  const auto transaction = Build(events);
  EXPECT_EQ(transaction->tables.size(), 1);
  EXPECT_FALSE(transaction->Touches(Shop()));
}

TEST(TailTransactionTest, AMarkerIsUrgentForItsOwnDatabaseOnly) {
  const auto marker = [](const std::string& name) {
    TailTransaction transaction;
    transaction.tables.emplace("_sluice", "marker");
    transaction.events = absl::StrCat("\x05", name);
    return transaction;
  };
  EXPECT_TRUE(marker("m1@shop").IsUrgentFor(Shop()));
  EXPECT_FALSE(marker("m1@other").IsUrgentFor(Shop()));
  EXPECT_TRUE(marker("m1@other").Touches(Shop()));
  EXPECT_TRUE(marker("m1").IsUrgentFor(Shop()));  // for all
  EXPECT_TRUE(Build(OfTable("shop", "customer"))->IsUrgentFor(Shop()));
  EXPECT_FALSE(Build(OfTable("shop", "another"))->IsUrgentFor(Shop()));
}

TEST(TailTransactionTest, WhatNoStreamCanFollowIsAnError) {
  TailTransactionBuilder builder(1000);
  EXPECT_FALSE(builder.Feed(MakeEvent(EventType::kAnonymousGtid, std::string(42, '\0'))).ok());
  EXPECT_FALSE(builder.Feed(MakeEvent(26, "")).ok());  // INCIDENT
  EXPECT_FALSE(builder.Feed("short").ok());
}

}  // namespace
}  // namespace sluice::source
