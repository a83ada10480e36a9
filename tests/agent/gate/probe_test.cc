// ProbeGate on a real mysqld: who sits on the tables, who may be ended, and who never is.

#include "agent/gate/probe.h"

#include <gmock/gmock.h>

#include <thread>

#include "absl/strings/str_cat.h"
#include "agent/gate/gate_privileges.h"
#include "tests/agent/gate/gate_fixture.h"

namespace sluice::gate {
namespace {

using ::testing::AnyOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

class ProbeTest : public GateFixture {
 protected:
  void SetUp() override {
    GateFixture::SetUp();
    // The pool's sessions are older than this.
    Root("GRANT CONNECTION_ADMIN, PROCESS ON *.* TO sluice@localhost");
    Root("GRANT ALL ON vt_commerce.* TO app@'%'");
  }

  // Ends at once whoever may be ended.
  GateProbe Probe(uint64_t rows_max = 100) {
    return {.id = kId,
            .tables = kTables,
            .age = absl::ZeroDuration(),
            .kill_after = absl::Milliseconds(1),
            .kill_rows_max = rows_max};
  }

  GateProbeResult Run(const GateProbe& probe) {
    auto result = ProbeGate(*pool_, probe);
    EXPECT_TRUE(result.ok()) << result.status();
    return result.ok() ? *std::move(result) : GateProbeResult();
  }

  std::unique_ptr<mysql::Connection> InTransaction(const std::string& sql) {
    auto app = App();
    EXPECT_TRUE(app->Execute("BEGIN").ok());
    const auto done = app->Execute(sql);
    EXPECT_TRUE(done.ok()) << done.status();
    // So old that it may be ended.
    EXPECT_TRUE(app->Execute("DO SLEEP(0.01)").ok());
    return app;
  }

  static std::vector<uint64_t> Ids(const std::vector<Blocker>& blockers) {
    std::vector<uint64_t> ids;
    ids.reserve(blockers.size());
    for (const Blocker& blocker : blockers) {
      ids.push_back(blocker.connection_id);
    }
    return ids;
  }

  // Waits until a statement of this beginning is in that state.
  void AwaitStatement(const std::string& begin, const std::string& state) {
    const std::string query =
        absl::StrCat("SELECT COUNT(*) FROM information_schema.PROCESSLIST WHERE INFO LIKE '", begin,
                     "%' AND STATE LIKE '", state, "%'");
    for (const absl::Time until = Soon(); absl::Now() < until && Scalar(query) == "0";) {
    }
    EXPECT_EQ(Scalar(query), "1");
  }
};

TEST_F(ProbeTest, TellsConnectionUserAgeAndStatement) {
  const auto app = InTransaction("INSERT INTO corder (customer_id) VALUES (1)");
  ASSERT_TRUE(app->Execute("SELECT 'the last one'").ok());
  GateProbe probe = Probe();
  probe.kill_after = absl::ZeroDuration();
  const GateProbeResult result = Run(probe);
  EXPECT_THAT(result.killed, IsEmpty());
  ASSERT_EQ(result.blockers.size(), 1U);
  const Blocker& blocker = result.blockers[0];
  EXPECT_EQ(blocker.connection_id, app->connection_id());
  EXPECT_EQ(blocker.user, "app");
  EXPECT_THAT(blocker.host, HasSubstr("localhost"));
  EXPECT_GE(blocker.age_ms, 10);
  EXPECT_LT(blocker.age_ms, 20'000);
  EXPECT_EQ(blocker.statement, "SELECT 'the last one'");
  EXPECT_THAT(
      DescribeBlockers(result.blockers),
      HasSubstr(absl::StrCat("connection ", app->connection_id(), " (app@localhost, for ")));
  probe.age = absl::Minutes(1);
  EXPECT_THAT(Run(probe).blockers, IsEmpty()) << "who came lately is gone soon";
}

TEST_F(ProbeTest, EndsASmallTransactionAndRollsItBack) {
  const auto app = InTransaction("UPDATE customer SET email = 'x' WHERE id = 1");
  const GateProbeResult result = Run(Probe());
  EXPECT_THAT(Ids(result.killed), ElementsAre(app->connection_id()));
  EXPECT_THAT(result.blockers, IsEmpty());
  EXPECT_TRUE(absl::IsUnavailable(app->Execute("COMMIT").status()));
  EXPECT_EQ(Scalar("SELECT email FROM vt_commerce.customer WHERE id = 1"), "a@x");
}

TEST_F(ProbeTest, LeavesATransactionAloneThatHasChangedMoreRowsThanSaid) {
  const auto app = InTransaction("UPDATE customer SET email = CONCAT(email, 'x')");
  GateProbeResult result = Run(Probe(1));
  EXPECT_THAT(result.killed, IsEmpty());
  EXPECT_THAT(Ids(result.blockers), ElementsAre(app->connection_id()));
  // Rows of other tables count too: it is the undoing that takes long.
  ASSERT_TRUE(app->Execute("ROLLBACK").ok());
  Root("CREATE TABLE vt_commerce.other (id INT PRIMARY KEY)");
  ASSERT_TRUE(app->Execute("BEGIN").ok());
  ASSERT_TRUE(app->Execute("SELECT * FROM corder").ok());
  ASSERT_TRUE(app->Execute("INSERT INTO other VALUES (1), (2), (3)").ok());
  result = Run(Probe(2));
  EXPECT_THAT(result.killed, IsEmpty());
  result = Run(Probe(3));
  EXPECT_THAT(Ids(result.killed), ElementsAre(app->connection_id()));
}

TEST_F(ProbeTest, LeavesDdlAlone) {
  // An ALTER that waits for a reader: it holds locks of its own all the while.
  const auto reader = InTransaction("SELECT * FROM customer");
  const auto ddl = App();
  absl::Status altered;
  std::jthread altering(
      [&] { altered = ddl->Execute("ALTER TABLE customer ADD COLUMN more INT").status(); });
  AwaitStatement("ALTER TABLE", "Waiting for table metadata lock");
  GateProbe probe = Probe(0);
  const GateProbeResult result = Run(probe);
  EXPECT_THAT(Ids(result.killed), ElementsAre(reader->connection_id()))
      << "the reader, and only it";
  altering.join();
  EXPECT_TRUE(altered.ok()) << altered;
}

TEST_F(ProbeTest, LeavesDdlAloneThatAProcedureRuns) {
  Root("CREATE PROCEDURE vt_commerce.p() ALTER TABLE customer ADD COLUMN more INT");
  const auto reader = InTransaction("SELECT * FROM customer");
  const auto ddl = App();
  absl::Status altered;
  std::jthread altering([&] { altered = ddl->Execute("CALL p()").status(); });
  for (const absl::Time until = Soon();
       absl::Now() < until &&
       Scalar("SELECT COUNT(*) FROM performance_schema.metadata_locks WHERE OBJECT_NAME ="
              " 'customer' AND LOCK_STATUS = 'PENDING'") == "0";) {
  }
  const GateProbeResult result = Run(Probe(0));
  EXPECT_THAT(Ids(result.killed), ElementsAre(reader->connection_id()));
  altering.join();
  EXPECT_TRUE(altered.ok()) << altered;
}

TEST_F(ProbeTest, LeavesAPreparedXaTransactionAlone) {
  {
    const auto app = App();
    for (const char* sql : {"XA START 'x'", "UPDATE customer SET email = 'xa' WHERE id = 1",
                            "XA END 'x'", "XA PREPARE 'x'"}) {
      ASSERT_TRUE(app->Execute(sql).ok()) << sql;
    }
    // Its session is there still.
    GateProbeResult result = Run(Probe());
    EXPECT_THAT(result.killed, IsEmpty());
    EXPECT_EQ(result.blockers.size(), 1U);
    EXPECT_TRUE(app->Execute("DO 0").ok()) << "its session was ended";
  }
  // The session is gone, the transaction is not.
  for (const absl::Time until = Soon();
       absl::Now() < until && Scalar("SELECT COUNT(*) FROM information_schema.PROCESSLIST WHERE"
                                     " USER = 'app'") != "0";) {
  }
  const GateProbeResult result = Run(Probe());
  EXPECT_THAT(result.killed, IsEmpty());
  ASSERT_EQ(result.blockers.size(), 1U);
  EXPECT_EQ(result.blockers[0].connection_id, 0U);
  EXPECT_THAT(DescribeBlockers(result.blockers), HasSubstr("a prepared XA transaction"));
  Root("XA COMMIT 'x'");
  EXPECT_EQ(Scalar("SELECT email FROM vt_commerce.customer WHERE id = 1"), "xa");
}

TEST_F(ProbeTest, LeavesBackupsAlone) {
  Root("GRANT BACKUP_ADMIN, RELOAD ON *.* TO app@'%'");
  for (const auto& [lock, unlock] :
       {std::pair<std::string, std::string>{"LOCK INSTANCE FOR BACKUP", "UNLOCK INSTANCE"},
        {"FLUSH TABLES WITH READ LOCK", "UNLOCK TABLES"}}) {
    SCOPED_TRACE(lock);
    const auto backup = App();
    ASSERT_TRUE(backup->Execute(lock).ok());
    // A small and old transaction on the tables makes it no less of a backup.
    ASSERT_TRUE(backup->Execute("BEGIN").ok());
    ASSERT_TRUE(backup->Query("SELECT * FROM customer").ok());
    ASSERT_TRUE(backup->Execute("DO SLEEP(0.01)").ok());
    const GateProbeResult result = Run(Probe());
    EXPECT_THAT(result.killed, IsEmpty());
    EXPECT_THAT(Ids(result.blockers), ElementsAre(backup->connection_id()));
    EXPECT_THAT(DescribeBlockers(result.blockers), HasSubstr(lock + ", which is never ended"));
    // No gate closes meanwhile, and who is in the way of its rename is named.
    GateChange change = Change(State::kClosed, 1);
    change.lock_wait = absl::Milliseconds(200);
    const absl::Status waited = keeper_->Set(change, Soon()).status();
    EXPECT_EQ(waited.code(), absl::StatusCode::kAborted);
    EXPECT_THAT(std::string(waited.message()),
                AnyOf(HasSubstr(lock), HasSubstr("recording the gate")));
    ASSERT_TRUE(backup->Execute(unlock).ok()) << "its session was ended";
    ASSERT_TRUE(backup->Execute("COMMIT").ok());
  }
  ASSERT_TRUE(Set(State::kClosed, 1).ok());
}

TEST_F(ProbeTest, SaysWhatItMayNotDo) {
  Root("REVOKE CONNECTION_ADMIN ON *.* FROM sluice@localhost");
  const auto app = InTransaction("SELECT * FROM customer");
  const absl::Status refused = ProbeGate(*pool_, Probe()).status();
  EXPECT_EQ(refused.code(), absl::StatusCode::kPermissionDenied);
  EXPECT_THAT(std::string(refused.message()), HasSubstr("CONNECTION_ADMIN"));
  Root("REVOKE PROCESS ON *.* FROM sluice@localhost");
  EXPECT_THAT(std::string(ProbeGate(*pool_, Probe()).status().message()), HasSubstr("PROCESS"));
  // Asked beforehand, it names all of it, with the remedy.
  Root("REVOKE CREATE VIEW, DROP, ALTER ON `vt\\_commerce`.* FROM sluice@localhost");
  auto session = pool_->Borrow();
  ASSERT_TRUE(session.ok()) << session.status();
  const auto missing = FindMissingForGate(**session, kId.database, {.kill = true});
  ASSERT_TRUE(missing.ok()) << missing.status();
  EXPECT_EQ(missing->text,
            "PROCESS, CONNECTION_ADMIN on *.*; DROP, ALTER, CREATE VIEW on `vt_commerce`.*");
  for (const std::string& remedy : missing->remedies) {
    Root(remedy);
  }
  EXPECT_EQ(FindMissingForGate(**session, kId.database, {.kill = true})->text, "");
  Root("REVOKE CONNECTION_ADMIN, PROCESS ON *.* FROM sluice@localhost");
  // To name them takes no more than the agent always has.
  GateProbe naming = Probe();
  naming.kill_after = absl::ZeroDuration();
  EXPECT_THAT(Ids(Run(naming).blockers), ElementsAre(app->connection_id()));
  EXPECT_TRUE(app->Execute("COMMIT").ok());
}

}  // namespace
}  // namespace sluice::gate
