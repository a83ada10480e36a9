// Tests of SessionState: what lives on one server only, and when a statement would miss it.

#include "proxy/session/session_state.h"

#include <string>

#include "absl/strings/str_cat.h"
#include "common/base/status.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/proxy/fake_coordinator.h"

namespace sluice::proxy {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;

const ServerSession kOld{1, "zone1-100", {"customer", "-80"}};
const ServerSession kNew{2, "zone1-200", {"customer2", "-80"}};

sql::Statement Analyze(const std::string& sql) {
  const auto tokens = sql::Tokenize(sql);
  EXPECT_TRUE(tokens.ok()) << tokens.status();
  auto statement = sql::AnalyzeStatement(*tokens);
  EXPECT_TRUE(statement.ok()) << statement.status();
  return *std::move(statement);
}

class SessionStateTest : public ::testing::Test {
 protected:
  void Run(const ServerSession& server, const std::string& sql, uint64_t insert_id = 0,
           bool failed = false) {
    state_.Ran(server, target_, Analyze(sql), {.failed = failed, .insert_id = insert_id});
  }
  uint64_t Home(const std::string& sql) {
    const auto home = state_.HomeOf(Analyze(sql).session);
    EXPECT_TRUE(home.ok()) << home.status();
    return home.value_or(999);
  }
  std::string Missing(const std::string& sql, const ServerSession& server) {
    const absl::Status status = state_.Check(Analyze(sql).session, server);
    EXPECT_TRUE(status.ok() || MysqlErrnoOf(status) == 1105) << status;
    return std::string(status.message());
  }

  routing::Target target_{"customer", "-80", routing::TabletType::kPrimary};
  SessionState state_;
};

TEST_F(SessionStateTest, LastInsertIdIsCarriedFromTheServerOfTheLastInsert) {
  const sql::SessionUse use = Analyze("INSERT INTO c VALUES (LAST_INSERT_ID())").session;
  EXPECT_EQ(state_.InsertIdFrom(use, kNew.number), 0U);
  Run(kOld, "INSERT INTO p VALUES ()", 7);
  Run(kNew, "SELECT * FROM p");
  EXPECT_EQ(state_.InsertIdFrom(use, kNew.number), kOld.number);
  EXPECT_EQ(state_.InsertIdFrom(use, kOld.number), 0U);
  EXPECT_EQ(state_.InsertIdFrom(Analyze("INSERT INTO c VALUES (1)").session, kNew.number), 0U);
  EXPECT_EQ(Home("SELECT LAST_INSERT_ID()"), kOld.number);
  state_.InsertIdIsOn(kNew);
  EXPECT_EQ(state_.InsertIdFrom(use, kNew.number), 0U);
  EXPECT_EQ(Home("SELECT LAST_INSERT_ID()"), kNew.number);
}

TEST_F(SessionStateTest, AnIdThatTheClientGaveItselfIsNoLastInsertId) {
  Run(kOld, "INSERT INTO p VALUES ()", 7);
  Run(kOld, "INSERT INTO p VALUES (5)", 5);
  EXPECT_EQ(state_.DoubtfulInsert(), 0U);  // that server knows
  Run(kNew, "INSERT INTO p VALUES (9)", 9);
  EXPECT_EQ(state_.DoubtfulInsert(), kNew.number);
  state_.Settle(0);
  EXPECT_EQ(state_.DoubtfulInsert(), 0U);
  EXPECT_EQ(Home("SELECT LAST_INSERT_ID()"), kOld.number);
  Run(kNew, "INSERT INTO p VALUES ()", 10);
  EXPECT_EQ(state_.DoubtfulInsert(), kNew.number);
  state_.Settle(10);
  EXPECT_EQ(Home("SELECT LAST_INSERT_ID()"), kNew.number);
}

TEST_F(SessionStateTest, AVariableIsReadOnlyWhereItWasAssigned) {
  Run(kOld, "SELECT MAX(id) INTO @m FROM t");
  EXPECT_EQ(Missing("INSERT INTO t VALUES (@m)", kOld), "");
  EXPECT_THAT(Missing("INSERT INTO t VALUES (@M)", kNew),
              AllOf(HasSubstr("user variable @m"), HasSubstr("zone1-100 (customer/-80)"),
                    HasSubstr("zone1-200 (customer2/-80)")));
  EXPECT_EQ(Missing("INSERT INTO t VALUES (@other)", kNew), "");
  EXPECT_EQ(Home("SELECT @m"), kOld.number);
  EXPECT_EQ(Home("SELECT @other"), 0U);
  // Assigned anew.
  Run(kNew, "SELECT 1 INTO @m");
  EXPECT_EQ(Missing("INSERT INTO t VALUES (@m)", kNew), "");
  state_.SetEverywhere({"m"});
  EXPECT_EQ(Missing("INSERT INTO t VALUES (@m)", kOld), "");
  EXPECT_EQ(Home("SELECT @m"), 0U);
}

TEST_F(SessionStateTest, AStatementThatFailsMayHaveAssignedAlready) {
  Run(kOld, "SELECT @m := id FROM t", 0, /*failed=*/true);
  EXPECT_THAT(Missing("SELECT @m FROM t", kNew), HasSubstr("@m"));
}

TEST_F(SessionStateTest, OneStatementCannotReadTwoServers) {
  Run(kOld, "SELECT 1 INTO @a");
  Run(kNew, "SELECT 2 INTO @b");
  const auto home = state_.HomeOf(Analyze("SELECT @a + @b").session);
  EXPECT_EQ(MysqlErrnoOf(home.status()), 1105U);
  EXPECT_THAT(std::string(home.status().message()), AllOf(HasSubstr("@a"), HasSubstr("@b")));
}

TEST_F(SessionStateTest, DiagnosticsAreOfTheLastStatement) {
  EXPECT_EQ(Home("SHOW WARNINGS"), 0U);
  Run(kOld, "UPDATE t SET a = 1");
  EXPECT_EQ(Home("SHOW WARNINGS"), kOld.number);
  EXPECT_EQ(Home("SELECT ROW_COUNT()"), kOld.number);
  EXPECT_THAT(Missing("INSERT INTO log VALUES (ROW_COUNT())", kNew),
              HasSubstr("what the statement before left"));
  state_.Lost(kOld.number);
  EXPECT_EQ(Home("SHOW WARNINGS"), 0U);
}

TEST_F(SessionStateTest, WhatIsLostIsSaidToBe) {
  Run(kOld, "SELECT 1 INTO @a");
  Run(kOld, "INSERT INTO p VALUES ()", 7);
  state_.Lost(kOld.number);
  EXPECT_THAT(Missing("SELECT @a FROM t", kNew), HasSubstr("is lost"));
  EXPECT_THAT(Missing("INSERT INTO c VALUES (LAST_INSERT_ID())", kNew), HasSubstr("is lost"));
  EXPECT_EQ(MysqlErrnoOf(state_.HomeOf(Analyze("SELECT @a").session).status()), 1105U);
  EXPECT_TRUE(state_.broken().ok());
  Run(kNew, "INSERT INTO p VALUES ()", 8);
  state_.Settle(8);
  EXPECT_EQ(Missing("INSERT INTO c VALUES (LAST_INSERT_ID())", kNew), "");
}

TEST_F(SessionStateTest, TemporaryTablesAreKnownUntilTheyAreDropped) {
  Run(kOld, "CREATE TEMPORARY TABLE tmp (a INT)", 0, /*failed=*/true);
  EXPECT_THAT(state_.kept(), IsEmpty());
  Run(kOld, "CREATE TEMPORARY TABLE tmp LIKE t");
  Run(kOld, "CREATE TEMPORARY TABLE customer.second (a INT)");
  ASSERT_THAT(state_.kept(), SizeIs(1));
  EXPECT_THAT(state_.kept()[0].temporary, SizeIs(2));
  Run(kOld, "ALTER TABLE tmp RENAME TO third");
  EXPECT_THAT(state_.kept()[0].temporary, SizeIs(3));
  Run(kOld, "DROP TABLE third, tmp");
  Run(kNew, "DROP TABLE second");
  EXPECT_THAT(state_.kept()[0].temporary, SizeIs(1));
  Run(kOld, "DROP TEMPORARY TABLE second");
  EXPECT_THAT(state_.kept(), IsEmpty());
}

TEST_F(SessionStateTest, ALostServerWithTemporaryTablesBreaksTheSession) {
  Run(kOld, "CREATE TEMPORARY TABLE tmp (a INT)");
  state_.Lost(kNew.number);
  EXPECT_TRUE(state_.broken().ok());
  state_.Lost(kOld.number);
  EXPECT_EQ(MysqlErrnoOf(state_.broken()), 1184U);
  EXPECT_THAT(std::string(state_.broken().message()),
              AllOf(HasSubstr("tmp"), HasSubstr("zone1-100"), HasSubstr("not executed")));
}

TEST_F(SessionStateTest, WhatIsKeptIsServedUntilARuleLeadsElsewhere) {
  RuleSetSpec spec;
  spec.keyspaces = {"customer", "customer2"};
  for (const char* keyspace : {"customer", "customer2"}) {
    for (const char* shard : {"-80", "80-"}) {
      spec.tablets.push_back({absl::StrCat(keyspace, shard), keyspace, shard,
                              routing::TabletType::kPrimary, "h", 1, "d", "zone1", true});
    }
  }
  spec.tablets.front().alias = kOld.alias;
  const auto served = [&] { return IsServed(state_.kept().front(), **SnapshotOf(spec, 1)); };
  Run(kOld, "CREATE TEMPORARY TABLE t (a INT)");
  EXPECT_TRUE(served());
  spec.shard_rules = {{"customer", "80-", "customer2"}};
  EXPECT_TRUE(served());
  spec.shard_rules = {{"customer", "-80", "customer2"}};
  EXPECT_FALSE(served());
  spec.shard_rules.clear();
  // A server that is away may come back; one that was replaced does not.
  spec.tablets.front().serving = false;
  EXPECT_TRUE(served());
  Tablet successor = spec.tablets.front();
  successor.alias = "zone1-101";
  successor.serving = true;
  spec.tablets.push_back(successor);
  EXPECT_FALSE(served());
  spec.tablets.pop_back();
  spec.tablets.front().serving = true;
  // A table rule takes a temporary table of that name away as well, but no lock.
  spec.shard_rules.clear();
  spec.rules = {{"customer.t", "customer2.t"}};
  EXPECT_FALSE(served());
  Run(kOld, "DROP TABLE t");
  Run(kOld, "SELECT GET_LOCK('a', 1)");
  EXPECT_TRUE(served());
  EXPECT_EQ(Home("SELECT RELEASE_LOCK('a')"), kOld.number);
  spec.shard_rules = {{"customer", "-80", "customer2"}};
  EXPECT_FALSE(served());
  state_.ForgetLocks(kOld.number);
  EXPECT_THAT(state_.kept(), IsEmpty());
}

}  // namespace
}  // namespace sluice::proxy
