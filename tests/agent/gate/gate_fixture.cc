// GateFixture: a real mysqld with a shard's database and the accounts that work on it.

#include "tests/agent/gate/gate_fixture.h"

#include <gmock/gmock.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>
#include <iostream>
#include <thread>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "agent/sidecar/installer.h"
#include "common/base/status.h"

namespace sluice::gate {

constexpr int kCrashed = 137;
constexpr const char* kWorkVariable = "SLUICE_TEST_GATE_WORK";

void GateFixture::SetUp() {
  auto started = testing::Mysqld::Start();
  ASSERT_TRUE(started.ok()) << started.status();
  mysqld_ = *std::move(started);
  auto root = mysql::Connection::Connect(mysqld_->Root());
  ASSERT_TRUE(root.ok()) << root.status();
  root_ = *std::move(root);
  for (const char* sql : {
           "CREATE DATABASE vt_commerce",
           "USE vt_commerce",
           "CREATE TABLE customer (id BIGINT AUTO_INCREMENT PRIMARY KEY, email VARCHAR(128))",
           "CREATE TABLE corder (id BIGINT AUTO_INCREMENT PRIMARY KEY, customer_id BIGINT,"
           " CHECK (customer_id > 0), FOREIGN KEY (customer_id) REFERENCES customer (id))",
           "INSERT INTO customer (email) VALUES ('a@x'), ('b@x')",
           "INSERT INTO corder (customer_id) VALUES (1), (2), (2)",
           "CREATE USER app@'%' IDENTIFIED BY 'app'",
           "GRANT SELECT, INSERT, UPDATE, DELETE, DROP ON vt_commerce.* TO app@'%'",
           // As agent/README.md says.
           "CREATE USER sluice@localhost IDENTIFIED BY 'sluice'",
           "GRANT REPLICATION SLAVE, REPLICATION CLIENT, CREATE USER, SET_ANY_DEFINER,"
           " SESSION_VARIABLES_ADMIN, XA_RECOVER_ADMIN ON *.* TO sluice@localhost",
           "GRANT SELECT, INSERT, UPDATE, DELETE, CREATE, DROP, REFERENCES, INDEX, ALTER,"
           " CREATE VIEW, SHOW VIEW, TRIGGER ON `vt\\_commerce`.* TO sluice@localhost"
           " WITH GRANT OPTION",
           "GRANT SELECT, INSERT, UPDATE, DELETE, CREATE, DROP, INDEX, ALTER ON `_sluice`.*"
           " TO sluice@localhost",
           "GRANT SELECT ON performance_schema.* TO sluice@localhost",
       }) {
    Root(sql);
  }
  pool_ = std::make_unique<agent::SessionPool>(AgentOptions(mysqld_->Root().socket));
  keeper_ = std::make_unique<GateKeeper>(*pool_);
  auto session = pool_->Borrow();
  ASSERT_TRUE(session.ok()) << session.status();
  const absl::Status installed =
      sidecar::InstallSidecar(**session, kId.database, sidecar::Migrations());
  ASSERT_TRUE(installed.ok()) << installed;
}

void GateFixture::Root(const std::string& sql) {
  const auto done = root_->Execute(sql);
  ASSERT_TRUE(done.ok()) << done.status() << "\n" << sql;
}

std::string GateFixture::Scalar(const std::string& sql) {
  auto value = root_->QueryScalar(sql);
  EXPECT_TRUE(value.ok()) << value.status() << "\n" << sql;
  return value.ok() ? *value : "";
}

std::string GateFixture::Tables() {
  return Scalar(
      "SELECT GROUP_CONCAT(TABLE_NAME ORDER BY TABLE_NAME) FROM information_schema.TABLES"
      " WHERE TABLE_SCHEMA = 'vt_commerce'");
}

mysql::ConnectionOptions GateFixture::AgentOptions(const std::string& socket) {
  mysql::ConnectionOptions options;
  options.socket = socket;
  options.user = "sluice";
  options.password = "sluice";
  return options;
}

std::unique_ptr<mysql::Connection> GateFixture::App() {
  mysql::ConnectionOptions options = mysqld_->Root();
  options.user = "app";
  options.password = "app";
  options.database = "vt_commerce";
  auto connection = mysql::Connection::Connect(options);
  EXPECT_TRUE(connection.ok()) << connection.status();
  return connection.ok() ? *std::move(connection) : nullptr;
}

unsigned GateFixture::AppErrno(const std::string& sql) {
  return MysqlErrnoOf(App()->Execute(sql).status());
}

GateChange GateFixture::Change(State wanted, uint64_t epoch, const std::string& marker) {
  return {.id = kId,
          .tables = kTables,
          .wanted = wanted,
          .epoch = epoch,
          .lock_wait = absl::Seconds(5),
          .marker_id = marker,
          .cutover_id = "",
          .journal = ""};
}

absl::StatusOr<GateOutcome> GateFixture::Set(State wanted, uint64_t epoch,
                                             const std::string& marker) {
  return keeper_->Set(Change(wanted, epoch, marker), Soon());
}

State GateFixture::ReadState() {
  auto reading = keeper_->Read(kId, kTables, Soon());
  EXPECT_TRUE(reading.ok()) << reading.status();
  return reading.ok() ? reading->state : State::kMixed;
}

TargetPreparation GateFixture::Preparation(const std::string& workflow) {
  constexpr const char* kParent =
      "CREATE TABLE `parent` (\n  `id` bigint NOT NULL AUTO_INCREMENT,\n  `v` varchar(9) DEFAULT "
      "'0000',\n  PRIMARY KEY (`id`)\n) ENGINE=InnoDB AUTO_INCREMENT=77 DEFAULT CHARSET=utf8mb4 "
      "COLLATE=utf8mb4_0900_ai_ci";
  constexpr const char* kChild =
      "CREATE TABLE `child` (\n  `id` int NOT NULL,\n  `p` bigint DEFAULT NULL,\n  PRIMARY KEY "
      "(`id`),\n  KEY `p` (`p`),\n  CONSTRAINT `child_ibfk_1` FOREIGN KEY (`p`) REFERENCES "
      "`parent` (`id`)\n) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_0900_ai_ci";
  return {.id = {.workflow = workflow, .database = "vt_commerce"},
          .keyspace = "commerce",
          .tables = {{.name = "child", .create_statement = kChild},
                     {.name = "parent", .create_statement = kParent}}};
}

DropRequest GateFixture::DropOfPrepared(DropMode mode, uint64_t epoch) {
  return {.id = Preparation().id, .tables = {"child", "parent"}, .mode = mode, .epoch = epoch};
}

TargetPreparation GateFixture::Many(size_t count) {
  TargetPreparation many = {.id = {.workflow = "commerce.many", .database = "vt_commerce"},
                            .keyspace = "commerce",
                            .tables = {}};
  for (size_t i = 0; i < count; ++i) {
    const std::string name = absl::StrCat("many_", i);
    const std::string refers =
        i % 10 == 1
            ? absl::StrCat(",\n  KEY `p` (`p`),\n  CONSTRAINT `", name,
                           "_ibfk_1` FOREIGN KEY (`p`) REFERENCES `many_", i - 1, "` (`id`)")
            : "";
    many.tables.push_back(
        {.name = name,
         .create_statement = absl::StrCat("CREATE TABLE `", name,
                                          "` (\n  `id` int NOT NULL,\n  `p` int DEFAULT NULL,\n"
                                          "  PRIMARY KEY (`id`)",
                                          refers, "\n) ENGINE=InnoDB")});
  }
  return many;
}

DropRequest GateFixture::EndOfMany(DropMode mode, uint64_t epoch, size_t count) {
  DropRequest request = {.id = Many(0).id, .tables = {}, .mode = mode, .epoch = epoch};
  for (const TargetTable& table : Many(count).tables) {
    request.tables.push_back(table.name);
  }
  return request;
}

void GateFixture::MakeShards(size_t count) {
  for (size_t i = 0; i < count; ++i) {
    const std::string database = absl::StrCat("vt_s", i);
    Root(absl::StrCat("CREATE DATABASE ", database));
    Root(absl::StrCat("CREATE TABLE ", database,
                      ".customer (id BIGINT AUTO_INCREMENT PRIMARY KEY, email VARCHAR(128))"));
    Root(absl::StrCat("CREATE TABLE ", database,
                      ".corder (id BIGINT AUTO_INCREMENT PRIMARY KEY, customer_id BIGINT)"));
  }
  for (const char* sql : {
           "GRANT SELECT, INSERT, UPDATE, DELETE ON `vt\\_s%`.* TO app@'%'",
           "GRANT SELECT, INSERT, UPDATE, DELETE, CREATE, DROP, REFERENCES, INDEX, ALTER,"
           " CREATE VIEW, SHOW VIEW, TRIGGER ON `vt\\_s%`.* TO sluice@localhost WITH GRANT OPTION",
           "GRANT SELECT ON `vt\\_s%`.* TO _sluice_reader@localhost",
       }) {
    Root(sql);
  }
}

GateChange GateFixture::Shard(size_t number, State wanted, uint64_t epoch) {
  GateChange change = Change(wanted, epoch);
  change.id = {.workflow = "shards.move", .database = absl::StrCat("vt_s", number)};
  if (wanted == State::kOpen) {
    change.cutover_id = absl::StrCat("cutover", epoch);
    change.journal = "{}";
  } else {
    change.marker_id = absl::StrCat("m", epoch);
  }
  return change;
}

std::vector<absl::StatusOr<GateOutcome>> GateFixture::SetAll(
    GateKeeper& keeper, const std::vector<GateChange>& changes,
    const std::function<void()>& after_first) {
  std::vector<absl::StatusOr<GateOutcome>> outcomes(changes.size());
  std::vector<std::jthread> threads;
  for (size_t i = 0; i < changes.size(); ++i) {
    threads.emplace_back([&, i] { outcomes[i] = keeper.Set(changes[i], Soon()); });
    if (i == 0 && after_first) {
      after_first();
    }
  }
  threads.clear();
  return outcomes;
}

bool GateFixture::CrashAt(const std::string& point, const std::string& work) {
  const std::string socket = mysqld_->Root().socket;
  const pid_t child = fork();
  if (child == 0) {
    setenv("SLUICE_CRASH_AT", point.c_str(), 1);
    setenv(kWorkVariable, absl::StrCat(socket, " ", work).c_str(), 1);
    execl("/proc/self/exe", "gate-child", nullptr);
    _exit(1);
  }
  int status = 0;
  EXPECT_EQ(waitpid(child, &status, 0), child);
  return WIFEXITED(status) && WEXITSTATUS(status) == kCrashed;
}

// The child of CrashAt.
class GateChild : public GateFixture {
 public:
  static int Run(const std::string& text) {
    const std::vector<std::string> words = absl::StrSplit(text, ' ');
    agent::SessionPool pool(AgentOptions(words.at(0)));
    GateKeeper keeper(pool);
    absl::Status status;
    if (words.at(1) == "prepare") {
      status = PrepareTarget(keeper, Preparation(), Soon());
    } else if (words.at(1) == "drop") {
      status = DropTables(keeper, DropOfPrepared(DropMode::kDrop, std::stoull(words.at(2))), Soon())
                   .status();
    } else if (words.at(1) == "finish") {
      status = DropTables(keeper,
                          {.id = kId,
                           .tables = kTables,
                           .mode = DropMode::kDrop,
                           .epoch = std::stoull(words.at(3))},
                          Soon())
                   .status();
    } else if (words.at(1) == "end") {
      const DropMode mode = words.at(2) == "drop"     ? DropMode::kDrop
                            : words.at(2) == "rename" ? DropMode::kRenameOld
                                                      : DropMode::kKeep;
      const DropRequest request =
          EndOfMany(mode, std::stoull(words.at(3)), std::stoull(words.at(4)));
      status = DropTables(keeper, request, Soon()).status();
    } else {
      State wanted = State::kMixed;
      for (const State state : {State::kOpen, State::kClosed, State::kReadable}) {
        wanted = StateName(state) == words.at(2) ? state : wanted;
      }
      if (words.at(1) == "batch") {
        std::vector<GateChange> changes;
        for (size_t i = 0; i < std::stoull(words.at(4)); ++i) {
          changes.push_back(Shard(i, wanted, std::stoull(words.at(3))));
        }
        SetAll(keeper, changes, {});
        return 0;
      }
      const std::string marker = words.size() > 4 ? words.at(4) : "";
      GateChange change = Change(wanted, std::stoull(words.at(3)), marker);
      change.cutover_id = absl::StrCat("cutover", words.at(3));
      change.journal = "{}";
      change.kind = words.size() > 5 ? GateKind::kServer : GateKind::kTables;
      if (words.size() > 5 && words.at(5) != "server") {
        change.beside = {words.at(5)};
      }
      status = keeper.Set(change, Soon()).status();
    }
    std::cerr << "no crash: " << status << "\n";
    return 0;
  }

 private:
  void TestBody() override {}
};

}  // namespace sluice::gate

int main(int argc, char** argv) {
  if (const char* work = std::getenv(sluice::gate::kWorkVariable); work != nullptr) {
    return sluice::gate::GateChild::Run(work);
  }
  ::testing::InitGoogleMock(&argc, argv);
  return RUN_ALL_TESTS();
}
