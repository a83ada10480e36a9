// Gates of many databases of one real mysqld, changed at once: in how many statements, and whose
// failure is whose.

#include <gmock/gmock.h>

#include <algorithm>
#include <atomic>
#include <iostream>
#include <map>
#include <thread>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "common/base/status.h"
#include "tests/agent/gate/gate_fixture.h"

namespace sluice::gate {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

using Outcomes = std::vector<absl::StatusOr<GateOutcome>>;

class GateBatchesTest : public GateFixture {
 protected:
  void SetUp() override {
    GateFixture::SetUp();
    Root("SET SESSION group_concat_max_len = 1000000");
  }

  static std::vector<GateChange> All(size_t count, State wanted, uint64_t epoch) {
    std::vector<GateChange> changes;
    for (size_t i = 0; i < count; ++i) {
      changes.push_back(Shard(i, wanted, epoch));
    }
    return changes;
  }

  // A transaction that uses a table of the shard, till it is told to end.
  std::unique_ptr<mysql::Connection> Hold(size_t shard) {
    auto app = App();
    EXPECT_TRUE(app->Execute("BEGIN").ok());
    EXPECT_TRUE(
        app->Execute(absl::StrCat("INSERT INTO vt_s", shard, ".corder (customer_id) VALUES (1)"))
            .ok());
    return app;
  }

  // Asks for the first gate, whose rename waits for a transaction, then for the others; ends the
  // transaction when they have all asked. So all but the first are one batch.
  Outcomes SetBehindTheFirst(const std::vector<GateChange>& changes, const std::string& table) {
    const auto holder = App();
    EXPECT_TRUE(holder->Execute("BEGIN").ok());
    EXPECT_TRUE(holder->Query(absl::StrCat("SELECT COUNT(*) FROM vt_s0.", table)).ok());
    std::jthread releasing;
    const Outcomes outcomes = SetAll(*keeper_, changes, [&] {
      AwaitRename();
      releasing = std::jthread([&] {
        // Delay: nothing says from outside that all of the others are in the queue.
        absl::SleepFor(absl::Milliseconds(300));
        EXPECT_TRUE(holder->Execute("COMMIT").ok());
      });
    });
    return outcomes;
  }

  // Until a rename of the database's tables has begun; on a session of its own, for any thread.
  void AwaitRename(const std::string& database = "vt_s0") {
    auto session = mysql::Connection::Connect(mysqld_->Root());
    ASSERT_TRUE(session.ok()) << session.status();
    const std::string begun =
        absl::StrCat("SELECT COUNT(*) FROM information_schema.PROCESSLIST WHERE INFO LIKE 'RENAME%",
                     database, "%'");
    for (const absl::Time until = Soon(); absl::Now() < until;) {
      const auto count = (*session)->QueryScalar(begun);
      ASSERT_TRUE(count.ok()) << count.status();
      if (*count != "0") {
        return;
      }
    }
  }

  std::map<std::string, int64_t> Status() {
    std::map<std::string, int64_t> status;
    const auto result = root_->Query(
        "SHOW GLOBAL STATUS WHERE Variable_name IN ('Com_rename_table', 'Questions',"
        " 'Innodb_os_log_fsyncs', 'Innodb_data_fsyncs')");
    EXPECT_TRUE(result.ok()) << result.status();
    for (const mysql::Row& row : result->rows) {
      EXPECT_TRUE(absl::SimpleAtoi(*row[1], &status[*row[0]]));
    }
    return status;
  }

  // Does the work and says what it cost mysqld.
  template <typename Work>
  std::map<std::string, int64_t> CostOf(const std::string& name, Work work) {
    const auto before = Status();
    const absl::Time began = absl::Now();
    work();
    const absl::Duration took = absl::Now() - began;
    auto cost = Status();
    std::cout << name << ": " << absl::FormatDuration(took);
    for (auto& [key, value] : cost) {
      value -= before.at(key);
      std::cout << ", " << key << " " << value;
    }
    std::cout << "\n";
    return cost;
  }

  std::string ClosedShards() {
    return Scalar(
        "SELECT COUNT(DISTINCT TABLE_SCHEMA) FROM information_schema.TABLES WHERE TABLE_SCHEMA LIKE"
        " 'vt\\_s%' AND TABLE_NAME = '_sluice_closed_corder'");
  }

  std::string Recorded(const std::string& state, uint64_t epoch) {
    return Scalar(absl::StrCat("SELECT COUNT(*) FROM _sluice.gate WHERE state = '", state,
                               "' AND connection_id = 0 AND epoch = ", epoch));
  }
};

void ExpectAllOk(const Outcomes& outcomes) {
  for (size_t i = 0; i < outcomes.size(); ++i) {
    EXPECT_TRUE(outcomes[i].ok()) << i << ": " << outcomes[i].status();
  }
}

TEST_F(GateBatchesTest, ManyDatabasesAreClosedAndOpenedInAFewStatements) {
  constexpr size_t kGates = 64;
  MakeShards(kGates);
  Outcomes closed;
  const auto closing = CostOf(
      "close 64", [&] { closed = SetBehindTheFirst(All(kGates, State::kClosed, 1), "corder"); });
  ExpectAllOk(closed);
  EXPECT_LE(closing.at("Com_rename_table"), 4);
  EXPECT_EQ(ClosedShards(), "64");
  EXPECT_EQ(Recorded("closed", 1), "64");
  EXPECT_EQ(Scalar("SELECT COUNT(*) FROM _sluice.marker WHERE marker_id LIKE 'm1@vt\\_s%'"), "64");
  const std::string executed = Scalar("SELECT @@GLOBAL.gtid_executed");
  for (const auto& outcome : closed) {
    EXPECT_EQ(outcome->state, State::kClosed);
    EXPECT_EQ(Scalar(absl::StrCat("SELECT GTID_SUBSET('", outcome->gtid_executed, "', '", executed,
                                  "')")),
              "1");
  }
  Outcomes opened;
  const auto opening = CostOf("open 64", [&] {
    opened = SetBehindTheFirst(All(kGates, State::kOpen, 2), "_sluice_closed_corder");
  });
  ExpectAllOk(opened);
  EXPECT_LE(opening.at("Com_rename_table"), 4);
  EXPECT_EQ(ClosedShards(), "0");
  EXPECT_EQ(Recorded("open", 2), "64");
  EXPECT_EQ(Scalar("SELECT COUNT(*) FROM _sluice.journal WHERE cutover_id = 'cutover2'"), "1");
}

TEST_F(GateBatchesTest, OneGateCostsNoMoreThanItMust) {
  MakeShards(1);
  // The sessions stand already.
  ASSERT_TRUE(keeper_->Set(Shard(0, State::kClosed, 1), Soon()).ok());
  ASSERT_TRUE(keeper_->Set(Shard(0, State::kOpen, 2), Soon()).ok());
  const auto closing = CostOf(
      "close 1", [&] { ASSERT_TRUE(keeper_->Set(Shard(0, State::kClosed, 3), Soon()).ok()); });
  CostOf("open 1", [&] { ASSERT_TRUE(keeper_->Set(Shard(0, State::kOpen, 4), Soon()).ok()); });
  EXPECT_LE(closing.at("Questions"), 24);
  EXPECT_EQ(closing.at("Com_rename_table"), 1);
}

TEST_F(GateBatchesTest, GoesFromEachStateToEachOther) {
  MakeShards(6);
  uint64_t epoch = 0;
  for (const State state :
       {State::kReadable, State::kClosed, State::kReadable, State::kOpen, State::kClosed}) {
    ++epoch;
    const bool open = epoch == 1;
    ExpectAllOk(SetBehindTheFirst(All(6, state, epoch),
                                  open || epoch == 5 ? "corder" : "_sluice_closed_corder"));
    for (size_t i = 0; i < 6; ++i) {
      const auto reading = keeper_->Read(Shard(i, state, epoch).id, kTables, Soon());
      ASSERT_TRUE(reading.ok()) << reading.status();
      EXPECT_EQ(reading->state, state) << i;
      EXPECT_EQ(
          AppErrno(absl::StrCat("INSERT INTO vt_s", i, ".corder (customer_id) VALUES (1)")) == 0,
          state == State::kOpen);
    }
    EXPECT_EQ(Scalar("SELECT COUNT(*) FROM information_schema.TABLES WHERE TABLE_NAME LIKE"
                     " '\\_sluice\\_view%'"),
              "0")
        << "views are left over";
  }
}

TEST_F(GateBatchesTest, WhoBlocksIsNamedToHisOwnGateAndTheOthersGoOn) {
  constexpr size_t kGates = 12;
  MakeShards(kGates);
  const auto fifth = Hold(5);
  const auto ninth = Hold(9);
  // The others are busy: somebody always uses their tables, each for a moment.
  std::atomic<bool> stop = false;
  std::atomic<int64_t> longest_ms = 0;
  std::vector<std::jthread> writers;
  for (const size_t shard : {2U, 7U, 11U}) {
    writers.emplace_back([&, shard, app = App()] {
      while (!stop.load()) {
        const absl::Time began = absl::Now();
        const bool done = app->Execute(absl::StrCat("INSERT INTO vt_s", shard,
                                                    ".corder (customer_id) VALUES (1)"))
                              .ok();
        longest_ms = std::max<int64_t>(longest_ms, absl::ToInt64Milliseconds(absl::Now() - began));
        if (!done) {
          return;
        }
      }
    });
  }
  std::vector<GateChange> changes = All(kGates, State::kClosed, 1);
  for (GateChange& change : changes) {
    change.lock_wait = absl::Seconds(2);
  }
  const absl::Time began = absl::Now();
  const Outcomes outcomes = SetBehindTheFirst(changes, "corder");
  const absl::Duration took = absl::Now() - began;
  stop = true;
  writers.clear();
  for (size_t i = 0; i < kGates; ++i) {
    if (i != 5 && i != 9) {
      EXPECT_TRUE(outcomes[i].ok()) << i << ": " << outcomes[i].status();
      continue;
    }
    const auto& mine = i == 5 ? fifth : ninth;
    const auto& other = i == 5 ? ninth : fifth;
    EXPECT_EQ(outcomes[i].status().code(), absl::StatusCode::kAborted) << i;
    const std::string message(outcomes[i].status().message());
    EXPECT_THAT(message, HasSubstr(absl::StrCat("connection ", mine->connection_id(), " (app@")));
    EXPECT_THAT(message, Not(HasSubstr(absl::StrCat("connection ", other->connection_id(), " "))));
    EXPECT_TRUE(mine->Execute("COMMIT").ok()) << "the blocker goes on";
    EXPECT_EQ(AppErrno(absl::StrCat("INSERT INTO vt_s", i, ".corder (customer_id) VALUES (1)")),
              0U);
  }
  EXPECT_EQ(ClosedShards(), absl::StrCat(kGates - 2));
  EXPECT_LT(longest_ms.load(), 2400) << "behind a rename clients wait no longer than lock_wait";
  EXPECT_LT(took, absl::Seconds(6));
  for (const size_t i : {5U, 9U}) {
    EXPECT_TRUE(keeper_->Set(changes[i], Soon()).ok()) << "the same request again";
  }
}

TEST_F(GateBatchesTest, AMissingTableAnOldEpochAndACascadeAreOneGatesOwn) {
  MakeShards(5);
  ASSERT_TRUE(keeper_->Set(Shard(2, State::kOpen, 9), Soon()).ok());
  Root("DROP TABLE vt_s1.corder");
  Root("CREATE TABLE vt_s3.stays (id BIGINT PRIMARY KEY)");
  Root(
      "ALTER TABLE vt_s3.corder ADD CONSTRAINT reach FOREIGN KEY (customer_id) REFERENCES"
      " vt_s3.stays (id) ON DELETE CASCADE");
  const Outcomes outcomes = SetBehindTheFirst(All(5, State::kClosed, 3), "corder");
  EXPECT_TRUE(outcomes[0].ok()) << outcomes[0].status();
  EXPECT_EQ(outcomes[1].status().code(), absl::StatusCode::kNotFound);
  EXPECT_THAT(std::string(outcomes[2].status().message()), HasSubstr("older than epoch 9"));
  EXPECT_THAT(std::string(outcomes[3].status().message()), HasSubstr("foreign key reach"));
  EXPECT_TRUE(outcomes[4].ok()) << outcomes[4].status();
  EXPECT_EQ(ClosedShards(), "2");
}

TEST_F(GateBatchesTest, WhatMysqldRefusesForAllOfThemIsAskedForEach) {
  MakeShards(5);
  // Nobody looks for this before the statement.
  Root("CREATE TABLE vt_s2._sluice_closed_other (id INT PRIMARY KEY)");
  Root("REVOKE ALL ON `vt\\_s%`.* FROM sluice@localhost");
  for (const size_t i : {0U, 1U, 2U, 3U, 4U}) {
    Root(absl::StrCat("GRANT SELECT, INSERT, CREATE, DROP", i == 2 ? "" : ", ALTER", " ON `vt\\_s",
                      i, "`.* TO sluice@localhost"));
  }
  const Outcomes outcomes = SetBehindTheFirst(All(5, State::kClosed, 3), "corder");
  for (size_t i = 0; i < 5; ++i) {
    EXPECT_EQ(outcomes[i].ok(), i != 2) << i << ": " << outcomes[i].status();
  }
  EXPECT_EQ(outcomes[2].status().code(), absl::StatusCode::kPermissionDenied);
  EXPECT_EQ(ClosedShards(), "4");
}

TEST_F(GateBatchesTest, ANewerRequestOfAnotherProcessTakesItsGateAndNoOther) {
  constexpr size_t kGates = 6;
  MakeShards(kGates);
  const auto holder = Hold(4);
  agent::SessionPool other_pool(pool_->options());
  GateKeeper other(other_pool);
  std::vector<GateChange> changes = All(kGates, State::kClosed, 1);
  for (GateChange& change : changes) {
    change.lock_wait = absl::Seconds(8);
  }
  Outcomes outcomes;
  std::jthread batch([&] { outcomes = SetBehindTheFirst(changes, "corder"); });
  AwaitRename("vt_s4");
  // Until its intent is durable an older attempt that has lost its session may end the newer one's;
  // who asks is told so and asks again.
  absl::StatusOr<GateOutcome> taken = absl::UnavailableError("not asked yet");
  for (const absl::Time until = Soon();
       absl::IsUnavailable(taken.status()) && absl::Now() < until;) {
    taken = other.Set(Shard(2, State::kOpen, 7), Soon());
  }
  EXPECT_TRUE(taken.ok()) << taken.status();
  ASSERT_TRUE(holder->Execute("COMMIT").ok());
  batch.join();
  // The batch has made one loss of its session good; who was ended twice asks again.
  for (size_t i = 0; i < kGates; ++i) {
    if (i != 2 && absl::IsUnavailable(outcomes[i].status())) {
      outcomes[i] = keeper_->Set(changes[i], Soon());
    }
    EXPECT_TRUE(i == 2 || outcomes[i].ok()) << i << ": " << outcomes[i].status();
  }
  EXPECT_EQ(Recorded("open", 7), "1") << "the older request has overtaken the newer one";
  EXPECT_EQ(AppErrno("INSERT INTO vt_s2.corder (customer_id) VALUES (1)"), 0U);
  EXPECT_EQ(ClosedShards(), absl::StrCat(kGates - 1));
}

TEST_F(GateBatchesTest, IsCarriedToItsEndOrBackAfterACrashAnywhere) {
  constexpr size_t kGates = 8;
  MakeShards(kGates);
  uint64_t epoch = 0;
  for (const char* point :
       {"gate.after_intent", "gate.after_rename", "gate.after_marker", "gate.after_outcome"}) {
    for (const bool forward : {true, false}) {
      SCOPED_TRACE(absl::StrCat(point, forward ? " forward" : " back"));
      ++epoch;
      // The first gate goes by itself; the second time it is a batch.
      ASSERT_TRUE(
          CrashAt(absl::StrCat(point, ":2"), absl::StrCat("batch closed ", epoch, " ", kGates)));
      const uint64_t next = forward ? epoch : ++epoch;
      const State wanted = forward ? State::kClosed : State::kOpen;
      ExpectAllOk(SetAll(*keeper_, All(kGates, wanted, next), {}));
      EXPECT_EQ(ClosedShards(), absl::StrCat(forward ? kGates : 0));
      EXPECT_EQ(Recorded(forward ? "closed" : "open", next), absl::StrCat(kGates));
      if (forward) {
        EXPECT_EQ(Scalar(absl::StrCat("SELECT COUNT(*) FROM _sluice.marker WHERE marker_id LIKE 'm",
                                      next, "@%'")),
                  absl::StrCat(kGates));
        ExpectAllOk(SetAll(*keeper_, All(kGates, State::kOpen, ++epoch), {}));
      }
    }
  }
}

}  // namespace
}  // namespace sluice::gate
