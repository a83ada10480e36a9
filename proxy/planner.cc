// Planner: names to keyspaces, keyspaces to one shard.

#include "proxy/planner.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "common/base/status.h"
#include "common/base/status_macros.h"
#include "proxy/wire.h"

namespace sluice::proxy {
namespace {

struct Routed {
  std::string name;      // as the statement says it
  std::string before;    // keyspace.table before rules; empty when a bare name has no keyspace
  std::string keyspace;  // where it goes
  std::string table;
  bool by_rule = false;
};

absl::Status UnknownKeyspace(absl::string_view name) {
  return MysqlError(1049, absl::StrCat("Unknown database '", name,
                                       "': no keyspace has this name (SHOW DATABASES lists them)"));
}

// Resolves the tables of one statement.
class Router {
 public:
  Router(const routing::Target& target, const RuleSnapshot& snapshot)
      : target_(target), snapshot_(snapshot) {}

  absl::StatusOr<Routed> Route(const sql::TableName& name) const {
    Routed routed;
    routed.table = name.table;
    routed.keyspace = name.schema.empty() ? target_.keyspace : name.schema;
    routed.name = name.schema.empty() ? name.table : absl::StrCat(name.schema, ".", name.table);
    if (!routed.keyspace.empty()) {
      if (!snapshot_.HasKeyspace(routed.keyspace)) {
        return UnknownKeyspace(routed.keyspace);
      }
      routed.before = absl::StrCat(routed.keyspace, ".", routed.table);
    }
    if (!target_.shard.empty()) {  // a session on one shard goes past the table rules
      return routed;
    }
    const auto resolved = snapshot_.rules().Resolve(routed.keyspace, name.table, target_.type);
    if (!resolved.ok()) {
      return WithMysqlErrno(resolved.status(), 1105);
    }
    if (resolved->has_value()) {
      return ApplyRule(std::move(routed), **resolved);
    }
    if (routed.keyspace.empty()) {
      SLUICE_ASSIGN_OR_RETURN(routed.keyspace, HomeOf(name.table));
      routed.before = absl::StrCat(routed.keyspace, ".", routed.table);
    }
    return routed;
  }

 private:
  static absl::StatusOr<Routed> ApplyRule(Routed routed, const routing::TableId& to) {
    if (to.table != routed.table) {
      return MysqlError(
          1105, absl::StrCat("the routing rule of ", routed.name, " leads to ", to.keyspace, ".",
                             to.table, "; a rule that changes a table's name is not supported"));
    }
    routed.by_rule = true;
    routed.keyspace = to.keyspace;
    return routed;
  }

  [[nodiscard]] absl::StatusOr<std::string> HomeOf(const std::string& table) const {
    const std::optional<std::string> home = snapshot_.HomeOf(table);
    if (home.has_value()) {
      if (home->empty()) {
        return MysqlError(1105, absl::StrCat("table ", table,
                                             " is ambiguous: several keyspaces have it; write "
                                             "keyspace.table or USE a keyspace"));
      }
      return *home;
    }
    if (snapshot_.keyspaces().size() == 1) {
      return snapshot_.keyspaces().front();
    }
    return MysqlError(1046, absl::StrCat("No database selected: table ", table,
                                         " is in no keyspace that is known; USE a keyspace"));
  }

  const routing::Target& target_;
  const RuleSnapshot& snapshot_;
};

absl::StatusOr<std::string> ShardFor(const std::string& keyspace, const routing::Target& target,
                                     const RuleSnapshot& snapshot) {
  const std::vector<std::string> shards = snapshot.ShardsOf(keyspace);
  if (!target.shard.empty() && target.keyspace == keyspace) {
    if (std::find(shards.begin(), shards.end(), target.shard) == shards.end()) {
      return MysqlError(1049, absl::StrCat("keyspace ", keyspace, " has no shard ", target.shard,
                                           "; it has: ", absl::StrJoin(shards, ", ")));
    }
    return target.shard;
  }
  if (shards.empty()) {
    return MysqlError(1105, absl::StrCat("keyspace ", keyspace, " has no tablet"));
  }
  if (shards.size() > 1) {
    return MysqlError(
        1105, absl::StrCat("keyspace ", keyspace, " has the shards ", absl::StrJoin(shards, ", "),
                           "; target one with USE `", keyspace, ":", shards.front(), "`"));
  }
  return shards.front();
}

void AddTouched(Plan& plan, const std::string& name) {
  const bool known =
      std::find(plan.touched.begin(), plan.touched.end(), name) != plan.touched.end();
  if (!known && !name.empty()) {
    plan.touched.push_back(name);
  }
}

// Tables that the server's own schemas hold are the same wherever the statement goes.
std::vector<sql::TableName> OwnTables(const sql::Statement& statement) {
  std::vector<sql::TableName> tables;
  for (const sql::TableName& table : statement.tables) {
    if (!sql::IsSystemSchema(table.schema)) {
      tables.push_back(table);
    }
  }
  return tables;
}

// Without tables: the keyspace that is named alone (SHOW TABLES FROM x, CALL x.p()), else the
// session's.
absl::StatusOr<std::string> KeyspaceWithoutTables(const sql::Statement& statement,
                                                  const routing::Target& target,
                                                  const RuleSnapshot& snapshot) {
  for (const sql::Qualifier& qualifier : statement.qualifiers) {
    if (sql::IsSystemSchema(qualifier.schema)) {
      continue;
    }
    if (!snapshot.HasKeyspace(qualifier.schema)) {
      return UnknownKeyspace(qualifier.schema);
    }
    return qualifier.schema;
  }
  if (!target.keyspace.empty() && !snapshot.HasKeyspace(target.keyspace)) {
    return UnknownKeyspace(target.keyspace);
  }
  return target.keyspace;
}

}  // namespace

absl::StatusOr<Plan> MakePlan(const sql::Statement& statement, const routing::Target& target,
                              const RuleSnapshot& snapshot) {
  Plan plan;
  plan.epoch = snapshot.epoch();
  plan.type = target.type;
  const std::vector<sql::TableName> tables = OwnTables(statement);
  plan.has_tables = !tables.empty();
  const Router router(target, snapshot);
  Routed first;
  for (const sql::TableName& table : tables) {
    SLUICE_ASSIGN_OR_RETURN(const Routed routed, router.Route(table));
    if (plan.keyspace.empty()) {
      plan.keyspace = routed.keyspace;
      first = routed;
    } else if (plan.keyspace != routed.keyspace) {
      return MysqlError(1105, absl::StrCat("tables on two sides in one statement: ", first.name,
                                           " is in keyspace ", first.keyspace, ", ", routed.name,
                                           " is in keyspace ", routed.keyspace));
    }
    plan.by_rule = plan.by_rule || routed.by_rule;
    AddTouched(plan, routed.before);
    AddTouched(plan, absl::StrCat(routed.keyspace, ".", routed.table));
  }
  if (tables.empty()) {
    SLUICE_ASSIGN_OR_RETURN(plan.keyspace, KeyspaceWithoutTables(statement, target, snapshot));
    if (plan.keyspace.empty()) {
      return plan;
    }
  }
  SLUICE_ASSIGN_OR_RETURN(plan.shard, ShardFor(plan.keyspace, target, snapshot));
  plan.keyspace = snapshot.ShardKeyspace(plan.keyspace, plan.shard);
  if (plan.type != routing::TabletType::kPrimary) {
    plan.touched.clear();
  }
  return plan;
}

absl::Status CheckTarget(const routing::Target& target, const RuleSnapshot& snapshot) {
  if (target.keyspace.empty()) {
    return absl::OkStatus();
  }
  if (!snapshot.HasKeyspace(target.keyspace)) {
    return UnknownKeyspace(target.keyspace);
  }
  return target.shard.empty() ? absl::OkStatus()
                              : ShardFor(target.keyspace, target, snapshot).status();
}

std::string RewriteFor(absl::string_view text, const sql::Statement& statement,
                       const RuleSnapshot& snapshot, const std::string& database) {
  return sql::RewriteQualifiers(text, statement.qualifiers,
                                [&](const sql::Qualifier& qualifier) -> std::optional<std::string> {
                                  if (!snapshot.HasKeyspace(qualifier.schema)) {
                                    return std::nullopt;
                                  }
                                  return database;
                                });
}

}  // namespace sluice::proxy
