// RaiseCounters: information_schema.TABLES.AUTO_INCREMENT, and ALTER TABLE where it is too low.

#include "agent/gate/counters.h"

#include <algorithm>
#include <map>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "agent/gate/bounded_statement.h"
#include "agent/gate/closed_name.h"
#include "agent/gate/observe.h"
#include "agent/gate/server_gate.h"
#include "common/base/status.h"
#include "common/base/status_macros.h"

namespace sluice::gate {
namespace {

constexpr absl::Duration kLockWait = absl::Milliseconds(500);
constexpr absl::Duration kGateWait = absl::Seconds(2);  // until others have changed the gate

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

// One that is too low, and the name under which its table stands.
struct LowCounter {
  std::string table;
  std::string name;
  uint64_t wanted = 0;
};

absl::Status Raise(agent::SessionPool& pool, mysql::Connection& session, const GateId& id,
                   const LowCounter& low) {
  const BoundedStatement raise{
      .sql = absl::StrCat("ALTER TABLE ", mysql::QuoteTable(id.database, low.name),
                          " AUTO_INCREMENT = ", low.wanted),
      .database = id.database,
      .names = {low.name},
      .bound = kLockWait};
  SLUICE_ASSIGN_OR_RETURN(const BoundedOutcome outcome, RunBounded(pool, session, raise));
  if (absl::IsCancelled(outcome.status) || absl::IsAborted(outcome.status)) {
    return WithSubject(
        absl::AbortedError(absl::StrCat("raising AUTO_INCREMENT of ", id.database, ".", low.table,
                                        ": in use by ", DescribeBlockers(outcome.blockers))),
        low.table);
  }
  return Annotate(outcome.status, absl::StrCat("raising AUTO_INCREMENT of ", low.table));
}

// Behind a server that is closed as a whole the tables have their names. It stays closed while
// nobody else changes the gate.
absl::Status RaiseBehindServer(GateKeeper& keeper, const GateId& id,
                               const std::vector<LowCounter>& low) {
  return keeper.WithGate(id, absl::Now() + kGateWait, [&](GateWork& work) -> absl::Status {
    mysql::Connection& session = work.gate.session();
    Observation server;
    SLUICE_RETURN_IF_ERROR(ReadServerState(session, id, server));
    const bool closed = FencesServer(work.row) && work.row->state == StateName(State::kReadable) &&
                        server.read_only;
    if (!closed) {
      return WithSubject(absl::FailedPreconditionError(
                             absl::StrCat("table ", id.database, ".", low.front().table,
                                          " stands open; its AUTO_INCREMENT is not touched")),
                         low.front().table);
    }
    for (const LowCounter& each : low) {
      SLUICE_RETURN_IF_ERROR(Raise(keeper.pool(), session, id, each));
    }
    return absl::OkStatus();
  });
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
  std::vector<LowCounter> low_open;
  std::vector<LowCounter> low_closed;
  for (size_t i = 0; i < request.tables.size(); ++i) {
    const std::string& table = request.tables[i];
    auto found = counters.find(ClosedName(table));
    const bool is_closed = found != counters.end();
    found = is_closed ? found : counters.find(table);
    if (found == counters.end()) {
      return WithSubject(absl::NotFoundError(absl::StrCat("table ", request.id.database, ".", table,
                                                          " does not exist")),
                         table);
    }
    const uint64_t wanted = request.at_least.empty() ? 0 : request.at_least[i];
    if (found->second != 0 && found->second < wanted) {
      (is_closed ? low_closed : low_open)
          .push_back({.table = table, .name = found->first, .wanted = wanted});
    }
    result.push_back(found->second == 0 ? 0 : std::max(found->second, wanted));
  }
  if (!low_open.empty()) {
    SLUICE_RETURN_IF_ERROR(RaiseBehindServer(keeper, request.id, low_open));
  }
  for (const LowCounter& each : low_closed) {
    SLUICE_RETURN_IF_ERROR(Raise(keeper.pool(), *session, request.id, each));
  }
  return result;
}

}  // namespace sluice::gate
