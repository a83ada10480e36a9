// SqliteTransaction: topology, workflows, rules and counters as SQL.

#include "coordinator/store/sqlite_transaction.h"

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "common/base/status_macros.h"
#include "coordinator/store/codec.h"

namespace sluice::store {
namespace {

constexpr int64_t kSchemaVersion = 3;
constexpr char kEpochCounter[] = "rule_epoch";
constexpr char kNameEnd = '\0';  // which no name of a table holds

constexpr char kSchema[] = R"sql(
BEGIN EXCLUSIVE;
CREATE TABLE keyspace (name TEXT PRIMARY KEY) WITHOUT ROWID;
CREATE TABLE shard (keyspace TEXT NOT NULL REFERENCES keyspace (name), name TEXT NOT NULL,
  PRIMARY KEY (keyspace, name)) WITHOUT ROWID;
CREATE TABLE tablet (alias TEXT PRIMARY KEY, cell TEXT NOT NULL, uid INTEGER NOT NULL,
  keyspace TEXT NOT NULL, shard TEXT NOT NULL, database_name TEXT NOT NULL,
  agent_url TEXT NOT NULL, mysql_host TEXT NOT NULL, mysql_port INTEGER NOT NULL,
  configured_type INTEGER NOT NULL, type INTEGER NOT NULL, serving INTEGER NOT NULL,
  incarnation INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE tablet_tables (alias TEXT PRIMARY KEY, names BLOB NOT NULL) WITHOUT ROWID;
CREATE TABLE workflow (keyspace TEXT NOT NULL, name TEXT NOT NULL, body BLOB NOT NULL,
  PRIMARY KEY (keyspace, name)) WITHOUT ROWID;
CREATE TABLE cutover_state (workflow TEXT PRIMARY KEY, body BLOB NOT NULL) WITHOUT ROWID;
CREATE TABLE counter (name TEXT PRIMARY KEY, value INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE rules (id INTEGER PRIMARY KEY CHECK (id = 1), body BLOB NOT NULL);
CREATE TABLE proxy (id TEXT PRIMARY KEY, address TEXT NOT NULL, epoch INTEGER NOT NULL,
  last_heard_ms INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE cutover_attempt (number INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT NOT NULL UNIQUE,
  workflow TEXT NOT NULL, direction TEXT NOT NULL, result TEXT NOT NULL,
  started_us INTEGER NOT NULL, finished_us INTEGER NOT NULL);
CREATE INDEX cutover_attempt_workflow ON cutover_attempt (workflow, number);
CREATE TABLE cutover_step (number INTEGER PRIMARY KEY AUTOINCREMENT,
  attempt TEXT NOT NULL REFERENCES cutover_attempt (id) ON DELETE CASCADE,
  name TEXT NOT NULL, shard TEXT NOT NULL, started_us INTEGER NOT NULL, took_us INTEGER NOT NULL,
  detail TEXT NOT NULL);
CREATE INDEX cutover_step_attempt ON cutover_step (attempt, number);
PRAGMA user_version = 1;
COMMIT;
)sql";

constexpr char kSecondSchema[] = R"sql(
BEGIN EXCLUSIVE;
CREATE TABLE setting (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
PRAGMA user_version = 2;
COMMIT;
)sql";

constexpr char kThirdSchema[] = R"sql(
BEGIN EXCLUSIVE;
ALTER TABLE cutover_step ADD COLUMN proxy TEXT NOT NULL DEFAULT '';
PRAGMA user_version = 3;
COMMIT;
)sql";

// Calls on_row for every row of the query.
template <typename OnRow>
absl::Status ForEach(SqliteQuery& query, OnRow on_row) {
  while (true) {
    SLUICE_ASSIGN_OR_RETURN(const bool row, query.Step());
    if (!row) {
      return absl::OkStatus();
    }
    SLUICE_RETURN_IF_ERROR(on_row());
  }
}

}  // namespace

absl::Status PrepareSchema(SqliteDatabase& database) {
  int64_t version = 0;
  {
    SqliteQuery query = database.Query("PRAGMA user_version");
    SLUICE_RETURN_IF_ERROR(query.Step().status());
    version = query.GetInt(0);
  }
  if (version > kSchemaVersion) {
    return absl::FailedPreconditionError(
        absl::StrCat("the store was written by a later version of the program (its schema is ",
                     version, ", known is ", kSchemaVersion, "); start that version"));
  }
  if (version < 1) {
    SLUICE_RETURN_IF_ERROR(database.Execute(kSchema));
  }
  if (version < 2) {
    SLUICE_RETURN_IF_ERROR(database.Execute(kSecondSchema));
  }
  return version < 3 ? database.Execute(kThirdSchema) : absl::OkStatus();
}

absl::StatusOr<std::string> SqliteTransaction::FindSetting(absl::string_view name) {
  SqliteQuery query = database_.Query("SELECT value FROM setting WHERE name = ?");
  SLUICE_ASSIGN_OR_RETURN(const bool found, query.Text(name).Step());
  return found ? query.GetText(0) : "";
}

absl::Status SqliteTransaction::PutSetting(absl::string_view name, absl::string_view value) {
  return database_.Query("INSERT OR REPLACE INTO setting (name, value) VALUES (?, ?)")
      .Text(name)
      .Text(value)
      .Run();
}

absl::StatusOr<std::vector<KeyspaceRecord>> SqliteTransaction::ListKeyspaces() {
  std::vector<KeyspaceRecord> result;
  SqliteQuery query = database_.Query(
      "SELECT k.name, s.name FROM keyspace k JOIN shard s ON s.keyspace = k.name ORDER BY 1, 2");
  SLUICE_RETURN_IF_ERROR(ForEach(query, [&] {
    std::string name = query.GetText(0);
    if (result.empty() || result.back().name != name) {
      result.push_back({std::move(name), {}});
    }
    result.back().shards.push_back(query.GetText(1));
    return absl::OkStatus();
  }));
  return result;
}

absl::Status SqliteTransaction::PutKeyspace(const KeyspaceRecord& keyspace) {
  SLUICE_RETURN_IF_ERROR(database_.Query("INSERT OR IGNORE INTO keyspace (name) VALUES (?)")
                             .Text(keyspace.name)
                             .Run());
  SLUICE_RETURN_IF_ERROR(
      database_.Query("DELETE FROM shard WHERE keyspace = ?").Text(keyspace.name).Run());
  for (const std::string& shard : keyspace.shards) {
    SLUICE_RETURN_IF_ERROR(database_.Query("INSERT INTO shard (keyspace, name) VALUES (?, ?)")
                               .Text(keyspace.name)
                               .Text(shard)
                               .Run());
  }
  return absl::OkStatus();
}

absl::StatusOr<std::vector<TabletRecord>> SqliteTransaction::ListTablets() {
  std::vector<TabletRecord> result;
  SqliteQuery query = database_.Query(
      "SELECT alias, cell, uid, keyspace, shard, database_name, agent_url, mysql_host, mysql_port, "
      "configured_type, type, serving, incarnation FROM tablet ORDER BY alias");
  SLUICE_RETURN_IF_ERROR(ForEach(query, [&] {
    TabletRecord tablet;
    tablet.alias = query.GetText(0);
    tablet.cell = query.GetText(1);
    tablet.uid = static_cast<uint32_t>(query.GetInt(2));
    tablet.keyspace = query.GetText(3);
    tablet.shard = query.GetText(4);
    tablet.database = query.GetText(5);
    tablet.agent_url = query.GetText(6);
    tablet.mysql_host = query.GetText(7);
    tablet.mysql_port = static_cast<uint16_t>(query.GetInt(8));
    tablet.configured_type = static_cast<routing::TabletType>(query.GetInt(9));
    tablet.type = static_cast<routing::TabletType>(query.GetInt(10));
    tablet.serving = query.GetInt(11) != 0;
    tablet.incarnation = query.GetUint(12);
    result.push_back(std::move(tablet));
    return absl::OkStatus();
  }));
  return result;
}

absl::Status SqliteTransaction::PutTablet(const TabletRecord& tablet) {
  return database_
      .Query(
          "INSERT OR REPLACE INTO tablet (alias, cell, uid, keyspace, shard, database_name, "
          "agent_url, mysql_host, mysql_port, configured_type, type, serving, incarnation) "
          "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)")
      .Text(tablet.alias)
      .Text(tablet.cell)
      .Int(tablet.uid)
      .Text(tablet.keyspace)
      .Text(tablet.shard)
      .Text(tablet.database)
      .Text(tablet.agent_url)
      .Text(tablet.mysql_host)
      .Int(tablet.mysql_port)
      .Int(static_cast<int64_t>(tablet.configured_type))
      .Int(static_cast<int64_t>(tablet.type))
      .Int(tablet.serving ? 1 : 0)
      .Uint(tablet.incarnation)
      .Run();
}

absl::StatusOr<std::vector<std::pair<std::string, std::vector<std::string>>>>
SqliteTransaction::ListTabletTables() {
  std::vector<std::pair<std::string, std::vector<std::string>>> result;
  SqliteQuery query = database_.Query("SELECT alias, names FROM tablet_tables ORDER BY alias");
  SLUICE_RETURN_IF_ERROR(ForEach(query, [&] {
    result.emplace_back(query.GetText(0),
                        absl::StrSplit(query.GetText(1), kNameEnd, absl::SkipEmpty()));
    return absl::OkStatus();
  }));
  return result;
}

absl::Status SqliteTransaction::PutTabletTables(absl::string_view alias,
                                                const std::vector<std::string>& tables) {
  return database_.Query("INSERT OR REPLACE INTO tablet_tables (alias, names) VALUES (?, ?)")
      .Text(alias)
      .Blob(absl::StrJoin(tables, absl::string_view(&kNameEnd, 1)))
      .Run();
}

absl::Status SqliteTransaction::DeleteTablet(absl::string_view alias) {
  SLUICE_RETURN_IF_ERROR(
      database_.Query("DELETE FROM tablet_tables WHERE alias = ?").Text(alias).Run());
  return database_.Query("DELETE FROM tablet WHERE alias = ?").Text(alias).Run();
}

absl::StatusOr<std::vector<workflow::WorkflowRecord>> SqliteTransaction::ListWorkflows() {
  std::vector<workflow::WorkflowRecord> result;
  SqliteQuery query = database_.Query("SELECT body FROM workflow ORDER BY keyspace, name");
  SLUICE_RETURN_IF_ERROR(ForEach(query, [&]() -> absl::Status {
    SLUICE_ASSIGN_OR_RETURN(workflow::WorkflowRecord record, DecodeWorkflow(query.GetText(0)));
    result.push_back(std::move(record));
    return absl::OkStatus();
  }));
  return result;
}

absl::StatusOr<std::optional<workflow::WorkflowRecord>> SqliteTransaction::FindWorkflow(
    absl::string_view keyspace, absl::string_view name) {
  SqliteQuery query = database_.Query("SELECT body FROM workflow WHERE keyspace = ? AND name = ?");
  query.Text(keyspace).Text(name);
  SLUICE_ASSIGN_OR_RETURN(const bool row, query.Step());
  if (!row) {
    return std::optional<workflow::WorkflowRecord>();
  }
  SLUICE_ASSIGN_OR_RETURN(workflow::WorkflowRecord record, DecodeWorkflow(query.GetText(0)));
  return std::optional<workflow::WorkflowRecord>(std::move(record));
}

absl::Status SqliteTransaction::PutWorkflow(const workflow::WorkflowRecord& record) {
  return database_.Query("INSERT OR REPLACE INTO workflow (keyspace, name, body) VALUES (?, ?, ?)")
      .Text(record.keyspace)
      .Text(record.name)
      .Blob(EncodeWorkflow(record))
      .Run();
}

absl::Status SqliteTransaction::DeleteWorkflow(absl::string_view keyspace, absl::string_view name) {
  return database_.Query("DELETE FROM workflow WHERE keyspace = ? AND name = ?")
      .Text(keyspace)
      .Text(name)
      .Run();
}

absl::StatusOr<std::optional<std::string>> SqliteTransaction::FindCutoverState(
    absl::string_view workflow_key) {
  SqliteQuery query = database_.Query("SELECT body FROM cutover_state WHERE workflow = ?");
  query.Text(workflow_key);
  SLUICE_ASSIGN_OR_RETURN(const bool row, query.Step());
  return row ? std::optional<std::string>(query.GetText(0)) : std::nullopt;
}

absl::StatusOr<std::vector<std::pair<std::string, std::string>>>
SqliteTransaction::ListCutoverStates() {
  std::vector<std::pair<std::string, std::string>> result;
  SqliteQuery query = database_.Query("SELECT workflow, body FROM cutover_state ORDER BY workflow");
  SLUICE_RETURN_IF_ERROR(ForEach(query, [&] {
    result.emplace_back(query.GetText(0), query.GetText(1));
    return absl::OkStatus();
  }));
  return result;
}

absl::Status SqliteTransaction::PutCutoverState(absl::string_view workflow_key,
                                                absl::string_view bytes) {
  return database_.Query("INSERT OR REPLACE INTO cutover_state (workflow, body) VALUES (?, ?)")
      .Text(workflow_key)
      .Blob(bytes)
      .Run();
}

absl::Status SqliteTransaction::DeleteCutoverState(absl::string_view workflow_key) {
  return database_.Query("DELETE FROM cutover_state WHERE workflow = ?").Text(workflow_key).Run();
}

absl::StatusOr<uint64_t> SqliteTransaction::ReadEpoch() {
  SqliteQuery query = database_.Query("SELECT value FROM counter WHERE name = ?");
  query.Text(kEpochCounter);
  SLUICE_ASSIGN_OR_RETURN(const bool row, query.Step());
  return row ? query.GetUint(0) : 0;
}

absl::Status SqliteTransaction::WriteEpoch(uint64_t epoch) {
  SLUICE_ASSIGN_OR_RETURN(const uint64_t current, ReadEpoch());
  if (epoch <= current) {
    return absl::InvalidArgumentError(
        absl::StrCat("epoch ", epoch, " is not above the stored ", current));
  }
  return database_.Query("INSERT OR REPLACE INTO counter (name, value) VALUES (?, ?)")
      .Text(kEpochCounter)
      .Uint(epoch)
      .Run();
}

absl::StatusOr<RuleState> SqliteTransaction::ReadRules() {
  SqliteQuery query = database_.Query("SELECT body FROM rules WHERE id = 1");
  SLUICE_ASSIGN_OR_RETURN(const bool row, query.Step());
  if (!row) {
    return RuleState();
  }
  return DecodeRules(query.GetText(0));
}

absl::Status SqliteTransaction::WriteRules(const RuleState& rules) {
  return database_.Query("INSERT OR REPLACE INTO rules (id, body) VALUES (1, ?)")
      .Blob(EncodeRules(rules))
      .Run();
}

absl::StatusOr<std::vector<ProxyRecord>> SqliteTransaction::ListProxies() {
  std::vector<ProxyRecord> result;
  SqliteQuery query =
      database_.Query("SELECT id, address, epoch, last_heard_ms FROM proxy ORDER BY id");
  SLUICE_RETURN_IF_ERROR(ForEach(query, [&] {
    result.push_back({query.GetText(0), query.GetText(1), query.GetUint(2), query.GetInt(3)});
    return absl::OkStatus();
  }));
  return result;
}

absl::Status SqliteTransaction::PutProxy(const ProxyRecord& proxy) {
  return database_
      .Query("INSERT OR REPLACE INTO proxy (id, address, epoch, last_heard_ms) VALUES (?, ?, ?, ?)")
      .Text(proxy.id)
      .Text(proxy.address)
      .Uint(proxy.epoch)
      .Int(proxy.last_heard_ms)
      .Run();
}

absl::StatusOr<uint64_t> SqliteTransaction::NextId(absl::string_view counter) {
  SqliteQuery query = database_.Query(
      "INSERT INTO counter (name, value) VALUES ('id.' || ?, 1) "
      "ON CONFLICT (name) DO UPDATE SET value = value + 1 RETURNING value");
  query.Text(counter);
  SLUICE_ASSIGN_OR_RETURN(const bool row, query.Step());
  if (!row) {
    return absl::InternalError(absl::StrCat("counter ", counter, " gave no number"));
  }
  const uint64_t id = query.GetUint(0);
  // The statement is over, and its change final, only when it is stepped to the end.
  SLUICE_RETURN_IF_ERROR(query.Run());
  return id;
}

}  // namespace sluice::store
