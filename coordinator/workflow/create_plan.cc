// CreatePlan: the checks of a MoveTables create.

#include "coordinator/workflow/create_plan.h"

#include <algorithm>
#include <map>
#include <set>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "common/base/status.h"
#include "common/base/status_macros.h"
#include "coordinator/workflow/create_checks.h"

namespace sluice::workflow {
namespace {

constexpr absl::Duration kDescribeMax = absl::Seconds(60);
constexpr char kTargetTimeZone[] = "UTC";

CallBudget DescribeBudget(absl::Time deadline) {
  CallBudget budget;
  budget.timeout = std::clamp(deadline - absl::Now(), absl::Milliseconds(1), kDescribeMax);
  return budget;
}

// The keyspaces, their shards, and nothing of the tables.
absl::Status PlanPlaces(const Services& services, const CreateArgs& args, WorkflowRecord& record) {
  SLUICE_RETURN_IF_ERROR(ValidateWorkflowName(args.name));
  if (args.source_keyspace.empty()) {
    return absl::InvalidArgumentError("the source keyspace is missing (--source-keyspace)");
  }
  const absl::StatusOr<store::KeyspaceRecord> source =
      services.topology.FindKeyspace(args.source_keyspace);
  SLUICE_RETURN_IF_ERROR(Annotate(source.status(), "source"));
  const absl::StatusOr<store::KeyspaceRecord> target =
      services.topology.FindKeyspace(args.keyspace);
  SLUICE_RETURN_IF_ERROR(Annotate(target.status(), "target"));
  if (args.source_keyspace == args.keyspace) {
    return absl::InvalidArgumentError(
        absl::StrCat("source and target keyspace are the same: ", args.keyspace));
  }
  if (source->shards != target->shards) {
    return absl::FailedPreconditionError(absl::StrCat(
        "the shards of keyspace ", source->name, " (", absl::StrJoin(source->shards, ", "),
        ") and keyspace ", target->name, " (", absl::StrJoin(target->shards, ", "),
        ") differ; a move is possible only between equal shards"));
  }
  record.keyspace = args.keyspace;
  record.name = args.name;
  record.source_keyspace = args.source_keyspace;
  record.target_keyspace = args.keyspace;
  SLUICE_ASSIGN_OR_RETURN(record.source_shards, SelectShards(*source, args.source_shards));
  record.target_shards = record.source_shards;
  if (!args.source_shards.empty()) {
    record.sub_type = kPartial;
  }
  return absl::OkStatus();
}

absl::Status PlanStreams(const Services& services, WorkflowRecord& record) {
  for (const std::string& shard : record.source_shards) {
    SLUICE_ASSIGN_OR_RETURN(const topology::TabletInfo source,
                            services.topology.PrimaryOf(record.source_keyspace, shard));
    SLUICE_ASSIGN_OR_RETURN(const topology::TabletInfo target,
                            services.topology.PrimaryOf(record.target_keyspace, shard));
    SLUICE_RETURN_IF_ERROR(services.topology
                               .PickSource({.keyspace = record.source_keyspace,
                                            .shard = shard,
                                            .types = record.options.source_types,
                                            .cells = record.options.stream.cells,
                                            .near_cell = target.cell})
                               .status());
    StreamRecord stream;
    stream.source_shard = shard;
    stream.target_shard = shard;
    stream.source_database = source.database;
    stream.target_database = target.database;
    record.streams.push_back(std::move(stream));
  }
  return absl::OkStatus();
}

// Those of the descriptions that are in the record, in its order; empty ones of missing tables.
std::vector<TableDescription> OfRecord(const WorkflowRecord& record,
                                       std::vector<TableDescription> existing) {
  std::map<std::string, TableDescription*> found;
  for (TableDescription& table : existing) {
    found.emplace(table.name, &table);
  }
  std::vector<TableDescription> tables;
  for (const std::string& name : record.tables) {
    TableDescription& table = tables.emplace_back();
    table.name = name;
    if (const auto known = found.find(name); known != found.end()) {
      table = std::move(*known->second);
    }
  }
  return tables;
}

absl::StatusOr<std::vector<TableDescription>> DescribeSource(const Services& services,
                                                             const WorkflowRecord& record,
                                                             const StreamRecord& stream,
                                                             absl::Time deadline) {
  return services.agents.DescribeTables(
      AgentRef::Primary(record.source_keyspace, stream.source_shard), stream.source_database,
      record.tables, DescribeBudget(deadline));
}

// As DescribeSource, of a shard that a new workflow moves.
absl::StatusOr<std::vector<TableDescription>> DescribeNewSource(const Services& services,
                                                                const WorkflowRecord& record,
                                                                const StreamRecord& stream,
                                                                absl::Time deadline) {
  if (!IsPartial(record)) {
    return DescribeSource(services, record, stream, deadline);
  }
  SLUICE_ASSIGN_OR_RETURN(
      std::vector<TableDescription> existing,
      services.agents.DescribeTables(AgentRef::Primary(record.source_keyspace, stream.source_shard),
                                     stream.source_database, {}, DescribeBudget(deadline)));
  SLUICE_RETURN_IF_ERROR(CheckWholeShard(record, stream.source_shard, existing));
  return OfRecord(record, std::move(existing));
}

// The base tables that the primaries of the target keyspace report, by shard.
std::map<std::string, std::set<std::string>> TargetTables(const topology::Topology& topology,
                                                          const WorkflowRecord& record) {
  const std::map<std::string, topology::Topology::TableNames> reported = topology.TablesByTablet();
  std::map<std::string, std::set<std::string>> tables;
  for (const topology::TabletInfo& tablet : topology.Tablets()) {
    const auto names = reported.find(tablet.alias);
    if (tablet.keyspace == record.target_keyspace && names != reported.end() &&
        tablet.type == routing::TabletType::kPrimary) {
      tables[tablet.shard].insert(names->second->begin(), names->second->end());
    }
  }
  return tables;
}

// Which tables, by the first shard, of which it returns the descriptions; the other shards are held
// to the same names.
absl::StatusOr<std::vector<TableDescription>> PlanSelection(const Services& services,
                                                            const CreateArgs& args,
                                                            absl::Time deadline,
                                                            WorkflowRecord& record) {
  TableSelection selection;
  selection.source_keyspace = args.source_keyspace;
  selection.tables = args.tables;
  selection.all_tables = args.all_tables;
  selection.exclude_tables = args.exclude_tables;
  std::vector<std::string> asked;
  if (!args.all_tables && !IsPartial(record)) {
    asked = args.tables;
    for (const std::string& name : args.exclude_tables) {
      // An agent describes a table once.
      if (std::find(asked.begin(), asked.end(), name) == asked.end()) {
        asked.push_back(name);
      }
    }
  }
  const StreamRecord& first = record.streams.front();
  SLUICE_ASSIGN_OR_RETURN(
      std::vector<TableDescription> existing,
      services.agents.DescribeTables(AgentRef::Primary(record.source_keyspace, first.source_shard),
                                     first.source_database, asked, DescribeBudget(deadline)));
  SLUICE_ASSIGN_OR_RETURN(record.tables, SelectTables(selection, existing));
  if (IsPartial(record)) {
    SLUICE_RETURN_IF_ERROR(CheckWholeShard(record, first.source_shard, existing));
  }
  return OfRecord(record, std::move(existing));
}

absl::Status CheckTargets(const Services& services, const CreatePlan& plan, absl::Time deadline) {
  const WorkflowRecord& record = plan.record;
  for (size_t i = 0; i < record.streams.size(); ++i) {
    const StreamRecord& stream = record.streams[i];
    SLUICE_ASSIGN_OR_RETURN(const std::vector<TableDescription> tables,
                            services.agents.DescribeTables(
                                AgentRef::Primary(record.target_keyspace, stream.target_shard),
                                stream.target_database, record.tables, DescribeBudget(deadline)));
    SLUICE_RETURN_IF_ERROR(CheckTargetTables(record.target_keyspace, tables));
    SLUICE_RETURN_IF_ERROR(CheckCascadesOfTarget(record.target_keyspace, plan.tables[i], tables));
  }
  return absl::OkStatus();
}

// Both sides convert: the target what comes, the source what comes back.
absl::Status CheckTimeZones(const Services& services, const WorkflowRecord& record,
                            absl::Time deadline) {
  const std::string& zone = record.options.stream.source_time_zone;
  if (zone.empty()) {
    return absl::OkStatus();
  }
  for (const StreamRecord& stream : record.streams) {
    SLUICE_RETURN_IF_ERROR(services.agents.CheckTimeZone(
        AgentRef::Primary(record.source_keyspace, stream.source_shard), stream.source_database,
        record.tables, zone, DescribeBudget(deadline)));
    SLUICE_RETURN_IF_ERROR(services.agents.CheckTimeZone(
        AgentRef::Primary(record.target_keyspace, stream.target_shard), stream.target_database,
        record.tables, zone, DescribeBudget(deadline)));
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<TablesByStream> DescribeSources(const Services& services,
                                               const WorkflowRecord& record, absl::Time deadline) {
  TablesByStream result;
  for (const StreamRecord& stream : record.streams) {
    SLUICE_ASSIGN_OR_RETURN(std::vector<TableDescription> tables,
                            DescribeSource(services, record, stream, deadline));
    SLUICE_RETURN_IF_ERROR(
        CheckSourceTables(record.source_keyspace, tables, record.options.stream));
    result.push_back(std::move(tables));
  }
  return result;
}

absl::StatusOr<CreatePlan> PlanCreate(const Services& services, const CreateArgs& args,
                                      absl::Time deadline) {
  CreatePlan plan;
  WorkflowRecord& record = plan.record;
  SLUICE_RETURN_IF_ERROR(CheckStreamOptions(args.stream));
  SLUICE_RETURN_IF_ERROR(PlanPlaces(services, args, record));
  record.options.source_types = args.source_types;
  if (record.options.source_types.empty()) {
    record.options.source_types = {routing::TabletType::kReplica, routing::TabletType::kPrimary};
  }
  record.options.auto_start = args.auto_start;
  record.options.stop_after_copy = args.stop_after_copy;
  record.options.stream = args.stream;
  record.options.stream.target_time_zone = args.stream.ConvertsTimes() ? kTargetTimeZone : "";
  record.created_at_ms = absl::ToUnixMillis(absl::Now());
  SLUICE_ASSIGN_OR_RETURN(const std::vector<WorkflowRecord> others,
                          store::ListWorkflows(services.store));
  const store::RuleState rules = services.rules.Rules();
  // Of the tables nothing is known yet, but where shards go decides what there is to look at.
  SLUICE_RETURN_IF_ERROR(CheckOtherWorkflows(record, others));
  SLUICE_RETURN_IF_ERROR(CheckExistingRules(record, rules));
  SLUICE_RETURN_IF_ERROR(
      CheckSelection({args.source_keyspace, args.tables, args.all_tables, args.exclude_tables}));
  SLUICE_RETURN_IF_ERROR(PlanStreams(services, record));
  SLUICE_ASSIGN_OR_RETURN(std::vector<TableDescription> first,
                          PlanSelection(services, args, deadline, record));
  SLUICE_RETURN_IF_ERROR(CheckOtherWorkflows(record, others));
  SLUICE_RETURN_IF_ERROR(CheckExistingRules(record, rules));
  if (IsPartial(record)) {
    SLUICE_RETURN_IF_ERROR(
        CheckTargetIsFree(record, TargetTables(services.topology, record), rules.shard_rules));
  }
  SLUICE_RETURN_IF_ERROR(CheckSourceTables(record.source_keyspace, first, args.stream));
  plan.tables.push_back(std::move(first));
  for (size_t i = 1; i < record.streams.size(); ++i) {
    SLUICE_ASSIGN_OR_RETURN(plan.tables.emplace_back(),
                            DescribeNewSource(services, record, record.streams[i], deadline));
    SLUICE_RETURN_IF_ERROR(
        CheckSourceTables(record.source_keyspace, plan.tables.back(), args.stream));
  }
  SLUICE_RETURN_IF_ERROR(CheckTargets(services, plan, deadline));
  SLUICE_RETURN_IF_ERROR(CheckTimeZones(services, record, deadline));
  return plan;
}

std::vector<std::string> DescribePlan(const CreatePlan& plan) {
  const WorkflowRecord& record = plan.record;
  const std::string tables = absl::StrCat("[", absl::StrJoin(record.tables, ","), "]");
  std::vector<std::string> lines;
  for (const StreamRecord& stream : record.streams) {
    lines.push_back(absl::StrCat("Create tables ", tables, " behind a closed gate in ",
                                 record.target_keyspace, "/", stream.target_shard, " (",
                                 stream.target_database, ")"));
  }
  for (const StreamRecord& stream : record.streams) {
    lines.push_back(absl::StrCat("Create a stream from ", record.source_keyspace, "/",
                                 stream.source_shard, " to ", record.target_keyspace, "/",
                                 stream.target_shard));
  }
  lines.push_back(absl::StrCat("Create routing rules for tables ", tables, " to keyspace ",
                               record.source_keyspace));
  if (IsPartial(record)) {
    lines.push_back(absl::StrCat("Create shard routing rules: until they are switched, shards of ",
                                 "keyspaces ", record.source_keyspace, " and ",
                                 record.target_keyspace, " go to keyspace ",
                                 record.source_keyspace));
  }
  if (record.options.auto_start) {
    lines.emplace_back("Start the streams");
  }
  for (const std::string& note : NoteWhatStays(record.source_keyspace, plan.tables.front())) {
    lines.push_back(note);
  }
  return lines;
}

}  // namespace sluice::workflow
