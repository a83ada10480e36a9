// Scenario: the steps that tests are made of.

#include "integration/scenarios/scenario.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <thread>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/time/clock.h"
#include "common/base/status.h"
#include "integration/demo/story.h"
#include "integration/workload/compare.h"

namespace sluice::scenario {
namespace {

// The tablets of one type of one keyspace, from `uid` on; those on mysqlds of their own come first.
void AddTablets(const ScenarioOptions& options, const cluster::TabletSpec& first,
                uint32_t first_mysqld, cluster::Topology& topology) {
  const std::vector<std::string> shards = cluster::EqualShards(options.shards);
  for (uint32_t i = 0; i < shards.size(); ++i) {
    cluster::TabletSpec tablet = first;
    tablet.uid = first.uid + i;
    tablet.shard = shards[i];
    tablet.mysqld = first_mysqld + i % static_cast<uint32_t>(options.mysqlds);
    topology.tablets.push_back(tablet);
  }
}

cluster::Topology TopologyOf(const ScenarioOptions& options) {
  cluster::Topology topology;
  topology.proxies = options.proxies;
  topology.proxy_cells = options.proxy_cells;
  using routing::TabletType;
  const uint32_t apart = options.shards > 1 ? 1000 : 1;
  for (const auto& [keyspace, base] :
       {std::pair<std::string, uint32_t>{"commerce", 100}, {"customer", 200}}) {
    uint32_t offset = 0;
    for (const TabletType type :
         {TabletType::kPrimary, TabletType::kReplica, TabletType::kRdonly}) {
      AddTablets(options,
                 {.cell = type == TabletType::kRdonly ? options.rdonly_cell : "zone1",
                  .uid = base + offset,
                  .keyspace = keyspace,
                  .type = type},
                 (options.together ? 100 : base) + offset, topology);
      offset += apart;
      if (!options.replicas) {
        break;
      }
    }
  }
  return topology;
}

std::string BinDirectory() {
  const char* named = std::getenv("SLUICE_BIN_DIR");
  if (named != nullptr && *named != '\0') {
    return named;
  }
  return std::filesystem::canonical("/proc/self/exe").parent_path().parent_path() / "bin";
}

}  // namespace

std::unique_ptr<Scenario> Scenario::StartEmpty(const cluster::Topology& topology) {
  cluster::ClusterOptions cluster_options;
  cluster_options.directory =
      absl::StrCat(testing::TempDir(), "/sluice-", getpid(), "-", absl::GetCurrentTimeNanos());
  cluster_options.bin_directory = BinDirectory();
  cluster_options.dies_with_parent = true;
  auto cluster = cluster::Cluster::Up(topology, cluster_options);
  if (!cluster.ok()) {
    ADD_FAILURE() << "cluster: " << cluster.status();
    return nullptr;
  }
  auto scenario = std::make_unique<Scenario>();
  scenario->cluster_ = *std::move(cluster);
  return scenario;
}

std::unique_ptr<Scenario> Scenario::Start(const ScenarioOptions& options) {
  std::unique_ptr<Scenario> scenario = StartEmpty(TopologyOf(options));
  if (scenario == nullptr || options.shards > 1 || options.together) {
    return scenario;
  }
  if (const absl::Status loaded = demo::LoadCommerce(*scenario->cluster_, options.orders);
      !loaded.ok()) {
    ADD_FAILURE() << "tables of the story: " << loaded;
    return nullptr;
  }
  return scenario;
}

cluster::CommandResult Scenario::Sluice(const std::vector<std::string>& arguments,
                                        absl::Duration timeout) {
  auto result = cluster_->Sluice(arguments, timeout);
  if (!result.ok()) {
    ADD_FAILURE() << absl::StrJoin(arguments, " ") << ": " << result.status();
    return {};
  }
  return *std::move(result);
}

std::string Scenario::Done(const std::vector<std::string>& arguments) {
  const cluster::CommandResult result = Sluice(arguments);
  EXPECT_EQ(result.exit_code, 0) << absl::StrJoin(arguments, " ") << "\n"
                                 << result.output << result.errors;
  return result.output;
}

nlohmann::json Scenario::Json(const std::vector<std::string>& arguments) {
  std::vector<std::string> with_format = {"--format", "json"};
  with_format.insert(with_format.end(), arguments.begin(), arguments.end());
  const std::string answer = Done(with_format);
  nlohmann::json document = nlohmann::json::parse(answer, nullptr, false);
  EXPECT_FALSE(document.is_discarded()) << absl::StrJoin(arguments, " ") << ": " << answer;
  return document;
}

void Scenario::Refused(const std::vector<std::string>& arguments, const std::string& reason) {
  const cluster::CommandResult result = Sluice(arguments);
  EXPECT_EQ(result.exit_code, 1) << absl::StrJoin(arguments, " ") << "\n"
                                 << result.output << result.errors;
  EXPECT_TRUE(absl::StrContains(result.errors, reason))
      << absl::StrJoin(arguments, " ") << "\nshould name: " << reason
      << "\nsays: " << result.errors;
}

bool Scenario::AwaitRunning(const std::string& workflow, absl::Duration timeout) {
  const absl::Time deadline = absl::Now() + timeout;
  std::string last;
  while (absl::Now() < deadline) {
    const auto result = Sluice({"--format", "json", "movetables", "status", workflow});
    const auto document = nlohmann::json::parse(result.output, nullptr, false);
    if (document.is_object() && document.contains("shard_streams")) {
      size_t streams_seen = 0;
      bool running = true;
      for (const auto& [shard, streams] : document["shard_streams"].items()) {
        for (const auto& stream : streams["streams"]) {
          ++streams_seen;
          running = running && stream.value("status", "") == "Running";
        }
      }
      if (running && streams_seen > 0) {
        return true;
      }
    }
    last = result.output + result.errors;
    std::this_thread::sleep_for(std::chrono::milliseconds(100));  // Delay: between two looks
  }
  ADD_FAILURE() << workflow << " is not running: " << last;
  return false;
}

std::string Scenario::TrafficState(const std::string& workflow) {
  const auto result = Sluice({"--format", "json", "movetables", "status", workflow});
  const auto document = nlohmann::json::parse(result.output, nullptr, false);
  return document.is_object() ? document.value("traffic_state", "") : "";
}

std::vector<std::string> Scenario::Ask(uint32_t uid, const std::string& sql) {
  auto connection = cluster_->ConnectMysqld(uid);
  if (!connection.ok()) {
    ADD_FAILURE() << "mysqld " << uid << ": " << connection.status();
    return {};
  }
  const auto result = (*connection)->Query(sql);
  if (!result.ok()) {
    ADD_FAILURE() << sql << ": " << result.status();
    return {};
  }
  std::vector<std::string> lines;
  for (const mysql::Row& row : result->rows) {
    std::vector<std::string> cells;
    for (const auto& cell : row) {
      cells.push_back(cell.value_or("NULL"));
    }
    lines.push_back(absl::StrJoin(cells, "|"));
  }
  return lines;
}

unsigned Scenario::ProxyErrno(const std::string& target, const std::string& sql) {
  auto connection = cluster_->ConnectProxy(target);
  if (!connection.ok()) {
    return MysqlErrnoOf(connection.status());
  }
  const auto result = (*connection)->Query(sql);
  return result.ok() ? 0 : MysqlErrnoOf(result.status());
}

std::vector<std::string> Scenario::TableNames(uint32_t uid) {
  const cluster::TabletLayout* tablet = cluster_->FindTablet(uid);
  return Ask(uid, absl::StrCat("SELECT table_name FROM information_schema.tables "
                               "WHERE table_schema = '",
                               tablet->spec.database(), "' ORDER BY table_name"));
}

void Scenario::StartClients(int writers, int readers) {
  workload::WorkloadOptions options;
  for (const cluster::ProxyLayout& proxy : cluster_->layout().proxies) {
    mysql::ConnectionOptions connection;
    connection.host = "127.0.0.1";
    connection.port = proxy.port;
    connection.user = cluster_->layout().app_user;
    connection.password = cluster_->layout().app_password;
    options.proxies.push_back(connection);
  }
  options.writers = writers;
  options.readers = readers;
  options.replica_reads = cluster_->FindTablet(101) != nullptr;
  auto clients = workload::Workload::Start(options);
  ASSERT_TRUE(clients.ok()) << clients.status();
  clients_ = *std::move(clients);
}

std::vector<uint32_t> Scenario::OpenSidesOfOrders() {
  std::vector<uint32_t> sides;
  for (const uint32_t uid : {100U, 200U}) {
    const auto count = Ask(uid,
                           "SELECT COUNT(*) FROM information_schema.tables WHERE table_schema = "
                           "DATABASE() AND table_name = 'corder' AND table_type = 'BASE TABLE'");
    if (!count.empty() && count[0] == "1") {
      sides.push_back(uid);
    }
  }
  return sides;
}

uint32_t Scenario::OwnerOfOrders() {
  const std::vector<uint32_t> sides = OpenSidesOfOrders();
  EXPECT_LE(sides.size(), 1U) << "corder is open on both sides";
  EXPECT_GE(sides.size(), 1U) << "corder is open nowhere";
  return sides.size() == 1 ? sides.front() : 0;
}

uint32_t Scenario::AwaitOwnerOfOrders(absl::Duration timeout) {
  const absl::Time deadline = absl::Now() + timeout;
  while (OpenSidesOfOrders().empty() && absl::Now() < deadline) {
  }
  return OwnerOfOrders();
}

void Scenario::JudgeAll(bool compare_sides) {
  const uint32_t owner = OwnerOfOrders();
  ASSERT_NE(owner, 0U);
  JudgeSides(owner, !compare_sides ? 0 : owner == 100 ? 200 : 100);
}

void Scenario::JudgeSides(uint32_t owner_uid, uint32_t other_uid) {
  clients_->Pause();
  auto owner = cluster_->ConnectMysqld(owner_uid);
  ASSERT_TRUE(owner.ok()) << owner.status();
  const auto report = clients_->Judge(**owner, "corder");
  ASSERT_TRUE(report.ok()) << report.status();
  EXPECT_EQ(report->lost_writes, 0U) << absl::StrJoin(report->findings, "\n");
  EXPECT_EQ(report->duplicated_writes, 0U) << absl::StrJoin(report->findings, "\n");
  EXPECT_EQ(report->wrong_reads, 0U) << absl::StrJoin(report->findings, "\n");
  EXPECT_GT(report->acknowledged_writes, 0U);
  if (other_uid != 0) {
    CompareSides(**owner, other_uid);
  }
  clients_->Resume();
}

void Scenario::CompareSides(mysql::Connection& owner, uint32_t other_uid) {
  auto other = cluster_->ConnectMysqld(other_uid);
  ASSERT_TRUE(other.ok()) << other.status();
  for (const auto& [table, key] :
       {std::pair<std::string, std::string>{"customer", "customer_id"}, {"corder", "order_id"}}) {
    const auto compared = workload::AwaitEqualTables(owner, mysql::QuoteName(table), **other,
                                                     mysql::QuoteName("_sluice_closed_" + table),
                                                     key, absl::Seconds(60));
    ASSERT_TRUE(compared.ok()) << table << ": " << compared.status();
    EXPECT_GT(compared->rows_compared, 0U);
    EXPECT_EQ(compared->rows_different, 0U)
        << table << ": " << absl::StrJoin(compared->findings, "\n");
  }
}

}  // namespace sluice::scenario
