// Two agents beside one mysqld: what one has commanded, the other, which still runs, can't undo.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <thread>

#include "absl/strings/str_cat.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/clock.h"
#include "tests/agent/target/stream_world.h"

namespace sluice::testing {
namespace {

using schemas::StreamAction;
using schemas::StreamState;
using ::testing::HasSubstr;

constexpr uint64_t kStream = 1;

// An agent that has not taken up any stream, but obeys commands.
class SecondAgent {
 public:
  explicit SecondAgent(const Mysqld& target)
      : manager_({.local = target.Root(),
                  .agent_name = "zone1-200",
                  .pick_source = [](const auto&) -> absl::StatusOr<target::SourceAddress> {
                    return absl::UnavailableError("none");
                  },
                  .on_change = [] {},
                  .tuning = {}}),
        server_({.url = "tcp://127.0.0.1:0"}) {
    manager_.Register(server_);
    EXPECT_TRUE(server_.Start().ok());
    client_ = *rpc::Client::Dial(server_.url(), "coordinator");
  }
  ~SecondAgent() {
    manager_.Stop();
    server_.Stop();
  }
  SecondAgent(const SecondAgent&) = delete;
  SecondAgent& operator=(const SecondAgent&) = delete;

  absl::Status Control(StreamAction action, uint64_t epoch = 1) {
    return client_->Call<schemas::ControlStreamRequest, schemas::ControlStreamReply>(
        schemas::Method::CONTROL_STREAM,
        [action, epoch](auto request) {
          request.setStreamId(kStream);
          request.setAction(action);
          request.setEpoch(epoch);
        },
        [](auto) { return absl::OkStatus(); },
        {.timeout = absl::Seconds(20), .idempotency_id = {}, .traceparent = {}});
  }

 private:
  target::StreamManager manager_;
  rpc::Server server_;
  std::unique_ptr<rpc::Client> client_;
};

TEST(TakeoverTest, AStopByAnotherAgentEndsWhatTheFirstIsAboutToCommit) {
  const auto world = StreamWorld::Start({});
  ASSERT_NE(world, nullptr);
  world->CreateTable("t (id INT PRIMARY KEY, v INT)");
  world->OnSource({"INSERT INTO t VALUES (1, 1)"});
  ASSERT_TRUE(world->Create(StreamWorld::Spec(kStream, {"t"})).ok());
  world->AwaitState(kStream, StreamState::RUNNING);
  SecondAgent second(world->target_mysqld());
  const absl::Status stopped = second.Control(StreamAction::STOP);
  ASSERT_TRUE(stopped.ok()) << stopped;
  world->OnSource({"INSERT INTO t VALUES (2, 2)"});
  // The first one meets the claim, looks again, and finds the stream stopped.
  world->AwaitState(kStream, StreamState::STOPPED);
  EXPECT_EQ(StreamWorld::Dump(world->target_mysqld(), kTargetDatabase, "t").size(), 1U);
}

// True when somebody waits for a row that another session has locked.
bool AwaitLockWait(mysql::Connection& session) {
  const absl::Time deadline = absl::Now() + absl::Seconds(4);
  while (absl::Now() < deadline) {
    if (session.QueryScalar("SELECT COUNT(*) FROM performance_schema.data_lock_waits")
            .value_or("0") != "0") {
      return true;
    }
    absl::SleepFor(absl::Milliseconds(20));  // Delay: who waits for a lock can only be looked for
  }
  return false;
}

std::string StreamRow(StreamWorld& world) {
  const auto session = ConnectTo(world.target_mysqld(), "");
  return session
      ->QueryScalar(absl::StrCat("SELECT COALESCE((SELECT CONCAT(state, ' ', frozen, ' ', epoch)"
                                 " FROM _sluice.stream WHERE id = ",
                                 kStream, "), 'none')"))
      .value_or("unknown");
}

// It has looked at the epochs, and then stands still while a newer one is obeyed by somebody else.
TEST(TakeoverTest, ACommandThatIsOvertakenOnItsWayChangesNothing) {
  const auto world = StreamWorld::Start({});
  ASSERT_NE(world, nullptr);
  world->CreateTable("t (id INT PRIMARY KEY, v INT)");
  world->OnSource({"INSERT INTO t VALUES (1, 1)"});
  ASSERT_TRUE(world->Create(StreamWorld::Spec(kStream, {"t"})).ok());
  world->AwaitState(kStream, StreamState::RUNNING);
  ASSERT_TRUE(world->Control(kStream, StreamAction::STOP, 4).ok());
  for (const StreamAction late : {StreamAction::START, StreamAction::DELETE}) {
    SecondAgent second(world->target_mysqld());
    const auto other = ConnectTo(world->target_mysqld(), "_sluice");
    ASSERT_TRUE(other->Execute("START TRANSACTION").ok());
    ASSERT_TRUE(other->Execute("UPDATE stream SET epoch = 6, frozen = 1, message = 'FROZEN'").ok());
    absl::Status answer;
    {
      const std::jthread command([&] { answer = second.Control(late, 5); });
      EXPECT_TRUE(AwaitLockWait(*ConnectTo(world->target_mysqld(), "")));
      ASSERT_TRUE(other->Execute("COMMIT").ok());
    }
    EXPECT_TRUE(absl::IsFailedPrecondition(answer)) << answer;
    EXPECT_THAT(std::string(answer.message()), HasSubstr("one of epoch 6 was obeyed already"));
    EXPECT_EQ(StreamRow(*world), "stopped 1 6");
    ASSERT_TRUE(other->Execute("UPDATE stream SET epoch = 4, frozen = 0, message = ''").ok());
  }
}

// Its thread has ended by then, or goes on as if nothing had been said.
TEST(TakeoverTest, ARefusedCommandLeavesTheStreamAtWork) {
  const auto world = StreamWorld::Start({});
  ASSERT_NE(world, nullptr);
  world->CreateTable("t (id INT PRIMARY KEY, v INT)");
  world->OnSource({"INSERT INTO t VALUES (1, 1)"});
  ASSERT_TRUE(world->Create(StreamWorld::Spec(kStream, {"t"})).ok());
  world->AwaitState(kStream, StreamState::RUNNING);
  ASSERT_TRUE(world->Control(kStream, StreamAction::START, 4).ok());
  const auto other = ConnectTo(world->target_mysqld(), "_sluice");
  ASSERT_TRUE(other->Execute("START TRANSACTION").ok());
  ASSERT_TRUE(other->Execute("UPDATE stream SET epoch = 6").ok());
  absl::StatusOr<SeenStatus> answer;
  {
    const std::jthread command([&] { answer = world->Control(kStream, StreamAction::STOP, 5); });
    EXPECT_TRUE(AwaitLockWait(*ConnectTo(world->target_mysqld(), "")));
    ASSERT_TRUE(other->Execute("COMMIT").ok());
  }
  EXPECT_TRUE(absl::IsFailedPrecondition(answer.status())) << answer.status();
  world->OnSource({"INSERT INTO t VALUES (2, 2)"});
  world->Drain(kStream);
  world->ExpectSame("t");
}

TEST(TakeoverTest, AStreamThatWasDeletedIsNotBroughtBackByALateRequest) {
  const auto world = StreamWorld::Start({});
  ASSERT_NE(world, nullptr);
  world->CreateTable("t (id INT PRIMARY KEY, v INT)");
  const target::StreamSpec spec = StreamWorld::Spec(kStream, {"t"});
  ASSERT_TRUE(world->Create(spec, false).ok());
  ASSERT_TRUE(world->Control(kStream, StreamAction::DELETE, 2).ok());
  for (const char* agent : {"the same agent", "another one after it"}) {
    const absl::Status late = world->Create(spec);
    EXPECT_TRUE(absl::IsFailedPrecondition(late)) << agent << ": " << late;
    EXPECT_THAT(std::string(late.message()), HasSubstr("was deleted"));
    EXPECT_EQ(StreamRow(*world), "none");
    EXPECT_TRUE(absl::IsNotFound(world->Status(kStream).status())) << agent;
    world->StopTarget();
    world->StartTarget();
  }
  // The delete may even be the first that is heard of a stream.
  const target::StreamSpec never = StreamWorld::Spec(kStream + 1, {"t"});
  ASSERT_TRUE(world->Control(never.id, StreamAction::DELETE, 2).ok());
  EXPECT_TRUE(absl::IsFailedPrecondition(world->Create(never)));
  // What is so old that no request can be on its way is forgotten.
  world->OnTarget({"UPDATE _sluice.deleted_stream SET deleted_at = '2001-01-01'"});
  world->StopTarget();
  world->StartTarget();
  EXPECT_TRUE(world->Create(never).ok());
}

// Two agents at the same moment: one deletes what the other is about to create.
TEST(TakeoverTest, OfACreationAndADeletionTheSecondOneFindsTheFirst) {
  const auto world = StreamWorld::Start({});
  ASSERT_NE(world, nullptr);
  world->CreateTable("t (id INT PRIMARY KEY, v INT)");
  const auto other = ConnectTo(world->target_mysqld(), "_sluice");
  ASSERT_TRUE(other->Execute("START TRANSACTION").ok());
  ASSERT_TRUE(other->Execute("INSERT INTO deleted_stream VALUES (1, UTC_TIMESTAMP(6))").ok());
  absl::Status created;
  {
    const std::jthread command([&] { created = world->Create(StreamWorld::Spec(kStream, {"t"})); });
    EXPECT_TRUE(AwaitLockWait(*ConnectTo(world->target_mysqld(), "")));
    ASSERT_TRUE(other->Execute("COMMIT").ok());
  }
  EXPECT_TRUE(absl::IsFailedPrecondition(created)) << created;
  EXPECT_EQ(StreamRow(*world), "none");
  EXPECT_TRUE(absl::IsNotFound(world->Status(kStream).status()));
}

// What an agent leaves that is killed behind its copy: a snapshot that holds the tables.
TEST(TakeoverTest, TheNextSessionOfAStreamEndsTheSnapshotOfADeadAgent) {
  const auto world = StreamWorld::Start({});
  ASSERT_NE(world, nullptr);
  world->CreateTable("t (id INT PRIMARY KEY, v INT)");
  const auto dead = target::SourceClient::Connect({"zone1-100", world->source_url()}, "a", kStream);
  ASSERT_TRUE(dead.ok()) << dead.status();
  target::SnapshotRequest wanted;
  wanted.database = kSourceDatabase;
  wanted.tables = {"t"};
  wanted.wait = absl::Seconds(1);
  const auto snapshot = (*dead)->OpenSnapshot(wanted);
  ASSERT_TRUE(snapshot.ok()) << snapshot.status();
  target::RowsRequest request;
  request.session = snapshot->session;
  request.table = "t";
  request.columns = {"id", "v"};
  request.key_columns = {"id"};
  request.rows_max = 10;
  request.bytes_max = 1000;
  ASSERT_TRUE((*dead)->FetchRows(request).ok());
  const auto source = ConnectTo(world->source_mysqld(), kSourceDatabase);
  ASSERT_TRUE(source->Execute("SET SESSION lock_wait_timeout = 1").ok());
  ASSERT_FALSE(source->Execute("ALTER TABLE t ADD COLUMN w INT").ok()) << "the snapshot holds t";

  const auto next = target::SourceClient::Connect({"zone1-100", world->source_url()}, "b", kStream);
  ASSERT_TRUE(next.ok()) << next.status();
  const auto binlog = (*next)->OpenBinlog(kSourceDatabase, {"t"}, snapshot->position);
  ASSERT_TRUE(binlog.ok()) << binlog.status();
  EXPECT_EQ(world->source().sessions(), 1U);
  EXPECT_TRUE(absl::IsNotFound((*dead)->FetchRows(request).status()));
  const absl::Status altered = source->Execute("ALTER TABLE t ADD COLUMN w INT").status();
  EXPECT_TRUE(altered.ok()) << altered;
}

TEST(TakeoverTest, AStreamIsNotClaimedWhereAnotherTabletIsThePrimary) {
  const auto world = StreamWorld::Start({});
  ASSERT_NE(world, nullptr);
  world->CreateTable("t (id INT PRIMARY KEY, v INT)");
  ASSERT_TRUE(world->Create(StreamWorld::Spec(kStream, {"t"})).ok());
  world->AwaitState(kStream, StreamState::RUNNING);
  const auto target = ConnectTo(world->target_mysqld(), "");
  world->StopTarget();
  const std::string executed = *target->QueryScalar("SELECT @@GLOBAL.gtid_executed");
  absl::Mutex mutex;
  int asked = 0;
  target::StreamManager old(
      {.local = world->target_mysqld().Root(),
       .agent_name = "zone1-200",
       .pick_source = [](const auto&) -> absl::StatusOr<target::SourceAddress> {
         return absl::UnavailableError("none");
       },
       .on_change = [] {},
       .tuning = {},
       .check_primary = [&](const std::string& keyspace, const std::string& shard) -> absl::Status {
         EXPECT_EQ(keyspace + "/" + shard, "target/0");
         const absl::MutexLock lock(&mutex);
         ++asked;
         return absl::FailedPreconditionError("zone1-201 is it now");
       }});
  ASSERT_TRUE(old.LoadAndResume().ok());
  const auto asked_twice = [&] { return asked >= 2; };
  {
    const absl::MutexLock lock(&mutex);
    ASSERT_TRUE(mutex.AwaitWithTimeout(absl::Condition(&asked_twice), absl::Seconds(30)));
  }
  EXPECT_THAT(old.Statuses().at(0).message, HasSubstr("zone1-201 is it now"));
  old.Stop();
  EXPECT_EQ(*target->QueryScalar("SELECT @@GLOBAL.gtid_executed"), executed);
}

}  // namespace
}  // namespace sluice::testing
