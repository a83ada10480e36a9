// A coordinator that can be killed and started again over the same store, and the workflow
// customer.move of commerce's tables at the end of its copy.

#pragma once

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include <memory>
#include <string>
#include <vector>

#include "coordinator/store/store.h"
#include "coordinator/traffic/traffic_service.h"
#include "tests/coordinator/traffic/fake_cluster.h"

namespace sluice::traffic::testing {

// A store whose transactions can be made to fail. Thread-safe.
class FlakyStore : public store::Store {
 public:
  explicit FlakyStore(std::unique_ptr<store::Store> store) : store_(std::move(store)) {}

  enum class Failure { kNothingDone, kDoneAnyway };
  // The n-th transaction from now on fails, and the `count` - 1 after it.
  void FailAt(int nth, int count, Failure failure);

  absl::Status Transaction(
      const std::function<absl::Status(store::StoreTransaction&)>& change) override;
  absl::Status Read(const std::function<absl::Status(store::StoreReader&)>& read) override {
    return store_->Read(read);
  }

 private:
  const std::unique_ptr<store::Store> store_;
  absl::Mutex mutex_;
  int until_ ABSL_GUARDED_BY(mutex_) = 0;  // transactions that still succeed
  int failing_ ABSL_GUARDED_BY(mutex_) = 0;
  Failure failure_ ABSL_GUARDED_BY(mutex_) = Failure::kNothingDone;
};

// The parts of a coordinator that traffic commands need, over one store file.
class Coordinator {
 public:
  // Opens the store at `path`, registers six tablets (primary, replica and rdonly of each side) of
  // the first of the shards; the others have none.
  Coordinator(const std::string& path, FakeCluster& cluster,
              std::vector<std::string> shards = {"0"});
  ~Coordinator();
  Coordinator(const Coordinator&) = delete;
  Coordinator& operator=(const Coordinator&) = delete;

  // What create leaves behind: the record and the routing rules. A partial one moves the first
  // shard.
  void PutWorkflow(bool partial = false);
  [[nodiscard]] std::vector<workflow::WorkflowRecord> Workflows() const;
  [[nodiscard]] workflow::WorkflowRecord Workflow(const std::string& keyspace,
                                                  const std::string& name) const;
  [[nodiscard]] size_t UnfinishedStates() const;
  // Waits until the store knows of nothing unfinished.
  bool AwaitIdle(absl::Duration timeout);
  // Where a name goes by the rules; itself where no rule names it.
  [[nodiscard]] std::string Route(const std::string& name) const;

  const std::vector<std::string> shards;
  std::unique_ptr<FlakyStore> store;
  std::unique_ptr<topology::Topology> topology;
  std::unique_ptr<rules::RuleService> rules;
  workflow::OperationLocks locks;
  std::unique_ptr<TrafficService> service;
};

// Arguments for the workflow of the fixture.
admin::SwitchArgs SwitchOf(std::vector<routing::TabletType> types = {});
admin::FinishArgs FinishOf();

// A time by which nothing in these tests should still be waiting.
absl::Time Soon();

// One coordinator over one cluster, the workflow in place.
class TrafficTest : public ::testing::Test {
 protected:
  TrafficTest();
  ~TrafficTest() override;

  TrafficService& service() { return *coordinator_->service; }
  // Expects success and parses the answer.
  static nlohmann::json Done(const absl::StatusOr<std::string>& answer);
  nlohmann::json Switch(std::vector<routing::TabletType> types = {});
  nlohmann::json Reverse(std::vector<routing::TabletType> types = {});
  static void ExpectRefused(const absl::StatusOr<std::string>& answer, absl::StatusCode code,
                            const std::string& text);
  // As after the create.
  void ExpectUnchanged();
  static int Gate(workflow::GateState state) { return static_cast<int>(state); }

  const std::string path_;
  FakeCluster cluster_;
  std::unique_ptr<Coordinator> coordinator_;
};

// The store's files.
void RemoveStore(const std::string& path);
std::string StorePath();

inline constexpr char kNothingSwitched[] = "Reads Not Switched. Writes Not Switched";
inline constexpr char kAllSwitched[] = "All Reads Switched. Writes Switched";

}  // namespace sluice::traffic::testing
