// The server as a gate: read_only, and everything that it does not stop.

#include "agent/gate/server_gate.h"

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/time/clock.h"
#include "agent/gate/closed_name.h"
#include "agent/gate/gate_lock.h"
#include "agent/gate/gate_privileges.h"
#include "agent/gate/gate_row.h"
#include "agent/gate/observe.h"
#include "common/base/log.h"
#include "common/base/status.h"
#include "common/base/status_macros.h"

namespace sluice::gate {
namespace {

// Who has one of these writes to a server that is read_only, and so does what it defines.
constexpr const char* kExempt = "('SUPER', 'CONNECTION_ADMIN')";
constexpr absl::Duration kLockWait = absl::Seconds(10);
// Longer than a gate's change waits for writers.
constexpr absl::Duration kPatience = absl::Seconds(3);

absl::StatusOr<std::vector<std::string>> List(mysql::Connection& connection,
                                              const std::string& sql) {
  SLUICE_ASSIGN_OR_RETURN(const mysql::QueryResult result, connection.Query(sql));
  std::vector<std::string> values;
  values.reserve(result.rows.size());
  for (const mysql::Row& row : result.rows) {
    values.push_back(row[0].value_or(""));
  }
  return values;
}

// Without these the agent could not write behind the gate, or could not see who else would: mysqld
// leaves out what an account may not see, and says nothing of it.
absl::StatusOr<bool> LacksPrivileges(mysql::Connection& connection, const std::string& database,
                                     std::vector<std::string>& obstacles) {
  SLUICE_ASSIGN_OR_RETURN(
      const agent::MissingPrivileges missing,
      FindMissingForGate(connection, database, {.kill = false, .server = true}));
  if (missing.text.empty()) {
    return false;
  }
  obstacles.push_back(absl::StrCat("the agent's account lacks ", DescribeMissing(missing)));
  return true;
}

absl::Status FindOtherTables(mysql::Connection& connection, const ServerQuestion& asked,
                             std::vector<std::string>& obstacles) {
  const std::string own = mysql::QuoteString(asked.id.database);
  std::vector<std::string> closing = asked.beside;
  closing.push_back(asked.id.database);
  SLUICE_ASSIGN_OR_RETURN(
      const std::vector<std::string> others,
      List(connection,
           absl::StrCat("SELECT SCHEMA_NAME FROM information_schema.SCHEMATA WHERE SCHEMA_NAME NOT"
                        " IN ('mysql', 'sys', 'performance_schema', 'information_schema',"
                        " '_sluice', ",
                        QuotedList(closing), ") ORDER BY 1")));
  if (!others.empty()) {
    obstacles.push_back(
        absl::StrCat("it holds other databases (", absl::StrJoin(others, ", "), ")"));
  }
  std::vector<std::string> names = asked.tables;
  for (const std::string& table : asked.tables) {
    names.push_back(ClosedName(table));
  }
  SLUICE_ASSIGN_OR_RETURN(
      const std::vector<std::string> staying,
      List(connection,
           absl::StrCat("SELECT TABLE_NAME FROM information_schema.TABLES"
                        " WHERE TABLE_TYPE = 'BASE TABLE' AND TABLE_SCHEMA = ",
                        own, " AND TABLE_NAME NOT IN (", QuotedList(names), ") ORDER BY 1")));
  if (!staying.empty()) {
    obstacles.push_back(absl::StrCat("tables of ", asked.id.database, " do not move (",
                                     absl::StrJoin(staying, ", "), ")"));
  }
  return absl::OkStatus();
}

// An XA transaction of a session that mysqld does not watch would not be seen.
absl::Status FindUnwatched(mysql::Connection& connection, std::vector<std::string>& obstacles) {
  SLUICE_ASSIGN_OR_RETURN(
      const std::vector<std::string> unwatched,
      List(connection,
           "SELECT CONCAT('consumer ', n.name) FROM (SELECT 'global_instrumentation' AS name"
           " UNION ALL SELECT 'thread_instrumentation' UNION ALL SELECT"
           " 'events_transactions_current') n LEFT JOIN performance_schema.setup_consumers c"
           " ON c.NAME = n.name WHERE COALESCE(c.ENABLED, 'NO') <> 'YES'"
           " UNION ALL SELECT 'instrument transaction' WHERE NOT EXISTS (SELECT 1 FROM"
           " performance_schema.setup_instruments WHERE NAME = 'transaction' AND ENABLED = 'YES')"
           " UNION ALL SELECT CONCAT('connection ', PROCESSLIST_ID) FROM"
           " performance_schema.threads WHERE PROCESSLIST_ID IS NOT NULL AND TYPE = 'FOREGROUND'"
           " AND INSTRUMENTED = 'NO'"));
  if (!unwatched.empty()) {
    obstacles.push_back(
        absl::StrCat("XA transactions can't be seen, since performance_schema does"
                     " not watch ",
                     absl::StrJoin(unwatched, ", "), "; enable it"));
  }
  return absl::OkStatus();
}

// A role counts where somebody has it.
absl::Status FindExempt(mysql::Connection& connection, const GateId& id,
                        std::vector<std::string>& obstacles) {
  SLUICE_ASSIGN_OR_RETURN(
      const std::vector<std::string> accounts,
      List(connection,
           absl::StrCat("SELECT DISTINCT CONCAT(u.User, '@', u.Host) FROM mysql.user u"
                        " LEFT JOIN mysql.global_grants g ON g.USER = u.User AND g.HOST = u.Host"
                        " AND g.PRIV IN ",
                        kExempt,
                        " WHERE (u.Super_priv = 'Y' OR g.PRIV IS NOT NULL)"
                        " AND (u.account_locked = 'N' OR EXISTS (SELECT 1 FROM mysql.role_edges e"
                        " WHERE e.FROM_USER = u.User AND e.FROM_HOST = u.Host))"
                        " AND u.Host NOT IN ('localhost', '127.0.0.1', '::1')"
                        " AND CONCAT(u.User, '@', u.Host) <> CURRENT_USER() ORDER BY 1")));
  if (!accounts.empty()) {
    obstacles.push_back(absl::StrCat("read_only does not stop account(s) ",
                                     absl::StrJoin(accounts, ", "),
                                     ", which have SUPER or CONNECTION_ADMIN; revoke that"));
  }
  const std::string definer_is_exempt = absl::StrCat(
      " AND EXISTS (SELECT 1 FROM mysql.user u LEFT JOIN mysql.global_grants g"
      " ON g.USER = u.User AND g.HOST = u.Host AND g.PRIV IN ",
      kExempt,
      " WHERE (u.Super_priv = 'Y' OR g.PRIV IS NOT NULL)"
      " AND CONVERT(CONCAT(u.User, '@', u.Host) USING utf8mb4) COLLATE utf8mb4_bin ="
      " CONVERT(p.DEFINER USING utf8mb4) COLLATE utf8mb4_bin)");
  SLUICE_ASSIGN_OR_RETURN(
      const std::vector<std::string> programs,
      List(connection,
           absl::StrCat("SELECT CONCAT('routine ', p.ROUTINE_NAME) FROM"
                        " information_schema.ROUTINES p WHERE p.SECURITY_TYPE = 'DEFINER'"
                        " AND p.ROUTINE_SCHEMA = ",
                        mysql::QuoteString(id.database), definer_is_exempt,
                        " UNION ALL SELECT CONCAT('event ', p.EVENT_NAME) FROM"
                        " information_schema.EVENTS p WHERE p.EVENT_SCHEMA = ",
                        mysql::QuoteString(id.database), definer_is_exempt, " ORDER BY 1")));
  if (!programs.empty()) {
    obstacles.push_back(absl::StrCat("read_only does not stop ", absl::StrJoin(programs, ", "),
                                     ", whose definer has SUPER or CONNECTION_ADMIN; give them"
                                     " another definer"));
  }
  return absl::OkStatus();
}

// Of the whole server, whatever gate or process takes it.
constexpr char kLock[] = "'_sluice.server'";

}  // namespace

absl::StatusOr<ServerLock> ServerLock::Acquire(mysql::Connection& session, absl::Time deadline,
                                               absl::Duration patience) {
  SLUICE_RETURN_IF_ERROR(TakeNamedLock(
      session, {.sql = kLock, .what = "lock of the whole server", .patience = patience}, deadline));
  return ServerLock(session);
}

ServerLock::~ServerLock() {
  if (session_ != nullptr && session_->healthy()) {
    // Where it fails, the lock ends with the session, which is lost.
    session_->Execute(absl::StrCat("DO RELEASE_LOCK(", kLock, ")")).IgnoreError();
  }
}

absl::Status ReadServerState(mysql::Connection& connection, const GateId& except,
                             Observation& observation) {
  return ReadServerStates(connection, {except}, {&observation});
}

absl::Status ReadServerStates(mysql::Connection& connection, const std::vector<GateId>& excepts,
                              const std::vector<Observation*>& observations) {
  SLUICE_ASSIGN_OR_RETURN(const auto gates, ReadServerGates(connection));
  SLUICE_ASSIGN_OR_RETURN(
      const mysql::QueryResult result,
      connection.Query("SELECT @@GLOBAL.read_only, (SELECT COUNT(*) FROM"
                       " performance_schema.persisted_variables WHERE VARIABLE_NAME = 'read_only'"
                       " AND VARIABLE_VALUE IN ('ON', '1'))"));
  if (result.rows.empty()) {
    return absl::InternalError("mysqld gave no variables");
  }
  for (size_t i = 0; i < excepts.size(); ++i) {
    Observation& observation = *observations[i];
    for (const auto& [id, row] : gates) {
      if (id != excepts[i] && KeepsServerClosed(row)) {
        observation.kept_by.push_back(id.database);
      }
    }
    observation.read_only = result.rows[0][0] == "1";
    observation.read_only_persisted = result.rows[0][1] != "0";
  }
  return absl::OkStatus();
}

absl::StatusOr<std::vector<std::string>> FindServerObstacles(agent::SessionPool& pool,
                                                             const ServerQuestion& asked) {
  std::vector<std::string> obstacles;
  // What the account has before a session begins, that session has.
  SLUICE_ASSIGN_OR_RETURN(agent::Session before, pool.Borrow());
  SLUICE_ASSIGN_OR_RETURN(const bool blind, LacksPrivileges(*before, asked.id.database, obstacles));
  if (blind) {
    return obstacles;
  }
  SLUICE_ASSIGN_OR_RETURN(agent::Session session, pool.BorrowNew());
  mysql::Connection& connection = *session;
  SLUICE_RETURN_IF_ERROR(FindOtherTables(connection, asked, obstacles));
  SLUICE_RETURN_IF_ERROR(FindExempt(connection, asked.id, obstacles));
  SLUICE_ASSIGN_OR_RETURN(const std::vector<std::string> open, FindOpenXa(connection));
  obstacles.insert(obstacles.end(), open.begin(), open.end());
  // Unless it was taken away meanwhile.
  SLUICE_RETURN_IF_ERROR(LacksPrivileges(connection, asked.id.database, obstacles).status());
  return obstacles;
}

absl::StatusOr<std::vector<std::string>> FindOpenXa(mysql::Connection& connection) {
  std::vector<std::string> open;
  SLUICE_RETURN_IF_ERROR(FindUnwatched(connection, open));
  // In this order: one that is prepared between the two looks is found by the second. A session is
  // said to be PREPARED for as long as it begins nothing else, also when the transaction is over.
  SLUICE_ASSIGN_OR_RETURN(
      const std::vector<std::string> running,
      List(connection,
           "SELECT t.PROCESSLIST_ID FROM performance_schema.events_transactions_current x"
           " JOIN performance_schema.threads t ON t.THREAD_ID = x.THREAD_ID"
           " WHERE x.STATE = 'ACTIVE' AND x.XA_STATE IN ('ACTIVE', 'IDLE') ORDER BY 1"));
  SLUICE_ASSIGN_OR_RETURN(const mysql::QueryResult prepared, connection.Query("XA RECOVER"));
  if (!prepared.rows.empty()) {
    open.push_back(absl::StrCat(prepared.rows.size(),
                                " XA transaction(s) are prepared; commit or roll them back"));
  }
  if (!running.empty()) {
    open.push_back(absl::StrCat("XA transactions run on connection(s) ",
                                absl::StrJoin(running, ", "),
                                ", whose XA COMMIT read_only does"
                                " not stop"));
  }
  return open;
}

absl::Status KeepServerClosed(mysql::Connection& connection) {
  Observation observation;
  SLUICE_RETURN_IF_ERROR(ReadServerState(connection, {}, observation));
  if (!MustCloseAgain(observation)) {
    return absl::OkStatus();
  }
  // A gate may be opening it; the records under the lock are those that count.
  SLUICE_ASSIGN_OR_RETURN(const ServerLock lock,
                          ServerLock::Acquire(connection, absl::Now() + kLockWait, kPatience));
  observation = {};
  SLUICE_RETURN_IF_ERROR(ReadServerState(connection, {}, observation));
  if (!MustCloseAgain(observation)) {
    return absl::OkStatus();
  }
  SLUICE_LOG(kWarning, "a gate has closed this server, which is not read-only; closing it again",
             {{"databases", absl::StrJoin(observation.kept_by, ", ")}});
  return Annotate(connection.Execute(kCloseServer).status(), "closing the server again");
}

}  // namespace sluice::gate
