// Setting up a coordinator over a scripted cluster.

#include "tests/coordinator/traffic/fixture.h"

#include <gmock/gmock.h>
#include <unistd.h>

#include <filesystem>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "absl/time/clock.h"
#include "common/base/check.h"
#include "coordinator/store/sqlite_store.h"
#include "coordinator/workflow/move_rules.h"

namespace sluice::traffic::testing {
namespace {

using routing::TabletType;

struct Place {
  std::string keyspace;
  std::string shard;
};

void RegisterTablet(topology::Topology& topology, uint32_t uid, const Place& place,
                    TabletType type) {
  topology::TabletReport report;
  topology::TabletInfo& tablet = report.tablet;
  tablet.alias = absl::StrCat("zone1-", uid);
  tablet.cell = "zone1";
  tablet.uid = uid;
  tablet.keyspace = place.keyspace;
  tablet.shard = place.shard;
  tablet.database = absl::StrCat("vt_", place.keyspace);
  tablet.agent_url = absl::StrCat("tcp://127.0.0.1:", 1000 + uid);
  tablet.mysql_host = "127.0.0.1";
  tablet.mysql_port = static_cast<uint16_t>(2000 + uid);
  tablet.configured_type = type;
  tablet.type = type;
  tablet.incarnation = 1;
  tablet.reachable = true;
  tablet.read_only = type != TabletType::kPrimary;
  SLUICE_CHECK_OK(topology.Register(report));
}

}  // namespace

absl::Time Soon() {
  return absl::Now() + absl::Seconds(20);
}

admin::SwitchArgs SwitchOf(std::vector<TabletType> types) {
  admin::SwitchArgs args;
  args.workflow = {.keyspace = "customer", .name = "move"};
  args.types = std::move(types);
  args.timeout = absl::Seconds(5);
  return args;
}

admin::FinishArgs FinishOf() {
  admin::FinishArgs args;
  args.workflow = {.keyspace = "customer", .name = "move"};
  return args;
}

void FlakyStore::FailAt(int nth, int count, Failure failure) {
  const absl::MutexLock lock(&mutex_);
  until_ = nth - 1;
  failing_ = count;
  failure_ = failure;
}

absl::Status FlakyStore::Transaction(
    const std::function<absl::Status(store::StoreTransaction&)>& change) {
  bool fails = false;
  Failure failure = Failure::kNothingDone;
  {
    const absl::MutexLock lock(&mutex_);
    if (until_ > 0) {
      --until_;
    } else if (failing_ > 0) {
      --failing_;
      fails = true;
      failure = failure_;
    }
  }
  if (fails && failure == Failure::kNothingDone) {
    return absl::UnavailableError("the disk is full");
  }
  const absl::Status status = store_->Transaction(change);
  return fails ? absl::UnavailableError("the answer of the disk is lost") : status;
}

Coordinator::Coordinator(const std::string& path, FakeCluster& cluster,
                         std::vector<std::string> keyspace_shards)
    : shards(std::move(keyspace_shards)) {
  auto opened = store::SqliteStore::Open(path);
  SLUICE_CHECK_OK(opened.status());
  store = std::make_unique<FlakyStore>(*std::move(opened));
  topology::TopologyOptions options;
  options.stale_after = absl::Hours(1);
  topology = std::make_unique<topology::Topology>(*store, options);
  SLUICE_CHECK_OK(topology->Load());
  if (topology->Keyspaces().empty()) {
    SLUICE_CHECK_OK(topology->CreateKeyspace("commerce", shards));
    SLUICE_CHECK_OK(topology->CreateKeyspace("customer", shards));
  }
  rules = std::make_unique<rules::RuleService>(*store, *topology);
  SLUICE_CHECK_OK(rules->Start());
  uint32_t uid = 100;
  for (const char* keyspace : {"commerce", "customer"}) {
    const Place place = {keyspace, shards.front()};
    RegisterTablet(*topology, uid, place, TabletType::kPrimary);
    RegisterTablet(*topology, uid + 1, place, TabletType::kReplica);
    RegisterTablet(*topology, uid + 2, place, TabletType::kRdonly);
    uid += 100;
  }
  TrafficOptions traffic;
  traffic.cutover.retry_max = absl::Milliseconds(20);
  traffic.cutover.retry_min = absl::Milliseconds(1);
  traffic.teardown.retry_min = absl::Milliseconds(1);
  traffic.teardown.retry_max = absl::Milliseconds(20);
  service = std::make_unique<TrafficService>(Dependencies{.store = *store,
                                                          .topology = *topology,
                                                          .rules = *rules,
                                                          .agents = cluster,
                                                          .locks = locks},
                                             traffic);
}

Coordinator::~Coordinator() {
  rules->Close();
  topology->Close();
  service->Close();
}

void Coordinator::PutWorkflow(bool partial) {
  const std::string& shard = shards.front();
  workflow::WorkflowRecord record;
  record.keyspace = "customer";
  record.name = "move";
  record.source_keyspace = "commerce";
  record.target_keyspace = "customer";
  record.tables = {"corder", "customer"};
  record.sub_type = partial ? workflow::kPartial : "None";
  record.source_shards = {shard};
  record.target_shards = {shard};
  record.streams = {{.id = 1,
                     .source_shard = shard,
                     .target_shard = shard,
                     .source_database = "vt_commerce",
                     .target_database = "vt_customer"}};
  record.phase = workflow::WorkflowPhase::kActive;
  record.options.source_types = {TabletType::kPrimary};
  const auto epoch = rules->Change(
      [&](store::StoreTransaction& transaction, store::RuleState& state) -> absl::Status {
        workflow::RouteMove(record, state);
        if (partial) {
          state.shard_rules = routing::WithDefaults(std::move(state.shard_rules),
                                                    workflow::ShardMoveOf(record), shards);
        }
        (void)transaction.NextId(workflow::kStreamIdCounter);
        return transaction.PutWorkflow(record);
      });
  SLUICE_CHECK_OK(epoch.status());
}

std::vector<workflow::WorkflowRecord> Coordinator::Workflows() const {
  auto workflows = store::ListWorkflows(*store);
  SLUICE_CHECK_OK(workflows.status());
  return *std::move(workflows);
}

workflow::WorkflowRecord Coordinator::Workflow(const std::string& keyspace,
                                               const std::string& name) const {
  auto record = store::GetWorkflow(*store, keyspace, name);
  EXPECT_TRUE(record.ok()) << record.status();
  return record.ok() ? *std::move(record) : workflow::WorkflowRecord();
}

size_t Coordinator::UnfinishedStates() const {
  size_t count = 0;
  SLUICE_CHECK_OK(store->Read([&](store::StoreReader& reader) {
    const auto states = reader.ListCutoverStates();
    count = states.ok() ? states->size() : 1;
    return states.status();
  }));
  return count;
}

bool Coordinator::AwaitIdle(absl::Duration timeout) {
  const absl::Time deadline = absl::Now() + timeout;
  while (UnfinishedStates() > 0 || !locks.TryLock("customer.move", "test").ok()) {
    if (absl::Now() > deadline) {
      return false;
    }
    absl::SleepFor(absl::Milliseconds(1));  // Delay: the store tells nobody when it changes.
  }
  return true;
}

std::string Coordinator::Route(const std::string& name) const {
  for (const routing::TableRule& rule : rules->Rules().table_rules) {
    if (rule.from_table == name) {
      return rule.to_table;
    }
  }
  return name;
}

void RemoveStore(const std::string& path) {
  for (const char* end : {"", "-wal", "-shm"}) {
    std::filesystem::remove(path + end);
  }
}

std::string StorePath() {
  const auto* test = ::testing::UnitTest::GetInstance()->current_test_info();
  // A killed process leaves the same bytes on any file system; this one does not wait for a disk.
  const std::string folder =
      access("/dev/shm", W_OK) == 0 ? std::string("/dev/shm/") : ::testing::TempDir();
  const std::string name =
      absl::StrReplaceAll(absl::StrCat(test->test_suite_name(), ".", test->name()), {{"/", "."}});
  return absl::StrCat(folder, "sluice_", name, ".", getpid(), ".db");
}

TrafficTest::TrafficTest() : path_(StorePath()) {
  RemoveStore(path_);
  coordinator_ = std::make_unique<Coordinator>(path_, cluster_);
  coordinator_->PutWorkflow();
}

TrafficTest::~TrafficTest() {
  coordinator_.reset();
  RemoveStore(path_);
  EXPECT_STREQ(cluster_.world().violation, "");
}

nlohmann::json TrafficTest::Done(const absl::StatusOr<std::string>& answer) {
  EXPECT_TRUE(answer.ok()) << answer.status();
  return answer.ok() ? nlohmann::json::parse(*answer) : nlohmann::json();
}

nlohmann::json TrafficTest::Switch(std::vector<TabletType> types) {
  return Done(service().Switch(SwitchOf(std::move(types)), Soon()));
}

nlohmann::json TrafficTest::Reverse(std::vector<TabletType> types) {
  return Done(service().Reverse(SwitchOf(std::move(types)), Soon()));
}

void TrafficTest::ExpectRefused(const absl::StatusOr<std::string>& answer, absl::StatusCode code,
                                const std::string& text) {
  EXPECT_EQ(answer.status().code(), code) << answer.status();
  EXPECT_THAT(std::string(answer.status().message()), ::testing::HasSubstr(text));
}

void TrafficTest::ExpectUnchanged() {
  EXPECT_EQ(cluster_.source().gate, Gate(workflow::GateState::kOpen));
  EXPECT_EQ(cluster_.target().gate, Gate(workflow::GateState::kClosed));
  EXPECT_EQ(coordinator_->Workflows().size(), 1U);
  EXPECT_EQ(coordinator_->UnfinishedStates(), 0U);
  EXPECT_TRUE(coordinator_->rules->Rules().holds.empty());
  EXPECT_EQ(coordinator_->Route("customer"), "commerce.customer");
}

}  // namespace sluice::traffic::testing
