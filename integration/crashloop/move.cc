// MoveTest: the steps.

#include "integration/crashloop/move.h"

#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <functional>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/time/clock.h"
#include "integration/workload/compare.h"

namespace sluice::crashloop {
namespace {

constexpr absl::Duration kLook = absl::Milliseconds(20);

std::string Agent(uint32_t uid) {
  return absl::StrCat("agent-", uid);
}

}  // namespace

MoveTest::~MoveTest() {
  JoinOperator();
}

void MoveTest::StartCluster(const std::vector<uint32_t>& replicas) {
  cluster::Topology topology;
  topology.proxies = 0;
  topology.tablets.push_back({.uid = kSource, .keyspace = "source"});
  topology.tablets.push_back({.uid = kTarget, .keyspace = "target"});
  for (const uint32_t uid : replicas) {
    topology.tablets.push_back({.uid = uid,
                                .keyspace = uid < kTarget ? "source" : "target",
                                .type = routing::TabletType::kReplica});
  }
  cluster::ClusterOptions options;
  options.directory =
      absl::StrCat(testing::TempDir(), "/sluice-", getpid(), "-", absl::GetCurrentTimeNanos());
  const char* const programs = std::getenv("SLUICE_BIN_DIR");
  options.bin_directory =
      programs != nullptr
          ? std::string(programs)
          : (std::filesystem::canonical("/proc/self/exe").parent_path().parent_path() / "bin")
                .string();
  options.dies_with_parent = true;
  auto cluster = cluster::Cluster::Up(topology, options);
  ASSERT_TRUE(cluster.ok()) << cluster.status();
  cluster_ = *std::move(cluster);
}

void MoveTest::On(uint32_t uid, const std::vector<std::string>& statements) {
  auto connection = cluster_->ConnectMysqld(uid);
  ASSERT_TRUE(connection.ok()) << connection.status();
  for (const std::string& statement : statements) {
    const absl::Status status = (*connection)->Execute(statement).status();
    ASSERT_TRUE(status.ok()) << statement.substr(0, 200) << ": " << status;
  }
}

std::string MoveTest::Ask(uint32_t uid, const std::string& sql) {
  auto connection = cluster_->ConnectMysqld(uid);
  if (!connection.ok()) {
    return "";
  }
  return (*connection)->QueryScalar(sql).value_or("");
}

void MoveTest::Done(const std::vector<std::string>& arguments) {
  const auto result = cluster_->Sluice(arguments);
  ASSERT_TRUE(result.ok()) << result.status();
  ASSERT_EQ(result->exit_code, 0) << absl::StrJoin(arguments, " ") << "\n"
                                  << result->output << result->errors;
}

void MoveTest::StartOperator(const std::vector<std::string>& arguments) {
  operator_ =
      std::jthread([this, arguments] { cluster_->Sluice(arguments).status().IgnoreError(); });
}

void MoveTest::JoinOperator() {
  if (operator_.joinable()) {
    operator_.join();
  }
}

void MoveTest::Rearm(uint32_t uid, const std::string& point, const std::string& variable) {
  ASSERT_TRUE(cluster_->Kill(Agent(uid)).ok());
  // Where the point comes before the agent is ready, it has ended by now.
  const absl::Status started = cluster_->Start(Agent(uid), {absl::StrCat(variable, "=", point)});
  ASSERT_TRUE(started.ok() || absl::IsUnavailable(started)) << started;
}

void MoveTest::AwaitCrash(uint32_t uid) {
  const absl::Status ended = cluster_->AwaitEnd(Agent(uid), absl::Seconds(60));
  ASSERT_TRUE(ended.ok()) << ended;
  const absl::Status started = cluster_->Start(Agent(uid));
  ASSERT_TRUE(started.ok()) << started;
}

void MoveTest::RestartMysqld(uint32_t uid) {
  const absl::Status started = cluster_->Start(absl::StrCat("mysqld-", uid));
  ASSERT_TRUE(started.ok()) << started;
}

bool MoveTest::Eventually(const std::function<bool()>& condition, absl::Duration timeout) {
  const absl::Time deadline = absl::Now() + timeout;
  while (!condition()) {
    if (absl::Now() > deadline) {
      return false;
    }
    absl::SleepFor(kLook);  // Delay: between two looks
  }
  return true;
}

void MoveTest::AwaitRunning(uint32_t target) {
  const std::string running =
      "SELECT COUNT(*) > 0 AND SUM(state <> 'running') = 0 FROM _sluice.stream";
  EXPECT_TRUE(Eventually([&] { return Ask(target, running) == "1"; }, absl::Seconds(120)))
      << Ask(target, "SELECT GROUP_CONCAT(state, ' ', message) FROM _sluice.stream");
}

void MoveTest::AwaitApplied(uint32_t source, uint32_t target) {
  const std::string executed = Ask(source, "SELECT @@GLOBAL.gtid_executed");
  const std::string applied = absl::StrCat(
      "SELECT MIN(p.position IS NOT NULL AND s.state = 'running' AND GTID_SUBSET(",
      mysql::QuoteString(executed),
      ", p.position)) FROM _sluice.stream s JOIN _sluice.stream_position p ON p.stream_id = s.id");
  EXPECT_TRUE(Eventually([&] { return Ask(target, applied) == "1"; }, absl::Seconds(120)))
      << Ask(target, "SELECT GROUP_CONCAT(state, ' ', message) FROM _sluice.stream");
}

void MoveTest::ExpectSame(uint32_t source, uint32_t target, const std::string& table,
                          const std::string& key) {
  auto left = cluster_->ConnectMysqld(source);
  auto right = cluster_->ConnectMysqld(target);
  ASSERT_TRUE(left.ok() && right.ok());
  const auto compared =
      workload::CompareTables(**left, mysql::QuoteName(table), **right,
                              mysql::QuoteName(absl::StrCat("_sluice_closed_", table)), key);
  ASSERT_TRUE(compared.ok()) << compared.status();
  EXPECT_GT(compared->rows_compared, 0U);
  EXPECT_EQ(compared->rows_different, 0U)
      << table << ": " << absl::StrJoin(compared->findings, "\n").substr(0, 2000);
}

}  // namespace sluice::crashloop
