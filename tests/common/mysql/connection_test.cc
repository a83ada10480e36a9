// Tests of sessions with a real mysqld: results, errors, time-outs.

#include "common/mysql/connection.h"

#include <unistd.h>

#include <string>
#include <thread>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "common/base/status.h"
#include "common/gtid/gtid_set.h"
#include "tests/common/mysql/server_test.h"

namespace sluice::mysql {
namespace {

using ::testing::HasSubstr;

class ConnectionTest : public ServerTest {
 protected:
  // Runs `sql` on another session once it is seen to run in this server.
  static void AwaitRunning(const std::string& info) {
    auto watcher = Connect(server().Root());
    const absl::Time deadline = absl::Now() + absl::Seconds(20);
    while (absl::Now() < deadline) {
      auto found = watcher->QueryScalar(
          "SELECT COUNT(*) FROM performance_schema.threads WHERE PROCESSLIST_INFO = " +
          QuoteString(info));
      if (found.ok() && *found != "0") {
        return;
      }
      absl::SleepFor(absl::Milliseconds(5));  // Delay: the server tells nobody what it runs
    }
    FAIL() << "never ran: " << info;
  }
};

TEST_F(ConnectionTest, QueryGivesColumnsRowsAndNulls) {
  auto result = connection_->Query(
      "SELECT 1 AS one, NULL AS nothing, x'00ff' AS bytes UNION ALL "
      "SELECT 2, 'x', ''");
  ASSERT_TRUE(result.ok()) << result.status();
  EXPECT_THAT(result->columns, ::testing::ElementsAre("one", "nothing", "bytes"));
  ASSERT_EQ(result->rows.size(), 2U);
  EXPECT_EQ(result->rows[0][1], std::nullopt);
  EXPECT_EQ(result->rows[0][2], std::string("\x00\xff", 2));
  EXPECT_EQ(result->rows[1][2], "");
}

TEST_F(ConnectionTest, ExecuteCountsRowsAndGivesInsertIds) {
  Run("CREATE TABLE t (id INT AUTO_INCREMENT PRIMARY KEY, v INT)");
  auto inserted = connection_->Query("INSERT INTO t (v) VALUES (1), (2), (3)");
  ASSERT_TRUE(inserted.ok());
  EXPECT_EQ(inserted->affected_rows, 3U);
  EXPECT_EQ(inserted->last_insert_id, 1U);
  EXPECT_EQ(*connection_->Execute("UPDATE t SET v = 9 WHERE id < 3"), 2U);
  EXPECT_EQ(*connection_->Execute("SELECT * FROM t"), 0U);
  EXPECT_EQ(*connection_->QueryScalar("SELECT SUM(v) FROM t"), "21");
  EXPECT_TRUE(absl::IsNotFound(connection_->QueryScalar("SELECT v FROM t WHERE id = 99").status()));
}

TEST_F(ConnectionTest, WarningsAreCounted) {
  Run("SET sql_mode = ''");
  Run("CREATE TABLE t (v TINYINT)");
  auto result = connection_->Query("INSERT INTO t VALUES (1000), (1), (-1000)");
  ASSERT_TRUE(result.ok());
  EXPECT_EQ(result->warnings, 2U);
}

TEST_F(ConnectionTest, LoadsRowsAndSaysWhatBecameOfThem) {
  Run("SET GLOBAL local_infile = ON");
  Run("CREATE TABLE t (id INT PRIMARY KEY, v VARCHAR(3))");
  ConnectionOptions options = server().Root();
  options.database = "d";
  options.loads_rows = true;
  const auto session = Connect(options);
  ASSERT_NE(session, nullptr);
  ASSERT_TRUE(ConfigureDataSession(*session).ok());
  const std::string load = "LOAD DATA LOCAL INFILE 'x' REPLACE INTO TABLE t CHARACTER SET binary";
  std::string rows;
  for (int i = 0; i < 50'000; ++i) {
    rows += absl::StrCat(i, "\tv\n");
  }
  auto outcome = session->LoadRows(load, rows);
  ASSERT_TRUE(outcome.ok()) << outcome.status();
  EXPECT_EQ(outcome->records, 50'000U);
  EXPECT_EQ(outcome->deleted + outcome->skipped + outcome->warnings, 0U);
  outcome = session->LoadRows(load, "7\tnew\n50000\t\\N\n");
  ASSERT_TRUE(outcome.ok()) << outcome.status();
  EXPECT_EQ(outcome->records, 2U);
  EXPECT_EQ(outcome->deleted, 1U);
  outcome = session->LoadRows(load, "8\tabc   \n");
  ASSERT_TRUE(outcome.ok()) << outcome.status();
  EXPECT_EQ(outcome->warnings, 1U) << "blanks were cut off";
  for (const char* bad : {"9\ttoo long\n", "ten\tv\n", "9999999999\tv\n", "1\n", "1\t2\t3\n"}) {
    EXPECT_FALSE(session->LoadRows(load, bad).ok()) << bad;
  }
  EXPECT_TRUE(session->Execute("DO 0").ok());
  Run("SET GLOBAL local_infile = OFF");
  EXPECT_FALSE(session->LoadRows(load, "1\tv\n").ok());
}

TEST_F(ConnectionTest, AServerThatAsksForAFileGetsNone) {
  Run("SET GLOBAL local_infile = ON");
  Run("CREATE TABLE t (v TEXT)");
  for (const bool loads_rows : {false, true}) {
    ConnectionOptions options = server().Root();
    options.database = "d";
    options.loads_rows = loads_rows;
    const auto session = Connect(options);
    ASSERT_NE(session, nullptr);
    EXPECT_FALSE(session->Execute("LOAD DATA LOCAL INFILE '/proc/self/stat' INTO TABLE t").ok());
    auto count = connection_->QueryScalar("SELECT COUNT(*) FROM t");
    ASSERT_TRUE(count.ok());
    EXPECT_EQ(*count, "0");
  }
  Run("SET GLOBAL local_infile = OFF");
}

TEST_F(ConnectionTest, ErrorsKeepNumberTextAndCode) {
  absl::Status status = connection_->Query("SELECT * FROM nothere").status();
  EXPECT_EQ(status.code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_EQ(MysqlErrnoOf(status), 1146U);
  EXPECT_EQ(std::string(status.message()), "1146 (42S02): Table 'd.nothere' doesn't exist");
  Run("CREATE TABLE t (id INT PRIMARY KEY)");
  Run("INSERT INTO t VALUES (1)");
  EXPECT_TRUE(absl::IsAlreadyExists(connection_->Execute("INSERT INTO t VALUES (1)").status()));
  EXPECT_TRUE(connection_->healthy());
}

TEST_F(ConnectionTest, LockWaitsAreAborted) {
  Run("CREATE TABLE t (id INT PRIMARY KEY)");
  Run("INSERT INTO t VALUES (1)");
  Run("BEGIN");
  Run("DELETE FROM t");
  auto other = Connect(server().Root());
  ASSERT_TRUE(other->Execute("SET innodb_lock_wait_timeout = 1").ok());
  EXPECT_TRUE(absl::IsAborted(other->Execute("DELETE FROM d.t").status()));
}

TEST_F(ConnectionTest, StreamsRowsAndStopsWhereTold) {
  Run("CREATE TABLE t (id INT PRIMARY KEY)");
  Run("INSERT INTO t VALUES (1), (2), (3)");
  std::vector<std::string> seen;
  absl::Status status = connection_->QueryStream("SELECT id, NULL FROM t ORDER BY id",
                                                 [&](const std::vector<Cell>& row) {
                                                   seen.emplace_back(*row[0]);
                                                   EXPECT_FALSE(row[1].has_value());
                                                   return absl::OkStatus();
                                                 });
  EXPECT_TRUE(status.ok()) << status;
  EXPECT_THAT(seen, ::testing::ElementsAre("1", "2", "3"));
  status = connection_->QueryStream(
      "SELECT id FROM t", [](const std::vector<Cell>&) { return absl::CancelledError("enough"); });
  EXPECT_TRUE(absl::IsCancelled(status));
  EXPECT_EQ(*connection_->QueryScalar("SELECT 5"), "5");
}

TEST_F(ConnectionTest, AnErrorInTheMiddleOfAStreamIsNoShortResult) {
  Run("CREATE TABLE t (id INT PRIMARY KEY)");
  Run("INSERT INTO t VALUES (1), (2), (3)");
  int rows = 0;
  const absl::Status status = connection_->QueryStream(
      "SELECT IF(id < 3, 1, (SELECT id FROM t UNION SELECT 9)) FROM t ORDER BY id",
      [&](const std::vector<Cell>&) {
        ++rows;
        return absl::OkStatus();
      });
  EXPECT_FALSE(status.ok());
  EXPECT_LT(rows, 3);
}

TEST_F(ConnectionTest, ProceduresWithManyResultsLeaveTheSessionUsable) {
  Run("CREATE PROCEDURE p() BEGIN SELECT 1; SELECT 2; SELECT 3; END");
  auto result = connection_->Query("CALL p()");
  ASSERT_TRUE(result.ok()) << result.status();
  EXPECT_EQ(result->rows[0][0], "1");
  EXPECT_EQ(*connection_->QueryScalar("SELECT 4"), "4");
  EXPECT_TRUE(connection_->Execute("CALL p()").ok());
  EXPECT_EQ(*connection_->QueryScalar("SELECT 5"), "5");
}

TEST_F(ConnectionTest, InterruptEndsACallThatBlocks) {
  std::thread interrupter([&] {
    AwaitRunning("SELECT SLEEP(100)");
    connection_->Interrupt();
  });
  const absl::Status status = connection_->Query("SELECT SLEEP(100)").status();
  interrupter.join();
  EXPECT_TRUE(absl::IsUnavailable(status)) << status;
  EXPECT_FALSE(connection_->healthy());
  EXPECT_TRUE(absl::IsUnavailable(connection_->Query("SELECT 1").status()));
  connection_->Interrupt();
}

TEST_F(ConnectionTest, ReadTimeoutEndsACallThatBlocks) {
  ConnectionOptions options = server().RootOverTcp();
  options.read_timeout = absl::Seconds(1);
  auto connection = Connect(options);
  EXPECT_TRUE(absl::IsUnavailable(connection->Query("SELECT SLEEP(30)").status()));
}

TEST_F(ConnectionTest, AKilledSessionIsUnavailable) {
  auto other = Connect(server().Root());
  Run("KILL " + std::to_string(other->connection_id()));
  EXPECT_TRUE(absl::IsUnavailable(other->Query("SELECT 1").status()));
  EXPECT_FALSE(other->healthy());
}

TEST_F(ConnectionTest, NobodyListeningIsUnavailableAndNamed) {
  ConnectionOptions options;
  options.host = "127.0.0.1";
  options.port = *cluster::PickPort();
  options.user = "root";
  const absl::Status status = Connection::Connect(options).status();
  EXPECT_TRUE(absl::IsUnavailable(status));
  EXPECT_THAT(std::string(status.message()),
              HasSubstr("127.0.0.1:" + std::to_string(options.port)));
}

TEST_F(ConnectionTest, PasswordsWorkOverPlainTcpAndTls) {
  Run("DROP USER IF EXISTS app@'%'");
  Run("CREATE USER app@'%' IDENTIFIED BY 'secret'");
  ConnectionOptions options = server().RootOverTcp();
  options.user = "app";
  options.password = "secret";
  options.program = "sluice-test";
  options.plain = true;
  auto plain = Connect(options);
  ASSERT_NE(plain, nullptr);
  EXPECT_EQ(*plain->QueryScalar("SELECT VARIABLE_VALUE FROM performance_schema.session_status "
                                "WHERE VARIABLE_NAME = 'Ssl_cipher'"),
            "");
  options.plain = false;
  auto local = Connect(options);
  ASSERT_NE(local, nullptr);
  EXPECT_EQ(*local->QueryScalar("SELECT VARIABLE_VALUE FROM performance_schema.session_status "
                                "WHERE VARIABLE_NAME = 'Ssl_cipher'"),
            "");
  Run("ALTER USER app@'%' REQUIRE SSL");
  auto encrypted = Connect(options);
  ASSERT_NE(encrypted, nullptr);
  EXPECT_NE(*encrypted->QueryScalar("SELECT VARIABLE_VALUE FROM performance_schema.session_status "
                                    "WHERE VARIABLE_NAME = 'Ssl_cipher'"),
            "");
  EXPECT_EQ(encrypted->ReleaseSocket().status().code(), absl::StatusCode::kFailedPrecondition);
  Run("ALTER USER app@'%' REQUIRE NONE");
  Run("SET GLOBAL require_secure_transport = ON");
  auto required = Connect(options);
  Run("SET GLOBAL require_secure_transport = OFF");
  ASSERT_NE(required, nullptr);
  EXPECT_NE(*required->QueryScalar("SELECT VARIABLE_VALUE FROM performance_schema.session_status "
                                   "WHERE VARIABLE_NAME = 'Ssl_cipher'"),
            "");
  options.password = "wrong";
  const absl::Status status = Connection::Connect(options).status();
  EXPECT_TRUE(absl::IsPermissionDenied(status)) << status;
}

TEST_F(ConnectionTest, AReleasedSocketGoesOnAfterTheConnection) {
  ConnectionOptions options = server().RootOverTcp();
  options.plain = true;
  auto connection = Connect(options);
  const uint64_t id = connection->connection_id();
  auto raw = connection->ReleaseSocket();
  ASSERT_TRUE(raw.ok()) << raw.status();
  EXPECT_FALSE(connection->healthy());
  EXPECT_FALSE(connection->Query("SELECT 1").ok());
  connection.reset();
  EXPECT_TRUE(raw->deprecate_eof() && raw->session_track() && raw->query_attributes());
  // COM_QUERY with no attributes: command, count of parameters 0, of their sets 1.
  const std::string command = std::string("\x03\x00\x01", 3) + "SELECT CONNECTION_ID()";
  std::string packet(4, '\0');
  packet[0] = static_cast<char>(command.size());
  packet += command;
  ASSERT_EQ(write(raw->fd, packet.data(), packet.size()), static_cast<ssize_t>(packet.size()));
  std::string answer;
  while (answer.find(std::to_string(id)) == std::string::npos) {
    char buffer[512];
    const ssize_t size = read(raw->fd, buffer, sizeof buffer);
    ASSERT_GT(size, 0) << "the server closed the connection after " << answer.size() << " bytes";
    answer.append(buffer, static_cast<size_t>(size));
  }
  close(raw->fd);
}

TEST_F(ConnectionTest, LastGtidIsThatOfTheSessionsOwnCommit) {
  Run("CREATE TABLE t (id INT PRIMARY KEY)");
  Run("SET session_track_gtids = OWN_GTID");
  EXPECT_EQ(connection_->LastGtid(), "");
  Run("INSERT INTO t VALUES (1)");
  const std::string first = connection_->LastGtid();
  ASSERT_TRUE(gtid::GtidSet::Parse(first).ok()) << first;
  EXPECT_EQ(gtid::GtidSet::Parse(first)->Count(), 1U);
  Run("BEGIN");
  Run("INSERT INTO t VALUES (2)");
  EXPECT_EQ(connection_->LastGtid(), first);
  Run("COMMIT");
  EXPECT_NE(connection_->LastGtid(), first);
  EXPECT_EQ(*connection_->QueryScalar("SELECT GTID_SUBSET('" + connection_->LastGtid() +
                                      "', @@GLOBAL.gtid_executed)"),
            "1");
}

TEST_F(ConnectionTest, DataSessionsNeedNoSpecialPrivilege) {
  Run("DROP USER IF EXISTS app@'%'");
  Run("CREATE USER app@'%' IDENTIFIED BY 'secret'");
  ConnectionOptions options = server().Root();
  options.user = "app";
  options.password = "secret";
  auto connection = Connect(options);
  const absl::Status status = ConfigureDataSession(*connection);
  EXPECT_TRUE(status.ok()) << status;
  EXPECT_EQ(*connection->QueryScalar("SELECT CONCAT(@@time_zone, ' ', @@character_set_client, ' ', "
                                     "@@foreign_key_checks)"),
            "+00:00 binary 0");
}

TEST_F(ConnectionTest, ManyThreadsConnectAtOnce) {
  std::vector<std::thread> threads;
  for (int i = 0; i < 8; ++i) {
    threads.emplace_back([] {
      auto connection = Connect(server().RootOverTcp());
      ASSERT_NE(connection, nullptr);
      for (int n = 0; n < 20; ++n) {
        EXPECT_EQ(*connection->QueryScalar("SELECT 7"), "7");
      }
    });
  }
  for (std::thread& thread : threads) {
    thread.join();
  }
}

}  // namespace
}  // namespace sluice::mysql
