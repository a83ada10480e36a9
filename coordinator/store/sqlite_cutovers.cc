// SqliteTransaction: cutover attempts and their steps as SQL.

#include "absl/strings/str_cat.h"
#include "common/base/status_macros.h"
#include "coordinator/store/sqlite_transaction.h"

namespace sluice::store {
namespace {

constexpr int64_t kAttemptsMax = 100;  // of a workflow

}  // namespace

absl::StatusOr<std::vector<CutoverStep>> SqliteTransaction::ListCutoverSteps(
    absl::string_view attempt_id) {
  std::vector<CutoverStep> steps;
  SqliteQuery query = database_.Query(
      "SELECT name, shard, started_us, took_us, detail, proxy FROM cutover_step WHERE attempt = ? "
      "ORDER BY number");
  query.Text(attempt_id);
  while (true) {
    SLUICE_ASSIGN_OR_RETURN(const bool row, query.Step());
    if (!row) {
      return steps;
    }
    steps.push_back({query.GetText(0), query.GetText(1), query.GetInt(2), query.GetInt(3),
                     query.GetText(4), query.GetText(5)});
  }
}

absl::StatusOr<std::vector<CutoverAttempt>> SqliteTransaction::ListCutoverHeads(
    absl::string_view workflow_key) {
  std::vector<CutoverAttempt> result;
  SqliteQuery query = database_.Query(
      "SELECT id, workflow, direction, result, started_us, finished_us FROM cutover_attempt "
      "WHERE workflow = ? ORDER BY number DESC");
  query.Text(workflow_key);
  while (true) {
    SLUICE_ASSIGN_OR_RETURN(const bool row, query.Step());
    if (!row) {
      return result;
    }
    result.push_back({query.GetText(0),
                      query.GetText(1),
                      query.GetText(2),
                      query.GetText(3),
                      query.GetInt(4),
                      query.GetInt(5),
                      {}});
  }
}

absl::StatusOr<std::vector<CutoverAttempt>> SqliteTransaction::ListCutoverAttempts(
    absl::string_view workflow_key) {
  SLUICE_ASSIGN_OR_RETURN(std::vector<CutoverAttempt> result, ListCutoverHeads(workflow_key));
  for (CutoverAttempt& attempt : result) {
    SLUICE_ASSIGN_OR_RETURN(attempt.steps, ListCutoverSteps(attempt.id));
  }
  return result;
}

absl::Status SqliteTransaction::PutCutoverAttempt(const CutoverAttempt& attempt) {
  SLUICE_RETURN_IF_ERROR(
      database_
          .Query("INSERT INTO cutover_attempt (id, workflow, direction, result, started_us, "
                 "finished_us) VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT (id) DO UPDATE SET "
                 "workflow = excluded.workflow, direction = excluded.direction, "
                 "result = excluded.result, started_us = excluded.started_us, "
                 "finished_us = excluded.finished_us")
          .Text(attempt.id)
          .Text(attempt.workflow)
          .Text(attempt.direction)
          .Text(attempt.result)
          .Int(attempt.started_us)
          .Int(attempt.finished_us)
          .Run());
  // Their steps go with them.
  return database_
      .Query(
          "DELETE FROM cutover_attempt WHERE workflow = ?1 AND number <= "
          "(SELECT number FROM cutover_attempt WHERE workflow = ?1 "
          "ORDER BY number DESC LIMIT 1 OFFSET ?2)")
      .Text(attempt.workflow)
      .Int(kAttemptsMax)
      .Run();
}

absl::Status SqliteTransaction::AppendCutoverStep(absl::string_view attempt_id,
                                                  const CutoverStep& step) {
  {
    SqliteQuery query = database_.Query("SELECT 1 FROM cutover_attempt WHERE id = ?");
    query.Text(attempt_id);
    SLUICE_ASSIGN_OR_RETURN(const bool row, query.Step());
    if (!row) {
      return absl::NotFoundError(absl::StrCat("cutover attempt ", attempt_id, " does not exist"));
    }
  }
  return database_
      .Query(
          "INSERT INTO cutover_step (attempt, name, shard, started_us, took_us, detail, proxy) "
          "VALUES (?, ?, ?, ?, ?, ?, ?)")
      .Text(attempt_id)
      .Text(step.name)
      .Text(step.shard)
      .Int(step.started_us)
      .Int(step.took_us)
      .Text(step.detail)
      .Text(step.proxy)
      .Run();
}

}  // namespace sluice::store
