// Applying histories of a real mysqld to a real mysqld, in groups of any size, by one session and
// by several, with a crash at every commit.

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <functional>
#include <memory>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/escaping.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/synchronization/notification.h"
#include "agent/source/binlog_filter.h"
#include "agent/source/event_splitter.h"
#include "agent/target/applier.h"
#include "agent/target/group_builder.h"
#include "agent/target/local_session.h"
#include "agent/target/sidecar_tables.h"
#include "common/base/status_macros.h"
#include "common/mysql/binlog_stream.h"
#include "tests/agent/target/stream_world.h"

namespace sluice::testing {
namespace {

using target::Applier;
using target::ApplierOptions;
using target::GroupBuilder;
using target::GroupLimits;
using target::StreamRecord;
using target::StreamStore;

constexpr uint64_t kStream = 7;
constexpr char kGateTable[] =
    "CREATE TABLE _sluice.gate (workflow VARCHAR(255), database_name VARCHAR(64), state "
    "VARCHAR(16), PRIMARY KEY (workflow, database_name))";

// Keys that ignore case, accents and trailing spaces, keys of ENUM, further unique keys with NULLs,
// over two columns and under a collation, a table without a primary key, and a plain one.
const std::vector<std::pair<std::string, std::string>>& Tables() {
  static const auto& tables = *new std::vector<std::pair<std::string, std::string>>{
      {"texts",
       "(k VARCHAR(20) NOT NULL PRIMARY KEY, u INT NULL, w VARCHAR(10) CHARACTER SET latin1 "
       "COLLATE latin1_swedish_ci NULL, v INT, UNIQUE (u), UNIQUE (w)) "
       "COLLATE utf8mb4_0900_ai_ci"},
      {"padded",
       "(k VARCHAR(20) NOT NULL, e ENUM('x','y','z') NOT NULL, u INT NULL, v INT, "
       "PRIMARY KEY (k, e), UNIQUE (u, e)) CHARACTER SET latin1 COLLATE latin1_german1_ci"},
      {"enums",
       "(k ENUM('a','b','c','d','e','f','g','h','i','j','k','l') NOT NULL PRIMARY KEY, u INT "
       "NULL UNIQUE, v INT)"},
      {"loose", "(k INT NOT NULL, u INT NOT NULL, v INT, UNIQUE (k, u), UNIQUE (u))"},
      {"plain", "(k INT NOT NULL PRIMARY KEY, u INT NULL, v INT)"},
  };
  return tables;
}

std::vector<std::string> TableNames() {
  std::vector<std::string> names;
  for (const auto& [name, definition] : Tables()) {
    names.push_back(name);
  }
  return names;
}

// Statements of one transaction on one of the tables. Some fail for a duplicate key, as in life.
class HistoryMaker {
 public:
  explicit HistoryMaker(unsigned seed) : random_(seed) {}

  std::vector<std::string> Transaction() {
    std::vector<std::string> statements;
    for (int i = 1 + Below(4); i > 0; --i) {
      Append(statements);
    }
    return statements;
  }

  int Below(int bound) { return std::uniform_int_distribution<int>(0, bound - 1)(random_); }

 private:
  std::string Key(const std::string& table) {
    if (table == "loose" || table == "plain") {
      return absl::StrCat(Below(12));
    }
    const char letter = static_cast<char>('a' + Below(12));
    if (table == "enums") {
      return absl::StrCat("'", std::string(1, letter), "'");
    }
    std::string key(1, Below(2) == 0 ? letter : static_cast<char>(letter - 'a' + 'A'));
    if (letter == 'e' && Below(2) == 0) {
      key = table == "texts" ? "é" : "\xe9";
    }
    if (Below(3) == 0) {
      key += ' ';
    }
    return absl::StrCat(table == "texts" ? "_utf8mb4 0x" : "_latin1 0x",
                        absl::BytesToHexString(key));
  }

  std::string U(const std::string& table) {
    return table != "loose" && Below(4) == 0 ? "NULL" : absl::StrCat(Below(10));
  }

  std::string Values(const std::string& table) {
    const std::string key = Key(table);
    if (table == "texts") {
      const std::string w = Below(3) == 0 ? "NULL" : Key("padded");
      return absl::StrCat("(", key, ", ", U(table), ", ", w, ", ", Below(1000), ")");
    }
    if (table == "padded") {
      return absl::StrCat("(", key, ", ", 1 + Below(3), ", ", U(table), ", ", Below(1000), ")");
    }
    return absl::StrCat("(", key, ", ", U(table), ", ", Below(1000), ")");
  }

  void Append(std::vector<std::string>& statements) {
    const std::string table = TableNames()[static_cast<size_t>(Below(5))];
    const std::string key = Key(table);
    const int u = Below(8);
    switch (Below(10)) {
      case 0:
      case 1:
        statements.push_back(absl::StrCat("INSERT INTO ", table, " VALUES ", Values(table)));
        break;
      case 2:  // removes any number of rows
        statements.push_back(absl::StrCat("REPLACE INTO ", table, " VALUES ", Values(table), ", ",
                                          Values(table), ", ", Values(table)));
        break;
      case 3:
        statements.push_back(absl::StrCat("DELETE FROM ", table, " WHERE k = ", key));
        break;
      case 4:  // another key, or the same one in other letters
        statements.push_back(
            absl::StrCat("UPDATE ", table, " SET k = ", Key(table), " WHERE k = ", key));
        break;
      case 5:  // three unique values change places
        for (const auto& [from, to] :
             std::vector<std::pair<int, int>>{{u, -1}, {u + 1, u}, {u + 2, u + 1}, {-1, u + 2}}) {
          statements.push_back(
              absl::StrCat("UPDATE ", table, " SET u = ", to, " WHERE u = ", from));
        }
        break;
      case 6:  // a row goes and comes back
        statements.push_back(absl::StrCat("DELETE FROM ", table, " WHERE k = ", key));
        statements.push_back(absl::StrCat("INSERT INTO ", table, " VALUES ", Values(table)));
        break;
      case 7:  // a hot row
        for (int i = 0; i < 6; ++i) {
          statements.push_back(absl::StrCat("UPDATE ", table, " SET v = v + 1 WHERE k = ", key));
        }
        break;
      case 8:
        statements.push_back(absl::StrCat("UPDATE ", table, " SET v = v + 1, u = ", U(table),
                                          " WHERE k = ", key, " LIMIT 1"));
        break;
      default:
        statements.push_back(absl::StrCat("UPDATE ", table, " SET v = v + 1"));
        break;
    }
  }

  std::mt19937 random_;
};

struct SourceTransaction {
  gtid::Gtid gtid;
  std::shared_ptr<const std::string> events;
};

struct ApplyRun {
  ApplierOptions options;
  GroupLimits limits;
  unsigned seed = 0;        // of the ends of groups
  std::string crash_point;  // "name:n"; empty: none
  // Of the times of all writes, and how long it took.
  std::function<absl::Status(const target::WriteTimes&, absl::Duration)> check = nullptr;
};

// A mysqld whose database vt_source is applied to its database vt_target.
class ApplyTest : public ::testing::Test {
 protected:
  void SetUp() override {
    auto server = Mysqld::Start({"--innodb-flush-log-at-trx-commit=2"});
    ASSERT_TRUE(server.ok()) << server.status();
    server_ = *std::move(server);
    session_ = ConnectTo(*server_, "");
    ASSERT_NE(session_, nullptr);
    for (const char* database : {kSourceDatabase, kTargetDatabase, "_sluice"}) {
      Execute(absl::StrCat("CREATE DATABASE ", database));
    }
    for (const absl::string_view statement : target::kStreamTables) {
      Execute(std::string(statement));
    }
    Execute(kGateTable);
    for (const auto& [name, definition] : Tables()) {
      Execute(absl::StrCat("CREATE TABLE ", kSourceDatabase, ".", name, " ", definition));
      Execute(absl::StrCat("CREATE TABLE ", kTargetDatabase, ".", name, " ", definition));
    }
    Execute(absl::StrCat("USE ", kSourceDatabase));
    read_ = Executed();
    StreamRecord record;
    record.spec = StreamWorld::Spec(kStream, TableNames());
    record.state = schemas::StreamState::RUNNING;
    record.position.position = target::AppliedPosition{read_};
    const auto session = target::ConnectLocal(server_->Root());
    ASSERT_TRUE(session.ok()) << session.status();
    const absl::Status inserted = StreamStore(**session).Insert(record);
    ASSERT_TRUE(inserted.ok()) << inserted;
  }

  void Execute(const std::string& statement) {
    const absl::Status status = session_->Execute(statement).status();
    ASSERT_TRUE(status.ok()) << statement << ": " << status;
  }

  gtid::GtidSet Executed() {
    const auto text = session_->QueryScalar("SELECT @@GLOBAL.gtid_executed");
    EXPECT_TRUE(text.ok()) << text.status();
    const auto set = gtid::GtidSet::Parse(text.ok() ? *text : "");
    EXPECT_TRUE(set.ok());
    return set.ok() ? *set : gtid::GtidSet();
  }

  void RunHistory(HistoryMaker& maker, int transactions) {
    for (int i = 0; i < transactions; ++i) {
      Execute("BEGIN");
      for (const std::string& statement : maker.Transaction()) {
        session_->Execute(statement).status().IgnoreError();  // a duplicate key fails
      }
      Execute(maker.Below(12) == 0 ? "ROLLBACK" : "COMMIT");
    }
    ReadHistory();
  }

  // Appends to history_ all that the server has done since the last time.
  void ReadHistory() {
    const gtid::GtidSet until = Executed();
    auto stream = mysql::BinlogStream::Open(
        {.connection = server_->Root(), .server_id = 4711, .position = read_});
    ASSERT_TRUE(stream.ok()) << stream.status();
    const std::vector<std::string> names = TableNames();
    source::BinlogFilter filter(kSourceDatabase, {names.begin(), names.end()});
    std::string events;
    while (!read_.Contains(until)) {
      const auto event = (*stream)->Next();
      ASSERT_TRUE(event.ok()) << event.status();
      const absl::Status fed = filter.Feed(*event, events);
      ASSERT_TRUE(fed.ok()) << fed;
      if (auto gtid = filter.TakeCompleted()) {
        read_.Add(*gtid);
        history_.push_back({*gtid, std::make_shared<const std::string>(std::move(events))});
        events.clear();
      }
    }
  }

  // Applies what of the history the durable position does not hold, as an agent that has just
  // started. In a process of its own, so that it may die: returns what the process exits with.
  int ApplyInAProcess(const ApplyRun& run) {
    (void)fflush(nullptr);
    const pid_t child = fork();
    if (child == 0) {
      if (!run.crash_point.empty()) {
        (void)setenv("SLUICE_CRASH_AT", run.crash_point.c_str(), 1);
      }
      const absl::Status status = Apply(run);
      if (!status.ok()) {
        (void)fprintf(stderr, "%s\n", status.ToString().c_str());
      }
      _exit(status.ok() ? 0 : 1);
    }
    int status = 0;
    EXPECT_EQ(waitpid(child, &status, 0), child);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
  }

  absl::Status Apply(const ApplyRun& run) {
    const mysql::ConnectionOptions local = server_->Root();
    const absl::Notification stopping;
    const std::vector<std::string> names = TableNames();
    const target::WatchedTables watched{kSourceDatabase, {names.begin(), names.end()}};
    SLUICE_ASSIGN_OR_RETURN(const auto connection, target::ConnectLocal(local));
    StreamStore store(*connection);
    SLUICE_ASSIGN_OR_RETURN(StreamRecord record, store.Claim(kStream));
    SLUICE_ASSIGN_OR_RETURN(target::TablePlans plans,
                            target::TablePlans::Load(*connection, kTargetDatabase, names));
    const gtid::GtidSet durable = record.position.position->set;
    const absl::Time begun = absl::Now();
    target::WriteTimes all;
    Applier applier(
        {.retry = {.connection = *connection, .store = store, .plans = plans, .stopping = stopping},
         .local = local,
         .workflow = record.spec.workflow,
         .database = record.spec.target_database,
         .row = record.position,
         .on_commit = [](bool) {},
         .on_times = [&all](const target::WriteTimes& times) { all += times; }},
        run.options);
    GroupBuilder builder(watched, plans, run.limits);
    std::mt19937 random(run.seed);
    for (const SourceTransaction& transaction : history_) {
      if (durable.Contains(transaction.gtid)) {
        continue;
      }
      absl::string_view rest = *transaction.events;
      while (!rest.empty()) {
        SLUICE_ASSIGN_OR_RETURN(const absl::string_view event, source::NextEvent(rest));
        rest.remove_prefix(event.size());
        SLUICE_RETURN_IF_ERROR(builder.Add(event, transaction.events));
        if (builder.Full()) {
          SLUICE_RETURN_IF_ERROR(applier.Apply(builder.Take()));
        }
      }
      if (random() % 6 == 0) {
        SLUICE_RETURN_IF_ERROR(applier.Apply(builder.Take()));
      }
    }
    SLUICE_RETURN_IF_ERROR(applier.Apply(builder.Take()));
    SLUICE_RETURN_IF_ERROR(applier.SavePosition(true));
    return run.check ? run.check(all, absl::Now() - begun) : absl::OkStatus();
  }

  void CloseGate() {
    Execute(absl::StrCat("INSERT INTO _sluice.gate VALUES ('target.move', '", kTargetDatabase,
                         "', 'closed')"));
  }

  void ExpectSame(const std::string& when) {
    for (const std::string& table : TableNames()) {
      ASSERT_EQ(StreamWorld::Dump(*server_, kTargetDatabase, table),
                StreamWorld::Dump(*server_, kSourceDatabase, table))
          << table << ", " << when;
    }
  }

  uint64_t CommitsOfTheTarget() {
    const auto version = session_->QueryScalar(
        absl::StrCat("SELECT version FROM _sluice.stream_position WHERE stream_id = ", kStream));
    uint64_t number = 0;
    EXPECT_TRUE(version.ok() && absl::SimpleAtoi(*version, &number));
    return number;
  }

  std::unique_ptr<Mysqld> server_;
  std::unique_ptr<mysql::Connection> session_;
  gtid::GtidSet read_;
  std::vector<SourceTransaction> history_;
};

// Small statements and slices, so that every path is taken with few rows.
ApplyRun SmallParts(unsigned seed, size_t changes_max) {
  ApplyRun run;
  run.seed = seed;
  run.limits.changes_max = changes_max;
  run.options.writer = {.rows_max = 5, .deletes_max = 3};
  run.options.parallel_rows = 1;
  run.options.slices = {.sessions = 3, .slice_rows = 3, .writer = run.options.writer};
  return run;
}

TEST_F(ApplyTest, GroupsOfAnySizeEndAsTheSourceStands) {
  HistoryMaker maker(1);
  for (unsigned round = 0; round < 40; ++round) {
    RunHistory(maker, 25);
    const size_t changes_max = round % 4 == 0 ? 5 : 1000;  // transactions in parts, or merged
    ASSERT_EQ(ApplyInAProcess(SmallParts(round, changes_max)), 0);
    ExpectSame(absl::StrCat("round ", round));
  }
}

TEST_F(ApplyTest, SeveralSessionsEndAsTheSourceStands) {
  CloseGate();
  HistoryMaker maker(2);
  for (unsigned round = 0; round < 40; ++round) {
    RunHistory(maker, 25);
    ASSERT_EQ(ApplyInAProcess(SmallParts(round, round % 4 == 0 ? 5 : 1000)), 0);
    ExpectSame(absl::StrCat("round ", round));
  }
}

TEST_F(ApplyTest, ACrashAtAnyCommitIsMadeGoodByTheNextStart) {
  HistoryMaker maker(3);
  int crashes = 0;
  for (unsigned round = 0; round < 30; ++round) {
    if (round == 15) {
      CloseGate();
    }
    RunHistory(maker, 20);
    for (int attempt = 0; attempt < 5; ++attempt) {
      ApplyRun run =
          SmallParts(100 * round + static_cast<unsigned>(attempt), attempt % 2 == 0 ? 7 : 1000);
      run.crash_point = absl::StrCat(
          maker.Below(2) == 0 ? "apply.before_commit:" : "apply.after_commit:", 1 + maker.Below(6));
      const int code = ApplyInAProcess(run);
      ASSERT_TRUE(code == 0 || code == 137) << code;
      crashes += code == 137 ? 1 : 0;
      if (code == 0) {
        break;
      }
    }
    ASSERT_EQ(ApplyInAProcess(SmallParts(round, 1000)), 0);
    ExpectSame(absl::StrCat("round ", round));
  }
  EXPECT_GT(crashes, 20);
}

TEST_F(ApplyTest, TheTimesOfWritesAreThoseOfAllSessions) {
  for (const bool parallel : {false, true}) {
    if (parallel) {
      CloseGate();
    }
    const int first = parallel ? 1000 : 0;
    Execute(absl::StrCat("INSERT INTO plain WITH RECURSIVE n (i) AS (SELECT ", first,
                         " UNION ALL SELECT i + 1 FROM n WHERE i < ", first + 900,
                         ") SELECT i, i, i FROM n"));
    ReadHistory();
    ApplyRun run = SmallParts(1, 1000);
    run.check = [parallel](const target::WriteTimes& times, absl::Duration took) {
      // Three rows a commit: mysqld takes most of the time, in three sessions at once.
      const bool right = times.writes > 0 && times.building > absl::ZeroDuration() &&
                         times.building < took && times.server < 3 * took &&
                         times.server > (parallel ? took / 2 : absl::ZeroDuration());
      return right ? absl::OkStatus()
                   : absl::InternalError(absl::StrCat(
                         times.writes, " writes, building ", absl::FormatDuration(times.building),
                         ", server ", absl::FormatDuration(times.server), " of ",
                         absl::FormatDuration(took)));
    };
    EXPECT_EQ(ApplyInAProcess(run), 0) << "parallel: " << parallel;
  }
}

TEST_F(ApplyTest, ATransactionInPartsIsOneCommitUnlessTheGateIsClosed) {
  Execute(
      "INSERT INTO plain WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n "
      "WHERE i < 200) SELECT i, i, i FROM n");
  ReadHistory();
  ApplyRun run = SmallParts(1, 20);
  run.crash_point = "apply.before_commit:1";
  ASSERT_EQ(ApplyInAProcess(run), 137);
  EXPECT_TRUE(StreamWorld::Dump(*server_, kTargetDatabase, "plain").empty());
  CloseGate();
  run.crash_point = "apply.after_commit:4";
  ASSERT_EQ(ApplyInAProcess(run), 137);
  const uint64_t version = CommitsOfTheTarget();
  EXPECT_GE(StreamWorld::Dump(*server_, kTargetDatabase, "plain").size(), 9U);
  run.crash_point.clear();
  ASSERT_EQ(ApplyInAProcess(run), 0);
  ExpectSame("at the end");
  EXPECT_EQ(CommitsOfTheTarget(), version + 2) << "one claim, one commit of the position";
}

TEST_F(ApplyTest, ASliceDoesNotCommitAfterAnotherHasClaimedTheStream) {
  const auto session = target::ConnectLocal(server_->Root());
  ASSERT_TRUE(session.ok()) << session.status();
  StreamStore store(**session);
  const auto record = store.Claim(kStream);
  ASSERT_TRUE(record.ok()) << record.status();
  const auto write = [&](int key) {
    EXPECT_TRUE(store.Begin().ok());
    EXPECT_TRUE((*session)
                    ->Execute(absl::StrCat("INSERT INTO ", kTargetDatabase, ".plain VALUES (", key,
                                           ", 1, 1)"))
                    .ok());
    return store.FinishPart(record->position, target::CommitKind::kApply);
  };
  ASSERT_TRUE(write(1).ok());
  const auto other = target::ConnectLocal(server_->Root());
  ASSERT_TRUE(other.ok() && StreamStore(**other).Claim(kStream).ok());
  const absl::Status late = write(2);
  EXPECT_TRUE(absl::IsAborted(late)) << late;
  store.Rollback();
  EXPECT_EQ(StreamWorld::Dump(*server_, kTargetDatabase, "plain").size(), 1U);
}

}  // namespace
}  // namespace sluice::testing
