// SqliteTransaction: the store's operations as SQL, inside a transaction that is already open.

#pragma once

#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "coordinator/store/sqlite.h"
#include "coordinator/store/store.h"

namespace sluice::store {

class SqliteTransaction : public StoreTransaction {
 public:
  explicit SqliteTransaction(SqliteDatabase& database) : database_(database) {}

  absl::StatusOr<std::vector<KeyspaceRecord>> ListKeyspaces() override;
  absl::StatusOr<std::vector<TabletRecord>> ListTablets() override;
  absl::StatusOr<std::vector<std::pair<std::string, std::vector<std::string>>>> ListTabletTables()
      override;
  absl::StatusOr<std::vector<workflow::WorkflowRecord>> ListWorkflows() override;
  absl::StatusOr<std::optional<workflow::WorkflowRecord>> FindWorkflow(
      absl::string_view keyspace, absl::string_view name) override;
  absl::StatusOr<std::optional<std::string>> FindCutoverState(
      absl::string_view workflow_key) override;
  absl::StatusOr<std::vector<std::pair<std::string, std::string>>> ListCutoverStates() override;
  absl::StatusOr<std::string> FindSetting(absl::string_view name) override;
  absl::StatusOr<uint64_t> ReadEpoch() override;
  absl::StatusOr<RuleState> ReadRules() override;
  absl::StatusOr<std::vector<ProxyRecord>> ListProxies() override;
  absl::StatusOr<std::vector<CutoverAttempt>> ListCutoverAttempts(
      absl::string_view workflow_key) override;
  absl::StatusOr<std::vector<CutoverAttempt>> ListCutoverHeads(
      absl::string_view workflow_key) override;
  absl::StatusOr<std::vector<CutoverStep>> ListCutoverSteps(absl::string_view attempt_id) override;

  absl::Status PutKeyspace(const KeyspaceRecord& keyspace) override;
  absl::Status PutTablet(const TabletRecord& tablet) override;
  absl::Status PutTabletTables(absl::string_view alias,
                               const std::vector<std::string>& tables) override;
  absl::Status DeleteTablet(absl::string_view alias) override;
  absl::Status PutWorkflow(const workflow::WorkflowRecord& record) override;
  absl::Status DeleteWorkflow(absl::string_view keyspace, absl::string_view name) override;
  absl::Status PutCutoverState(absl::string_view workflow_key, absl::string_view bytes) override;
  absl::Status DeleteCutoverState(absl::string_view workflow_key) override;
  absl::Status PutSetting(absl::string_view name, absl::string_view value) override;
  absl::Status WriteEpoch(uint64_t epoch) override;
  absl::Status WriteRules(const RuleState& rules) override;
  absl::Status PutProxy(const ProxyRecord& proxy) override;
  absl::StatusOr<uint64_t> NextId(absl::string_view counter) override;
  absl::Status PutCutoverAttempt(const CutoverAttempt& attempt) override;
  absl::Status AppendCutoverStep(absl::string_view attempt_id, const CutoverStep& step) override;

 private:
  SqliteDatabase& database_;
};

// Creates the tables of an empty file, and those that an earlier version's file lacks.
// FAILED_PRECONDITION for a file of a later version.
absl::Status PrepareSchema(SqliteDatabase& database);

}  // namespace sluice::store
