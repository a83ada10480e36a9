// Every way by which a client might change rows behind a closed gate, on a real mysqld: each fails
// with an error and leaves the rows as they are.

#include <gmock/gmock.h>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "common/base/status.h"
#include "tests/agent/gate/gate_fixture.h"

namespace sluice::gate {
namespace {

using ::testing::HasSubstr;

struct Way {
  const char* name;
  std::vector<std::string> before;  // as root, while the gate is open
  const char* sql;                  // as the application, behind the gate
};

const std::vector<Way>& Ways() {
  static const std::vector<Way> ways = {
      {"Insert", {}, "INSERT INTO customer (email) VALUES ('x')"},
      {"InsertIgnore", {}, "INSERT IGNORE INTO customer (email) VALUES ('x')"},
      {"InsertSelect", {}, "INSERT INTO customer (email) SELECT note FROM stays"},
      {"Upsert", {}, "INSERT INTO customer VALUES (1, 'x') ON DUPLICATE KEY UPDATE email = 'x'"},
      {"Replace", {}, "REPLACE INTO customer VALUES (1, 'x')"},
      {"ReplaceSelect", {}, "REPLACE INTO customer SELECT id, note FROM stays"},
      {"Update", {}, "UPDATE customer SET email = 'x'"},
      {"UpdateOfTwoTables",
       {},
       "UPDATE stays, customer SET email = note, note = 'x' WHERE stays.id = customer.id"},
      {"Delete", {}, "DELETE FROM corder"},
      {"DeleteOfTwoTables",
       {},
       "DELETE stays, corder FROM stays JOIN corder ON corder.id = stays.id"},
      {"Truncate", {}, "TRUNCATE TABLE corder"},
      {"AlterTable", {}, "ALTER TABLE customer ADD COLUMN more INT"},
      {"DropColumn", {}, "ALTER TABLE customer DROP COLUMN email"},
      {"AlterIndex", {}, "CREATE INDEX more ON customer (email)"},
      {"DropTable", {}, "DROP TABLE corder"},
      {"DropTwoTables", {}, "DROP TABLE stays, corder"},
      {"RenameByAlter", {}, "ALTER TABLE customer RENAME TO other"},
      {"RenameOntoIt", {}, "RENAME TABLE stays TO customer"},
      {"CreateTable", {}, "CREATE TABLE customer (id INT PRIMARY KEY, email TEXT)"},
      {"CreateTableLike", {}, "CREATE TABLE customer LIKE stays"},
      {"CreateTableAsSelect", {}, "CREATE TABLE customer AS SELECT * FROM stays"},
      {"CreateView", {}, "CREATE VIEW customer AS SELECT * FROM stays"},
      {"CreateClosedName", {}, "CREATE TABLE _sluice_closed_customer (id INT)"},
      {"CreateTrigger",
       {},
       "CREATE TRIGGER t BEFORE INSERT ON customer FOR EACH ROW SET NEW.email = 'x'"},
      {"TriggerOfATableThatStays",
       {"CREATE TRIGGER vt_commerce.spread AFTER UPDATE ON vt_commerce.stays FOR EACH ROW"
        " INSERT INTO vt_commerce.customer (email) VALUES (NEW.note)"},
       "UPDATE stays SET note = 'x' WHERE id = 1"},
      {"StoredProcedure",
       {"CREATE PROCEDURE vt_commerce.p() UPDATE customer SET email = 'x'"},
       "CALL p()"},
      {"StoredProcedureOfRootInATransaction",
       {"CREATE DEFINER = root@localhost PROCEDURE vt_commerce.q() SQL SECURITY DEFINER BEGIN"
        " START TRANSACTION; DELETE FROM corder; COMMIT; END"},
       "CALL q()"},
      {"StoredFunction",
       {"SET GLOBAL log_bin_trust_function_creators = 1",
        "CREATE FUNCTION vt_commerce.f() RETURNS INT MODIFIES SQL DATA BEGIN DELETE FROM"
        " corder; RETURN 1; END"},
       "SELECT f()"},
      {"PreparedStatement", {}, "PREPARE s FROM 'DELETE FROM corder'"},
      {"ViewOfAnother",
       {"CREATE VIEW vt_commerce.v AS SELECT * FROM vt_commerce.corder"},
       "DELETE FROM v"},
      {"KeyFromATableThatIsNew",
       {},
       "CREATE TABLE child (id BIGINT PRIMARY KEY, FOREIGN KEY (id) REFERENCES customer (id))"}};
  return ways;
}

class GateWaysTest : public GateFixture {
 protected:
  void SetUp() override {
    GateFixture::SetUp();
    for (const char* sql :
         {"CREATE TABLE vt_commerce.stays (id BIGINT PRIMARY KEY, note VARCHAR(20))",
          "INSERT INTO vt_commerce.stays VALUES (1, 'one'), (2, 'two')",
          "GRANT ALL ON vt_commerce.* TO app@'%'"}) {
      Root(sql);
    }
  }

  // All rows, wherever they stand.
  std::string Rows() {
    const bool closed = absl::StrContains(Tables(), "_sluice_closed_customer");
    const std::string prefix = closed ? "_sluice_closed_" : "";
    return absl::StrCat(
        Scalar(absl::StrCat("SELECT GROUP_CONCAT(JSON_ARRAY(id, email) ORDER BY id) FROM"
                            " vt_commerce.",
                            prefix, "customer")),
        Scalar(absl::StrCat("SELECT GROUP_CONCAT(JSON_ARRAY(id, customer_id) ORDER BY id) FROM"
                            " vt_commerce.",
                            prefix, "corder")),
        Scalar("SELECT GROUP_CONCAT(JSON_ARRAY(id, note) ORDER BY id) FROM vt_commerce.stays"));
  }

  void ExpectEveryWayFails() {
    const std::string rows = Rows();
    const std::string names = Tables();
    for (const Way& way : Ways()) {
      SCOPED_TRACE(way.name);
      for (const char* mode : {"STRICT_TRANS_TABLES", ""}) {
        const auto app = App();
        ASSERT_TRUE(app->Execute(absl::StrCat("SET sql_mode = '", mode, "'")).ok());
        const absl::Status status = app->Execute(way.sql).status();
        EXPECT_NE(MysqlErrnoOf(status), 0U) << way.sql << ": " << status;
      }
      EXPECT_EQ(Rows(), rows);
      EXPECT_EQ(Tables(), names);
    }
  }
};

TEST_F(GateWaysTest, EveryWayFailsAndLeavesTheRowsAsTheyAre) {
  for (const Way& way : Ways()) {
    for (const std::string& sql : way.before) {
      Root(sql);
    }
  }
  ASSERT_TRUE(Set(State::kClosed, 1).ok());
  // As the agent does once the cutover is committed.
  const absl::Status guarded = keeper_->Guard(kId, Soon());
  ASSERT_TRUE(guarded.ok()) << guarded;
  ExpectEveryWayFails();
  EXPECT_EQ(ReadState(), State::kClosed);
  ASSERT_TRUE(Set(State::kReadable, 2).ok());
  ExpectEveryWayFails();
  EXPECT_EQ(ReadState(), State::kReadable);
  ASSERT_TRUE(Set(State::kOpen, 3).ok());
  EXPECT_EQ(AppErrno("INSERT INTO corder (customer_id) VALUES (1)"), 0U);
  EXPECT_EQ(AppErrno("CALL p()"), 0U) << "what failed behind the gate works again";
}

TEST_F(GateWaysTest, LoadingRowsFails) {
  Root("SET GLOBAL local_infile = ON");
  mysql::ConnectionOptions options = mysqld_->Root();
  options.user = "app";
  options.password = "app";
  options.database = "vt_commerce";
  options.loads_rows = true;
  auto app = mysql::Connection::Connect(options);
  ASSERT_TRUE(app.ok()) << app.status();
  const auto load = [&](const char* how) {
    return (*app)
        ->LoadRows(
            absl::StrCat("LOAD DATA LOCAL INFILE 'rows' ", how, " INTO TABLE customer (id, email)"),
            "1\tloaded\n9\tloaded\n")
        .status();
  };
  uint64_t epoch = 0;
  for (const State state : {State::kClosed, State::kReadable}) {
    SCOPED_TRACE(StateName(state));
    ASSERT_TRUE(Set(state, ++epoch).ok());
    ASSERT_TRUE(keeper_->Guard(kId, Soon()).ok());
    const std::string rows = Rows();
    for (const char* how : {"", "REPLACE", "IGNORE"}) {
      EXPECT_NE(MysqlErrnoOf(load(how)), 0U) << how;
    }
    EXPECT_EQ(Rows(), rows);
  }
  ASSERT_TRUE(Set(State::kOpen, ++epoch).ok());
  const absl::Status open = load("REPLACE");
  EXPECT_TRUE(open.ok()) << open;
}

// Nobody can be kept from renaming or dropping a view who may do so; it is not the table.
TEST_F(GateWaysTest, WhoTakesTheGuardAwayDoesNotGetAtTheTable) {
  ASSERT_TRUE(Set(State::kClosed, 1).ok());
  EXPECT_EQ(AppErrno("RENAME TABLE customer TO other"), 1146U);
  ASSERT_TRUE(keeper_->Guard(kId, Soon()).ok());
  ASSERT_TRUE(keeper_->Guard(kId, Soon()).ok()) << "repeated";
  const std::string rows = Rows();
  EXPECT_EQ(AppErrno("RENAME TABLE customer TO other"), 0U);
  EXPECT_EQ(AppErrno("DROP VIEW corder"), 0U);
  EXPECT_NE(AppErrno("SELECT * FROM other"), 0U);
  EXPECT_EQ(Rows(), rows);
  EXPECT_EQ(ReadState(), State::kClosed);
  ASSERT_TRUE(Set(State::kOpen, 2).ok());
  EXPECT_EQ(Rows(), rows);
}

TEST_F(GateWaysTest, TheGuardGoesWithTheTables) {
  ASSERT_TRUE(Set(State::kClosed, 1).ok());
  ASSERT_TRUE(keeper_->Guard(kId, Soon()).ok());
  EXPECT_EQ(AppErrno("SELECT * FROM customer"), 1356U);
  const auto dropped = DropTables(
      *keeper_, {.id = kId, .tables = kTables, .mode = DropMode::kDrop, .epoch = 2}, Soon());
  ASSERT_TRUE(dropped.ok()) << dropped.status();
  EXPECT_EQ(Tables(), "stays");
}

// The gate of a target that is being filled must not be found taken by its own guard.
TEST_F(GateWaysTest, OnlyAClosedGateIsGuarded) {
  ASSERT_TRUE(keeper_->Guard(kId, Soon()).ok()) << "never recorded";
  ASSERT_TRUE(Set(State::kClosed, 1).ok());
  ASSERT_TRUE(Set(State::kOpen, 2).ok());
  ASSERT_TRUE(keeper_->Guard(kId, Soon()).ok());
  EXPECT_EQ(Tables(), "corder,customer,stays");
  EXPECT_EQ(AppErrno("INSERT INTO corder (customer_id) VALUES (1)"), 0U);
}

class GateCascadeTest : public GateFixture {
 protected:
  void SetUp() override {
    GateFixture::SetUp();
    Root("CREATE TABLE vt_commerce.region (id BIGINT PRIMARY KEY)");
    Root("INSERT INTO vt_commerce.region VALUES (1), (2)");
    Root("CREATE TABLE vt_commerce.shop (id BIGINT PRIMARY KEY, region_id BIGINT)");
    Root("INSERT INTO vt_commerce.shop VALUES (10, 1), (11, 2)");
  }
  GateChange Of(std::vector<std::string> tables, State wanted, uint64_t epoch) {
    GateChange change = Change(wanted, epoch);
    change.tables = std::move(tables);
    return change;
  }
};

TEST_F(GateCascadeTest, AKeyWhoseRuleReachesBehindTheGateIsNamedAndRefused) {
  uint64_t epoch = 0;
  for (const char* rule :
       {"ON DELETE CASCADE", "ON DELETE SET NULL", "ON UPDATE CASCADE", "ON UPDATE SET NULL"}) {
    SCOPED_TRACE(rule);
    Root(
        absl::StrCat("ALTER TABLE vt_commerce.shop ADD CONSTRAINT of_region FOREIGN KEY"
                     " (region_id) REFERENCES vt_commerce.region (id) ",
                     rule));
    for (const State state : {State::kClosed, State::kReadable}) {
      const absl::Status refused = keeper_->Set(Of({"shop"}, state, ++epoch), Soon()).status();
      EXPECT_EQ(refused.code(), absl::StatusCode::kFailedPrecondition);
      EXPECT_EQ(SubjectOf(refused), "shop");
      EXPECT_THAT(std::string(refused.message()), HasSubstr("vt_commerce.region"));
      EXPECT_THAT(std::string(refused.message()), HasSubstr("of_region"));
    }
    EXPECT_EQ(AppErrno("UPDATE shop SET region_id = 1 WHERE id = 10"), 0U) << "it was closed";
    Root("ALTER TABLE vt_commerce.shop DROP FOREIGN KEY of_region");
  }
}

TEST_F(GateCascadeTest, ACascadeAmongTheTablesOfTheGateIsItsOwnAffair) {
  Root(
      "ALTER TABLE vt_commerce.shop ADD CONSTRAINT of_region FOREIGN KEY (region_id) REFERENCES"
      " vt_commerce.region (id) ON DELETE CASCADE");
  const auto closed = keeper_->Set(Of({"region", "shop"}, State::kClosed, 1), Soon());
  ASSERT_TRUE(closed.ok()) << closed.status();
  EXPECT_NE(AppErrno("DELETE FROM region WHERE id = 1"), 0U);
  EXPECT_EQ(Scalar("SELECT COUNT(*) FROM vt_commerce._sluice_closed_shop"), "2");
  // Closed by names already: closing it again, or another way, finds the same.
  ASSERT_TRUE(keeper_->Set(Of({"region", "shop"}, State::kReadable, 2), Soon()).ok());
  EXPECT_NE(AppErrno("DELETE FROM region WHERE id = 1"), 0U);
  EXPECT_EQ(Scalar("SELECT COUNT(*) FROM vt_commerce._sluice_closed_shop"), "2");
}

TEST_F(GateCascadeTest, AParentThatStaysAndOnlyRestrictsFailsForItself) {
  Root(
      "ALTER TABLE vt_commerce.shop ADD CONSTRAINT of_region FOREIGN KEY (region_id) REFERENCES"
      " vt_commerce.region (id)");
  const auto closed = keeper_->Set(Of({"shop"}, State::kClosed, 1), Soon());
  ASSERT_TRUE(closed.ok()) << closed.status();
  EXPECT_NE(AppErrno("DELETE FROM region WHERE id = 1"), 0U);
  EXPECT_EQ(Scalar("SELECT GROUP_CONCAT(id, region_id) FROM vt_commerce._sluice_closed_shop"),
            "101,112");
}

}  // namespace
}  // namespace sluice::gate
