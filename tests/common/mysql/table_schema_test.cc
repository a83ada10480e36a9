// Tests of table descriptions read from a real mysqld.

#include "common/mysql/table_schema.h"

#include <string>

#include "absl/strings/str_cat.h"
#include "tests/common/mysql/server_test.h"

namespace sluice::mysql {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

class TableSchemaTest : public ServerTest {
 protected:
  TableSchema Read(const std::string& table) {
    auto schema = ReadTableSchema(*connection_, "d", table);
    EXPECT_TRUE(schema.ok()) << schema.status();
    return schema.ok() ? *schema : TableSchema();
  }
};

TEST_F(TableSchemaTest, ColumnsAreDescribed) {
  Run("CREATE TABLE t (id BIGINT UNSIGNED PRIMARY KEY, name VARCHAR(20) CHARACTER SET latin1 "
      "COLLATE latin1_german1_ci NOT NULL, e ENUM('a unsigned b'), v INT AS (id + 1) VIRTUAL, "
      "s INT AS (1) STORED, hidden INT INVISIBLE, d DATETIME DEFAULT (NOW()), j JSON, b BLOB)");
  const TableSchema schema = Read("t");
  ASSERT_EQ(schema.columns.size(), 9U);
  EXPECT_EQ(schema.columns[0].data_type, "bigint");
  EXPECT_TRUE(schema.columns[0].is_unsigned);
  EXPECT_FALSE(schema.columns[0].is_nullable);
  EXPECT_EQ(schema.columns[1].charset, "latin1");
  EXPECT_EQ(schema.columns[1].collation, "latin1_german1_ci");
  EXPECT_FALSE(schema.columns[2].is_unsigned);
  EXPECT_EQ(schema.columns[2].column_type, "enum('a unsigned b')");
  EXPECT_TRUE(schema.columns[3].is_generated);
  EXPECT_TRUE(schema.columns[4].is_generated);
  EXPECT_TRUE(schema.columns[5].is_invisible);
  EXPECT_FALSE(schema.columns[6].is_generated);
  EXPECT_EQ(schema.columns[7].charset, "");
  EXPECT_EQ(schema.columns[8].charset, "");
  EXPECT_EQ(schema.FindColumn("NAME"), &schema.columns[1]);
  EXPECT_EQ(schema.FindColumn("x"), nullptr);
  EXPECT_THAT(schema.create_statement, HasSubstr("CREATE TABLE `t`"));
  EXPECT_FALSE(schema.is_view);
}

TEST_F(TableSchemaTest, ThePrimaryKeyComesFirst) {
  Run("CREATE TABLE t (a INT NOT NULL UNIQUE, b INT, c INT, PRIMARY KEY (c, b))");
  EXPECT_THAT(Read("t").key_columns, ElementsAre("c", "b"));
}

TEST_F(TableSchemaTest, WithoutAPrimaryKeyTheBestUniqueKeyIsTaken) {
  Run("CREATE TABLE t (a INT NOT NULL, b INT NOT NULL, s VARCHAR(9) NOT NULL, n INT, f FLOAT NOT "
      "NULL, UNIQUE two (a, b), UNIQUE text (s), UNIQUE nullable (n), UNIQUE floating (f), "
      "UNIQUE prefix (s(3)), UNIQUE expression ((a + 1)))");
  EXPECT_THAT(Read("t").key_columns, ElementsAre("s"));
  Run("ALTER TABLE t ADD UNIQUE number (b)");
  EXPECT_THAT(Read("t").key_columns, ElementsAre("b"));
}

TEST_F(TableSchemaTest, WithoutAFittingKeyThereIsNone) {
  Run("CREATE TABLE t (a INT, s VARCHAR(9) NOT NULL, f DOUBLE NOT NULL, UNIQUE (a), "
      "UNIQUE (s(3)), UNIQUE (f))");
  EXPECT_THAT(Read("t").key_columns, IsEmpty());
}

TEST_F(TableSchemaTest, AnInvisiblePrimaryKeyIsSeen) {
  Run("SET sql_generate_invisible_primary_key = ON");
  Run("CREATE TABLE t (a INT)");
  Run("SET show_gipk_in_create_table_and_information_schema = OFF");
  const TableSchema schema = Read("t");
  EXPECT_THAT(schema.key_columns, ElementsAre("my_row_id"));
  EXPECT_THAT(schema.create_statement, HasSubstr("my_row_id"));
}

TEST_F(TableSchemaTest, RelationsAreNamedBothWays) {
  Run("DROP DATABASE IF EXISTS other");
  Run("CREATE DATABASE other");
  Run("CREATE TABLE parent (id INT PRIMARY KEY)");
  Run("CREATE TABLE child (id INT PRIMARY KEY, p INT, FOREIGN KEY (p) REFERENCES parent (id), "
      "FOREIGN KEY (p) REFERENCES child (id))");
  Run("CREATE TABLE other.far (id INT PRIMARY KEY, FOREIGN KEY (id) REFERENCES d.parent (id))");
  Run("CREATE TRIGGER before_child BEFORE INSERT ON child FOR EACH ROW SET NEW.p = 1");
  EXPECT_THAT(Read("parent").foreign_key_children, ElementsAre("child", "other.far"));
  EXPECT_THAT(Read("parent").foreign_key_parents, IsEmpty());
  EXPECT_THAT(Read("child").foreign_key_parents, ElementsAre("child", "parent"));
  EXPECT_THAT(Read("child").triggers, ElementsAre("before_child"));
  auto far = ReadTableSchema(*connection_, "other", "far");
  ASSERT_TRUE(far.ok());
  EXPECT_THAT(far->foreign_key_parents, ElementsAre("d.parent"));
  Run("DROP DATABASE other");

  auto whole = ReadWholeTableSchemas(*connection_, "d", {"child", "none", "parent"});
  ASSERT_TRUE(whole.ok()) << whole.status();
  ASSERT_EQ(whole->size(), 2U);
  for (const TableSchema& schema : *whole) {
    const TableSchema alone = Read(schema.name);
    EXPECT_EQ(schema.create_statement, alone.create_statement);
    EXPECT_EQ(schema.foreign_key_parents, alone.foreign_key_parents);
    EXPECT_EQ(schema.foreign_key_children, alone.foreign_key_children);
    EXPECT_EQ(schema.triggers, alone.triggers);
    EXPECT_THAT(schema.create_statement, HasSubstr(absl::StrCat("`", schema.name, "`")));
  }
}

TEST_F(TableSchemaTest, ListsTablesWithoutViewsAndOurOwn) {
  Run("CREATE TABLE b (id INT)");
  Run("CREATE TABLE a (id INT)");
  Run("CREATE TABLE _sluice_closed_c (id INT)");
  Run("CREATE TABLE _sluicex (id INT)");
  Run("CREATE VIEW v AS SELECT * FROM a");
  auto tables = ListTables(*connection_, "d");
  ASSERT_TRUE(tables.ok());
  EXPECT_THAT(*tables, ElementsAre("_sluicex", "a", "b"));
  EXPECT_TRUE(Read("v").is_view);
}

TEST_F(TableSchemaTest, ForeignKeysThatCascadeAndViewsAreNamed) {
  Run("CREATE TABLE p (id INT PRIMARY KEY)");
  Run("CREATE TABLE c (id INT PRIMARY KEY, a INT, b INT, d INT, "
      "CONSTRAINT plain FOREIGN KEY (a) REFERENCES p (id) ON DELETE RESTRICT, "
      "CONSTRAINT dies FOREIGN KEY (b) REFERENCES p (id) ON DELETE CASCADE, "
      "CONSTRAINT loses FOREIGN KEY (d) REFERENCES p (id) ON UPDATE SET NULL)");
  Run("CREATE VIEW both_tables AS SELECT p.id, c.a FROM p JOIN c ON c.a = p.id");
  Run("CREATE VIEW parents AS SELECT id FROM p");
  EXPECT_THAT(Read("c").cascades, ElementsAre("dies", "loses"));
  EXPECT_THAT(Read("c").cascade_parents, ElementsAre("p"));
  EXPECT_THAT(Read("p").cascades, IsEmpty());
  EXPECT_THAT(Read("p").views, ElementsAre("both_tables", "parents"));
  EXPECT_THAT(Read("c").views, ElementsAre("both_tables"));
}

TEST_F(TableSchemaTest, EventsAndRoutinesThatNameATableAreNamed) {
  Run("CREATE TABLE p (id INT PRIMARY KEY)");
  Run("CREATE TABLE c (id INT PRIMARY KEY)");
  Run("CREATE EVENT nightly ON SCHEDULE EVERY 1 DAY DISABLE DO DELETE FROM d.p");
  Run("CREATE PROCEDURE pay() BEGIN UPDATE `p` SET id = 1; INSERT INTO c VALUES (1); END");
  Run("CREATE FUNCTION one() RETURNS INT DETERMINISTIC RETURN 1 /* p */ + LENGTH('c')");
  EXPECT_THAT(Read("p").programs, ElementsAre("event nightly", "procedure pay"));
  EXPECT_THAT(Read("c").programs, ElementsAre("procedure pay"));
}

// How many of a server's binlog events are of d.c after a row of d.p went and took one with it.
size_t EventsOfACascade(const sluice::testing::Mysqld& server) {
  const auto connection = Connection::Connect(server.Root());
  EXPECT_TRUE(connection.ok()) << connection.status();
  for (const char* sql :
       {"CREATE DATABASE IF NOT EXISTS d", "CREATE TABLE d.p (id INT PRIMARY KEY)",
        "CREATE TABLE d.c (id INT PRIMARY KEY, FOREIGN KEY (id) REFERENCES d.p (id) ON DELETE "
        "CASCADE)",
        "INSERT INTO d.p VALUES (1)", "INSERT INTO d.c VALUES (1)", "FLUSH BINARY LOGS",
        "DELETE FROM d.p"}) {
    const auto done = (*connection)->Execute(sql);
    EXPECT_TRUE(done.ok()) << done.status();
  }
  const auto log = (*connection)->Query("SHOW BINARY LOG STATUS");
  EXPECT_TRUE(log.ok()) << log.status();
  const auto events =
      (*connection)->Query("SHOW BINLOG EVENTS IN " + QuoteString(*log->rows[0][0]));
  EXPECT_TRUE(events.ok()) << events.status();
  size_t found = 0;
  for (const Row& event : events->rows) {
    found += event[5].value_or("").find("(d.c)") == std::string::npos ? 0U : 1U;
  }
  return found;
}

TEST_F(TableSchemaTest, WhetherTheBinlogHoldsCascadesIsAFactOfTheServer) {
  const auto logged = LogsCascades(*connection_);
  ASSERT_TRUE(logged.ok()) << logged.status();
  EXPECT_TRUE(*logged);
  EXPECT_EQ(EventsOfACascade(server()), 1U);
  const auto native = sluice::testing::Mysqld::Start({"--innodb-native-foreign-keys=ON"});
  ASSERT_TRUE(native.ok()) << native.status();
  EXPECT_EQ(EventsOfACascade(**native), 0U);
  const auto connection = Connection::Connect((*native)->Root());
  ASSERT_TRUE(connection.ok());
  const auto unlogged = LogsCascades(**connection);
  ASSERT_TRUE(unlogged.ok()) << unlogged.status();
  EXPECT_FALSE(*unlogged);
}

TEST_F(TableSchemaTest, NamesNeedNoCare) {
  Run("CREATE TABLE `it's ``odd`` \\\\ ü` (`a'b` INT PRIMARY KEY)");
  EXPECT_THAT(Read("it's `odd` \\\\ ü").key_columns, ElementsAre("a'b"));
}

TEST_F(TableSchemaTest, AMissingTableIsNamed) {
  const absl::Status status = ReadTableSchema(*connection_, "d", "none").status();
  EXPECT_TRUE(absl::IsNotFound(status));
  EXPECT_THAT(std::string(status.message()), HasSubstr("d.none"));
}

TEST_F(TableSchemaTest, TheEstimatesFollowTheTable) {
  Run("CREATE TABLE t (id INT PRIMARY KEY, v CHAR(100))");
  Run("INSERT INTO t WITH RECURSIVE n AS (SELECT 1 AS i UNION ALL SELECT i + 1 FROM n WHERE i < "
      "900)"
      " SELECT i, 'x' FROM n");
  Run("ANALYZE TABLE t");
  const TableSchema schema = Read("t");
  EXPECT_GT(schema.rows_estimate, 100U);
  EXPECT_GT(schema.bytes_estimate, 10'000U);
}

}  // namespace
}  // namespace sluice::mysql
