// Museum: the stream, waiting and comparing.

#include "tests/museum/museum.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"

namespace sluice::testing {
namespace {

constexpr absl::Duration kPatience = absl::Seconds(60);
constexpr absl::Duration kPoll = absl::Milliseconds(5);

std::string Ask(const Mysqld& server, const std::string& database, const std::string& sql) {
  const auto connection = ConnectTo(server, database);
  if (connection == nullptr) {
    return "";
  }
  const auto answer = connection->QueryScalar(sql);
  EXPECT_TRUE(answer.ok()) << answer.status() << "\n" << sql;
  return answer.value_or("");
}

gtid::GtidSet Parse(const std::string& text) {
  const auto set = gtid::GtidSet::Parse(text);
  EXPECT_TRUE(set.ok()) << set.status();
  return set.value_or(gtid::GtidSet());
}

mysql::ConnectionOptions SourceOptions(const Mysqld& server) {
  mysql::ConnectionOptions options = server.Root();
  options.database = kSourceDatabase;
  return options;
}

}  // namespace

target::StreamTuning SmallSteps() {
  target::StreamTuning tuning;
  tuning.copy_epoch = absl::Milliseconds(150);
  tuning.copier.rows_max = 100;
  tuning.applier.changes_max = 200;
  tuning.applier.writer.rows_max = 40;
  tuning.applier.writer.deletes_max = 20;
  tuning.event_bytes_max = 64U << 10U;
  tuning.backoff_max = absl::Milliseconds(200);
  return tuning;
}

std::string InsertRange(const std::string& table, const std::string& values, int first, int last) {
  return absl::StrCat("INSERT /*+ SET_VAR(cte_max_recursion_depth = 10000000) */ INTO ", table,
                      " WITH RECURSIVE numbers (i) AS (SELECT ", first,
                      " UNION ALL SELECT i + 1 FROM numbers WHERE i < ", last, ") SELECT i, ",
                      values, " FROM numbers");
}

void MuseumTest::StartWorld(const target::StreamTuning& tuning,
                            std::vector<std::string> source_options,
                            std::vector<std::string> target_options) {
  world_ = StreamWorld::Start(tuning, std::move(source_options), std::move(target_options));
  ASSERT_NE(world_, nullptr);
}

void MuseumTest::StartStream(const std::vector<std::string>& tables) {
  const absl::Status created = world_->Create(StreamWorld::Spec(kStream, tables));
  ASSERT_TRUE(created.ok()) << created;
}

void MuseumTest::AwaitRunning() {
  world_->AwaitState(kStream, schemas::StreamState::RUNNING);
}

void MuseumTest::AwaitCopied(uint64_t rows) {
  world_->AwaitStatus(kStream, [rows](const SeenStatus& s) { return s.rows_copied >= rows; });
}

std::string MuseumTest::OnSource(const std::string& sql) {
  return Ask(world_->source_mysqld(), kSourceDatabase, sql);
}

std::string MuseumTest::OnTarget(const std::string& sql) {
  return Ask(world_->target_mysqld(), kTargetDatabase, sql);
}

gtid::GtidSet MuseumTest::DurablePosition() {
  return Parse(OnTarget(
      absl::StrCat("SELECT position FROM _sluice.stream_position WHERE stream_id = ", kStream)));
}

gtid::GtidSet MuseumTest::Executed() {
  return Parse(OnSource("SELECT @@GLOBAL.gtid_executed"));
}

bool MuseumTest::Eventually(const std::function<bool()>& condition) {
  const absl::Time deadline = absl::Now() + kPatience;
  while (absl::Now() < deadline) {
    if (condition()) {
      return true;
    }
    absl::SleepFor(kPoll);  // Delay: what is awaited is a row of a server, which calls nobody
  }
  return false;
}

void MuseumTest::DrainAndCompare(const std::vector<std::string>& tables) {
  ASSERT_NO_FATAL_FAILURE(world_->Drain(kStream));
  for (const std::string& table : tables) {
    ASSERT_NO_FATAL_FAILURE(world_->ExpectSame(table));
  }
}

Churn::Churn(const Mysqld& server, std::function<std::vector<std::string>(int)> statements)
    : options_(SourceOptions(server)),
      statements_(std::move(statements)),
      thread_([this](const std::stop_token& stop) { Work(stop); }) {}

Churn::~Churn() = default;

void Churn::Work(const std::stop_token& stop) {
  const auto connection = mysql::Connection::Connect(options_);
  if (!connection.ok()) {
    return;
  }
  for (int n = 0; !stop.stop_requested() && (*connection)->healthy(); ++n) {
    bool good = (*connection)->Execute("BEGIN").ok();
    for (const std::string& statement : statements_(n)) {
      good = good && (*connection)->Execute(statement).ok();
    }
    if ((*connection)->Execute(good ? "COMMIT" : "ROLLBACK").ok() && good) {
      ++commits_;
    }
  }
}

}  // namespace sluice::testing
