// AgentTest: a whole agent with a real mysqld beside it, and a coordinator that only listens.

#pragma once

#include <gmock/gmock.h>

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/synchronization/mutex.h"
#include "agent/agent.h"
#include "common/rpc/client.h"
#include "common/rpc/server.h"
#include "schemas/control.capnp.h"
#include "tests/testing/mysqld_fixture.h"

namespace sluice::agent {

struct Heard {
  std::string agent_url;
  std::string alias;
  int mysql_port = 0;
  bool reachable = false;
  int times_away = 0;  // how often it was not, so far
  schemas::TabletType type = schemas::TabletType::UNKNOWN;
  std::string problem;
  std::string gtid_executed;
  std::vector<std::string> tables;
  std::map<std::string, std::vector<std::string>> others;  // tables by alias, of those that serve
  std::map<std::string, size_t> streams;                   // their number, by alias
};

// Keeps what the agent last said. Thread-safe.
class Listener {
 public:
  absl::Status Start(const std::string& url);
  void Stop() { server_.reset(); }
  [[nodiscard]] std::string url() const { return server_->url(); }

  bool Await(const std::function<bool(const Heard&)>& wanted) {
    const absl::MutexLock lock(&mutex_);
    const auto heard = [&]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
      return registrations_ > 0 && wanted(heard_);
    };
    return mutex_.AwaitWithTimeout(absl::Condition(&heard), absl::Seconds(20));
  }
  bool AwaitRegistrations(int count) {
    const absl::MutexLock lock(&mutex_);
    const auto enough = [&]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
      return registrations_ >= count;
    };
    return mutex_.AwaitWithTimeout(absl::Condition(&enough), absl::Seconds(20));
  }
  void Forget() {
    const absl::MutexLock lock(&mutex_);
    forget_ = true;
  }
  void RefuseSecond(bool refuse) {
    const absl::MutexLock lock(&mutex_);
    refuse_second_ = refuse;
  }
  int reports() {
    const absl::MutexLock lock(&mutex_);
    return reports_;
  }
  bool AwaitReports(int count) {
    const absl::MutexLock lock(&mutex_);
    const auto enough = [&]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) { return reports_ >= count; };
    return mutex_.AwaitWithTimeout(absl::Condition(&enough), absl::Seconds(20));
  }
  // Names the PRIMARY of each keyspace and shard; of others nobody is.
  void SetPrimaries(std::map<std::string, std::string> primaries) {
    const absl::MutexLock lock(&mutex_);
    primaries_ = std::move(primaries);
  }
  Heard Last() {
    const absl::MutexLock lock(&mutex_);
    return heard_;
  }

 private:
  template <typename Request>
  void Keep(Request request);

  absl::Mutex mutex_;
  Heard heard_ ABSL_GUARDED_BY(mutex_);
  int registrations_ ABSL_GUARDED_BY(mutex_) = 0;
  int reports_ ABSL_GUARDED_BY(mutex_) = 0;
  bool forget_ ABSL_GUARDED_BY(mutex_) = false;
  bool refuse_second_ ABSL_GUARDED_BY(mutex_) = false;
  std::map<std::string, std::string> primaries_ ABSL_GUARDED_BY(mutex_);
  std::unique_ptr<rpc::Server> server_;
};

class AgentTest : public ::testing::Test {
 protected:
  void StartMysqld(const std::vector<std::string>& extra = {}) {
    auto started = testing::Mysqld::Start(extra);
    ASSERT_TRUE(started.ok()) << started.status();
    mysqld_ = *std::move(started);
    Root("CREATE DATABASE vt_commerce");
    Root("CREATE TABLE vt_commerce.product (sku VARCHAR(20) PRIMARY KEY)");
  }
  void StartListener() { ASSERT_TRUE(listener_.Start("tcp://127.0.0.1:0").ok()); }

  void StartAgent() {
    AgentConfig config;
    config.cell = "zone1";
    config.shards = shards_;
    config.listen = "tcp://127.0.0.1:0";
    config.coordinator = listener_.url();
    config.mysql = mysqld_->Root();
    config.mysql.user = account_;
    config.mysql_advertise_host = "127.0.0.1";
    auto agent = Agent::Create(config);
    ASSERT_TRUE(agent.ok()) << agent.status();
    agent_ = *std::move(agent);
  }

  void Root(const std::string& sql) {
    auto root = mysql::Connection::Connect(mysqld_->Root());
    ASSERT_TRUE(root.ok()) << root.status();
    const auto done = (*root)->Execute(sql);
    ASSERT_TRUE(done.ok()) << done.status() << "\n" << sql;
  }

  std::unique_ptr<rpc::Client> Dial() {
    auto client = rpc::Client::Dial(listener_.Last().agent_url, "coordinator");
    EXPECT_TRUE(client.ok()) << client.status();
    return *std::move(client);
  }

  absl::Status SetGate(schemas::GateState state, uint64_t epoch, const std::string& database = "") {
    return Dial()->Call<schemas::SetGateRequest, schemas::SetGateReply>(
        schemas::Method::SET_GATE,
        [&](schemas::SetGateRequest::Builder request) {
          request.setWorkflow("customer.move");
          request.setDatabase(database);
          request.initTables(1).set(0, "product");
          request.setState(state);
          request.setEpoch(epoch);
        },
        [&](schemas::SetGateReply::Reader reply) {
          EXPECT_EQ(reply.getState(), state);
          EXPECT_NE(reply.getPosition().size(), 0U);
          return absl::OkStatus();
        });
  }

  absl::Status AwaitPosition(const std::string& set, uint32_t wait_ms) {
    return Dial()->Call<schemas::AwaitPositionRequest, schemas::Empty>(
        schemas::Method::AWAIT_POSITION,
        [&](schemas::AwaitPositionRequest::Builder request) {
          request.setGtidSet(set);
          request.setWaitMs(wait_ms);
        },
        [](schemas::Empty::Reader) { return absl::OkStatus(); });
  }

  static bool Serving(const Heard& heard) {
    return heard.reachable && heard.type == schemas::TabletType::PRIMARY && heard.problem.empty();
  }

  std::unique_ptr<testing::Mysqld> mysqld_;
  std::string account_ = "root";
  std::vector<ShardConfig> shards_ = {{.uid = 100,
                                       .keyspace = "commerce",
                                       .shard = "0",
                                       .type = routing::TabletType::kPrimary,
                                       .database = "vt_commerce"}};
  Listener listener_;
  std::unique_ptr<Agent> agent_;
};

}  // namespace sluice::agent
