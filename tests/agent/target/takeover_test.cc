// Two agents beside one mysqld: what one has commanded, the other, which still runs, can't undo.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>
#include <string>

#include "absl/synchronization/mutex.h"
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

  absl::Status Control(StreamAction action) {
    return client_->Call<schemas::ControlStreamRequest, schemas::ControlStreamReply>(
        schemas::Method::CONTROL_STREAM,
        [action](auto request) {
          request.setStreamId(kStream);
          request.setAction(action);
          request.setEpoch(1);
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
