// Tests of the tail against a mysqld: sessions that share a dump, leave it and come back.

#include "agent/source/binlog_tail.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <fstream>
#include <memory>
#include <numeric>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "absl/strings/str_cat.h"
#include "tests/agent/source/tail_world.h"
#include "tests/testing/temp_dir.h"

namespace sluice::source {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using Readers = std::vector<std::unique_ptr<TailReader>>;

std::string Insert(size_t database, uint32_t first, uint32_t count = 1) {
  std::string statement = absl::StrCat("INSERT INTO s", database, ".t VALUES (", first, ")");
  for (uint32_t i = 1; i < count; ++i) {
    absl::StrAppend(&statement, ",(", first + i, ")");
  }
  return statement;
}

std::vector<uint32_t> UpTo(uint32_t last) {
  std::vector<uint32_t> ids(last);
  std::iota(ids.begin(), ids.end(), 1);
  return ids;
}

class BinlogTailTest : public ::testing::Test {
 protected:
  void Start(const TailWorldOptions& options) {
    world_ = TailWorld::Start(options);
    ASSERT_NE(world_, nullptr);
  }

  void TearDown() override { readers_.clear(); }

  void ReadAll(size_t databases) {
    const gtid::GtidSet position = world_->Executed();
    for (size_t i = 0; i < databases; ++i) {
      readers_.push_back(world_->Read(i, position));
    }
  }

  void AwaitJoined(size_t sessions) {
    TailWorld::Await("all read at the tail", [&] { return world_->tail().joined() == sessions; });
  }

  std::unique_ptr<TailWorld> world_;
  Readers readers_;
};

TEST_F(BinlogTailTest, AllSessionsReadByOneDump) {
  constexpr size_t kDatabases = 12;
  Start({.databases = kDatabases});
  ReadAll(kDatabases);
  AwaitJoined(kDatabases);
  EXPECT_EQ(world_->Dumps(), 1);
  for (uint32_t id = 1; id <= 20; ++id) {
    for (size_t i = 0; i < kDatabases; ++i) {
      world_->On({Insert(i, id)});
    }
  }
  for (const auto& reader : readers_) {
    world_->AwaitRead(*reader);
    EXPECT_EQ(reader->ids(), UpTo(20));
  }
  EXPECT_EQ(world_->Dumps(), 1);
  EXPECT_EQ(world_->DumpsEnded(), 0);
  TailWorld::Await("all know that nothing follows", [&] {
    return std::all_of(readers_.begin(), readers_.end(),
                       [](const auto& reader) { return reader->caught_up(); });
  });
}

TEST_F(BinlogTailTest, TheDumpEndsSomeTimeAfterTheLastSession) {
  Start({.linger = absl::Milliseconds(1)});
  EXPECT_EQ(world_->Dumps(), 0);
  ReadAll(2);
  AwaitJoined(2);
  readers_.clear();
  TailWorld::Await("the dump has ended", [&] { return world_->Dumps() == 0; });
  world_->On({Insert(0, 1)});
  const gtid::GtidSet position = world_->Executed();
  world_->On({Insert(0, 2)});
  readers_.push_back(world_->Read(0, position));
  world_->AwaitRead(*readers_[0]);
  EXPECT_THAT(readers_[0]->ids(), ElementsAre(2));
}

TEST_F(BinlogTailTest, WhoComesBackBeginsWithinTheWindow) {
  Start({});
  ReadAll(1);
  AwaitJoined(1);
  const gtid::GtidSet position = readers_[0]->position();
  for (uint32_t id = 1; id <= 50; ++id) {
    world_->On({Insert(1, id)});
  }
  readers_.push_back(world_->Read(1, position));
  world_->AwaitRead(*readers_[1]);
  EXPECT_EQ(readers_[1]->ids(), UpTo(50));
  EXPECT_EQ(world_->Dumps(), 1);
  EXPECT_EQ(world_->DumpsEnded(), 0);
}

TEST_F(BinlogTailTest, WhoIsFartherBehindReadsAloneAndJoins) {
  Start({});
  const gtid::GtidSet position = world_->Executed();
  world_->On({Insert(0, 1)});
  ReadAll(2);  // the tail begins there
  AwaitJoined(2);
  world_->On({Insert(0, 2)});
  const auto late = world_->Read(0, position);
  world_->AwaitRead(*late);
  AwaitJoined(3);
  world_->On({Insert(0, 3)});
  world_->AwaitRead(*late);
  EXPECT_EQ(late->ids(), UpTo(3));
  EXPECT_EQ(late->transactions().size(), 3);
  TailWorld::Await("its own dump has ended", [&] { return world_->Dumps() == 1; });
}

TEST_F(BinlogTailTest, EveryKindOfTransactionComesThrough) {
  Start({});
  ReadAll(2);
  AwaitJoined(2);
  world_->On({"SET SESSION binlog_transaction_compression = ON",
              Insert(0, 1),
              Insert(1, 1, 50),
              "SET SESSION binlog_transaction_compression = OFF",
              "FLUSH BINARY LOGS",
              "SET gtid_next = 'AUTOMATIC:some_tag'",
              Insert(0, 2),
              "SET gtid_next = 'AUTOMATIC'",
              "SET GLOBAL binlog_checksum = NONE",
              Insert(0, 3),
              "SET GLOBAL binlog_checksum = CRC32",
              "XA START 'x'",
              Insert(0, 4),
              "XA END 'x'",
              "XA PREPARE 'x'",
              "XA COMMIT 'x'",
              "CREATE TABLE s0.u (a INT)",
              "BEGIN",
              Insert(0, 5),
              "SAVEPOINT a",
              Insert(0, 7),
              "ROLLBACK TO a",
              Insert(1, 60),
              Insert(0, 6),
              "COMMIT"});
  for (const auto& reader : readers_) {
    world_->AwaitRead(*reader);
  }
  EXPECT_EQ(readers_[0]->ids(), UpTo(6));
  EXPECT_EQ(readers_[1]->ids().size(), 51);
  EXPECT_EQ(readers_[0]->transactions(), readers_[1]->transactions());
  EXPECT_EQ(world_->DumpsEnded(), 0);
}

TEST_F(BinlogTailTest, WhoIsTooSlowLeavesAndComesBackAndLosesNothing) {
  constexpr uint32_t kRows = 3000;
  Start({.databases = 3, .window_bytes_max = 100'000, .queue_bytes_max = 20'000});
  ReadAll(3);
  AwaitJoined(3);
  readers_[0]->Pause(true);
  for (uint32_t id = 1; id <= kRows; ++id) {
    world_->On({Insert(0, id)});
    if (id == kRows / 2) {
      readers_[0]->Pause(false);
    }
  }
  world_->AwaitRead(*readers_[0]);
  EXPECT_EQ(readers_[0]->ids(), UpTo(kRows));
  EXPECT_GE(world_->Dumps() + world_->DumpsEnded(), 2);  // it has read alone
  world_->On({Insert(0, kRows + 1)});
  AwaitJoined(3);
  world_->AwaitRead(*readers_[0]);
  EXPECT_EQ(readers_[0]->ids(), UpTo(kRows + 1));
  EXPECT_THAT(readers_[1]->ids(), IsEmpty());
}

// Writers without a pause; readers that pause, end and begin again where they were.
TEST_F(BinlogTailTest, UnderLoadEveryRowComesOnceWhateverTheReadersDo) {
  constexpr size_t kDatabases = 4;
  Start({.databases = kDatabases, .window_bytes_max = 150'000, .queue_bytes_max = 30'000});
  ReadAll(kDatabases);
  std::vector<std::vector<uint32_t>> ids(kDatabases);
  std::atomic<bool> over = false;
  std::vector<uint32_t> written(kDatabases, 0);
  std::vector<std::thread> writers;
  for (size_t i = 0; i < kDatabases; ++i) {
    writers.emplace_back([&, i] {
      const auto connection = world_->Connect();
      while (!over) {
        // Now and then one that is too large to be kept.
        const uint32_t count = written[i] % 500 == 499 ? 9001 : 1;
        EXPECT_TRUE(connection->Execute(Insert(i, written[i] + 1, count)).ok());
        written[i] += count;
      }
    });
  }
  std::mt19937 random(1);
  const absl::Time end = absl::Now() + absl::Seconds(15);
  while (absl::Now() < end) {
    const size_t i = random() % kDatabases;
    if (random() % 3 == 0) {
      readers_[i]->Stop();
      const std::vector<uint32_t> read = readers_[i]->ids();
      ids[i].insert(ids[i].end(), read.begin(), read.end());
      readers_[i] = world_->Read(i, readers_[i]->position());
    } else {
      readers_[i]->Pause(random() % 2 == 0);
    }
    absl::SleepFor(absl::Milliseconds(random() % 300));  // Delay: lets the load go on
  }
  over = true;
  for (std::thread& writer : writers) {
    writer.join();
  }
  for (size_t i = 0; i < kDatabases; ++i) {
    readers_[i]->Pause(false);
    world_->AwaitRead(*readers_[i]);
    const std::vector<uint32_t> read = readers_[i]->ids();
    ids[i].insert(ids[i].end(), read.begin(), read.end());
    EXPECT_GT(written[i], 500);
    EXPECT_TRUE(ids[i] == UpTo(written[i])) << i << ": " << ids[i].size() << " " << written[i];
  }
  EXPECT_GT(world_->DumpsEnded(), 5);
  for (size_t i = 0; i < kDatabases; ++i) {
    world_->On({Insert(i, written[i] + 1)});
  }
  AwaitJoined(kDatabases);
  TailWorld::Await("one dump is left", [&] { return world_->Dumps() == 1; });
}

TEST_F(BinlogTailTest, OnlyWhoWantsALargeTransactionReadsItAlone) {
  constexpr uint32_t kRows = 200'000;  // a MiB
  Start({.databases = 4});
  ReadAll(4);
  AwaitJoined(4);
  world_->On({Insert(0, 1, kRows), Insert(0, kRows + 1), Insert(1, 1)});
  for (const auto& reader : readers_) {
    world_->AwaitRead(*reader);
  }
  EXPECT_EQ(readers_[0]->ids(), UpTo(kRows + 1));
  EXPECT_THAT(readers_[1]->ids(), ElementsAre(1));
  AwaitJoined(4);
  TailWorld::Await("its own dump has ended", [&] { return world_->Dumps() == 1; });
  EXPECT_EQ(world_->DumpsEnded(), 1);
}

TEST_F(BinlogTailTest, ALostConnectionEndsTheSessionsBehindWhatWasRead) {
  Start({});
  ReadAll(3);
  AwaitJoined(3);
  world_->On({Insert(0, 1)});
  for (const auto& reader : readers_) {
    world_->AwaitRead(*reader);
  }
  world_->On({absl::StrCat("KILL ", world_->Ask("SELECT PROCESSLIST_ID FROM "
                                                "performance_schema.threads WHERE "
                                                "PROCESSLIST_COMMAND = 'Binlog Dump GTID'"))});
  for (size_t i = 0; i < 3; ++i) {
    TailWorld::Await("its end", [&] { return !readers_[i]->end().ok(); });
    EXPECT_TRUE(absl::IsUnavailable(readers_[i]->end())) << readers_[i]->end();
  }
  world_->On({Insert(0, 2)});
  for (size_t i = 0; i < 3; ++i) {
    readers_[i] = world_->Read(i, readers_[i]->position());
  }
  world_->On({Insert(0, 3)});
  for (const auto& reader : readers_) {
    world_->AwaitRead(*reader);
  }
  EXPECT_THAT(readers_[0]->ids(), ElementsAre(2, 3));
  AwaitJoined(3);
  TailWorld::Await("one dump is left", [&] { return world_->Dumps() == 1; });
}

// A stream that has lost the part of an XA transaction has a gap there, wherever else it is.
TEST_F(BinlogTailTest, APreparedTransactionComesAgainToWhoLacksIt) {
  Start({});
  ReadAll(1);
  AwaitJoined(1);
  const gtid::GtidSet before = world_->Executed();
  world_->On({"XA START 'x'", Insert(0, 1), "XA END 'x'", "XA PREPARE 'x'"});
  gtid::GtidSet prepared = world_->Executed();
  prepared.Subtract(before);
  ASSERT_EQ(prepared.Count(), 1);
  const auto other = world_->Connect();
  ASSERT_TRUE(other->Execute(Insert(0, 2)).ok());
  world_->AwaitRead(*readers_[0]);
  EXPECT_EQ(readers_[0]->ids(), UpTo(2));

  readers_.clear();
  gtid::GtidSet position = world_->Executed();
  position.Subtract(prepared);
  readers_.push_back(world_->Read(0, position));
  world_->AwaitRead(*readers_[0]);
  EXPECT_THAT(readers_[0]->ids(), ElementsAre(1));
  AwaitJoined(1);
  ASSERT_TRUE(other->Execute("XA COMMIT 'x'").ok());
  ASSERT_TRUE(other->Execute(Insert(0, 3)).ok());
  world_->AwaitRead(*readers_[0]);
  EXPECT_THAT(readers_[0]->ids(), ElementsAre(1, 3));
}

TEST_F(BinlogTailTest, PurgedBinlogsConcernOnlyWhoNeedsThem) {
  Start({});
  const gtid::GtidSet position = world_->Executed();
  world_->On({Insert(0, 1), "FLUSH BINARY LOGS"});
  const std::string log = world_->Ask(
      "SELECT SUBSTRING_INDEX(FILE_NAME, '/', -1) FROM performance_schema.file_instances WHERE "
      "EVENT_NAME = 'wait/io/file/sql/binlog' ORDER BY FILE_NAME DESC LIMIT 1");
  world_->On({absl::StrCat("PURGE BINARY LOGS TO '", log, "'")});
  ReadAll(2);
  AwaitJoined(2);
  const auto late = world_->Read(0, position);
  TailWorld::Await("its end", [&] { return !late->end().ok(); });
  EXPECT_TRUE(absl::IsDataLoss(late->end())) << late->end();
  EXPECT_THAT(std::string(late->end().message()), HasSubstr("create it anew"));
  world_->On({Insert(0, 2)});
  world_->AwaitRead(*readers_[0]);
  EXPECT_THAT(readers_[0]->ids(), ElementsAre(2));
}

TEST_F(BinlogTailTest, WhatCannotBeFollowedIsToldToEachSessionBehindWhatCameBefore) {
  const testing::TempDir directory;
  const std::string file = absl::StrCat(directory.path(), "/rows");
  std::ofstream(file) << "7\n8\n";
  Start({.mysqld = {"--secure-file-priv="}});
  ReadAll(3);
  AwaitJoined(3);
  world_->On({Insert(0, 1), "SET SESSION binlog_format = STATEMENT",
              absl::StrCat("LOAD DATA INFILE '", file, "' INTO TABLE s1.t")});
  for (const auto& reader : readers_) {
    TailWorld::Await("its end", [&] { return !reader->end().ok(); });
    EXPECT_TRUE(absl::IsFailedPrecondition(reader->end())) << reader->end();
    EXPECT_THAT(std::string(reader->end().message()), HasSubstr("LOAD DATA"));
    EXPECT_EQ(reader->transactions().size(), 1);
  }
  EXPECT_THAT(readers_[0]->ids(), ElementsAre(1));
}

}  // namespace
}  // namespace sluice::source
