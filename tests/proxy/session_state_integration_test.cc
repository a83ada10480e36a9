// Tests of open sessions over the switch of their shard, before real mysqlds: what they have on the
// old side is carried over, or missed with an error, never taken from the wrong side.

#include <string>
#include <thread>

#include "absl/strings/str_cat.h"
#include "common/base/status.h"
#include "gmock/gmock.h"
#include "tests/proxy/sharded_fixture.h"

namespace sluice::proxy {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;

class ProxySessionStateTest : public ShardedFixture {
 protected:
  void Switch() {
    SwitchShards({"-80"});
    Publish();
  }
};

TEST_F(ProxySessionStateTest, LastInsertIdFollowsTheClient) {
  ASSERT_TRUE(At("orders/-80")->Execute("ALTER TABLE t AUTO_INCREMENT = 700").ok());
  auto client = MustConnect("orders:-80");
  ASSERT_EQ(ErrorOfStatement(*client, "INSERT INTO t (who) VALUES ('parent')"), 0U);
  Switch();
  EXPECT_EQ(Scalar(*client, "SELECT who FROM t WHERE id = 1"), "orders2/-80");
  EXPECT_EQ(Scalar(*client, "SELECT LAST_INSERT_ID()"), "700");
  EXPECT_EQ(ErrorOfStatement(*client, "INSERT INTO u VALUES (LAST_INSERT_ID(), 'child')"), 0U);
  EXPECT_EQ(Scalar(*At("orders2/-80"), "SELECT id FROM u"), "700");
  // It is the connection's, whatever the keyspace.
  EXPECT_EQ(ErrorOfStatement(*client, "USE commerce"), 0U);
  EXPECT_EQ(Scalar(*client, "SELECT LAST_INSERT_ID() FROM product WHERE id = 1"), "700");
}

TEST_F(ProxySessionStateTest, LastInsertIdIsCarriedIntoATransaction) {
  ASSERT_TRUE(At("orders/-80")->Execute("ALTER TABLE t AUTO_INCREMENT = 700").ok());
  auto client = MustConnect("orders:-80");
  ASSERT_EQ(ErrorOfStatement(*client, "INSERT INTO t (who) VALUES ('parent')"), 0U);
  ASSERT_EQ(ErrorOfStatement(*client, "BEGIN"), 0U);
  // Reads the old side's session, but does not tie the transaction to it.
  EXPECT_EQ(Scalar(*client, "SELECT LAST_INSERT_ID()"), "700");
  Switch();
  EXPECT_EQ(ErrorOfStatement(*client, "INSERT INTO u VALUES (1, 'first')"), 0U);
  EXPECT_EQ(ErrorOfStatement(*client, "INSERT INTO u VALUES (LAST_INSERT_ID(), 'child')"), 0U);
  EXPECT_EQ(Scalar(*At("orders2/-80"), "SELECT COUNT(*) FROM u"), "0");
  EXPECT_EQ(ErrorOfStatement(*client, "COMMIT"), 0U);
  EXPECT_EQ(Scalar(*At("orders2/-80"), "SELECT MAX(id) FROM u"), "700");
}

TEST_F(ProxySessionStateTest, VariablesOfTheOldSideAreMissedWithAnError) {
  auto client = MustConnect("orders:-80");
  ASSERT_EQ(ErrorOfStatement(*client, "SELECT who INTO @who FROM t WHERE id = 1"), 0U);
  ASSERT_EQ(ErrorOfStatement(*client, "SET @everywhere = 5, time_zone = '+03:00'"), 0U);
  ASSERT_EQ(ErrorOfStatement(*client, "SET @uuid = UUID()"), 0U);
  Switch();
  std::string message;
  EXPECT_EQ(ErrorOfStatement(*client, "INSERT INTO u VALUES (1, @who)", &message), 1105U);
  EXPECT_THAT(message, AllOf(HasSubstr("user variable @who is on tablet zone1-510 (orders/-80)"),
                             HasSubstr("goes to tablet zone1-610 (orders2/-80)")));
  EXPECT_EQ(ErrorOfStatement(*client, "INSERT INTO u VALUES (1, @uuid)"), 1105U);
  EXPECT_EQ(Scalar(*client, "SELECT @who"), "orders/-80");
  EXPECT_EQ(Scalar(*client, "SELECT LENGTH(@uuid)"), "36");
  EXPECT_EQ(ErrorOfStatement(*client, "SET @who = 'anew'"), 0U);
  EXPECT_EQ(ErrorOfStatement(*client, "INSERT INTO u VALUES (@everywhere, @who)"), 0U);
  EXPECT_EQ(Scalar(*At("orders2/-80"), "SELECT who FROM u WHERE id = 5"), "anew");
  EXPECT_EQ(Scalar(*client, "SELECT @@time_zone FROM t"), "+03:00");
}

TEST_F(ProxySessionStateTest, ATemporaryTableIsNeverTakenForTheRealOne) {
  auto client = MustConnect("orders:-80");
  auto other = MustConnect("orders:80-");
  for (auto* each : {&client, &other}) {
    ASSERT_EQ(ErrorOfStatement(**each, "CREATE TEMPORARY TABLE t (id INT, who VARCHAR(40))"), 0U);
    ASSERT_EQ(ErrorOfStatement(**each, "INSERT INTO t VALUES (9, 'temporary')"), 0U);
  }
  Switch();
  std::string message;
  EXPECT_EQ(ErrorOfStatement(*client, "DELETE FROM t", &message), 1184U);
  EXPECT_THAT(message, AllOf(HasSubstr("temporary tables (t)"), HasSubstr("zone1-510 (orders/-80)"),
                             HasSubstr("the statement was not executed")));
  EXPECT_NE(ErrorOfStatement(*client, "DELETE FROM t"), 0U);  // the session has ended
  EXPECT_EQ(Scalar(*At("orders2/-80"), "SELECT COUNT(*) FROM t"), "1");
  EXPECT_EQ(Scalar(*other, "SELECT who FROM t"), "temporary");
  EXPECT_EQ(ErrorOfStatement(*other, "DROP TEMPORARY TABLE t"), 0U);
  SwitchShards({"-80", "80-"});
  Publish();
  EXPECT_EQ(Scalar(*other, "SELECT who FROM t"), "orders2/80-");
}

TEST_F(ProxySessionStateTest, ASessionWithANamedLockEnds) {
  auto holder = MustConnect("orders:-80");
  auto released = MustConnect("orders:-80");
  ASSERT_EQ(Scalar(*released, "SELECT GET_LOCK('other', 5)"), "1");
  ASSERT_EQ(Scalar(*holder, "SELECT GET_LOCK('job', 5)"), "1");
  ASSERT_EQ(Scalar(*released, "SELECT RELEASE_LOCK('other')"), "1");
  EXPECT_EQ(Scalar(*At("orders/-80"), "SELECT IS_FREE_LOCK('job')"), "0");
  Switch();
  std::string message;
  EXPECT_EQ(ErrorOfStatement(*holder, "UPDATE t SET who = 'unprotected'", &message), 1184U);
  EXPECT_THAT(message, HasSubstr("it has named locks on tablet zone1-510"));
  EXPECT_EQ(Scalar(*At("orders/-80"), "SELECT IS_FREE_LOCK('job')"), "1");
  EXPECT_EQ(Scalar(*At("orders2/-80"), "SELECT who FROM t"), "orders2/-80");
  EXPECT_EQ(Scalar(*released, "SELECT who FROM t"), "orders2/-80");
}

TEST_F(ProxySessionStateTest, ALostServerTakesTheSessionWithItsTemporaryTables) {
  auto client = MustConnect("orders:-80");
  ASSERT_EQ(ErrorOfStatement(*client, "CREATE TEMPORARY TABLE t (id INT)"), 0U);
  auto server = At("orders/-80");
  const std::string sessions =
      " FROM information_schema.processlist WHERE user = 'router' AND db = 'vt_orders_low'";
  const std::string id = Scalar(*server, absl::StrCat("SELECT id", sessions));
  ASSERT_TRUE(server->Execute(absl::StrCat("KILL ", id)).ok());
  while (Scalar(*server, absl::StrCat("SELECT COUNT(*)", sessions)) != "0") {
    std::this_thread::yield();
  }
  std::string message;
  EXPECT_EQ(ErrorOfStatement(*client, "DELETE FROM t", &message), 1184U);
  EXPECT_THAT(message, HasSubstr("the connection to it is lost"));
  EXPECT_EQ(Scalar(*server, "SELECT COUNT(*) FROM t"), "1");
}

TEST_F(ProxySessionStateTest, ATransactionStaysOnItsSide) {
  auto client = MustConnect("orders:-80");
  ASSERT_EQ(ErrorOfStatement(*client, "BEGIN"), 0U);
  ASSERT_EQ(ErrorOfStatement(*client, "INSERT INTO t VALUES (2, 'old side')"), 0U);
  Switch();
  std::string message;
  EXPECT_EQ(ErrorOfStatement(*client, "INSERT INTO t VALUES (3, 'split')", &message), 1105U);
  EXPECT_THAT(message,
              AllOf(HasSubstr("a transaction is open on orders/-80"),
                    HasSubstr("needs orders2/-80 (orders/-80 by its shard rule)@PRIMARY")));
  EXPECT_EQ(ErrorOfStatement(*client, "ROLLBACK"), 0U);
  EXPECT_EQ(ErrorOfStatement(*client, "INSERT INTO t VALUES (3, 'whole')"), 0U);
  EXPECT_EQ(Scalar(*At("orders/-80"), "SELECT COUNT(*) FROM t"), "1");
  EXPECT_EQ(Scalar(*At("orders2/-80"), "SELECT COUNT(*) FROM t"), "2");
}

}  // namespace
}  // namespace sluice::proxy
