// SessionState: homes of variables, insert ids, temporary tables and locks.

#include "proxy/session/session_state.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "proxy/rules/planner.h"
#include "proxy/wire/wire.h"

namespace sluice::proxy {
namespace {

constexpr size_t kStateMax = 4096;

std::string Describe(const ServerSession& server) {
  return absl::StrCat("tablet ", server.alias, " (", NameOf(server.place), ")");
}

absl::Status IsLost(absl::string_view what, const ServerSession& server) {
  return MysqlError(1105, absl::StrCat(what, " was on ", Describe(server),
                                       ", and the connection to it is lost: set it anew"));
}

sql::TableName Qualified(const sql::TableName& table, const routing::Target& target) {
  sql::TableName name;
  name.schema = table.schema.empty() ? target.keyspace : table.schema;
  name.table = table.table;
  return name;
}

bool Names(const SessionState::Kept& kept, const sql::TableName& table) {
  const sql::TableName name = Qualified(table, kept.target);
  return std::find(kept.temporary.begin(), kept.temporary.end(), name) != kept.temporary.end();
}

}  // namespace

absl::StatusOr<uint64_t> SessionState::HomeOf(const sql::SessionUse& use) const {
  const ServerSession* home = nullptr;
  std::string reason;
  const auto wants = [&](const ServerSession& server, std::string what) -> absl::Status {
    if (home != nullptr && home->number != server.number) {
      return MysqlError(1105,
                        absl::StrCat(reason, " is on ", Describe(*home), ", but ", what, " on ",
                                     Describe(server), ": one statement can't read both"));
    }
    home = &server;
    reason = std::move(what);
    return absl::OkStatus();
  };
  absl::Status status;
  for (const std::string& name : use.reads) {
    const auto found = variables_.find(name);
    if (found == variables_.end()) {
      continue;
    }
    const std::string what = absl::StrCat("user variable @", name);
    status.Update(found->second.lost ? IsLost(what, found->second.server)
                                     : wants(found->second.server, what));
  }
  if (use.last_insert_id && insert_id_.server.number != 0) {
    status.Update(insert_id_.lost ? IsLost("LAST_INSERT_ID()", insert_id_.server)
                                  : wants(insert_id_.server, "LAST_INSERT_ID()"));
  }
  if (use.diagnostics && last_.server.number != 0 && !last_.lost) {
    status.Update(wants(last_.server, "what the statement before left"));
  }
  if (!status.ok()) {
    return status;
  }
  if (home != nullptr || !use.named_locks) {
    return home == nullptr ? 0 : home->number;
  }
  uint64_t locks_on = 0;
  for (const Kept& kept : kept_) {
    if (kept.locks && locks_on != 0 && locks_on != kept.server.number) {
      return 0;  // each target has its own
    }
    locks_on = kept.locks ? kept.server.number : locks_on;
  }
  return locks_on;
}

absl::Status SessionState::Check(const sql::SessionUse& use, const ServerSession& server) const {
  const auto misses = [&](absl::string_view what, const ServerSession& there) {
    return MysqlError(1105,
                      absl::StrCat(what, " is on ", Describe(there), ", but the statement goes to ",
                                   Describe(server), ", where it has another value: set it anew"));
  };
  for (const std::string& name : use.reads) {
    const auto found = variables_.find(name);
    if (found == variables_.end()) {
      continue;
    }
    const std::string what = absl::StrCat("user variable @", name);
    if (found->second.lost) {
      return IsLost(what, found->second.server);
    }
    if (found->second.server.number != server.number) {
      return misses(what, found->second.server);
    }
  }
  if (use.last_insert_id && insert_id_.lost) {
    return IsLost("LAST_INSERT_ID()", insert_id_.server);
  }
  const bool diagnosed_elsewhere =
      last_.server.number != 0 && !last_.lost && last_.server.number != server.number;
  if (use.diagnostics && diagnosed_elsewhere) {
    return misses("what the statement before left", last_.server);
  }
  size_t temporary = 0;
  for (const Kept& kept : kept_) {
    temporary += kept.temporary.size();
  }
  if ((!use.assigns.empty() && variables_.size() >= kStateMax) ||
      (use.makes_temporary && temporary >= kStateMax) || kept_.size() >= kStateMax) {
    return MysqlError(1235, absl::StrCat("more than ", kStateMax,
                                         " user variables or temporary tables in one session"));
  }
  return absl::OkStatus();
}

uint64_t SessionState::InsertIdFrom(const sql::SessionUse& use, uint64_t number) const {
  const bool elsewhere = insert_id_.server.number != 0 && insert_id_.server.number != number;
  return use.last_insert_id && elsewhere && !insert_id_.lost ? insert_id_.server.number : 0;
}

void SessionState::Ran(const ServerSession& server, const routing::Target& target,
                       const sql::Statement& statement, const Outcome& outcome) {
  const sql::SessionUse& use = statement.session;
  if (last_.lost || last_.server.number != server.number) {
    last_ = Home{server};
  }
  // A statement that fails may have got so far.
  for (const std::string& name : use.assigns) {
    variables_.insert_or_assign(name, Home{server});
  }
  if (outcome.failed) {
    return;
  }
  const bool known = insert_id_.server.number == 0 ||
                     (insert_id_.server.number == server.number && !insert_id_.lost);
  if (use.last_insert_id || (outcome.insert_id != 0 && known)) {
    insert_id_ = Home{server};
  } else if (outcome.insert_id != 0) {
    doubtful_ = {server, outcome.insert_id};
  }
  if (use.named_locks) {
    KeptOn(server, target).locks = true;
  }
  if (use.makes_temporary && !statement.tables.empty()) {
    MadeTemporary(server, target, statement);
  } else if (statement.kind == sql::StatementKind::kDdl && !kept_.empty()) {
    ChangedTables(server, target, statement);
  }
}

void SessionState::Settle(uint64_t last_insert_id_there) {
  if (last_insert_id_there == doubtful_.insert_id) {
    insert_id_ = Home{doubtful_.server};
  }
  doubtful_ = {};
}

void SessionState::MadeTemporary(const ServerSession& server, const routing::Target& target,
                                 const sql::Statement& statement) {
  Kept& kept = KeptOn(server, target);
  if (!Names(kept, statement.tables.front())) {
    kept.temporary.push_back(Qualified(statement.tables.front(), target));
  }
}

// DROP takes temporary tables away; RENAME and ALTER may give them other names.
void SessionState::ChangedTables(const ServerSession& server, const routing::Target& target,
                                 const sql::Statement& statement) {
  for (Kept& kept : kept_) {
    const bool concerned =
        kept.server.number == server.number && kept.target == target &&
        std::any_of(statement.tables.begin(), statement.tables.end(),
                    [&](const sql::TableName& table) { return Names(kept, table); });
    if (!concerned) {
      continue;
    }
    for (const sql::TableName& table : statement.tables) {
      const sql::TableName name = Qualified(table, target);
      if (statement.verb == "DROP") {
        kept.temporary.erase(std::remove(kept.temporary.begin(), kept.temporary.end(), name),
                             kept.temporary.end());
      } else if (!Names(kept, name)) {
        kept.temporary.push_back(name);
      }
    }
  }
  ForgetEmpty();
}

SessionState::Kept& SessionState::KeptOn(const ServerSession& server,
                                         const routing::Target& target) {
  const auto found = std::find_if(kept_.begin(), kept_.end(), [&](const Kept& kept) {
    return kept.server.number == server.number && kept.target == target;
  });
  if (found != kept_.end()) {
    return *found;
  }
  kept_.push_back({.server = server, .target = target, .temporary = {}});
  return kept_.back();
}

void SessionState::ForgetEmpty() {
  kept_.erase(
      std::remove_if(kept_.begin(), kept_.end(),
                     [](const Kept& kept) { return kept.temporary.empty() && !kept.locks; }),
      kept_.end());
}

void SessionState::SetEverywhere(const std::vector<std::string>& variables) {
  for (const std::string& name : variables) {
    variables_.erase(name);
  }
}

void SessionState::Lost(uint64_t number) {
  last_.lost = last_.lost || last_.server.number == number;
  insert_id_.lost = insert_id_.lost || insert_id_.server.number == number;
  if (doubtful_.server.number == number && number != 0) {
    insert_id_ = {doubtful_.server, /*lost=*/true};
    doubtful_ = {};
  }
  for (auto& [name, home] : variables_) {
    home.lost = home.lost || home.server.number == number;
  }
  for (const Kept& kept : kept_) {
    if (kept.server.number == number && broken_.ok()) {
      broken_ = SessionEnds(kept, "the connection to it is lost");
    }
  }
}

void SessionState::ForgetLocks(uint64_t number) {
  for (Kept& kept : kept_) {
    kept.locks = kept.locks && kept.server.number != number;
  }
  ForgetEmpty();
}

bool IsServed(const SessionState::Kept& kept, const RuleSnapshot& snapshot) {
  const auto stands = [&](const sql::Statement& probe) {
    const auto plan = MakePlan(probe, kept.target, snapshot);
    if (!plan.ok() || plan->place.keyspace.empty()) {
      return plan.ok();
    }
    // A server that serves for nobody at the moment may come back; one that was replaced does not.
    const std::vector<const Tablet*>& serving = snapshot.Serving(plan->place, plan->type);
    return plan->place == kept.server.place &&
           (serving.empty() ||
            std::any_of(serving.begin(), serving.end(),
                        [&](const Tablet* tablet) { return tablet->alias == kept.server.alias; }));
  };
  sql::Statement probe;
  probe.kind = sql::StatementKind::kSelect;
  probe.is_read = true;
  if (kept.locks && !stands(probe)) {
    return false;
  }
  return std::all_of(kept.temporary.begin(), kept.temporary.end(), [&](const auto& name) {
    probe.tables = {name};
    return stands(probe);
  });
}

absl::Status SessionEnds(const SessionState::Kept& kept, absl::string_view why) {
  const std::string tables = absl::StrJoin(
      kept.temporary, ", ",
      [](std::string* out, const sql::TableName& name) { absl::StrAppend(out, name.table); });
  const bool named = !kept.temporary.empty();
  return MysqlError(
      1184, absl::StrCat("Aborted connection: it has ", named ? "temporary tables (" : "", tables,
                         named ? ")" : "", named && kept.locks ? " and " : "",
                         kept.locks ? "named locks" : "", " on ", Describe(kept.server), ", but ",
                         why, "; the statement was not executed: connect again"));
}

}  // namespace sluice::proxy
