// JSON and dry-run texts.

#include "coordinator/traffic/replies.h"

#include <nlohmann/json.hpp>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "coordinator/cutover/machine.h"

namespace sluice::traffic {
namespace {

using Json = nlohmann::ordered_json;

Json CutoverJson(const store::CutoverAttempt& attempt) {
  Json steps = Json::array();
  for (const store::CutoverStep& step : attempt.steps) {
    steps.push_back({{"name", step.name},
                     {"shard", step.shard},
                     {"proxy", step.proxy},
                     {"started_us", step.started_us},
                     {"took_us", step.took_us},
                     {"detail", step.detail}});
  }
  return {{"id", attempt.id},
          {"workflow", attempt.workflow},
          {"direction", attempt.direction},
          {"result", attempt.result},
          {"started_us", attempt.started_us},
          {"finished_us", attempt.finished_us},
          {"steps", std::move(steps)}};
}

std::string Tables(const workflow::WorkflowRecord& record) {
  return absl::StrCat("[", absl::StrJoin(record.tables, ","), "]");
}

std::string Tablets(const std::vector<ShardFacts>& shards) {
  return absl::StrCat("[",
                      absl::StrJoin(shards, ",",
                                    [](std::string* out, const ShardFacts& shard) {
                                      absl::StrAppend(out, "tablet:", shard.tablet);
                                    }),
                      "]");
}

std::string Positions(const std::vector<ShardFacts>& shards) {
  return absl::StrJoin(shards, ",", [](std::string* out, const ShardFacts& shard) {
    absl::StrAppend(out, "[keyspace:", shard.side.keyspace, ";shard:", shard.side.shard,
                    ";position:", shard.position, "]");
  });
}

std::string ShardList(const workflow::WorkflowRecord& record) {
  return absl::StrCat("[", absl::StrJoin(record.source_shards, ","), "]");
}

std::string RulesLine(const workflow::WorkflowRecord& record) {
  if (workflow::IsPartial(record)) {
    return absl::StrCat("Shard routing rules for shards ", ShardList(record), " will be updated");
  }
  return absl::StrCat("Routing rules for tables ", Tables(record), " will be updated");
}

void AppendReads(const workflow::WorkflowRecord& record, const TrafficTypes& types,
                 const std::vector<std::string>& cells, const std::string& keyspace,
                 std::vector<std::string>& lines) {
  const TrafficTypes reads = {.replica = types.replica, .rdonly = types.rdonly, .writes = false};
  lines.push_back(absl::StrCat("Switch reads for tables ", Tables(record), " to keyspace ",
                               keyspace, " for tablet types [", TypesText(reads), "]",
                               cells.empty() ? "" : " in cells [", absl::StrJoin(cells, ","),
                               cells.empty() ? "" : "]"));
  lines.push_back(RulesLine(record));
}

// Nothing where nobody had a choice.
void AppendGates(const std::vector<ShardFacts>& from, std::vector<std::string>& lines) {
  std::vector<std::string> whole;
  for (const ShardFacts& shard : from) {
    if (shard.gate && shard.gate->server) {
      whole.push_back(shard.tablet);
    }
  }
  if (!whole.empty()) {
    lines.push_back(
        absl::StrCat("Close as whole mysqlds (read_only): ", absl::StrJoin(whole, ", ")));
  }
  for (const ShardFacts& shard : from) {
    if (shard.gate && !shard.gate->server && !shard.gate->reason.empty()) {
      lines.push_back(
          absl::StrCat("Close ", shard.tablet, " ", cutover::DescribeGate(*shard.gate)));
    }
  }
}

}  // namespace

std::string ToJson(const CommandReply& reply) {
  Json document = {{"summary", reply.summary},
                   {"start_state", reply.start_state},
                   {"current_state", reply.current_state},
                   {"dry_run_results", reply.dry_run_results}};
  if (!reply.measures.empty()) {
    document["measures"] = Json::array();
    for (const Measure& measure : reply.measures) {
      document["measures"].push_back({{"step", measure.step},
                                      {"place", measure.place},
                                      {"expected_us", measure.expected_us},
                                      {"basis", measure.basis},
                                      {"detail", measure.detail},
                                      {"problem", measure.problem}});
    }
    document["expected_pause_us"] = ExpectedFenceUs(reply.measures);
  }
  if (!reply.warning.empty()) {
    document["warning"] = reply.warning;
  }
  if (!reply.cutovers.empty()) {
    document["cutover"] = CutoverJson(reply.cutovers.back());
    document["cutovers"] = Json::array();
    for (const store::CutoverAttempt& attempt : reply.cutovers) {
      document["cutovers"].push_back(CutoverJson(attempt));
    }
  }
  if (!reply.details.empty()) {
    document["details"] = Json::array();
    for (const TabletDetail& detail : reply.details) {
      document["details"].push_back({{"tablet", detail.tablet}, {"deleted", detail.deleted}});
    }
  }
  // Names come from outside; bytes that are not UTF-8 must not end the process.
  return document.dump(2, ' ', false, Json::error_handler_t::replace);
}

std::string DryRunSummary(absl::string_view command, absl::string_view workflow, absl::Time now) {
  return absl::StrCat(command, " dry run results for workflow ", workflow, " at ",
                      absl::FormatTime("%d %b %y %H:%M UTC", now, absl::UTCTimeZone()));
}

std::vector<std::string> SwitchLines(const SwitchPreview& preview) {
  const workflow::WorkflowRecord& original = preview.records.original;
  const Direction& direction = preview.direction;
  std::vector<std::string> lines;
  if (preview.types.reads() && !workflow::IsPartial(original)) {
    AppendReads(original, preview.types, preview.cells, direction.to_keyspace, lines);
  }
  if (preview.types.writes) {
    const std::string back =
        direction.reversal
            ? workflow::WorkflowKey(original)
            : workflow::WorkflowKey(direction.from_keyspace, workflow::ReverseName(original.name));
    lines.push_back(absl::StrCat("Stop writes on keyspace ", direction.from_keyspace,
                                 " for tables ", Tables(original), ": ", Positions(preview.from)));
    AppendGates(preview.from, lines);
    lines.push_back(absl::StrCat("Wait for the streams to catch up for up to ",
                                 absl::FormatDuration(preview.timeout)));
    lines.push_back(absl::StrCat("Create reverse workflow ", back));
    lines.emplace_back(
        "Commit the switch in the store and in the journals of all databases involved");
    lines.push_back(absl::StrCat("Enable writes on keyspace ", direction.to_keyspace,
                                 " for tables ", Tables(original)));
    lines.push_back(absl::StrCat(
        workflow::IsPartial(original)
            ? absl::StrCat("Switch routing of reads and writes of shards ", ShardList(original))
            : std::string("Switch routing"),
        " from keyspace ", direction.from_keyspace, " to keyspace ", direction.to_keyspace));
    lines.push_back(RulesLine(original));
    lines.push_back(
        preview.start_reverse
            ? absl::StrCat("Start reverse streams on: ", Tablets(preview.from))
            : absl::StrCat("Leave reverse streams stopped on: ", Tablets(preview.from)));
    lines.push_back(absl::StrCat("Freeze streams on: ", Tablets(preview.to)));
  }
  if (lines.empty()) {
    lines.emplace_back("No changes required");
  }
  return lines;
}

std::vector<std::string> FinishLines(const FinishPreview& preview) {
  const workflow::WorkflowRecord& original = preview.records.original;
  std::vector<std::string> lines;
  if (preview.reads_back.reads()) {
    AppendReads(original, preview.reads_back, {}, original.source_keyspace, lines);
  }
  if (!preview.backward.empty()) {
    lines.push_back(absl::StrCat("Delete reverse streams on: ", Tablets(preview.backward)));
  }
  lines.push_back(absl::StrCat("Delete streams on: ", Tablets(preview.forward)));
  const absl::string_view verb = preview.keep_data       ? "Keeping"
                                 : preview.rename_tables ? "Renaming"
                                                         : "Dropping";
  for (const ShardFacts& shard : preview.dropping) {
    for (const std::string& table : original.tables) {
      lines.push_back(absl::StrCat(verb, " table [keyspace:", shard.side.keyspace,
                                   ";shard:", shard.side.shard, ";dbname:", shard.side.database,
                                   ";tablet:", shard.tablet, ";table:", table, "]"));
    }
  }
  if (preview.rules_are_shared) {
    lines.emplace_back("Routing rules stay: other shards of the keyspaces need them");
  } else if (!preview.keep_routing_rules) {
    lines.emplace_back("Routing rules for participating tables will be deleted");
    if (workflow::IsPartial(original)) {
      lines.emplace_back("Shard routing rules for participating shards will be deleted");
    }
  }
  return lines;
}

std::string LateProxies(const cutover::State& state) {
  const auto slot =
      std::find_if(state.slots.begin(), state.slots.end(), [](const cutover::Slot& each) {
        return each.effect.kind == cutover::EffectKind::kAwaitProxies &&
               each.progress == cutover::Progress::kDone && !each.message.empty();
      });
  return slot == state.slots.end()
             ? ""
             : absl::StrCat(
                   "not every proxy had the new rules when it was done, and the clients of "
                   "one that has not wait or meet errors: ",
                   slot->message);
}

}  // namespace sluice::traffic
