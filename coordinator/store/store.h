// Store: the coordinator's durable state, whatever keeps it.

#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "coordinator/store/records.h"
#include "coordinator/workflow/record.h"

namespace sluice::store {

// Reads of one consistent state. Owned by the call of Transaction or Read that handed it out.
class StoreReader {
 public:
  StoreReader() = default;
  StoreReader(const StoreReader&) = delete;
  StoreReader& operator=(const StoreReader&) = delete;
  virtual ~StoreReader() = default;

  virtual absl::StatusOr<std::vector<KeyspaceRecord>> ListKeyspaces() = 0;  // by name
  virtual absl::StatusOr<std::vector<TabletRecord>> ListTablets() = 0;      // by alias
  // (alias, base tables that it last reported), by alias.
  virtual absl::StatusOr<std::vector<std::pair<std::string, std::vector<std::string>>>>
  ListTabletTables() = 0;
  virtual absl::StatusOr<std::vector<workflow::WorkflowRecord>> ListWorkflows() = 0;  // by key
  virtual absl::StatusOr<std::optional<workflow::WorkflowRecord>> FindWorkflow(
      absl::string_view keyspace, absl::string_view name) = 0;
  // The state of a cutover or teardown, by the key of the workflow (bytes of coordinator/cutover).
  virtual absl::StatusOr<std::optional<std::string>> FindCutoverState(
      absl::string_view workflow_key) = 0;
  // All of them: (key of the workflow, bytes).
  virtual absl::StatusOr<std::vector<std::pair<std::string, std::string>>> ListCutoverStates() = 0;
  // What concerns the whole cluster, by name; empty when it was never set.
  virtual absl::StatusOr<std::string> FindSetting(absl::string_view name) = 0;
  virtual absl::StatusOr<uint64_t> ReadEpoch() = 0;  // 0 in an empty store
  virtual absl::StatusOr<RuleState> ReadRules() = 0;
  virtual absl::StatusOr<std::vector<ProxyRecord>> ListProxies() = 0;  // by id
  // Newest first, with their steps in the order of AppendCutoverStep.
  virtual absl::StatusOr<std::vector<CutoverAttempt>> ListCutoverAttempts(
      absl::string_view workflow_key) = 0;
  // The same without their steps, of which there may be very many.
  virtual absl::StatusOr<std::vector<CutoverAttempt>> ListCutoverHeads(
      absl::string_view workflow_key) = 0;
  // In the order of AppendCutoverStep.
  virtual absl::StatusOr<std::vector<CutoverStep>> ListCutoverSteps(
      absl::string_view attempt_id) = 0;
};

class StoreTransaction : public StoreReader {
 public:
  virtual absl::Status PutKeyspace(const KeyspaceRecord& keyspace) = 0;
  virtual absl::Status PutTablet(const TabletRecord& tablet) = 0;
  virtual absl::Status PutTabletTables(absl::string_view alias,
                                       const std::vector<std::string>& tables) = 0;
  // With its tables. OK when there is none.
  virtual absl::Status DeleteTablet(absl::string_view alias) = 0;
  virtual absl::Status PutWorkflow(const workflow::WorkflowRecord& record) = 0;
  // Cutover attempts stay, for those who ask later. OK when there is none.
  virtual absl::Status DeleteWorkflow(absl::string_view keyspace, absl::string_view name) = 0;
  virtual absl::Status PutCutoverState(absl::string_view workflow_key, absl::string_view bytes) = 0;
  virtual absl::Status DeleteCutoverState(absl::string_view workflow_key) = 0;
  virtual absl::Status PutSetting(absl::string_view name, absl::string_view value) = 0;
  // INVALID_ARGUMENT when the epoch does not grow. Only rules::RuleService calls these two.
  virtual absl::Status WriteEpoch(uint64_t epoch) = 0;
  virtual absl::Status WriteRules(const RuleState& rules) = 0;
  virtual absl::Status PutProxy(const ProxyRecord& proxy) = 0;
  // The next number of a counter, from 1 on; never the same twice once the transaction commits.
  virtual absl::StatusOr<uint64_t> NextId(absl::string_view counter) = 0;
  // Inserts or replaces the attempt's own fields; its steps are left alone. The oldest attempts of
  // a workflow above 100 are forgotten.
  virtual absl::Status PutCutoverAttempt(const CutoverAttempt& attempt) = 0;
  virtual absl::Status AppendCutoverStep(absl::string_view attempt_id, const CutoverStep& step) = 0;
};

// Thread-safe. Transactions are serialised and durable when Transaction returns OK.
class Store {
 public:
  Store() = default;
  Store(const Store&) = delete;
  Store& operator=(const Store&) = delete;
  virtual ~Store() = default;

  // Runs `change` and commits when it returns OK; else nothing of it is kept and its status is
  // returned. `change` may be run more than once by a store that loses a race, so it only touches
  // the transaction and its own variables, and calls nothing that uses the store itself.
  virtual absl::Status Transaction(
      const std::function<absl::Status(StoreTransaction&)>& change) = 0;

  virtual absl::Status Read(const std::function<absl::Status(StoreReader&)>& read) = 0;
};

// Conveniences of one read or one write.
absl::StatusOr<uint64_t> NextId(Store& store, absl::string_view counter);
// NOT_FOUND "workflow customer.x does not exist".
absl::StatusOr<workflow::WorkflowRecord> GetWorkflow(Store& store, absl::string_view keyspace,
                                                     absl::string_view name);
absl::StatusOr<std::vector<workflow::WorkflowRecord>> ListWorkflows(Store& store);

}  // namespace sluice::store
