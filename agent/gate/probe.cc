// ProbeGate: metadata locks, and the transactions behind them.

#include "agent/gate/probe.h"

#include <map>
#include <utility>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/time/clock.h"
#include "agent/gate/closed_name.h"
#include "common/base/log.h"
#include "common/base/status.h"
#include "common/base/status_macros.h"
#include "common/mysql/error.h"
#include "common/sql/statement.h"
#include "common/sql/tokenizer.h"

namespace sluice::gate {
namespace {

constexpr unsigned kNoSuchThread = 1094;
constexpr unsigned kNotOwner = 1095;
// mysqld shows its transactions as they were when somebody else has asked within the last 100 ms.
constexpr absl::Duration kTransactionsAge = absl::Milliseconds(120);
constexpr int kFreshTries = 10;

bool RunsDdl(absl::string_view statement) {
  const auto tokens = sql::Tokenize(statement, {});
  if (!tokens.ok()) {
    return true;  // cut off somewhere; it may be anything
  }
  const auto analyzed = sql::AnalyzeStatement(*tokens);
  return !analyzed.ok() || analyzed->kind == sql::StatementKind::kDdl;
}

// Rows changed so far, by connection.
absl::StatusOr<std::map<uint64_t, uint64_t>> ReadRowsChanged(mysql::Connection& session) {
  SLUICE_ASSIGN_OR_RETURN(const mysql::QueryResult result,
                          session.Query("SELECT trx_mysql_thread_id, trx_rows_modified FROM "
                                        "information_schema.INNODB_TRX"));
  std::map<uint64_t, uint64_t> rows;
  for (const mysql::Row& row : result.rows) {
    uint64_t id = 0;
    uint64_t changed = 0;
    if (row[0].has_value() && row[1].has_value() && absl::SimpleAtoi(*row[0], &id) &&
        absl::SimpleAtoi(*row[1], &changed)) {
      rows[id] = changed;
    }
  }
  return rows;
}

// The same as it is now: a transaction that begins here is among them. UNAVAILABLE when others ask
// so often that mysqld never looks again.
absl::StatusOr<std::map<uint64_t, uint64_t>> ReadRowsChangedNow(mysql::Connection& session) {
  SLUICE_RETURN_IF_ERROR(session.Execute("START TRANSACTION WITH CONSISTENT SNAPSHOT").status());
  for (int i = 0; i < kFreshTries; ++i) {
    auto rows = ReadRowsChanged(session);
    if (!rows.ok() || rows->contains(session.connection_id())) {
      SLUICE_RETURN_IF_ERROR(session.Execute("COMMIT").status());
      return rows;
    }
    absl::SleepFor(kTransactionsAge);  // Delay: until mysqld looks again
  }
  return absl::UnavailableError("mysqld shows transactions of some time ago only");
}

}  // namespace

bool MayBeEnded(const GateProbe& probe, const Blocker& blocker, uint64_t rows_changed) {
  return probe.kill_after > absl::ZeroDuration() && blocker.kind == BlockerKind::kSession &&
         absl::Milliseconds(blocker.age_ms) >= probe.kill_after &&
         rows_changed <= probe.kill_rows_max && !RunsDdl(blocker.statement);
}

absl::StatusOr<GateProbeResult> ProbeGate(agent::SessionPool& pool, const GateProbe& probe) {
  SLUICE_ASSIGN_OR_RETURN(agent::Session session, pool.Borrow());
  std::vector<std::string> names;
  for (const std::string& table : probe.tables) {
    names.push_back(table);
    names.push_back(ClosedName(table));
  }
  SLUICE_ASSIGN_OR_RETURN(
      std::vector<Blocker> present,
      ReadBlockers(*session, probe.id.database, names, {session->connection_id()}));
  std::erase_if(present, [&](const Blocker& blocker) {
    return absl::Milliseconds(blocker.age_ms) < probe.age;
  });
  GateProbeResult result;
  if (present.empty()) {
    return result;
  }
  if (probe.kill_after <= absl::ZeroDuration()) {
    result.blockers = std::move(present);
    return result;
  }
  SLUICE_ASSIGN_OR_RETURN(agent::Session mighty, pool.BorrowNew());
  mighty.Discard();  // it is left in a transaction where that can't be told
  const auto changed_rows = ReadRowsChangedNow(*mighty);
  if (!changed_rows.ok()) {
    return Annotate(changed_rows.status(),
                    "looking how large the transactions are that may be ended (it takes PROCESS)");
  }
  for (Blocker& blocker : present) {
    const auto changed = changed_rows->find(blocker.connection_id);
    if (!MayBeEnded(probe, blocker, changed == changed_rows->end() ? 0 : changed->second)) {
      result.blockers.push_back(std::move(blocker));
      continue;
    }
    const absl::Status killed =
        mighty->Execute(absl::StrCat("KILL ", blocker.connection_id)).status();
    if (MysqlErrnoOf(killed) == kNotOwner) {
      return absl::PermissionDeniedError(absl::StrCat("ending connection ", blocker.connection_id,
                                                      " (it takes CONNECTION_ADMIN, and of one"
                                                      " with SYSTEM_USER that too): ",
                                                      killed.message()));
    }
    if (!killed.ok() && MysqlErrnoOf(killed) != kNoSuchThread) {
      return Annotate(killed, absl::StrCat("ending connection ", blocker.connection_id,
                                           " (it takes CONNECTION_ADMIN)"));
    }
    SLUICE_LOG(kWarning, "ended a connection that sat on the tables of a gate",
               {{"workflow", probe.id.workflow},
                {"connection", blocker.connection_id},
                {"user", blocker.user},
                {"host", blocker.host},
                {"statement", blocker.statement}});
    result.killed.push_back(std::move(blocker));
  }
  return result;
}

}  // namespace sluice::gate
