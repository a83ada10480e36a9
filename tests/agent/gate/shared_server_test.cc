// Gates of several databases that close one server together, on a real mysqld.

#include <gmock/gmock.h>

#include <thread>

#include "absl/strings/str_cat.h"
#include "agent/gate/server_gate.h"
#include "tests/agent/gate/server_gate_fixture.h"

namespace sluice::gate {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

// Two shards of one server, whose gates close with each other.
class TwoServerGatesTest : public ServerGateTest {
 protected:
  static constexpr char kOther[] = "vt_other";

  void SetUp() override {
    ServerGateTest::SetUp();
    for (const char* sql :
         {"CREATE DATABASE vt_other", "CREATE TABLE vt_other.corder (id INT PRIMARY KEY)",
          "CREATE TABLE vt_other.customer (id INT PRIMARY KEY)",
          "GRANT SELECT, INSERT, UPDATE, DELETE, CREATE, DROP, REFERENCES, INDEX, ALTER,"
          " CREATE VIEW, SHOW VIEW, TRIGGER, EVENT ON `vt\\_other`.* TO sluice@localhost"
          " WITH GRANT OPTION",
          "GRANT ALL ON vt_other.* TO app@'%'"}) {
      Root(sql);
    }
  }

  static GateChange Of(const std::string& database, State wanted, uint64_t epoch) {
    GateChange change = Server(wanted, epoch);
    change.id.database = database;
    change.beside = {database == kOther ? kId.database : kOther};
    return change;
  }
  absl::StatusOr<GateOutcome> SetOf(const std::string& database, State wanted, uint64_t epoch) {
    return keeper_->Set(Of(database, wanted, epoch), Soon());
  }
  absl::StatusOr<GateReading> ReadOther() {
    return keeper_->Read({.workflow = kId.workflow, .database = kOther}, kTables, Soon());
  }
  unsigned WriteErrno(const std::string& database) {
    return AppErrno(absl::StrCat("DELETE FROM ", database, ".corder WHERE id = 77"));
  }
  DropRequest End(const std::string& database, DropMode mode, uint64_t epoch) {
    return {.id = {.workflow = kId.workflow, .database = database},
            .tables = kTables,
            .mode = mode,
            .epoch = epoch};
  }
};

TEST_F(TwoServerGatesTest, CloseTogetherAndTheLastOneOpensTheServer) {
  EXPECT_THAT(Obstacles(), HasSubstr("other databases (vt_other)"));
  EXPECT_EQ(Obstacles({kOther}), "");
  Root("CREATE DATABASE foreigner");
  EXPECT_THAT(Obstacles({kOther}), HasSubstr("other databases (foreigner)"));
  EXPECT_EQ(SetOf(kId.database, State::kClosed, 1).status().code(),
            absl::StatusCode::kFailedPrecondition);
  EXPECT_EQ(Persisted(), "000");
  Root("DROP DATABASE foreigner");

  ASSERT_TRUE(SetOf(kId.database, State::kClosed, 2).ok());
  ASSERT_TRUE(SetOf(kOther, State::kClosed, 2).ok());
  EXPECT_EQ(Scalar("SELECT COUNT(DISTINCT marker_id) FROM _sluice.marker"), "2");
  EXPECT_EQ(WriteErrno(kId.database), kReadOnly);
  EXPECT_EQ(WriteErrno(kOther), kReadOnly);

  const auto first = SetOf(kId.database, State::kOpen, 3);
  ASSERT_TRUE(first.ok()) << first.status();
  EXPECT_EQ(first->state, State::kReadable) << "nobody can write yet";
  EXPECT_THAT(first->kept_by, ElementsAre(kOther));
  EXPECT_EQ(ReadState(), State::kReadable);
  EXPECT_EQ(WriteErrno(kId.database), kReadOnly);
  // Neither a restart of mysqld nor one of the agent changes that.
  mysqld_->Kill();
  ASSERT_TRUE(mysqld_->Restart().ok());
  auto again = mysql::Connection::Connect(mysqld_->Root());
  ASSERT_TRUE(again.ok()) << again.status();
  root_ = *std::move(again);
  {
    auto session = pool_->Borrow();
    ASSERT_TRUE(session.ok()) << session.status();
    ASSERT_TRUE(KeepServerClosed(**session).ok());
  }
  EXPECT_EQ(Persisted(), "101");

  const auto last = SetOf(kOther, State::kOpen, 3);
  ASSERT_TRUE(last.ok()) << last.status();
  EXPECT_EQ(last->state, State::kOpen);
  EXPECT_THAT(last->kept_by, IsEmpty());
  EXPECT_EQ(Persisted(), "000");
  EXPECT_EQ(ReadState(), State::kOpen);
  EXPECT_EQ(WriteErrno(kId.database), 0U);
}

TEST_F(TwoServerGatesTest, ThatOpenAtOnceLeaveTheServerWritableAndThoseThatRaceNeverAGateOpen) {
  uint64_t epoch = 0;
  const auto both = [&](State here, State there) {
    ++epoch;
    absl::StatusOr<GateOutcome> other = absl::UnknownError("not run");
    absl::StatusOr<GateOutcome> own = absl::UnknownError("not run");
    {
      const std::jthread beside([&] { other = SetOf(kOther, there, epoch); });
      own = SetOf(kId.database, here, epoch);
    }
    ASSERT_TRUE(own.ok() && other.ok()) << own.status() << other.status();
  };
  for (int round = 0; round < 15; ++round) {
    SCOPED_TRACE(round);
    both(State::kClosed, State::kClosed);
    ASSERT_EQ(Persisted(), "101");
    both(State::kOpen, State::kOpen);
    ASSERT_EQ(Persisted(), "000");
    both(State::kClosed, State::kOpen);
    ASSERT_EQ(Persisted(), "101");
    both(State::kOpen, State::kClosed);
    ASSERT_EQ(Persisted(), "101");
    const auto reading = ReadOther();
    ASSERT_TRUE(reading.ok()) << reading.status();
    EXPECT_EQ(reading->state, State::kReadable);
    EXPECT_EQ(reading->kind, GateKind::kServer);
  }
}

TEST_F(TwoServerGatesTest, AreCarriedToTheirEndAfterACrashAnywhere) {
  uint64_t epoch = 0;
  for (const char* point :
       {"gate.after_intent", "gate.after_rename", "gate.after_marker", "gate.after_outcome"}) {
    SCOPED_TRACE(point);
    ++epoch;
    // The first that closes dies; the other one closes; then the first is taken back.
    ASSERT_TRUE(CrashAt(point, absl::StrCat("set closed ", epoch, " m vt_other")));
    ASSERT_TRUE(SetOf(kOther, State::kClosed, epoch).ok());
    EXPECT_EQ(Persisted(), "101");
    ++epoch;
    ASSERT_TRUE(SetOf(kId.database, State::kOpen, epoch).ok());
    EXPECT_EQ(Persisted(), "101") << "the other one is closed";
    ASSERT_TRUE(SetOf(kId.database, State::kClosed, ++epoch).ok());
    // The first that opens dies; the other one opens, and so does the repeat.
    ++epoch;
    ASSERT_TRUE(CrashAt(point, absl::StrCat("set open ", epoch)) ||
                std::string(point) == "gate.after_rename");
    ASSERT_TRUE(SetOf(kOther, State::kOpen, epoch).ok());
    ASSERT_TRUE(SetOf(kId.database, State::kOpen, epoch).ok());
    EXPECT_EQ(Persisted(), "000");
  }
}

TEST_F(TwoServerGatesTest, AnIntentAloneKeepsTheServerClosed) {
  ASSERT_TRUE(CrashAt("gate.after_rename", "set closed 1 m vt_other"));
  Root("RESET PERSIST read_only");
  Root("SET GLOBAL read_only = OFF");
  auto session = pool_->Borrow();
  ASSERT_TRUE(session.ok()) << session.status();
  ASSERT_TRUE(KeepServerClosed(**session).ok());
  EXPECT_EQ(Persisted(), "101");
  ASSERT_TRUE(SetOf(kId.database, State::kOpen, 2).ok());
  EXPECT_EQ(Persisted(), "000");
}

TEST_F(TwoServerGatesTest, EndWithTheServerWritableWhicheverEndsLast) {
  uint64_t epoch = 0;
  for (const bool at_once : {false, true}) {
    ++epoch;
    ASSERT_TRUE(SetOf(kId.database, State::kClosed, epoch).ok());
    ASSERT_TRUE(SetOf(kOther, State::kClosed, epoch).ok());
    ++epoch;
    absl::Status other;
    const auto end_other = [&] {
      other = DropTables(*keeper_, End(kOther, DropMode::kKeep, epoch), Soon()).status();
    };
    {
      std::jthread beside;
      if (at_once) {
        beside = std::jthread(end_other);
      }
      const auto own = DropTables(*keeper_, End(kId.database, DropMode::kKeep, epoch), Soon());
      ASSERT_TRUE(own.ok()) << own.status();
    }
    if (!at_once) {
      EXPECT_EQ(Persisted(), "101") << "the other gate is closed";
      end_other();
    }
    ASSERT_TRUE(other.ok()) << other;
    EXPECT_EQ(Persisted(), "000");
  }
}

TEST_F(TwoServerGatesTest, OneThatDiesWhileItLetsGoDoesNotKeepTheServerClosed) {
  ASSERT_TRUE(SetOf(kId.database, State::kClosed, 1).ok());
  ASSERT_TRUE(SetOf(kOther, State::kClosed, 1).ok());
  ASSERT_TRUE(CrashAt("server.letting_go", "finish drop 2"));
  EXPECT_EQ(Scalar("SELECT state FROM _sluice.gate WHERE database_name = 'vt_commerce'"),
            "letting go");
  ASSERT_TRUE(DropTables(*keeper_, End(kOther, DropMode::kDrop, 2), Soon()).ok());
  EXPECT_EQ(Persisted(), "000");
  // The repeat finds its work done.
  const auto repeat = DropTables(*keeper_, End(kId.database, DropMode::kDrop, 2), Soon());
  ASSERT_TRUE(repeat.ok()) << repeat.status();
  EXPECT_EQ(Tables(), "");
  EXPECT_EQ(Persisted(), "000");
  EXPECT_EQ(Scalar("SELECT GROUP_CONCAT(DISTINCT state) FROM _sluice.gate"), "forgotten");
}

}  // namespace
}  // namespace sluice::gate
