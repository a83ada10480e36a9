// Tests of the program sluice-proxy: start and end, memory, and the clients that people use.

#include <sys/wait.h>

#include <filesystem>
#include <string>
#include <thread>

#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "common/base/status.h"
#include "gmock/gmock.h"
#include "tests/proxy/proxy_fixture.h"
#include "tests/proxy/proxy_process.h"

namespace sluice::proxy {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

class ProxyProcessTest : public ProxyFixture {
 protected:
  void SetUp() override {
    ProxyFixture::SetUp();
    auto process = ProxyProcess::Start(coordinator_->url());
    ASSERT_TRUE(process.ok()) << process.status();
    process_ = *std::move(process);
  }

  [[nodiscard]] std::unique_ptr<mysql::Connection> Client(const std::string& database) const {
    mysql::ConnectionOptions options;
    options.host = "127.0.0.1";
    options.port = process_->port();
    options.user = "app";
    options.password = "secret";
    options.database = database;
    options.read_timeout = absl::Seconds(120);
    auto connection = mysql::Connection::Connect(options);
    EXPECT_TRUE(connection.ok()) << connection.status();
    return *std::move(connection);
  }

  // The genuine mysql client beside mysqld.
  [[nodiscard]] std::string MysqlProgram() const {
    return absl::StrCat(
        std::filesystem::path(*sluice::cluster::FindMysqld()).replace_filename("mysql").string(),
        " --no-defaults -h127.0.0.1 -P", process_->port(), " -uapp -psecret ");
  }

  std::unique_ptr<ProxyProcess> process_;
};

TEST_F(ProxyProcessTest, LargeResultsPassWithoutBeingKept) {
  auto client = Client("commerce");
  ASSERT_TRUE(client->Execute("SET SESSION cte_max_recursion_depth = 1000000").ok());
  const size_t before_kib = process_->PeakResidentKib();
  uint64_t bytes = 0;
  uint64_t rows = 0;
  const absl::Status status = client->QueryStream(
      "WITH RECURSIVE n AS (SELECT 1 AS i UNION ALL SELECT i + 1 FROM n WHERE i < 100000) "
      "SELECT i, REPEAT('x', 1000) FROM n",
      [&](const std::vector<mysql::Cell>& row) {
        bytes += row[1]->size();
        ++rows;
        return absl::OkStatus();
      });
  EXPECT_TRUE(status.ok()) << status;
  EXPECT_EQ(rows, 100000U);
  EXPECT_EQ(bytes, 100000000U);
  const auto wide = client->Query("SELECT REPEAT('y', 40000000), 'end'");
  ASSERT_TRUE(wide.ok()) << wide.status();
  EXPECT_EQ(wide->rows[0][0]->size(), 40000000U);
  EXPECT_EQ(*wide->rows[0][1], "end");
  EXPECT_LT(process_->PeakResidentKib() - before_kib, 32U * 1024);
}

TEST_F(ProxyProcessTest, LargeStatementsPass) {
  auto client = Client("commerce");
  const std::string value(20000000, 'z');
  EXPECT_EQ(Scalar(*client, absl::StrCat("SELECT LENGTH('", value, "')")), "20000000");
}

TEST_F(ProxyProcessTest, TheMysqlProgramWorks) {
  const auto whole = RunProgram(
      MysqlProgram() +
      "-e 'show databases; use commerce; show tables; select * from product; use customer; "
      "select name from commerce.product where id = 2; begin; rollback'");
  ASSERT_TRUE(whole.ok()) << whole.status();
  EXPECT_THAT(*whole, HasSubstr("commerce"));
  EXPECT_THAT(*whole, HasSubstr("Tables_in_commerce"));
  EXPECT_THAT(*whole, HasSubstr("keyboard"));
  EXPECT_THAT(*whole, HasSubstr("monitor"));
  // COM_INIT_DB, and the database of the connection, take shards too.
  const auto shards = RunProgram(MysqlProgram() +
                                 "-N 'wide/80-' -e 'select id from w; use wide:-80; select id from "
                                 "w; use `wide:80-@primary`; select id from w'");
  ASSERT_TRUE(shards.ok()) << shards.status();
  EXPECT_THAT(*shards, HasSubstr("200\n1\n200\n"));
  const auto status =
      RunProgram("printf 'use customer;\\nstatus;\\n' | " + MysqlProgram() + "--commands");
  ASSERT_TRUE(status.ok()) << status.status();
  EXPECT_THAT(*status, HasSubstr("9.7.0-sluice"));
  EXPECT_THAT(*status, HasSubstr("Uptime"));
  // Completion of names asks for tables and columns.
  const auto rehash = RunProgram("echo 'select 40 + 2;' | " + MysqlProgram() +
                                 "--auto-rehash -t 'commerce@replica'");
  ASSERT_TRUE(rehash.ok()) << rehash.status();
  EXPECT_THAT(*rehash, HasSubstr("42"));
  EXPECT_THAT(*rehash, Not(HasSubstr("ERROR")));
  const auto refused = RunProgram(MysqlProgram() + "-pwrong -e 'select 1'");
  ASSERT_FALSE(refused.ok());
  EXPECT_THAT(std::string(refused.status().message()), HasSubstr("ERROR 1045"));
}

TEST_F(ProxyProcessTest, ClientsOfTheOlderResultFormatWork) {
  const std::string sysbench = absl::StrCat(
      "sysbench oltp_read_write --db-driver=mysql --mysql-host=127.0.0.1 --mysql-port=",
      process_->port(),
      " --mysql-user=app --mysql-password=secret --mysql-db=commerce "
      "--db-ps-mode=disable --tables=1 --table-size=500 --threads=4 --time=2 ");
  const auto prepare = RunProgram(sysbench + "prepare");
  ASSERT_TRUE(prepare.ok()) << prepare.status();
  const auto run = RunProgram(sysbench + "run");
  ASSERT_TRUE(run.ok()) << run.status();
  EXPECT_THAT(*run, HasSubstr("queries performed"));
}

TEST_F(ProxyProcessTest, ATerminatedProxyLetsStatementsEnd) {
  auto client = Client("commerce");
  std::string slept;
  std::jthread sleeper(
      [&] { slept = Scalar(*client, "SELECT SLEEP(1) + 5 FROM product LIMIT 1"); });
  auto server = Direct(*first_, "");
  while (Scalar(*server,
                "SELECT count(*) FROM information_schema.processlist WHERE info LIKE "
                "'SELECT SLEEP%'") != "1") {
  }
  const auto status = process_->Terminate(absl::Seconds(15));
  ASSERT_TRUE(status.ok()) << status.status();
  EXPECT_TRUE(WIFEXITED(*status));
  EXPECT_EQ(WEXITSTATUS(*status), 0);
  sleeper.join();
  EXPECT_EQ(slept, "5");
}

TEST(ProxyProgramTest, HashesPasswordsAndRefusesBadUse) {
  const std::string program = absl::StrCat(std::getenv("SLUICE_BIN_DIR"), "/sluice-proxy");
  const auto hash = RunProgram("printf 'secret\\n' | " + program + " hash-password");
  ASSERT_TRUE(hash.ok()) << hash.status();
  EXPECT_EQ(*hash, StoredPassword("secret") + "\n");
  const auto usage = RunProgram(program);
  EXPECT_THAT(std::string(usage.status().message()), HasSubstr("--config"));
  const auto missing = RunProgram(program + " --config /nowhere/proxy.toml");
  EXPECT_THAT(std::string(missing.status().message()), HasSubstr("/nowhere/proxy.toml"));
}

}  // namespace
}  // namespace sluice::proxy
