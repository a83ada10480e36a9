// Reading an observation.

#include "coordinator/traffic/state_facts.h"

#include <nlohmann/json.hpp>

#include <algorithm>
#include <set>
#include <utility>

#include "absl/strings/str_cat.h"
#include "coordinator/workflow/move_rules.h"

namespace sluice::traffic {
namespace {

using topology::StreamInfo;
using topology::StreamState;
using workflow::GateState;
using workflow::WorkflowRecord;

// A commit record as JournalRecord() writes it.
std::optional<JournaledCommit> ParseCommit(const workflow::JournalEntry& entry) {
  const nlohmann::json json = nlohmann::json::parse(entry.record, nullptr, false);
  const auto is = [&](const char* key, nlohmann::json::value_t type) {
    return json.contains(key) && json[key].type() == type;
  };
  using Type = nlohmann::json::value_t;
  if (!json.is_object() || !is("direction", Type::string) || !is("to", Type::array) ||
      !is("positions", Type::array) || !is("epoch", Type::number_unsigned)) {
    return std::nullopt;
  }
  JournaledCommit commit;
  commit.cutover = entry.cutover_id;
  commit.record = entry.record;
  commit.reversal = json["direction"] == "reverse";
  commit.epoch = json["epoch"].get<uint64_t>();
  for (const nlohmann::json& side : json["to"]) {
    if (!side.is_object()) {
      return std::nullopt;
    }
    const auto text = [&](const char* key) {
      return side.contains(key) && side[key].is_string() ? side[key].get<std::string>() : "";
    };
    commit.to.push_back(
        {.keyspace = text("keyspace"), .shard = text("shard"), .database = text("database")});
  }
  for (const nlohmann::json& position : json["positions"]) {
    commit.positions.push_back(position.is_string() ? position.get<std::string>() : "");
  }
  return commit;
}

const WorkflowRecord* LivingRecord(const Observation& seen) {
  if (!seen.records.original.writes_switched) {
    return &seen.records.original;
  }
  return seen.records.reverse ? &*seen.records.reverse : nullptr;
}

const WorkflowRecord* FrozenRecord(const Observation& seen) {
  if (seen.records.original.writes_switched) {
    return &seen.records.original;
  }
  return seen.records.reverse ? &*seen.records.reverse : nullptr;
}

// Streams that a cutover has prepared and that no record names before its commit.
std::set<uint64_t> PreparedStreams(const Observation& seen) {
  std::set<uint64_t> ids;
  if (const cutover::StoredCutover* stored = StoredCutoverOf(seen); stored != nullptr) {
    for (const cutover::StreamPair& pair : stored->state.plan.streams) {
      ids.insert(pair.reverse_id);
    }
  }
  return ids;
}

bool IsInto(const workflow::StreamRecord& stream, const cutover::Side& side) {
  return stream.target_shard == side.shard && stream.target_database == side.database;
}

bool Names(const WorkflowRecord* record, uint64_t id) {
  return record != nullptr &&
         std::any_of(record->streams.begin(), record->streams.end(),
                     [id](const workflow::StreamRecord& stream) { return stream.id == id; });
}

// `committed`: the living streams are those of a commit, which have no copy and are told where to
// begin.
StreamFault LivingFault(const StreamInfo& info, bool committed) {
  if (info.frozen) {
    return StreamFault::kFrozen;
  }
  if (info.state == StreamState::kError) {
    return StreamFault::kFailed;
  }
  return committed && info.position.empty() ? StreamFault::kAwaitsPosition : StreamFault::kNone;
}

void ReadLiving(const Observation& seen, bool committed, std::vector<StreamReading>& streams) {
  const WorkflowRecord* living = LivingRecord(seen);
  for (size_t i = 0; i < seen.other().size(); ++i) {
    const SideReading& reading = seen.other()[i];
    if (living == nullptr || !reading.reached.ok()) {
      continue;
    }
    for (const workflow::StreamRecord& record : living->streams) {
      if (!IsInto(record, reading.side)) {
        continue;
      }
      const auto info = std::find_if(reading.streams.begin(), reading.streams.end(),
                                     [&](const StreamInfo& each) { return each.id == record.id; });
      const bool there = info != reading.streams.end();
      streams.push_back({.serving = false,
                         .side = i,
                         .id = record.id,
                         .info = there ? &*info : nullptr,
                         .fault = there ? LivingFault(*info, committed) : StreamFault::kMissing});
    }
  }
}

void ReadOthers(const Observation& seen, bool serving, std::vector<StreamReading>& streams) {
  const std::set<uint64_t> prepared = PreparedStreams(seen);
  const std::vector<SideReading>& side = serving ? seen.serving() : seen.other();
  for (size_t i = 0; i < side.size(); ++i) {
    for (const StreamInfo& info : side[i].streams) {
      if (!side[i].reached.ok() || (!serving && Names(LivingRecord(seen), info.id))) {
        continue;
      }
      StreamFault fault = StreamFault::kLeftOver;
      if (prepared.contains(info.id)) {
        fault = StreamFault::kNone;
      } else if (serving && Names(FrozenRecord(seen), info.id)) {
        fault = info.frozen ? StreamFault::kNone : StreamFault::kNotFrozen;
      }
      streams.push_back(
          {.serving = serving, .side = i, .id = info.id, .info = &info, .fault = fault});
    }
  }
}

// A workflow of the same name that has ended: the databases keep its commits.
bool IsOfEarlierWorkflow(const Observation& seen, const workflow::JournalEntry& entry) {
  const int64_t created_us = seen.records.original.created_at_ms * 1000;
  const auto known =
      std::find_if(seen.attempts.begin(), seen.attempts.end(),
                   [&](const store::CutoverAttempt& each) { return each.id == entry.cutover_id; });
  // Where the store has forgotten the attempt, the server's clock has to do.
  return (known != seen.attempts.end() ? known->started_us : entry.written_us) < created_us;
}

std::set<std::string> RuleTexts(const store::RuleState& rules) {
  std::set<std::string> texts;
  for (const routing::TableRule& rule : rules.table_rules) {
    texts.insert(absl::StrCat(rule.from_table, " -> ", rule.to_table));
  }
  for (const routing::ShardRule& rule : rules.shard_rules) {
    texts.insert(routing::ShardRuleText(rule));
  }
  return texts;
}

bool HoldsTables(const Observation& seen, const store::Hold& hold) {
  const WorkflowRecord& original = seen.records.original;
  return std::any_of(hold.tables.begin(), hold.tables.end(), [&](const std::string& name) {
    return std::any_of(original.tables.begin(), original.tables.end(),
                       [&](const std::string& table) {
                         return name == absl::StrCat(original.source_keyspace, ".", table);
                       });
  });
}

// Another workflow may move other shards of the same tables.
bool HoldsShards(const Observation& seen, const store::Hold& hold) {
  return hold.shards.empty() ||
         std::any_of(seen.source.begin(), seen.source.end(), [&](const SideReading& reading) {
           const std::string name = absl::StrCat(reading.side.keyspace, "/", reading.side.shard);
           return std::find(hold.shards.begin(), hold.shards.end(), name) != hold.shards.end();
         });
}

}  // namespace

const cutover::StoredCutover* StoredCutoverOf(const Observation& seen) {
  return seen.operation ? std::get_if<cutover::StoredCutover>(&*seen.operation) : nullptr;
}

GateState WantedGate(const cutover::Records& records, bool serving) {
  const WorkflowRecord& original = records.original;
  if (serving) {
    return GateState::kOpen;
  }
  // Reads of whole shards move with the writes.
  const bool reads_there = !workflow::IsPartial(original) &&
                           !(workflow::AllReplicaReadsAre(original.writes_switched, {}, original) &&
                             workflow::AllRdonlyReadsAre(original.writes_switched, {}, original));
  return reads_there ? GateState::kReadable : GateState::kClosed;
}

bool GateFits(const workflow::GateReading& gate, GateState wanted) {
  return gate.state == wanted ||
         (gate.server && gate.state == GateState::kReadable && wanted == GateState::kClosed);
}

std::optional<JournaledCommit> LastCommit(const Observation& seen) {
  std::optional<JournaledCommit> last;
  for (const std::vector<SideReading>* side : {&seen.source, &seen.target}) {
    for (const SideReading& reading : *side) {
      for (const workflow::JournalEntry& entry : reading.journal) {
        if (IsOfEarlierWorkflow(seen, entry)) {
          continue;
        }
        std::optional<JournaledCommit> commit = ParseCommit(entry);
        // Clocks of servers differ; epochs are the coordinator's and only grow.
        if (commit && (!last || commit->epoch > last->epoch)) {
          last = std::move(commit);
        }
      }
    }
  }
  return last;
}

bool StoreIsBehind(const Observation& seen, const std::optional<JournaledCommit>& last) {
  return last.has_value() && last->reversal == seen.records.original.writes_switched;
}

std::vector<StreamReading> ReadStreams(const Observation& seen,
                                       const std::optional<JournaledCommit>& last) {
  std::vector<StreamReading> streams;
  ReadLiving(seen, last.has_value() && !StoreIsBehind(seen, last), streams);
  ReadOthers(seen, false, streams);
  ReadOthers(seen, true, streams);
  return streams;
}

std::vector<std::string> RuleFaults(const Observation& seen) {
  store::RuleState wanted = seen.rules;
  workflow::RouteMove(seen.records.original, wanted);
  const std::set<std::string> want = RuleTexts(wanted);
  const std::set<std::string> have = RuleTexts(seen.rules);
  std::vector<std::string> faults;
  for (const std::string& rule : want) {
    if (!have.contains(rule)) {
      faults.push_back(absl::StrCat(rule, " is missing"));
    }
  }
  for (const std::string& rule : have) {
    if (!want.contains(rule)) {
      faults.push_back(absl::StrCat(rule, " should not be"));
    }
  }
  return faults;
}

std::vector<std::string> HoldsLeftOver(const Observation& seen) {
  const cutover::StoredCutover* stored = StoredCutoverOf(seen);
  std::vector<std::string> ids;
  for (const store::Hold& hold : seen.rules.holds) {
    const bool wanted = stored != nullptr && stored->state.plan.id == hold.cutover_id;
    if (!wanted && HoldsTables(seen, hold) && HoldsShards(seen, hold)) {
      ids.push_back(hold.cutover_id);
    }
  }
  return ids;
}

}  // namespace sluice::traffic
