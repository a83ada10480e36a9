// TailWorld: the server, and the readers' threads.

#include "tests/agent/source/tail_world.h"

#include <gtest/gtest.h>

#include <utility>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "common/base/byte_reader.h"
#include "common/base/status_macros.h"
#include "common/binlog/event.h"

namespace sluice::source {
namespace {

constexpr absl::Duration kWait = absl::Milliseconds(500);
constexpr absl::Duration kPollInterval = absl::Milliseconds(5);
constexpr absl::Duration kPatience = absl::Seconds(30);
constexpr size_t kBatchBytes = 1U << 20U;
constexpr uint32_t kTailServerId = 1999;

}  // namespace

TailReader::TailReader(std::unique_ptr<BinlogSession> session, gtid::GtidSet position)
    : session_(std::move(session)),
      filter_(WantedTables()),
      position_(std::move(position)),
      thread_([this] { Run(); }) {}

TailReader::~TailReader() {
  Stop();
}

void TailReader::Stop() {
  {
    const absl::MutexLock lock(&mutex_);
    stopped_ = true;
  }
  session_->Close();
  if (thread_.joinable()) {
    thread_.join();
  }
}

void TailReader::Pause(bool paused) {
  const absl::MutexLock lock(&mutex_);
  paused_ = paused;
}

void TailReader::Run() {
  absl::Status end;
  for (uint64_t number = 1; end.ok(); ++number) {
    {
      const absl::MutexLock lock(&mutex_);
      const auto may_go_on = [this]() ABSL_SHARED_LOCKS_REQUIRED(mutex_) {
        return stopped_ || !paused_;
      };
      mutex_.Await(absl::Condition(&may_go_on));
      if (stopped_) {
        return;
      }
    }
    const auto batch = session_->Fetch(
        {.number = number, .bytes_max = kBatchBytes, .deadline = absl::Now() + kWait});
    end = batch.ok() ? Take(*batch) : batch.status();
  }
  const absl::MutexLock lock(&mutex_);
  end_ = end;
}

absl::Status TailReader::Take(const std::shared_ptr<const EventBatch>& batch) {
  {
    const absl::MutexLock lock(&mutex_);
    caught_up_ = batch->caught_up;
  }
  joiner_.Add(std::make_shared<const std::string>(batch->events));
  while (true) {
    SLUICE_ASSIGN_OR_RETURN(const EventJoiner::Event event, joiner_.Next());
    if (event.bytes.empty()) {
      return absl::OkStatus();
    }
    SLUICE_RETURN_IF_ERROR(TakeEvent(event.bytes));
  }
}

absl::Status TailReader::TakeEvent(absl::string_view event) {
  SLUICE_ASSIGN_OR_RETURN(const binlog::EventHeader header, binlog::DecodeHeader(event));
  if (header.type == binlog::EventType::kGtid || header.type == binlog::EventType::kGtidTagged) {
    ids_at_hand_.clear();
  }
  if (header.type == binlog::EventType::kWriteRows) {
    SLUICE_ASSIGN_OR_RETURN(const binlog::RowsEvent rows, binlog::DecodeRows(event));
    ByteReader reader(rows.rows);
    while (!reader.done()) {
      reader.U8();  // which columns are NULL
      ids_at_hand_.push_back(reader.U32());
    }
  }
  ignored_.clear();
  SLUICE_RETURN_IF_ERROR(filter_.Feed(event, ignored_));
  const auto completed = filter_.TakeCompleted();
  if (!completed.has_value()) {
    return absl::OkStatus();
  }
  const absl::MutexLock lock(&mutex_);
  if (position_.Contains(*completed)) {
    return absl::InternalError(absl::StrCat(completed->ToString(), " came again"));
  }
  position_.Add(*completed);
  transactions_.push_back(completed->ToString());
  ids_.insert(ids_.end(), ids_at_hand_.begin(), ids_at_hand_.end());
  ids_at_hand_.clear();
  return absl::OkStatus();
}

gtid::GtidSet TailReader::position() const {
  const absl::MutexLock lock(&mutex_);
  return position_;
}

std::vector<uint32_t> TailReader::ids() const {
  const absl::MutexLock lock(&mutex_);
  return ids_;
}

std::vector<std::string> TailReader::transactions() const {
  const absl::MutexLock lock(&mutex_);
  return transactions_;
}

bool TailReader::caught_up() const {
  const absl::MutexLock lock(&mutex_);
  return caught_up_;
}

absl::Status TailReader::end() const {
  const absl::MutexLock lock(&mutex_);
  return end_;
}

std::unique_ptr<TailWorld> TailWorld::Start(TailWorldOptions options) {
  std::unique_ptr<TailWorld> world(new TailWorld(std::move(options)));
  auto mysqld = testing::Mysqld::Start(world->options_.mysqld);
  EXPECT_TRUE(mysqld.ok()) << mysqld.status();
  if (!mysqld.ok()) {
    return nullptr;
  }
  world->mysqld_ = *std::move(mysqld);
  world->connection_ = world->Connect();
  for (size_t i = 0; i < world->options_.databases; ++i) {
    world->On({absl::StrCat("CREATE DATABASE s", i),
               absl::StrCat("CREATE TABLE s", i, ".t (id INT NOT NULL PRIMARY KEY)")});
  }
  BinlogTailOptions tail;
  tail.connection = world->mysqld_->Root();
  tail.server_id = kTailServerId;
  tail.window_bytes_max = world->options_.window_bytes_max;
  tail.transaction_bytes_max = tail.window_bytes_max / 4;
  tail.linger = world->options_.linger;
  world->tail_ = std::make_unique<BinlogTail>(tail);
  return world;
}

std::unique_ptr<TailReader> TailWorld::Read(size_t database, const gtid::GtidSet& position) {
  BinlogSessionOptions options;
  options.connection = mysqld_->Root();
  options.server_id = ++server_id_;
  options.wanted.database = absl::StrCat("s", database);
  options.wanted.tables = {"t"};
  options.position = position;
  options.queue_bytes_max = options_.queue_bytes_max;
  return std::make_unique<TailReader>(std::make_unique<BinlogSession>(options, *tail_), position);
}

std::unique_ptr<mysql::Connection> TailWorld::Connect() {
  auto connection = mysql::Connection::Connect(mysqld_->Root());
  EXPECT_TRUE(connection.ok()) << connection.status();
  return connection.ok() ? *std::move(connection) : nullptr;
}

void TailWorld::On(const std::vector<std::string>& statements) {
  for (const std::string& statement : statements) {
    const absl::Status status = connection_->Execute(statement).status();
    ASSERT_TRUE(status.ok()) << statement.substr(0, 200) << ": " << status;
  }
}

std::string TailWorld::Ask(const std::string& statement) {
  const auto answer = connection_->QueryScalar(statement);
  EXPECT_TRUE(answer.ok()) << statement << ": " << answer.status();
  return answer.ok() ? *answer : "";
}

gtid::GtidSet TailWorld::Executed() {
  const auto set = gtid::GtidSet::Parse(Ask("SELECT @@GLOBAL.gtid_executed"));
  EXPECT_TRUE(set.ok()) << set.status();
  return set.ok() ? *set : gtid::GtidSet();
}

int TailWorld::Dumps() {
  int count = 0;
  EXPECT_TRUE(absl::SimpleAtoi(Ask("SELECT COUNT(*) FROM performance_schema.threads WHERE "
                                   "PROCESSLIST_COMMAND = 'Binlog Dump GTID'"),
                               &count));
  return count;
}

int TailWorld::DumpsEnded() {
  int count = 0;
  EXPECT_TRUE(
      absl::SimpleAtoi(Ask("SELECT COUNT_STAR FROM "
                           "performance_schema.events_statements_summary_global_by_event_name "
                           "WHERE EVENT_NAME = 'statement/com/Binlog Dump GTID'"),
                       &count));
  return count;
}

void TailWorld::Await(const std::string& what, const std::function<bool()>& condition) {
  const absl::Time deadline = absl::Now() + kPatience;
  while (!condition()) {
    ASSERT_LT(absl::Now(), deadline) << what;
    absl::SleepFor(kPollInterval);  // Delay: what is waited for is only to be looked at
  }
}

void TailWorld::AwaitRead(const TailReader& reader) {
  const gtid::GtidSet executed = Executed();
  Await("all is read", [&] { return reader.position().Contains(executed) || !reader.end().ok(); });
  EXPECT_TRUE(reader.end().ok()) << reader.end();
}

}  // namespace sluice::source
