// Gate transitions on a real mysqld.

#include "agent/gate/gate_keeper.h"

#include <gmock/gmock.h>

#include <thread>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "agent/gate/bounded_statement.h"
#include "agent/gate/marker_name.h"
#include "common/base/status.h"
#include "tests/agent/gate/gate_fixture.h"

namespace sluice::gate {
namespace {

using ::testing::HasSubstr;

constexpr unsigned kNoSuchTable = 1146;
constexpr unsigned kViewInvalid = 1356;

class GateKeeperTest : public GateFixture {
 protected:
  // What an application may do in each state.
  void ExpectState(State state, bool guarded = false) {
    EXPECT_EQ(ReadState(), state);
    const unsigned none = guarded ? kViewInvalid : kNoSuchTable;
    const unsigned read = state == State::kClosed ? none : 0;
    const unsigned write = state == State::kOpen       ? 0
                           : state == State::kReadable ? kViewInvalid
                                                       : none;
    EXPECT_EQ(AppErrno("SELECT * FROM corder JOIN customer ON customer.id = customer_id"), read);
    EXPECT_EQ(AppErrno("INSERT INTO corder (customer_id) VALUES (1)"), write);
    EXPECT_EQ(AppErrno("UPDATE customer SET email = email WHERE id = 1"), write);
    EXPECT_EQ(AppErrno("DELETE FROM corder WHERE id = -1"), write);
    EXPECT_EQ(AppErrno("REPLACE INTO customer VALUES (1, 'a@x')") != 0, write != 0);
    if (state != State::kOpen) {
      EXPECT_EQ(AppErrno("TRUNCATE TABLE corder"), kNoSuchTable);
      EXPECT_NE(AppErrno("DROP TABLE corder"), 0U);
    }
  }

  void ExpectNoLeftovers(State state, bool guarded) {
    const bool bare = state == State::kClosed && !guarded;
    EXPECT_EQ(Tables(), state == State::kOpen ? "corder,customer"
                        : bare                ? "_sluice_closed_corder,_sluice_closed_customer"
                                              : "_sluice_closed_corder,_sluice_closed_customer,"
                                                "corder,customer");
  }
};

TEST_F(GateKeeperTest, GoesFromEachStateToEachOther) {
  const std::vector<State> way = {State::kClosed,   State::kReadable, State::kOpen,
                                  State::kReadable, State::kClosed,   State::kOpen};
  uint64_t epoch = 0;
  ExpectState(State::kOpen);
  for (const State state : way) {
    ++epoch;
    const auto outcome = Set(state, epoch, absl::StrCat("m", epoch));
    ASSERT_TRUE(outcome.ok()) << outcome.status();
    EXPECT_EQ(outcome->state, state);
    // What was readable is closed when nobody waits, so its names are guarded.
    const bool guarded = state == State::kClosed && epoch > 1 && way[epoch - 2] == State::kReadable;
    ExpectState(state, guarded);
    ExpectNoLeftovers(state, guarded);
    EXPECT_EQ(Scalar("SELECT CONCAT(state, wanted, epoch, connection_id) FROM _sluice.gate"),
              absl::StrCat(StateName(state), StateName(state), epoch, "0"));
    EXPECT_EQ(Scalar(absl::StrCat("SELECT GTID_SUBSET('", outcome->gtid_executed,
                                  "', @@GLOBAL.gtid_executed)")),
              "1");
  }
  EXPECT_EQ(Scalar("SELECT COUNT(*) FROM _sluice.marker"), "6");
  // Constraints have their old names and tables again.
  EXPECT_THAT(Scalar("SELECT GROUP_CONCAT(CONSTRAINT_NAME, REFERENCED_TABLE_NAME) FROM"
                     " information_schema.REFERENTIAL_CONSTRAINTS"),
              HasSubstr("corder_ibfk_1customer"));
}

TEST_F(GateKeeperTest, KeepsItsStateWhenMysqldDies) {
  ASSERT_TRUE(Set(State::kReadable, 1).ok());
  mysqld_->Kill();
  EXPECT_EQ(Set(State::kOpen, 2).status().code(), absl::StatusCode::kUnavailable);
  ASSERT_TRUE(mysqld_->Restart().ok());
  ExpectState(State::kReadable);
  ASSERT_TRUE(Set(State::kOpen, 2).ok());
  ExpectState(State::kOpen);
}

TEST_F(GateKeeperTest, NamesTheTransactionThatBlocksAndChangesNothing) {
  const auto app = App();
  ASSERT_TRUE(app->Execute("BEGIN").ok());
  ASSERT_TRUE(app->Execute("INSERT INTO corder (customer_id) VALUES (1)").ok());
  GateChange change = Change(State::kClosed, 1, "m1");
  change.lock_wait = absl::Milliseconds(300);
  const absl::Time began = absl::Now();
  const auto outcome = keeper_->Set(change, Soon());
  const absl::Duration took = absl::Now() - began;
  EXPECT_EQ(outcome.status().code(), absl::StatusCode::kAborted);
  const std::string message(outcome.status().message());
  EXPECT_THAT(message, HasSubstr(absl::StrCat("connection ", app->connection_id(), " (app@")));
  EXPECT_THAT(message, HasSubstr("INSERT INTO corder"));
  EXPECT_THAT(message, HasSubstr("customer.move"));
  EXPECT_GE(took, absl::Milliseconds(300));
  EXPECT_LT(took, absl::Milliseconds(950)) << "lock_wait_timeout alone would need a second";
  // The blocker itself and everybody else go on.
  ASSERT_TRUE(app->Execute("COMMIT").ok());
  ExpectState(State::kOpen);
  EXPECT_EQ(Scalar("SELECT COUNT(*) FROM _sluice.marker"), "0");
  ASSERT_TRUE(keeper_->Set(change, Soon()).ok()) << "the same request again";
  ExpectState(State::kClosed);
}

TEST_F(GateKeeperTest, WaitsForATransactionThatEndsInTime) {
  const auto app = App();
  ASSERT_TRUE(app->Execute("BEGIN").ok());
  ASSERT_TRUE(app->Execute("INSERT INTO corder (customer_id) VALUES (1)").ok());
  absl::StatusOr<GateOutcome> outcome;
  std::jthread closing([&] { outcome = Set(State::kClosed, 1, "m1"); });
  const auto pending = [&] {
    return Scalar(
               "SELECT COUNT(*) FROM performance_schema.metadata_locks WHERE OBJECT_NAME ="
               " 'corder' AND LOCK_STATUS = 'PENDING'") != "0";
  };
  for (const absl::Time until = Soon(); !pending() && absl::Now() < until;) {
  }
  ASSERT_TRUE(app->Execute("COMMIT").ok());
  const std::string committed = Scalar("SELECT @@GLOBAL.gtid_executed");
  closing.join();
  ASSERT_TRUE(outcome.ok()) << outcome.status();
  // The position holds everything that was ever committed to the tables.
  EXPECT_EQ(
      Scalar(absl::StrCat("SELECT GTID_SUBSET('", committed, "', '", outcome->gtid_executed, "')")),
      "1");
}

TEST_F(GateKeeperTest, RefusesOlderEpochsAndNamesBoth) {
  ASSERT_TRUE(Set(State::kClosed, 7).ok());
  const absl::Status older = Set(State::kOpen, 6).status();
  EXPECT_EQ(older.code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_THAT(std::string(older.message()), HasSubstr("epoch 6 is older than epoch 7"));
  const absl::Status other = Set(State::kOpen, 7).status();
  EXPECT_EQ(other.code(), absl::StatusCode::kFailedPrecondition);
  ExpectState(State::kClosed);
  EXPECT_TRUE(Set(State::kClosed, 7).ok()) << "the same request again";
  EXPECT_TRUE(Set(State::kOpen, 8).ok());
}

TEST_F(GateKeeperTest, WritesOneMarkerForARequestThatIsRepeated) {
  const auto first = Set(State::kClosed, 1, "m1");
  ASSERT_TRUE(first.ok()) << first.status();
  const std::string after_first = Scalar("SELECT @@GLOBAL.gtid_executed");
  const auto second = Set(State::kClosed, 1, "m1");
  ASSERT_TRUE(second.ok()) << second.status();
  EXPECT_EQ(Scalar("SELECT COUNT(*) FROM _sluice.marker"), "1");
  EXPECT_EQ(second->gtid_executed, after_first) << "the repeat wrote something";
}

TEST_F(GateKeeperTest, EndsTheSessionOfAnotherProcessBeforeItActs) {
  const auto app = App();
  ASSERT_TRUE(app->Execute("BEGIN").ok());
  ASSERT_TRUE(app->Execute("INSERT INTO corder (customer_id) VALUES (1)").ok());
  // Another agent process on the same mysqld, which hangs in its RENAME.
  agent::SessionPool other_pool(pool_->options());
  GateKeeper other(other_pool);
  absl::Status outcome;
  std::jthread hanging([&] {
    GateChange change = Change(State::kClosed, 1, "m1");
    change.lock_wait = absl::Seconds(15);
    outcome = other.Set(change, Soon()).status();
  });
  for (const absl::Time until = Soon();
       absl::Now() < until && Scalar("SELECT COUNT(*) FROM information_schema.PROCESSLIST"
                                     " WHERE INFO LIKE 'RENAME%'") == "0";) {
  }
  const auto mine = Set(State::kOpen, 2);
  ASSERT_TRUE(mine.ok()) << mine.status();
  hanging.join();
  EXPECT_THAT(outcome.code(), ::testing::AnyOf(absl::StatusCode::kFailedPrecondition,
                                               absl::StatusCode::kUnavailable))
      << outcome;
  ASSERT_TRUE(app->Execute("COMMIT").ok());
  ExpectState(State::kOpen);
  EXPECT_EQ(Scalar("SELECT COUNT(*) FROM _sluice.marker"), "0");
}

struct CrashCase {
  State from;
  State to;
};

class GateCrashTest : public GateKeeperTest, public ::testing::WithParamInterface<CrashCase> {};

TEST_P(GateCrashTest, IsCarriedToItsEndOrBackAfterACrashAnywhere) {
  uint64_t epoch = 0;
  for (const std::string point : {"gate.after_journal", "gate.after_intent", "gate.after_rename",
                                  "gate.after_marker", "gate.after_outcome"}) {
    for (const bool forward : {true, false}) {
      SCOPED_TRACE(absl::StrCat(point, forward ? " forward" : " back"));
      ASSERT_TRUE(Set(GetParam().from, ++epoch).ok());
      const std::string marker = absl::StrCat("m", ++epoch);
      ASSERT_TRUE(
          CrashAt(point, absl::StrCat("set ", StateName(GetParam().to), " ", epoch, " ", marker)));
      const State found = ReadState();
      const bool early = point == "gate.after_journal" || point == "gate.after_intent";
      EXPECT_EQ(found, early ? GetParam().from : GetParam().to);
      // A gate that has changed can say for which cutover it did.
      EXPECT_EQ(Scalar(absl::StrCat("SELECT COUNT(*) FROM _sluice.journal WHERE cutover_id = ",
                                    "'cutover", epoch, "'")),
                "1");
      const State wanted = forward ? GetParam().to : GetParam().from;
      const auto outcome = forward ? Set(wanted, epoch, marker) : Set(wanted, ++epoch);
      ASSERT_TRUE(outcome.ok()) << outcome.status();
      // The guards of what was readable are of no account: a crash may have left them out.
      const bool guarded =
          wanted == State::kClosed && AppErrno("SELECT * FROM corder") != kNoSuchTable;
      ExpectState(wanted, guarded);
      ExpectNoLeftovers(wanted, guarded);
      if (forward) {
        EXPECT_EQ(Scalar(absl::StrCat("SELECT COUNT(*) FROM _sluice.marker WHERE marker_id = '",
                                      MarkerName(marker, kId.database), "'")),
                  "1");
      }
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Transitions, GateCrashTest,
                         ::testing::Values(CrashCase{State::kOpen, State::kClosed},
                                           CrashCase{State::kClosed, State::kOpen},
                                           CrashCase{State::kOpen, State::kReadable},
                                           CrashCase{State::kReadable, State::kOpen}),
                         [](const auto& crash) {
                           return absl::StrCat(StateName(crash.param.from), "To",
                                               StateName(crash.param.to));
                         });

TEST_F(GateKeeperTest, RefusesMissingTablesAndViewsByName) {
  GateChange change = Change(State::kClosed, 1);
  change.tables = {"corder", "nothing"};
  absl::Status status = keeper_->Set(change, Soon()).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kNotFound);
  EXPECT_EQ(SubjectOf(status), "nothing");
  Root("CREATE VIEW v AS SELECT 1");
  change.tables = {"corder", "v"};
  change.epoch = 2;
  status = keeper_->Set(change, Soon()).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_EQ(SubjectOf(status), "v");
  EXPECT_EQ(AppErrno("INSERT INTO corder (customer_id) VALUES (1)"), 0U);
}

TEST_F(GateKeeperTest, TellsAStatementThatWaitedBehindTheRenameThatTheTableIsGone) {
  const auto holder = App();
  ASSERT_TRUE(holder->Execute("BEGIN").ok());
  ASSERT_TRUE(holder->Execute("SELECT * FROM corder").ok());
  const auto waiting = [&](const char* state) {
    const std::string query =
        absl::StrCat("SELECT COUNT(*) FROM information_schema.PROCESSLIST WHERE INFO LIKE '", state,
                     "%' AND STATE LIKE 'Waiting for table metadata lock'");
    for (const absl::Time until = Soon(); absl::Now() < until && Scalar(query) == "0";) {
    }
  };
  absl::Status closed;
  unsigned writer = 0;
  std::jthread closing([&] { closed = Set(State::kReadable, 1).status(); });
  waiting("RENAME");
  std::jthread writing([&] { writer = AppErrno("INSERT INTO corder (customer_id) VALUES (1)"); });
  waiting("INSERT");
  ASSERT_TRUE(holder->Execute("COMMIT").ok());
  closing.join();
  writing.join();
  EXPECT_TRUE(closed.ok()) << closed;
  EXPECT_THAT(writer, ::testing::AnyOf(kNoSuchTable, kViewInvalid));
  EXPECT_EQ(Scalar("SELECT COUNT(*) FROM vt_commerce._sluice_closed_corder"), "3");
}

TEST_F(GateKeeperTest, GoesOnCountingWhereTheRowsEnd) {
  ASSERT_TRUE(Set(State::kClosed, 1).ok());
  // As a stream does behind the closed gate.
  Root("REPLACE INTO vt_commerce._sluice_closed_customer VALUES (500, 'z@x')");
  ASSERT_TRUE(Set(State::kOpen, 2).ok());
  EXPECT_EQ(AppErrno("INSERT INTO customer (email) VALUES ('new@x')"), 0U);
  EXPECT_EQ(Scalar("SELECT id FROM vt_commerce.customer WHERE email = 'new@x'"), "501");
}

}  // namespace
}  // namespace sluice::gate
