// RaiseCounters: information_schema.TABLES.AUTO_INCREMENT, and ALTER TABLE where it is too low.

#include "agent/gate/counters.h"

#include <map>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "agent/gate/bounded_statement.h"
#include "agent/gate/closed_name.h"
#include "agent/gate/observe.h"
#include "common/base/status.h"
#include "common/base/status_macros.h"

namespace sluice::gate {
namespace {

constexpr absl::Duration kLockWait = absl::Milliseconds(500);

// By the name under which a table stands. Without the session's variable mysqld answers from a
// cache of a day.
absl::StatusOr<std::map<std::string, uint64_t>> ReadCounters(
    mysql::Connection& session, const GateId& id, const std::vector<std::string>& names) {
  SLUICE_RETURN_IF_ERROR(
      session.Execute("SET SESSION information_schema_stats_expiry = 0").status());
  SLUICE_ASSIGN_OR_RETURN(
      const mysql::QueryResult result,
      session.Query(absl::StrCat("SELECT TABLE_NAME, AUTO_INCREMENT FROM information_schema.TABLES "
                                 "WHERE TABLE_TYPE = 'BASE TABLE' AND TABLE_SCHEMA = ",
                                 mysql::QuoteString(id.database), " AND TABLE_NAME IN (",
                                 QuotedList(names), ")")));
  std::map<std::string, uint64_t> counters;
  for (const mysql::Row& row : result.rows) {
    uint64_t next = 0;
    if (row[1].has_value() && !absl::SimpleAtoi(*row[1], &next)) {
      next = 0;
    }
    counters[row[0].value_or("")] = next;
  }
  return counters;
}

}  // namespace

absl::StatusOr<std::vector<uint64_t>> RaiseCounters(GateKeeper& keeper,
                                                    const CounterRequest& request) {
  SLUICE_ASSIGN_OR_RETURN(agent::Session session, keeper.pool().Borrow());
  std::vector<std::string> names;
  for (const std::string& table : request.tables) {
    names.push_back(table);
    names.push_back(ClosedName(table));
  }
  SLUICE_ASSIGN_OR_RETURN(const auto counters, ReadCounters(*session, request.id, names));
  std::vector<uint64_t> result;
  for (size_t i = 0; i < request.tables.size(); ++i) {
    const std::string& table = request.tables[i];
    const auto closed = counters.find(ClosedName(table));
    const auto open = counters.find(table);
    if (closed == counters.end() && open == counters.end()) {
      return WithSubject(absl::NotFoundError(absl::StrCat("table ", request.id.database, ".", table,
                                                          " does not exist")),
                         table);
    }
    uint64_t next = closed == counters.end() ? open->second : closed->second;
    const uint64_t wanted = request.at_least.empty() ? 0 : request.at_least[i];
    if (next != 0 && next < wanted) {
      if (closed == counters.end()) {
        return WithSubject(
            absl::FailedPreconditionError(absl::StrCat("table ", request.id.database, ".", table,
                                                       " stands open; its "
                                                       "AUTO_INCREMENT is not touched")),
            table);
      }
      const BoundedStatement raise{
          .sql = absl::StrCat("ALTER TABLE ",
                              mysql::QuoteTable(request.id.database, ClosedName(table)),
                              " AUTO_INCREMENT = ", wanted),
          .database = request.id.database,
          .names = {ClosedName(table)},
          .bound = kLockWait};
      SLUICE_ASSIGN_OR_RETURN(const BoundedOutcome outcome,
                              RunBounded(keeper.pool(), *session, raise));
      if (absl::IsCancelled(outcome.status) || absl::IsAborted(outcome.status)) {
        return WithSubject(absl::AbortedError(absl::StrCat(
                               "raising AUTO_INCREMENT of ", request.id.database, ".", table,
                               ": in use by ", DescribeBlockers(outcome.blockers))),
                           table);
      }
      SLUICE_RETURN_IF_ERROR(
          Annotate(outcome.status, absl::StrCat("raising AUTO_INCREMENT of ", table)));
      next = wanted;
    }
    result.push_back(next);
  }
  return result;
}

}  // namespace sluice::gate
