// Views: the JSON documents that list things.

#include <algorithm>
#include <map>
#include <utility>

#include "common/base/status_macros.h"
#include "coordinator/workflow/stream_view.h"
#include "coordinator/workflow/views.h"
#include "nlohmann/json.hpp"

namespace sluice::workflow {
namespace {

using Json = nlohmann::ordered_json;

std::string Dump(const Json& json) {
  return json.dump(2, ' ', false, Json::error_handler_t::replace);
}

Json KeyspaceJson(const topology::Topology& topology, const store::KeyspaceRecord& keyspace) {
  Json shards = Json::array();
  for (const std::string& shard : keyspace.shards) {
    Json tablets = Json::array();
    for (const topology::TabletInfo& tablet : topology.TabletsOf(keyspace.name, shard)) {
      tablets.push_back(tablet.alias);
    }
    const absl::StatusOr<topology::TabletInfo> primary = topology.PrimaryOf(keyspace.name, shard);
    shards.push_back({{"name", shard},
                      {"primary", primary.ok() ? primary->alias : ""},
                      {"problem", primary.ok() ? "" : std::string(primary.status().message())},
                      {"tablets", tablets}});
  }
  Json json;
  json["name"] = keyspace.name;
  json["shards"] = shards;
  return json;
}

Json WorkflowJson(const WorkflowRecord& record, const ViewSources& from) {
  // The worst state of the streams stands for the workflow.
  std::string state = "Running";
  std::string message = record.message;
  for (const StreamView& stream : ViewStreams(record, from.topology)) {
    if (stream.state != "Running" && state != "Error") {
      state = stream.state;
      message = stream.message.empty() ? message : stream.message;
    }
  }
  Json json;
  json["name"] = record.name;
  json["keyspace"] = record.keyspace;
  json["type"] = record.type;
  json["sub_type"] = record.sub_type;
  json["source_keyspace"] = record.source_keyspace;
  json["target_keyspace"] = record.target_keyspace;
  json["tables"] = record.tables;
  json["phase"] = WorkflowPhaseName(record.phase);
  json["state"] = state;
  json["message"] = message;
  json["frozen"] = record.phase == WorkflowPhase::kFrozen;
  json["reverse"] = !record.reverse_of.empty();
  json["traffic_state"] = from.rules.TrafficState(record);
  return json;
}

}  // namespace

absl::StatusOr<std::string> ListWorkflowsJson(const ViewSources& from,
                                              const std::string& keyspace) {
  if (!keyspace.empty()) {
    SLUICE_RETURN_IF_ERROR(from.topology.FindKeyspace(keyspace).status());
  }
  SLUICE_ASSIGN_OR_RETURN(const std::vector<WorkflowRecord> records,
                          store::ListWorkflows(from.store));
  Json names = Json::array();
  Json details = Json::array();
  for (const WorkflowRecord& record : records) {
    if (keyspace.empty() || record.keyspace == keyspace) {
      names.push_back(record.name);
      details.push_back(WorkflowJson(record, from));
    }
  }
  Json json;
  json["workflows"] = names;
  json["details"] = details;
  return Dump(json);
}

std::string ListTabletsJson(const topology::Topology& topology) {
  Json list = Json::array();
  for (const topology::TabletInfo& tablet : topology.Tablets()) {
    list.push_back({{"alias", tablet.alias},
                    {"cell", tablet.cell},
                    {"uid", tablet.uid},
                    {"keyspace", tablet.keyspace},
                    {"shard", tablet.shard},
                    {"type", routing::TabletTypeName(tablet.type)},
                    {"state", tablet.serving ? "SERVING" : "NOT_SERVING"},
                    {"hostname", tablet.mysql_host},
                    {"port", tablet.mysql_port},
                    {"database", tablet.database},
                    {"agent_url", tablet.agent_url},
                    {"server_version", tablet.server_version},
                    {"server_uuid", tablet.server_uuid},
                    {"read_only", tablet.read_only},
                    {"replica_lag_ms", tablet.replica_lag_ms},
                    {"problem", tablet.problem},
                    {"remarks", tablet.remarks}});
  }
  Json json;
  json["tablets"] = list;
  return Dump(json);
}

std::string ListKeyspacesJson(const topology::Topology& topology) {
  Json names = Json::array();
  Json details = Json::array();
  for (const store::KeyspaceRecord& keyspace : topology.Keyspaces()) {
    names.push_back(keyspace.name);
    details.push_back(KeyspaceJson(topology, keyspace));
  }
  Json json;
  json["keyspaces"] = names;
  json["details"] = details;
  return Dump(json);
}

absl::StatusOr<std::string> ShowKeyspaceJson(const topology::Topology& topology,
                                             const std::string& name) {
  SLUICE_ASSIGN_OR_RETURN(const store::KeyspaceRecord keyspace, topology.FindKeyspace(name));
  return Dump(KeyspaceJson(topology, keyspace));
}

std::string ListProxiesJson(const rules::RuleService& rules) {
  const absl::Time now = absl::Now();
  Json list = Json::array();
  for (const rules::ProxyState& proxy : rules.Proxies()) {
    const absl::Duration silent = std::max(now - proxy.last_heard, absl::ZeroDuration());
    list.push_back({{"id", proxy.id},
                    {"address", proxy.address},
                    {"cell", proxy.cell},
                    {"connected", proxy.connected},
                    {"epoch", proxy.epoch},
                    {"drained_epoch", proxy.drained_epoch},
                    {"held_statements", proxy.held_statements},
                    {"open_transactions", proxy.open_transactions},
                    {"refused_epoch", proxy.refused_epoch},
                    {"refused_reason", proxy.refused_reason},
                    {"last_heard_ms", absl::ToInt64Milliseconds(silent)}});
  }
  Json json;
  json["epoch"] = rules.epoch();
  json["proxies"] = list;
  return Dump(json);
}

std::string CutoverAttemptsJson(const std::vector<store::CutoverAttempt>& attempts,
                                uint32_t number) {
  Json list = Json::array();
  for (size_t i = 0; i < attempts.size(); ++i) {
    if (number != 0 && i + 1 != number) {
      continue;
    }
    const store::CutoverAttempt& attempt = attempts[i];
    Json steps = Json::array();
    for (const store::CutoverStep& step : attempt.steps) {
      steps.push_back({{"name", step.name},
                       {"shard", step.shard},
                       {"proxy", step.proxy},
                       {"started_us", step.started_us},
                       {"took_us", step.took_us},
                       {"detail", step.detail}});
    }
    list.push_back({{"attempt", i + 1},
                    {"id", attempt.id},
                    {"workflow", attempt.workflow},
                    {"direction", attempt.direction},
                    {"result", attempt.result},
                    {"started_at", absl::FormatTime("%Y-%m-%dT%H:%M:%E3SZ",
                                                    absl::FromUnixMicros(attempt.started_us),
                                                    absl::UTCTimeZone())},
                    {"started_us", attempt.started_us},
                    {"finished_us", attempt.finished_us},
                    {"steps", steps}});
  }
  Json json;
  json["attempts"] = list;
  return Dump(json);
}

}  // namespace sluice::workflow
