// A stream's options between two real mysqlds: keys that are put off, time zones.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <random>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "tests/agent/target/options_world.h"

namespace sluice::testing {
namespace {

using schemas::StreamAction;
using schemas::StreamState;
using ::testing::HasSubstr;

constexpr uint64_t kStream = 9;

std::string KeysOf(StreamWorld& world, const std::string& table) {
  return Scalar(world.target_mysqld(),
                absl::StrCat("SELECT GROUP_CONCAT(DISTINCT INDEX_NAME ORDER BY INDEX_NAME) FROM "
                             "information_schema.STATISTICS WHERE TABLE_SCHEMA = 'vt_target' AND "
                             "TABLE_NAME = '",
                             table, "'"));
}

std::string Owed(StreamWorld& world) {
  return Scalar(world.target_mysqld(), "SELECT COUNT(*) FROM _sluice.deferred_key");
}

constexpr char kKeyed[] =
    "keyed (id INT PRIMARY KEY, a INT NOT NULL, b VARCHAR(40), c INT, UNIQUE KEY u (a), "
    "KEY by_b (b(10)), KEY by_c_b (c DESC, b) COMMENT 'two', KEY by_c (c) INVISIBLE)";
constexpr char kAllKeys[] = "by_b,by_c,by_c_b,PRIMARY,u";

std::string ChangeKeyed(std::mt19937& random) {
  const auto id = random() % 20000;
  switch (random() % 3) {
    case 0:
      return absl::StrCat("DELETE FROM keyed WHERE id = ", id);
    case 1:
      return absl::StrCat("UPDATE keyed SET c = c + 1, b = CONCAT('x', ", id, ") WHERE id = ", id);
    default:
      return absl::StrCat("REPLACE INTO keyed VALUES (", id, ", ", id, ", 'new', ", id % 7, ")");
  }
}

target::StreamSpec Deferring(std::vector<std::string> tables) {
  target::StreamSpec spec = StreamWorld::Spec(kStream, std::move(tables));
  spec.options.defer_secondary_keys = stream::DeferKeys::kAlways;
  return spec;
}

TEST(DeferredKeysTest, StandAgainAfterTheCopyWhileTheSourceIsWritten) {
  const auto world = StreamWorld::Start(SmallTuning());
  ASSERT_NE(world, nullptr);
  world->CreateTable(kKeyed);
  FillTable(*world, "keyed", "i, i, CONCAT('b', i), i % 100", 20000);
  Writer writer(world->source_mysqld(), ChangeKeyed);
  ASSERT_TRUE(world->Create(Deferring({"keyed"})).ok());
  world->AwaitStatus(kStream, [](const SeenStatus& status) { return status.rows_copied > 0; });
  world->AwaitState(kStream, StreamState::RUNNING);
  EXPECT_GT(writer.End(), 0);
  EXPECT_EQ(KeysOf(*world, "keyed"), kAllKeys);
  EXPECT_EQ(Owed(*world), "0");
  world->Drain(kStream);
  world->ExpectSame("keyed");
  const std::string created =
      "SELECT GROUP_CONCAT(INDEX_NAME, COLUMN_NAME, COALESCE(SUB_PART, ''), COLLATION, IS_VISIBLE, "
      "INDEX_COMMENT ORDER BY INDEX_NAME, SEQ_IN_INDEX) FROM information_schema.STATISTICS WHERE "
      "TABLE_NAME = 'keyed'";
  EXPECT_EQ(Scalar(world->source_mysqld(), created), Scalar(world->target_mysqld(), created));
}

TEST(DeferredKeysTest, AreOwedDurablyUntilTheyStandAndAStreamThatOwesThemIsNotRunning) {
  const auto world = StreamWorld::Start(SmallTuning());
  ASSERT_NE(world, nullptr);
  world->CreateTable(kKeyed);
  FillTable(*world, "keyed", "i, i, CONCAT('b', i), i % 100", 60000);
  ASSERT_TRUE(world->Create(Deferring({"keyed"})).ok());
  AwaitTrue(*world, "SELECT COUNT(*) > 0 FROM vt_target.keyed");
  EXPECT_EQ(KeysOf(*world, "keyed"), "PRIMARY,u");
  // Who has read the table stands in the way of an ALTER.
  const auto reader = ConnectTo(world->target_mysqld(), kTargetDatabase);
  ASSERT_TRUE(reader->Execute("START TRANSACTION").ok());
  ASSERT_TRUE(reader->Execute("SELECT * FROM keyed LIMIT 1").ok());
  const SeenStatus owing = world->AwaitStatus(kStream, [](const SeenStatus& status) {
    return status.state == StreamState::RUNNING ||
           absl::StrContains(status.message, "adding keys to keyed: by_b, by_c_b, by_c");
  });
  EXPECT_EQ(owing.state, StreamState::COPYING);
  EXPECT_EQ(Owed(*world), "3");
  world->StopTarget();
  EXPECT_EQ(Owed(*world), "3");
  EXPECT_EQ(KeysOf(*world, "keyed"), "PRIMARY,u");
  world->StartTarget();
  ASSERT_TRUE(reader->Execute("COMMIT").ok());
  world->AwaitState(kStream, StreamState::RUNNING);
  EXPECT_EQ(KeysOf(*world, "keyed"), kAllKeys);
  EXPECT_EQ(Owed(*world), "0");
}

TEST(DeferredKeysTest, RestartsAtAnyTimeLeaveNoKeyOut) {
  const auto world = StreamWorld::Start(SmallTuning());
  ASSERT_NE(world, nullptr);
  world->CreateTable(kKeyed);
  FillTable(*world, "keyed", "i, i, CONCAT('b', i), i % 100", 20000);
  Writer writer(world->source_mysqld(), ChangeKeyed);
  ASSERT_TRUE(world->Create(Deferring({"keyed"})).ok());
  std::mt19937 random(11);
  for (int restarts = 0; restarts < 12; ++restarts) {
    absl::SleepFor(absl::Milliseconds(random() % 120));  // Delay: the agent ends at any time
    world->StopTarget();
    world->StartTarget();
  }
  world->AwaitState(kStream, StreamState::RUNNING);
  EXPECT_EQ(KeysOf(*world, "keyed"), kAllKeys);
  EXPECT_EQ(Owed(*world), "0");
  writer.End();
  world->Drain(kStream);
  world->ExpectSame("keyed");
}

TEST(DeferredKeysTest, ASessionThatIsAtItIsWaitedForAndAnIdleOneIsEnded) {
  const auto world = StreamWorld::Start(SmallTuning());
  ASSERT_NE(world, nullptr);
  world->CreateTable(kKeyed);
  FillTable(*world, "keyed", "i, i, CONCAT('b', i), i % 100", 500);
  ASSERT_TRUE(world->Create(Deferring({"keyed"}), /*start=*/false).ok());
  const auto idle = ConnectTo(world->target_mysqld(), "");
  ASSERT_TRUE(idle->Execute("SELECT GET_LOCK('_sluice_keys_9', 1)").ok());
  ASSERT_TRUE(world->Control(kStream, StreamAction::START, 1).ok());
  world->AwaitState(kStream, StreamState::RUNNING);
  EXPECT_FALSE(idle->Execute("SELECT 1").ok()) << "what it was about to do must not come later";

  world->CreateTable("other (id INT PRIMARY KEY, c INT, KEY by_c (c))");
  FillTable(*world, "other", "i, i", 500);
  target::StreamSpec spec = Deferring({"other"});
  spec.id = 10;
  const auto busy = ConnectTo(world->target_mysqld(), "");
  {
    const std::jthread altering([&] {
      EXPECT_TRUE(busy->Execute("SELECT GET_LOCK('_sluice_keys_10', 1), SLEEP(3), "
                                "RELEASE_LOCK('_sluice_keys_10')")
                      .ok());
    });
    AwaitTrue(*world, "SELECT IS_USED_LOCK('_sluice_keys_10') IS NOT NULL");
    ASSERT_TRUE(world->Create(spec).ok());
    world->AwaitState(10, StreamState::RUNNING);
  }
  EXPECT_EQ(KeysOf(*world, "other"), "by_c,PRIMARY");
}

TEST(DeferredKeysTest, SmallTablesKeepTheirsAndADeletedStreamOwesNothing) {
  const auto world = StreamWorld::Start(SmallTuning());
  ASSERT_NE(world, nullptr);
  world->CreateTable(kKeyed);
  FillTable(*world, "keyed", "i, i, CONCAT('b', i), i % 100", 500);
  ASSERT_TRUE(world->Create(StreamWorld::Spec(kStream, {"keyed"})).ok());
  world->AwaitState(kStream, StreamState::RUNNING);
  EXPECT_EQ(Scalar(world->target_mysqld(),
                   "SELECT COUNT(*) FROM performance_schema."
                   "events_statements_summary_by_digest WHERE DIGEST_TEXT "
                   "LIKE 'ALTER TABLE%'"),
            "0");
  world->OnTarget(
      {"INSERT INTO _sluice.deferred_key VALUES (9, 'keyed', 'k', 0, 'KEY `k` (`c`)')"});
  ASSERT_TRUE(world->Control(kStream, StreamAction::DELETE, 1).ok());
  EXPECT_EQ(Owed(*world), "0");
}

// --- time zones

target::StreamSpec Converting(const std::string& from, const std::string& to) {
  target::StreamSpec spec = StreamWorld::Spec(kStream, {"times"});
  spec.options.source_time_zone = from;
  spec.options.target_time_zone = to;
  return spec;
}

void ExpectTimes(StreamWorld& world, const std::string& expected) {
  EXPECT_EQ(Scalar(world.target_mysqld(),
                   "SELECT GROUP_CONCAT(id, '=', COALESCE(d, 'NULL') ORDER BY id SEPARATOR ' ') "
                   "FROM vt_target.times"),
            expected);
}

TEST(TimeZoneTest, DatetimesAreConvertedByCopyAndBinlogAlikeAndTimestampsAreNot) {
  const auto world = StreamWorld::Start(SmallTuning());
  ASSERT_NE(world, nullptr);
  world->CreateTable("times (id INT PRIMARY KEY, d DATETIME(3), t TIMESTAMP)");
  world->OnSource(
      {"SET SESSION sql_mode = ''",
       "INSERT INTO times VALUES (1, '2024-01-01 01:30:00.125', '2024-01-01 01:30:00'), "
       "(2, NULL, NULL), (3, '0000-00-00', NULL), (4, '2024-00-10', NULL), "
       "(5, '1950-06-01 12:00:00', NULL)",
       "SET SESSION sql_mode = 'ALLOW_INVALID_DATES'",
       "INSERT INTO times VALUES (8, '2024-04-31 01:00:00', NULL)"});
  ASSERT_TRUE(world->Create(Converting("+02:00", "UTC")).ok());
  world->AwaitState(kStream, StreamState::RUNNING);
  ExpectTimes(*world,
              "1=2023-12-31 23:30:00.125 2=NULL 3=0000-00-00 00:00:00.000 "
              "4=2024-00-10 00:00:00.000 5=1950-06-01 12:00:00.000 8=2024-04-31 01:00:00.000");
  EXPECT_EQ(Scalar(world->target_mysqld(),
                   "SELECT COUNT(*) FROM vt_target.times WHERE "
                   "UNIX_TIMESTAMP(t) = 0"),
            "0");
  const std::string stamp = "SELECT UNIX_TIMESTAMP(t) FROM ";
  EXPECT_EQ(Scalar(world->source_mysqld(), stamp + "vt_source.times WHERE id = 1"),
            Scalar(world->target_mysqld(), stamp + "vt_target.times WHERE id = 1"));
  world->OnSource(
      {"SET SESSION sql_mode = ''", "UPDATE times SET d = '2024-07-01 00:00:00' WHERE id = 1",
       "INSERT INTO times VALUES (6, '2024-03-01 00:00:00.001', NULL), (7, '0000-00-00', "
       "NULL)",
       "DELETE FROM times WHERE id IN (2, 3, 4)", "SET SESSION sql_mode = 'ALLOW_INVALID_DATES'",
       "UPDATE times SET d = '2024-06-31 01:00:00' WHERE id = 8"});
  world->Drain(kStream);
  ExpectTimes(*world,
              "1=2024-06-30 22:00:00.000 5=1950-06-01 12:00:00.000 6=2024-02-29 22:00:00.001 "
              "7=0000-00-00 00:00:00.000 8=2024-06-31 01:00:00.000");
}

TEST(TimeZoneTest, TheWayBackConvertsBackAndRowsWithoutAKeyAreFoundByTheirConvertedImage) {
  const auto world = StreamWorld::Start(SmallTuning());
  ASSERT_NE(world, nullptr);
  world->CreateTable("times (id INT, d DATETIME)");
  world->OnSource(
      {"INSERT INTO times VALUES (1, '2023-12-31 23:30:00'), (1, '2023-12-31 23:30:00')"});
  target::StreamSpec spec = Converting("UTC", "+02:00");
  spec.options.allow_no_key = true;
  ASSERT_TRUE(world->Create(spec).ok());
  world->AwaitState(kStream, StreamState::RUNNING);
  ExpectTimes(*world, "1=2024-01-01 01:30:00 1=2024-01-01 01:30:00");
  world->OnSource({"UPDATE times SET id = 2, d = '2024-01-01 00:00:00' LIMIT 1"});
  world->Drain(kStream);
  ExpectTimes(*world, "1=2024-01-01 01:30:00 2=2024-01-01 02:00:00");
}

TEST(TimeZoneTest, AKeyOfDatetimesIsConvertedBetweenFixedOffsets) {
  const auto world = StreamWorld::Start(SmallTuning());
  ASSERT_NE(world, nullptr);
  world->CreateTable("times (d DATETIME(3), n INT, id INT, PRIMARY KEY (d, n))");
  FillTable(*world, "times", "TIMESTAMPADD(MICROSECOND, i * 500000, '2024-01-01'), i % 2, i", 2000);
  ASSERT_TRUE(world->Create(Converting("-05:30", "UTC")).ok());
  world->AwaitState(kStream, StreamState::RUNNING);
  world->OnSource({"DELETE FROM times WHERE id % 3 = 0",
                   "UPDATE times SET d = TIMESTAMPADD(YEAR, 1, d) WHERE id % 3 = 1"});
  world->Drain(kStream);
  const std::string sum =
      "SELECT CONCAT(COUNT(*), ' ', SUM(id), ' ', SUM(CAST(UNIX_TIMESTAMP(d) AS SIGNED)), ' ', "
      "MIN(MICROSECOND(d))) FROM ";
  EXPECT_EQ(Scalar(world->target_mysqld(), sum + "vt_target.times"),
            Scalar(world->source_mysqld(),
                   sum + "(SELECT id, TIMESTAMPADD(MINUTE, 330, d) AS d FROM vt_source.times) t"));
}

TEST(TimeZoneTest, AZoneThatTheServerDoesNotKnowIsRefusedByName) {
  const auto world = StreamWorld::Start(SmallTuning());
  ASSERT_NE(world, nullptr);
  world->CreateTable("times (id INT PRIMARY KEY, d DATETIME)");
  ASSERT_TRUE(world->Create(Converting("Middle/Earth", "UTC")).ok());
  const SeenStatus status = world->AwaitState(kStream, StreamState::ERROR);
  EXPECT_THAT(status.message, HasSubstr("time zone Middle/Earth is not known to the mysqld"));
}

}  // namespace
}  // namespace sluice::testing
