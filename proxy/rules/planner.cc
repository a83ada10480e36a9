// Planner: names to keyspaces, keyspaces to one shard.

#include "proxy/rules/planner.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "common/base/status.h"
#include "common/base/status_macros.h"
#include "proxy/wire/wire.h"

namespace sluice::proxy {
namespace {

struct Routed {
  std::string name;      // as the statement says it
  std::string before;    // keyspace.table before rules; empty when a bare name has no keyspace
  std::string keyspace;  // where its table rule leads
  std::string table;
  Place place;  // where it is served
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

std::string TargetOneOf(const std::string& keyspace, const std::vector<std::string>& shards) {
  return absl::StrCat("target one with USE `", keyspace, ":", shards.front(), "`");
}

// The shard of a keyspace that the session works on.
absl::StatusOr<std::string> ShardFor(const std::string& keyspace, const routing::Target& target,
                                     const RuleSnapshot& snapshot) {
  const std::vector<std::string>& shards = snapshot.ShardsOf(keyspace);
  if (shards.empty()) {
    return MysqlError(1105, absl::StrCat("keyspace ", keyspace, " has no tablet"));
  }
  const bool named = !target.shard.empty();
  if (named && std::binary_search(shards.begin(), shards.end(), target.shard)) {
    return target.shard;
  }
  const std::string existing = absl::StrJoin(shards, ", ");
  if (named && target.keyspace == keyspace) {
    return MysqlError(1049, absl::StrCat("keyspace ", keyspace, " has no shard ", target.shard,
                                         "; it has: ", existing));
  }
  if (shards.size() == 1) {
    return shards.front();
  }
  if (named) {
    return MysqlError(1105, absl::StrCat("the session targets shard ", target.shard,
                                         ", which keyspace ", keyspace, " does not have; it has: ",
                                         existing, "; ", TargetOneOf(keyspace, shards)));
  }
  return MysqlError(1105, absl::StrCat("keyspace ", keyspace, " has the shards ", existing, "; ",
                                       TargetOneOf(keyspace, shards)));
}

// Whether a statement without tables can be answered by any shard: no routine is called that could
// read a table.
bool AnyShardWillDo(const sql::Statement& statement) {
  const bool names_keyspace =
      std::any_of(statement.qualifiers.begin(), statement.qualifiers.end(),
                  [](const sql::Qualifier& each) { return !sql::IsSystemSchema(each.schema); });
  return statement.kind == sql::StatementKind::kShow ||
         (statement.is_read && !names_keyspace && !statement.session.unknown_calls);
}

// Notes what holds and closed gates are matched against.
void Touch(Plan& plan, const Routed& routed, const RuleSnapshot& snapshot) {
  const Place before{routed.keyspace, routed.place.shard};
  plan.by_rule = plan.by_rule || routed.by_rule || snapshot.HasShardRule(before);
  if (plan.type != routing::TabletType::kPrimary) {
    return;
  }
  if (!routed.before.empty()) {
    AddOnce(plan.touched.tables, routed.before);
  }
  AddOnce(plan.touched.tables, absl::StrCat(routed.keyspace, ".", routed.table));
  AddOnce(plan.touched.places, NameOf(before));
  if (before != routed.place) {
    AddOnce(plan.touched.tables, absl::StrCat(routed.place.keyspace, ".", routed.table));
    AddOnce(plan.touched.places, NameOf(routed.place));
  }
}

absl::Status TwoSides(const Routed& first, const Routed& second) {
  const auto place = [](const Routed& routed) {
    return absl::StrCat(routed.name, " is in keyspace ", routed.place.keyspace, ", shard ",
                        routed.place.shard);
  };
  return MysqlError(1105, absl::StrCat("tables on two sides in one statement: ", place(first), "; ",
                                       place(second)));
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
    SLUICE_ASSIGN_OR_RETURN(Routed routed, router.Route(table));
    SLUICE_ASSIGN_OR_RETURN(std::string shard, ShardFor(routed.keyspace, target, snapshot));
    const Place before{routed.keyspace, std::move(shard)};
    routed.place = snapshot.ServedAt(before);
    Touch(plan, routed, snapshot);
    if (first.place.keyspace.empty()) {
      plan.place = routed.place;
      plan.via = before == routed.place ? "" : NameOf(before);
      first = std::move(routed);
    } else if (first.place != routed.place) {
      return TwoSides(first, routed);
    }
  }
  if (!tables.empty()) {
    return plan;
  }
  SLUICE_ASSIGN_OR_RETURN(const std::string keyspace,
                          KeyspaceWithoutTables(statement, target, snapshot));
  if (keyspace.empty()) {
    return plan;
  }
  auto shard = ShardFor(keyspace, target, snapshot);
  if (!shard.ok() && target.shard.empty() && AnyShardWillDo(statement) &&
      !snapshot.ShardsOf(keyspace).empty()) {
    shard = snapshot.ShardsOf(keyspace).front();
  }
  SLUICE_RETURN_IF_ERROR(shard.status());
  const Place before{keyspace, *std::move(shard)};
  plan.place = snapshot.ServedAt(before);
  plan.via = before == plan.place ? "" : NameOf(before);
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
