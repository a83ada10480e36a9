// Views: the JSON documents of one workflow.

#include "coordinator/workflow/views.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <optional>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "common/base/status_macros.h"
#include "coordinator/workflow/stream_view.h"
#include "nlohmann/json.hpp"

namespace sluice::workflow {
namespace {

using Json = nlohmann::ordered_json;

// Text from outside (messages of servers) may hold bytes that are not UTF-8.
std::string Dump(const Json& json) {
  return json.dump(2, ' ', false, Json::error_handler_t::replace);
}

std::string AliasOf(const StreamView& stream) {
  return stream.tablet.has_value() ? stream.tablet->alias : "";
}

std::string FilterOf(const std::string& table) {
  const bool plain = std::all_of(table.begin(), table.end(), [](char c) {
    return absl::ascii_isalnum(static_cast<unsigned char>(c)) || c == '_';
  });
  return plain ? absl::StrCat("select * from ", table)
               : absl::StrCat("select * from `", absl::StrReplaceAll(table, {{"`", "``"}}), "`");
}

int64_t LagSeconds(const std::vector<StreamView>& streams) {
  int64_t lag_ms = 0;
  for (const StreamView& stream : streams) {
    lag_ms = std::max(lag_ms, stream.frozen ? 0 : stream.lag_ms);
  }
  return (lag_ms + 999) / 1000;
}

Json CopyStateJson(const StreamView& stream) {
  if (!stream.info.has_value() || stream.info->state != topology::StreamState::kCopying) {
    return nullptr;
  }
  Json list = Json::array();
  for (const topology::CopyProgress& copy : stream.info->copy) {
    if (!copy.done) {
      list.push_back({{"Table", copy.table},
                      {"RowsCopied", copy.rows_copied},
                      {"RowsTotal", copy.rows_estimate},
                      {"BytesCopied", copy.bytes_copied},
                      {"BytesTotal", copy.bytes_estimate}});
    }
  }
  return list;
}

Json TimesJson(const topology::WriteTimes& times) {
  const auto milliseconds = [](uint64_t micros) { return (micros + 500) / 1000; };
  return {{"Writes", times.writes},
          {"WaitingMs", milliseconds(times.waiting_us)},
          {"BuildingMs", milliseconds(times.building_us)},
          {"ServerMs", milliseconds(times.server_us)},
          {"HandOffMs", milliseconds(times.hand_off_us)}};
}

Json KeysOwedJson(const topology::StreamInfo& info) {
  Json owed = Json::object();
  for (const topology::CopyProgress& copy : info.copy) {
    if (!copy.keys_owed.empty()) {
      owed[copy.table] = copy.keys_owed;
    }
  }
  return owed;
}

Json ShowStreamJson(const WorkflowRecord& record, const StreamView& stream) {
  Json rules = Json::array();
  for (const std::string& table : record.tables) {
    rules.push_back({{"match", table}, {"filter", FilterOf(table)}});
  }
  const topology::StreamInfo info = stream.info.value_or(topology::StreamInfo());
  Json json;
  json["Shard"] = stream.record.target_shard;
  json["Tablet"] = AliasOf(stream);
  json["ID"] = stream.record.id;
  json["Bls"] = {{"keyspace", record.source_keyspace},
                 {"shard", stream.record.source_shard},
                 {"filter", {{"rules", rules}}}};
  json["Pos"] = info.position;
  json["StopPos"] = "";
  json["State"] = stream.state;
  json["DBName"] = stream.record.target_database;
  json["TransactionTimestamp"] = info.transaction_timestamp;
  json["TimeUpdated"] = info.time_updated;
  json["TimeHeartbeat"] = info.time_updated;
  json["TimeThrottled"] = info.time_throttled;
  json["ComponentThrottled"] = info.component_throttled;
  json["ReasonThrottled"] = info.reason_throttled;
  json["Message"] = stream.message;
  json["Tags"] = "";
  json["WorkflowType"] = record.type;
  json["WorkflowSubType"] = record.sub_type;
  json["SourceTablet"] = info.source_tablet;
  json["LagMs"] = stream.lag_ms;
  json["RowsCopied"] = info.rows_copied;
  json["RowsApplied"] = info.rows_applied;
  json["TransactionsApplied"] = info.transactions_applied;
  json["CopyState"] = CopyStateJson(stream);
  json["CopyTimes"] = TimesJson(info.copy_times);
  json["ApplyTimes"] = TimesJson(info.apply_times);
  json["KeysOwed"] = KeysOwedJson(info);
  return json;
}

Json OptionsJson(const WorkflowOptions& options) {
  Json types = Json::array();
  for (const routing::TabletType type : options.source_types) {
    types.push_back(routing::TabletTypeName(type));
  }
  Json tuning = Json::object();
  for (const stream::NamedValue& item : options.stream.tuning) {
    tuning[item.name] = item.value;
  }
  return {{"tablet_types", types},
          {"cells", options.stream.cells},
          {"on_ddl", stream::OnDdlName(options.stream.on_ddl)},
          {"defer_secondary_keys", stream::DeferKeysName(options.stream.defer_secondary_keys)},
          {"allow_no_key", options.stream.allow_no_key},
          {"drop_foreign_keys", options.stream.drop_foreign_keys},
          {"auto_start", options.auto_start},
          {"stop_after_copy", options.stop_after_copy},
          {"tuning", tuning}};
}

// `denied`: clients of the target side may not write these tables, because the other side serves.
std::string ShowDocument(const WorkflowRecord& record, const ViewSources& from, bool denied) {
  const std::vector<StreamView> streams = ViewStreams(record, from.topology);
  Json shards = Json::object();
  for (const StreamView& stream : streams) {
    Json& shard = shards[absl::StrCat(stream.record.target_shard, "/", AliasOf(stream))];
    shard["PrimaryReplicationStatuses"].push_back(ShowStreamJson(record, stream));
    shard["TabletControls"] =
        denied ? Json::array({{{"tablet_type", 1}, {"denied_tables", record.tables}}})
               : Json(nullptr);
    shard["PrimaryIsServing"] = stream.tablet.has_value() && stream.tablet->serving;
  }
  const int64_t lag_s = LagSeconds(streams);
  Json json;
  json["Workflow"] = record.name;
  json["SourceLocation"] = {{"Keyspace", record.source_keyspace}, {"Shards", record.source_shards}};
  json["TargetLocation"] = {{"Keyspace", record.target_keyspace}, {"Shards", record.target_shards}};
  json["MaxVReplicationLag"] = lag_s;
  json["MaxVReplicationTransactionLag"] = lag_s;
  json["Frozen"] = record.phase == WorkflowPhase::kFrozen;
  json["ShardStatuses"] = shards;
  json["SourceTimeZone"] = record.options.stream.source_time_zone;
  json["TargetTimeZone"] = record.options.stream.target_time_zone;
  json["Options"] = OptionsJson(record.options);
  json["Phase"] = WorkflowPhaseName(record.phase);
  json["TrafficState"] = from.rules.TrafficState(record);
  json["Throttled"] = record.throttled;
  json["Message"] = record.message;
  return Dump(json);
}

double Percentage(uint64_t part, uint64_t whole, const std::string& phase) {
  if (phase == "COMPLETE") {
    return 100;
  }
  if (whole == 0) {
    return 0;
  }
  const double percent = 100.0 * static_cast<double>(part) / static_cast<double>(whole);
  return std::round(percent * 100) / 100;
}

std::string InfoOf(const StreamView& stream) {
  if (!stream.message.empty()) {
    return stream.message;
  }
  if (!stream.info.has_value()) {
    return "no agent reports this stream";
  }
  if (!stream.info->component_throttled.empty()) {
    return absl::StrCat(stream.info->component_throttled,
                        " is throttled: ", stream.info->reason_throttled);
  }
  if (stream.info->state == topology::StreamState::kRunning && stream.lag_ms >= 0) {
    return absl::StrCat("VStream Lag: ", stream.lag_ms / 1000, "s.");
  }
  return "";
}

absl::StatusOr<WorkflowRecord> FindRecord(const ViewSources& from, const WorkflowQuery& query) {
  SLUICE_RETURN_IF_ERROR(from.topology.FindKeyspace(query.keyspace).status());
  SLUICE_ASSIGN_OR_RETURN(WorkflowRecord record,
                          store::GetWorkflow(from.store, query.keyspace, query.name));
  SLUICE_RETURN_IF_ERROR(KeepStreamsOf(query.shards, record));
  return record;
}

}  // namespace

std::string StatusDocument(const WorkflowRecord& record, const topology::Topology& topology,
                           const rules::RuleService& rules, const std::string& under_way) {
  const std::vector<StreamView> streams = ViewStreams(record, topology);
  Json json;
  json["workflow"] = WorkflowKey(record);
  json["phase"] = WorkflowPhaseName(record.phase);
  json["message"] = record.message;
  json["traffic_state"] = rules.TrafficState(record);
  if (!under_way.empty()) {
    json["under_way"] = under_way;
  }
  Json tables = Json::object();
  // A reverse workflow copies nothing.
  if (record.reverse_of.empty()) {
    for (const std::string& table : record.tables) {
      const TableProgress progress = ProgressOf(table, streams);
      tables[table] = {{"rows_copied", progress.rows_copied},
                       {"rows_total", progress.rows_total},
                       {"rows_percentage",
                        Percentage(progress.rows_copied, progress.rows_total, progress.phase)},
                       {"bytes_copied", progress.bytes_copied},
                       {"bytes_total", progress.bytes_total},
                       {"bytes_percentage",
                        Percentage(progress.bytes_copied, progress.bytes_total, progress.phase)},
                       {"phase", progress.phase}};
    }
  }
  json["table_copy_state"] = tables;
  Json shards = Json::object();
  for (const StreamView& stream : streams) {
    const topology::StreamInfo info = stream.info.value_or(topology::StreamInfo());
    const bool known = stream.tablet.has_value();
    shards[absl::StrCat(record.target_keyspace, "/", stream.record.target_shard)]["streams"]
        .push_back(
            {{"id", stream.record.id},
             {"tablet",
              {{"cell", known ? stream.tablet->cell : ""},
               {"uid", known ? stream.tablet->uid : 0}}},
             {"source_shard",
              absl::StrCat(record.source_keyspace, "/", stream.record.source_shard)},
             {"position", info.position.empty() ? "" : absl::StrCat("MySQL56/", info.position)},
             {"status", stream.state},
             {"info", InfoOf(stream)},
             {"lag_ms", stream.lag_ms}});
  }
  json["shard_streams"] = shards;
  return Dump(json);
}

absl::StatusOr<std::string> WorkflowStatus(const ViewSources& from, const WorkflowQuery& query,
                                           const std::string& under_way) {
  SLUICE_ASSIGN_OR_RETURN(const WorkflowRecord record, FindRecord(from, query));
  return StatusDocument(record, from.topology, from.rules, under_way);
}

absl::StatusOr<std::string> ShowWorkflow(const ViewSources& from, const WorkflowQuery& query) {
  SLUICE_ASSIGN_OR_RETURN(const WorkflowRecord record, FindRecord(from, query));
  bool switched_once = !record.reverse_of.empty();
  if (!switched_once) {
    const absl::StatusOr<WorkflowRecord> reverse =
        store::GetWorkflow(from.store, record.source_keyspace, ReverseName(record.name));
    switched_once = reverse.ok();
  }
  return ShowDocument(record, from, switched_once && record.phase != WorkflowPhase::kFrozen);
}

std::string UpdateDocument(const WorkflowRecord& record, const std::vector<std::string>& tablets) {
  Json details = Json::array();
  for (const std::string& tablet : tablets) {
    details.push_back({{"tablet", tablet}, {"changed", true}});
  }
  Json json;
  json["summary"] =
      absl::StrCat("Successfully updated the ", record.name, " workflow on (", tablets.size(),
                   ") target primary tablets in the ", record.target_keyspace, " keyspace");
  json["details"] = details;
  return Dump(json);
}

absl::StatusOr<std::string> ThrottleDocument(store::Store& store,
                                             const topology::Topology& topology) {
  SLUICE_ASSIGN_OR_RETURN(const std::vector<WorkflowRecord> records, store::ListWorkflows(store));
  const std::string reason = topology.Throttled();
  Json workflows = Json::array();
  for (const WorkflowRecord& record : records) {
    if (!record.throttled.empty()) {
      workflows.push_back({{"workflow", WorkflowKey(record)}, {"reason", record.throttled}});
    }
  }
  Json json;
  json["summary"] = reason.empty() ? "Copies are not throttled by hand as a whole"
                                   : absl::StrCat("All copies are throttled by hand: ", reason);
  json["throttled"] = !reason.empty();
  json["reason"] = reason;
  json["workflows"] = workflows;
  return Dump(json);
}

std::string DryRunDocument(const std::string& summary, const std::vector<std::string>& lines) {
  Json json;
  json["summary"] = summary;
  json["dry_run_results"] = lines;
  return Dump(json);
}

}  // namespace sluice::workflow
