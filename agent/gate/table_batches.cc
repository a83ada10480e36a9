// TableBatches: DDL over many tables, a few in each statement and a few statements at once.

#include "agent/gate/table_batches.h"

#include <algorithm>
#include <thread>
#include <utility>

#include "absl/strings/str_cat.h"
#include "agent/gate/blocker.h"
#include "agent/gate/bounded_statement.h"
#include "agent/gate/closed_name.h"
#include "agent/gate/observe.h"
#include "common/base/crash_point.h"
#include "common/base/status.h"
#include "common/base/status_macros.h"

namespace sluice::gate {
namespace {

constexpr absl::Duration kBoundMax = absl::Minutes(30);
// For the answer to arrive before its caller gives up.
constexpr absl::Duration kAnswerMargin = absl::Milliseconds(300);

bool IsRelated(const TableNames& names, const std::set<std::string>& related) {
  return related.contains(names.table) || related.contains(ClosedName(names.table));
}

}  // namespace

absl::Status TableBatches::Run(const std::vector<TableNames>& tables, const PlanBatch& plan,
                               const std::function<void(const TableNames&)>& done) {
  plan_ = &plan;
  done_ = &done;
  SLUICE_ASSIGN_OR_RETURN(const std::set<std::string> related, ReadRelated());
  std::vector<TableNames> alone;
  std::vector<Batch> joined;
  for (const TableNames& names : tables) {
    if (!IsRelated(names, related)) {
      alone.push_back(names);
    } else if (joined.empty() || joined.back().size() == kTablesMax) {
      joined.push_back({names});
    } else {
      joined.back().push_back(names);
    }
  }
  SLUICE_RETURN_IF_ERROR(Share(alone));
  std::atomic<size_t> next = 0;
  return Work(gate_.session(), joined, next);
}

// The tables of the schema, under the names they have, that a foreign key joins to another one: a
// statement on one of them locks both.
absl::StatusOr<std::set<std::string>> TableBatches::ReadRelated() {
  const std::string schema = mysql::QuoteString(id_.database);
  SLUICE_ASSIGN_OR_RETURN(
      const mysql::QueryResult result,
      gate_.session().Query(
          absl::StrCat("SELECT TABLE_NAME, REFERENCED_TABLE_NAME FROM"
                       " information_schema.REFERENTIAL_CONSTRAINTS WHERE CONSTRAINT_SCHEMA = ",
                       schema, " OR UNIQUE_CONSTRAINT_SCHEMA = ", schema)));
  std::set<std::string> related;
  for (const mysql::Row& row : result.rows) {
    related.insert(row[0].value_or(""));
    related.insert(row[1].value_or(""));
  }
  return related;
}

// Most of what DDL waits for is the disk, and sessions share that.
absl::Status TableBatches::Share(const std::vector<TableNames>& tables) {
  std::vector<Batch> batches;
  for (size_t at = 0; at < tables.size(); at += kTablesMax) {
    const auto begin = tables.begin() + static_cast<std::ptrdiff_t>(at);
    const size_t size = std::min(kTablesMax, tables.size() - at);
    batches.emplace_back(begin, begin + static_cast<std::ptrdiff_t>(size));
  }
  std::vector<GateHelper> helpers;
  for (size_t i = 0; i + 1 < batches.size() && i < LockedGate::kHelpersMax; ++i) {
    SLUICE_ASSIGN_OR_RETURN(GateHelper helper, gate_.Help(pool_, i));
    helpers.push_back(std::move(helper));
  }
  std::atomic<size_t> next = 0;
  std::vector<absl::Status> results(helpers.size() + 1);
  {
    std::vector<std::jthread> threads;
    threads.reserve(helpers.size());
    for (size_t i = 0; i < helpers.size(); ++i) {
      threads.emplace_back([&, i] { results[i] = Work(helpers[i].session(), batches, next); });
    }
    results.back() = Work(gate_.session(), batches, next);
  }
  // That there is no time left says the least.
  std::stable_sort(results.begin(), results.end(), [](const auto& a, const auto& b) {
    const auto rank = [](const absl::Status& status) {
      return status.ok() ? 2 : absl::IsDeadlineExceeded(status) ? 1 : 0;
    };
    return rank(a) < rank(b);
  });
  return results.front();
}

// Takes one batch after the other. After an error nobody begins another one.
absl::Status TableBatches::Work(mysql::Connection& session, const std::vector<Batch>& batches,
                                std::atomic<size_t>& next) {
  absl::Status status;
  for (size_t at = next++; at < batches.size() && status.ok(); at = next++) {
    status = MayBegin();
    if (status.ok()) {
      const absl::Time begun = absl::Now();
      status = RunBatch(session, batches[at], limits_.bound);
      const absl::MutexLock lock(&mutex_);
      longest_ = std::max(longest_, absl::Now() - begun);
    }
  }
  if (!status.ok()) {
    next = batches.size();
  }
  return status;
}

absl::Status TableBatches::MayBegin() {
  if (limits_.may_go_on != nullptr) {
    SLUICE_RETURN_IF_ERROR(limits_.may_go_on());
  }
  const absl::MutexLock lock(&mutex_);
  return any_ && absl::Now() + longest_ + kAnswerMargin > limits_.deadline
             ? absl::DeadlineExceededError("no time for more tables in this request")
             : absl::OkStatus();
}

absl::Status TableBatches::RunBatch(mysql::Connection& session, const Batch& batch,
                                    absl::Duration bound) {
  SLUICE_ASSIGN_OR_RETURN(const std::vector<std::string> statements, (*plan_)(batch));
  for (const std::string& sql : statements) {
    bool at_work = false;
    const absl::Status status = RunStatement(session, batch, sql, bound, at_work);
    if (at_work) {
      return RunSmaller(session, batch, bound);
    }
    SLUICE_RETURN_IF_ERROR(status);
    SLUICE_CRASH_POINT("drop.after_statement");
    const absl::MutexLock lock(&mutex_);
    any_ = true;
  }
  const absl::MutexLock lock(&mutex_);
  for (const TableNames& names : batch) {
    (*done_)(names);
  }
  return absl::OkStatus();
}

// `at_work`: it was ended, and nobody's locks were the reason; mysqld has taken it back.
absl::Status TableBatches::RunStatement(mysql::Connection& session, const Batch& batch,
                                        std::string sql, absl::Duration bound, bool& at_work) {
  BoundedStatement statement{
      .sql = std::move(sql), .database = id_.database, .names = {}, .bound = bound};
  for (const TableNames& names : batch) {
    statement.names.push_back(names.table);
    statement.names.push_back(ClosedName(names.table));
  }
  SLUICE_ASSIGN_OR_RETURN(const BoundedOutcome outcome, RunBounded(pool_, session, statement));
  if (!absl::IsCancelled(outcome.status) && !absl::IsAborted(outcome.status)) {
    return outcome.status;
  }
  at_work = outcome.blockers.empty();
  return absl::AbortedError(absl::StrCat("workflow ", id_.workflow, ": tables are in use by ",
                                         DescribeBlockers(outcome.blockers)));
}

// Some of its statements may be done, so the plan is made anew.
absl::Status TableBatches::RunSmaller(mysql::Connection& session, const Batch& batch,
                                      absl::Duration bound) {
  if (batch.size() == 1 && bound >= kBoundMax) {
    return WithSubject(absl::AbortedError(absl::StrCat(
                           "workflow ", id_.workflow, ": mysqld is not done with table ",
                           batch.front().table, " after ", absl::FormatDuration(bound))),
                       batch.front().table);
  }
  std::vector<std::string> tables;
  for (const TableNames& names : batch) {
    tables.push_back(names.table);
  }
  SLUICE_ASSIGN_OR_RETURN(const Batch now, ObserveTables(session, id_.database, tables));
  if (now.size() == 1) {
    return RunBatch(session, now, bound * 2);
  }
  const auto middle = now.begin() + static_cast<std::ptrdiff_t>(now.size() / 2);
  SLUICE_RETURN_IF_ERROR(RunBatch(session, Batch(now.begin(), middle), bound));
  return RunBatch(session, Batch(middle, now.end()), bound);
}

}  // namespace sluice::gate
