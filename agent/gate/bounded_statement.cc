// RunBounded: a statement that needs metadata locks, ended when it waits for them too long.

#include "agent/gate/bounded_statement.h"

#include <algorithm>
#include <map>
#include <thread>
#include <utility>

#include "absl/base/thread_annotations.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/clock.h"
#include "agent/gate/observe.h"
#include "common/base/log.h"
#include "common/base/status.h"
#include "common/base/status_macros.h"

namespace sluice::gate {
namespace {

constexpr size_t kStatementBytesMax = 200;
constexpr int kAbsorbTries = 3;
constexpr absl::Duration kLookAgain = absl::Milliseconds(100);
constexpr absl::Duration kWritersLookAgain = absl::Milliseconds(10);

Blocker ToBlocker(const mysql::Row& row) {
  Blocker blocker;
  if (!row[0].has_value() || !absl::SimpleAtoi(*row[0], &blocker.connection_id)) {
    blocker.connection_id = 0;
  }
  blocker.user = row[1].value_or("");
  blocker.host = row[2].value_or("");
  double age_ms = 0;
  if (row[3].has_value() && absl::SimpleAtod(*row[3], &age_ms)) {
    blocker.age_ms = static_cast<int64_t>(age_ms);
  }
  blocker.statement = row[4].value_or("").substr(0, kStatementBytesMax);
  if (row[10].has_value()) {
    blocker.kind = BlockerKind::kServer;
    blocker.statement = *row[10];
  } else if (blocker.connection_id == 0 || row[5] == "1") {
    blocker.kind = BlockerKind::kPreparedXa;
  } else if (row[6] == "1") {
    blocker.kind = BlockerKind::kBackupLock;
  } else if (row[7] == "1") {
    blocker.kind = BlockerKind::kReadLock;
  }
  return blocker;
}

struct Holders {
  std::vector<Blocker> blockers;
  std::vector<std::vector<LockPlace>> places;
};

// Those who hold locks on any of the names, and where.
absl::StatusOr<Holders> ReadHolders(mysql::Connection& connection,
                                    const std::vector<SchemaNames>& schemas,
                                    const std::vector<uint64_t>& ours, LockScope scope) {
  const std::string writers =
      scope == LockScope::kServer
          ? " OR (m.OBJECT_TYPE IN ('GLOBAL', 'COMMIT') AND m.LOCK_TYPE = 'INTENTION_EXCLUSIVE')"
          : "";
  // Who only reads holds SHARED_READ.
  const std::string kept = scope == LockScope::kWriters
                               ? " AND m.LOCK_TYPE IN ('SHARED_WRITE', 'SHARED_WRITE_LOW_PRIO')"
                               : "";
  const std::string tables =
      absl::StrJoin(schemas, " OR ", [&](std::string* out, const SchemaNames& schema) {
        absl::StrAppend(out, "(m.OBJECT_SCHEMA = ", mysql::QuoteString(schema.database),
                        " AND m.OBJECT_NAME IN (", QuotedList(schema.names), ")", kept, ")");
      });
  // A transaction's timer is in picoseconds. Nested statements make several rows per thread.
  SLUICE_ASSIGN_OR_RETURN(
      const mysql::QueryResult result,
      connection.Query(absl::StrCat(
          "SELECT MAX(t.PROCESSLIST_ID), MAX(t.PROCESSLIST_USER), MAX(t.PROCESSLIST_HOST),"
          " COALESCE(MAX(x.TIMER_WAIT) / 1e9, MAX(t.PROCESSLIST_TIME) * 1000, 0),"
          " COALESCE(MAX(t.PROCESSLIST_INFO), MAX(s.SQL_TEXT)),"
          " COALESCE(MAX(x.XA_STATE = 'PREPARED'), 0), MAX(m.OBJECT_TYPE = 'BACKUP LOCK'),"
          " MAX(m.OBJECT_TYPE = 'GLOBAL' AND m.LOCK_TYPE = 'SHARED'), m.OWNER_THREAD_ID,",
          " IF(m.OBJECT_TYPE = 'TABLE', m.OBJECT_SCHEMA, ''),"
          " MAX(CASE WHEN t.PROCESSLIST_ID IS NULL AND t.TYPE = 'BACKGROUND' THEN t.NAME END)"
          " FROM performance_schema.metadata_locks m"
          " LEFT JOIN performance_schema.threads t ON t.THREAD_ID = m.OWNER_THREAD_ID"
          " LEFT JOIN performance_schema.events_transactions_current x"
          " ON x.THREAD_ID = m.OWNER_THREAD_ID AND x.STATE = 'ACTIVE'"
          " LEFT JOIN performance_schema.events_statements_current s"
          " ON s.THREAD_ID = m.OWNER_THREAD_ID"
          " WHERE m.LOCK_STATUS = 'GRANTED'"
          " AND ((m.OBJECT_TYPE = 'TABLE' AND (",
          tables, ")) OR (m.OBJECT_TYPE IN ('GLOBAL', 'BACKUP LOCK') AND m.LOCK_TYPE = 'SHARED')",
          writers,
          ")"
          " AND (t.PROCESSLIST_ID IS NULL OR t.PROCESSLIST_ID NOT IN (",
          absl::StrJoin(ours, ", "), ")) GROUP BY 9, 10 ORDER BY 4 DESC, 9")));
  Holders holders;
  std::map<std::string, size_t> known;  // by thread
  for (const mysql::Row& row : result.rows) {
    const auto [at, is_new] = known.emplace(row[8].value_or(""), holders.blockers.size());
    const Blocker blocker = ToBlocker(row);
    if (is_new) {
      holders.blockers.push_back(blocker);
      holders.places.emplace_back();
    } else if (blocker.kind != BlockerKind::kSession) {
      holders.blockers[at->second].kind = blocker.kind;
    }
    holders.places[at->second].push_back(row[9].value_or(""));
  }
  return holders;
}

// nullopt: the session waits for no such lock now.
absl::StatusOr<std::optional<LockPlace>> ReadWaitsAt(mysql::Connection& connection,
                                                     uint64_t session) {
  SLUICE_ASSIGN_OR_RETURN(
      const mysql::QueryResult result,
      connection.Query(
          absl::StrCat("SELECT COALESCE(m.OBJECT_SCHEMA, '')"
                       " FROM performance_schema.metadata_locks m JOIN performance_schema.threads t"
                       " ON t.THREAD_ID = m.OWNER_THREAD_ID WHERE m.LOCK_STATUS = 'PENDING'"
                       " AND t.PROCESSLIST_ID = ",
                       session)));
  if (result.rows.empty()) {
    return std::optional<LockPlace>();
  }
  return std::optional<LockPlace>(result.rows[0][0].value_or(""));
}

// Ends the statement at its bound unless it is over by then. Thread-safe.
class Watchdog {
 public:
  Watchdog(mysql::Connection& own, uint64_t watched, const BoundedStatement& statement)
      : own_(own), watched_(watched), statement_(statement) {}

  // Runs on the watchdog's thread.
  void Watch() {
    if (AwaitDone(absl::Now() + statement_.bound)) {
      return;
    }
    auto seen = Look();
    while (statement_.may_work_on && seen.ok() && seen->blockers.empty()) {
      if (AwaitDone(absl::Now() + kLookAgain)) {
        return;
      }
      seen = Look();
    }
    const absl::MutexLock lock(&mutex_);
    if (seen.ok()) {
      seen_ = *std::move(seen);
    } else {
      SLUICE_LOG(kWarning, "can't read who blocks", {{"error", seen.status()}});
    }
    if (done_) {
      return;
    }
    fired_ = true;
    const auto killed = own_.Execute(absl::StrCat("KILL QUERY ", watched_));
    if (!killed.ok()) {
      SLUICE_LOG(kWarning, "can't end a statement at its bound", {{"error", killed.status()}});
    }
  }

  void Done() ABSL_LOCKS_EXCLUDED(mutex_) {
    const absl::MutexLock lock(&mutex_);
    done_ = true;
  }

  [[nodiscard]] bool fired() ABSL_LOCKS_EXCLUDED(mutex_) {
    const absl::MutexLock lock(&mutex_);
    return fired_;
  }

  // What was seen at the bound; of the statement's own outcome nothing.
  BoundedOutcome TakeSeen() ABSL_LOCKS_EXCLUDED(mutex_) {
    const absl::MutexLock lock(&mutex_);
    return std::move(seen_);
  }

 private:
  absl::StatusOr<BoundedOutcome> Look() {
    BoundedOutcome seen;
    std::vector<SchemaNames> schemas = statement_.schemas;
    if (schemas.empty()) {
      schemas = {{.database = statement_.database, .names = statement_.names}};
    } else {
      // Looked at first: who is in the way now is still there when the holders are read.
      SLUICE_ASSIGN_OR_RETURN(seen.waits_at, ReadWaitsAt(own_, watched_));
    }
    SLUICE_ASSIGN_OR_RETURN(
        Holders holders,
        ReadHolders(own_, schemas, {watched_, own_.connection_id()}, statement_.scope));
    seen.blockers = std::move(holders.blockers);
    seen.places = std::move(holders.places);
    return seen;
  }

  bool AwaitDone(absl::Time deadline) ABSL_LOCKS_EXCLUDED(mutex_) {
    const absl::MutexLock lock(&mutex_);
    return mutex_.AwaitWithDeadline(absl::Condition(&done_), deadline);
  }

  mysql::Connection& own_;
  const uint64_t watched_;
  const BoundedStatement& statement_;
  absl::Mutex mutex_;
  bool done_ ABSL_GUARDED_BY(mutex_) = false;
  bool fired_ ABSL_GUARDED_BY(mutex_) = false;
  BoundedOutcome seen_ ABSL_GUARDED_BY(mutex_);
};

// A KILL QUERY that arrives after its statement hits the next one; this is the next one.
void AbsorbKill(mysql::Connection& session) {
  for (int i = 0; i < kAbsorbTries && !session.Execute("DO 0").ok(); ++i) {
  }
}

}  // namespace

absl::StatusOr<std::vector<Blocker>> ReadBlockers(mysql::Connection& connection,
                                                  absl::string_view database,
                                                  const std::vector<std::string>& names,
                                                  const std::vector<uint64_t>& ours,
                                                  LockScope scope) {
  SLUICE_ASSIGN_OR_RETURN(
      Holders holders,
      ReadHolders(connection, {{.database = std::string(database), .names = names}}, ours, scope));
  return std::move(holders.blockers);
}

absl::StatusOr<std::vector<Blocker>> AwaitWriters(agent::SessionPool& pool,
                                                  const std::vector<SchemaNames>& schemas,
                                                  absl::Duration bound) {
  SLUICE_ASSIGN_OR_RETURN(agent::Session session, pool.Borrow());
  const absl::Time deadline = absl::Now() + bound;
  while (true) {
    SLUICE_ASSIGN_OR_RETURN(
        Holders writers,
        ReadHolders(*session, schemas, {session->connection_id()}, LockScope::kWriters));
    if (writers.blockers.empty() || absl::Now() + kWritersLookAgain > deadline) {
      return std::move(writers.blockers);
    }
    absl::SleepFor(kWritersLookAgain);  // Delay: mysqld tells nobody when a transaction ends
  }
}

absl::StatusOr<BoundedOutcome> RunBounded(agent::SessionPool& pool, mysql::Connection& session,
                                          const BoundedStatement& statement) {
  SLUICE_ASSIGN_OR_RETURN(agent::Session second, pool.Borrow());
  const int64_t net_s =
      std::max<int64_t>(absl::ToInt64Seconds(absl::Ceil(statement.bound, absl::Seconds(1))) + 1, 1);
  SLUICE_RETURN_IF_ERROR(
      session.Execute(absl::StrCat("SET SESSION lock_wait_timeout = ", net_s)).status());
  absl::Status status;
  Watchdog watchdog(*second, session.connection_id(), statement);
  {
    const std::jthread thread([&watchdog] { watchdog.Watch(); });
    status = session.Execute(statement.sql).status();
    watchdog.Done();
  }
  BoundedOutcome outcome = watchdog.TakeSeen();
  outcome.status = std::move(status);
  if (watchdog.fired()) {
    AbsorbKill(session);
  }
  return outcome;
}

}  // namespace sluice::gate
