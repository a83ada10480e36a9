// From records and flags to plans.

#include "coordinator/traffic/plans.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"

namespace sluice::traffic {
namespace {

using cutover::Records;
using cutover::Side;
using routing::TabletType;
using workflow::WorkflowRecord;

// With the gate's wait for locks this is what the clients of other tables' transactions may cost
// all others: a transaction that is still open then meets the gate, which gives up and tries again
// later.
constexpr uint32_t kHoldMsMax = 500;

absl::Status NotSwitched(absl::string_view which, absl::string_view flag,
                         const std::vector<std::string>& cells = {}) {
  return absl::FailedPreconditionError(
      absl::StrCat("requesting reversal of ", which, " but ", flag, " have not been switched",
                   cells.empty() ? "" : " in cells: ", absl::StrJoin(cells, ",")));
}

uint32_t IndexOf(std::vector<Side>& sides, const Side& side) {
  const auto found = std::find(sides.begin(), sides.end(), side);
  if (found != sides.end()) {
    return static_cast<uint32_t>(found - sides.begin());
  }
  sides.push_back(side);
  return static_cast<uint32_t>(sides.size() - 1);
}

cutover::Plan Base(const Records& records, bool reversal, const PlanNumbers& numbers) {
  const WorkflowRecord& original = records.original;
  const std::string original_key = workflow::WorkflowKey(original);
  const std::string reverse_key =
      workflow::WorkflowKey(original.source_keyspace, workflow::ReverseName(original.name));
  Direction direction = DirectionOf(records, reversal);
  cutover::Plan plan;
  plan.id = numbers.id;
  plan.workflow = original_key;
  plan.forward = reversal ? reverse_key : original_key;
  plan.backward = reversal ? original_key : reverse_key;
  plan.reversal = reversal;
  plan.tables = original.tables;
  plan.sources = std::move(direction.from);
  plan.targets = std::move(direction.to);
  plan.source_types = original.options.source_types;
  plan.reverse_options =
      reversal ? original.options.stream : stream::ReverseOptions(original.options.stream);
  plan.epoch = numbers.epoch;
  plan.timeout_ms = numbers.timeout_ms;
  plan.hold_ms = std::min(numbers.timeout_ms / 3, kHoldMsMax);
  plan.start_reverse = numbers.start_reverse;
  plan.max_lag_ms = numbers.max_lag_ms;
  plan.await_release = numbers.await_release;
  plan.raise_counters = numbers.raise_counters;
  plan.kill_blockers_after_ms = numbers.kill_blockers_after_ms;
  plan.kill_rows_max = numbers.kill_rows_max;
  plan.gates = numbers.gates;
  if (numbers.parallelism != 0) {
    plan.parallelism = numbers.parallelism;
  }
  return plan;
}

}  // namespace

TrafficTypes MovedTo(const Records& records, bool reversal, const std::vector<std::string>& cells) {
  const WorkflowRecord& original = records.original;
  return {.replica = workflow::AllReplicaReadsAre(!reversal, cells, original),
          .rdonly = workflow::AllRdonlyReadsAre(!reversal, cells, original),
          .writes = original.writes_switched != reversal};
}

TrafficTypes SomeMovedTo(const Records& records, bool reversal) {
  const TrafficTypes elsewhere = MovedTo(records, !reversal);
  return {.replica = !elsewhere.replica, .rdonly = !elsewhere.rdonly, .writes = !elsewhere.writes};
}

absl::Status CheckCells(const std::vector<std::string>& cells, const std::vector<TabletType>& asked,
                        const Records& records, const std::set<std::string>& known) {
  if (cells.empty()) {
    return absl::OkStatus();
  }
  const WorkflowRecord& original = records.original;
  if (workflow::IsPartial(original)) {
    return absl::FailedPreconditionError(absl::StrCat(
        "workflow ", workflow::WorkflowKey(original), " moves whole shards (",
        absl::StrJoin(original.source_shards, ", "),
        "): a shard is routed with its reads and writes at once, in all cells; leave out --cells"));
  }
  if (!asked.empty() && std::all_of(asked.begin(), asked.end(),
                                    [](TabletType type) { return type == TabletType::kPrimary; })) {
    return absl::InvalidArgumentError(
        "--cells is for reads, and the only tablet type named is PRIMARY: writes move in all cells "
        "at once; name REPLICA or RDONLY, or leave out --cells");
  }
  std::set<std::string> all = known;
  all.insert(original.replica_exceptions.begin(), original.replica_exceptions.end());
  all.insert(original.rdonly_exceptions.begin(), original.rdonly_exceptions.end());
  for (const std::string& cell : cells) {
    if (!all.contains(cell)) {
      return absl::NotFoundError(absl::StrCat("no tablet or proxy is in cell '", cell,
                                              "'; the cells are ", absl::StrJoin(all, ", ")));
    }
  }
  return absl::OkStatus();
}

absl::StatusOr<TrafficTypes> ChooseTypes(const std::vector<TabletType>& asked,
                                         const Records& records, bool reversal, bool has_rdonly,
                                         const std::vector<std::string>& cells) {
  const TrafficTypes there = MovedTo(records, reversal, cells);
  TrafficTypes wanted = {
      .replica = asked.empty(), .rdonly = asked.empty(), .writes = asked.empty()};
  for (const TabletType type : asked) {
    switch (type) {
      case TabletType::kReplica:
        if (reversal && there.replica) {
          return NotSwitched("read traffic for REPLICAs", "REPLICA reads", cells);
        }
        wanted.replica = true;
        break;
      case TabletType::kRdonly:
        if (reversal && there.rdonly) {
          return NotSwitched("read traffic for RDONLYs", "RDONLY reads", cells);
        }
        wanted.rdonly = true;
        break;
      case TabletType::kPrimary:
        if (reversal && there.writes) {
          return NotSwitched("write traffic", "writes");
        }
        wanted.writes = true;
        break;
      case TabletType::kUnknown:
        return absl::InvalidArgumentError(
            "unknown tablet type; PRIMARY, REPLICA and RDONLY can be switched");
    }
  }
  if (wanted.replica && !has_rdonly) {
    wanted.rdonly = true;
  }
  if (workflow::IsPartial(records.original) &&
      !(wanted.replica && wanted.rdonly && wanted.writes)) {
    return absl::FailedPreconditionError(absl::StrCat(
        "workflow ", workflow::WorkflowKey(records.original), " moves whole shards (",
        absl::StrJoin(records.original.source_shards, ", "),
        "): a shard is routed with its reads and writes at once; name the tablet types "
        "RDONLY,REPLICA,PRIMARY together, or none"));
  }
  return TrafficTypes{.replica = wanted.replica && !there.replica,
                      .rdonly = wanted.rdonly && !there.rdonly,
                      .writes = wanted.writes && !there.writes};
}

std::string TypesText(const TrafficTypes& types) {
  std::vector<std::string> names;
  if (types.writes) {
    names.emplace_back("PRIMARY");
  }
  if (types.replica) {
    names.emplace_back("REPLICA");
  }
  if (types.rdonly) {
    names.emplace_back("RDONLY");
  }
  return absl::StrJoin(names, ",");
}

Direction DirectionOf(const Records& records, bool reversal) {
  const WorkflowRecord& original = records.original;
  Direction direction;
  direction.reversal = reversal;
  direction.from_keyspace = original.source_keyspace;
  direction.to_keyspace = original.target_keyspace;
  for (const workflow::StreamRecord& stream : original.streams) {
    IndexOf(direction.from, {.keyspace = original.source_keyspace,
                             .shard = stream.source_shard,
                             .database = stream.source_database});
    IndexOf(direction.to, {.keyspace = original.target_keyspace,
                           .shard = stream.target_shard,
                           .database = stream.target_database});
  }
  if (reversal) {
    std::swap(direction.from_keyspace, direction.to_keyspace);
    std::swap(direction.from, direction.to);
  }
  return direction;
}

const WorkflowRecord* FeedingRecord(const Records& records, bool reversal) {
  if (!reversal) {
    return &records.original;
  }
  return records.reverse ? &*records.reverse : nullptr;
}

cutover::Plan ReadsPlan(const Records& records, bool reversal, const TrafficTypes& types,
                        const PlanNumbers& numbers) {
  Records after = records;
  if (types.replica) {
    workflow::MoveReplicaReads(!reversal, numbers.cells, after.original);
  }
  if (types.rdonly) {
    workflow::MoveRdonlyReads(!reversal, numbers.cells, after.original);
  }
  const TrafficTypes there = MovedTo(after, reversal);
  cutover::Plan plan = Base(records, reversal, numbers);
  plan.kind = cutover::Kind::kReads;
  plan.move_replica = types.replica;
  plan.move_rdonly = types.rdonly;
  plan.cells = numbers.cells;
  plan.make_readable = !there.writes;
  // Undone, no cell may lose what it reads there already.
  plan.restore_closed = plan.make_readable && !SomeMovedTo(records, reversal).reads();
  // Not before the last cell has left.
  plan.close_behind = there.writes && there.replica && there.rdonly;
  return plan;
}

absl::StatusOr<cutover::Plan> WritesPlan(const Records& records, bool reversal,
                                         const PlanNumbers& numbers) {
  const WorkflowRecord* feeding = FeedingRecord(records, reversal);
  cutover::Plan plan = Base(records, reversal, numbers);
  if (feeding == nullptr || feeding->streams.size() != numbers.reverse_ids.size()) {
    return absl::FailedPreconditionError(
        absl::StrCat("workflow ", plan.forward, " does not exist; there is nothing to switch by"));
  }
  const TrafficTypes there = MovedTo(records, reversal);
  plan.kind = cutover::Kind::kWrites;
  // Reads of a partial workflow leave with its writes.
  plan.source_readable = !workflow::IsPartial(records.original) && !(there.replica && there.rdonly);
  const Direction direction = DirectionOf(records, reversal);
  for (size_t i = 0; i < feeding->streams.size(); ++i) {
    const workflow::StreamRecord& stream = feeding->streams[i];
    plan.streams.push_back({.source = IndexOf(plan.sources, {.keyspace = direction.from_keyspace,
                                                             .shard = stream.source_shard,
                                                             .database = stream.source_database}),
                            .target = IndexOf(plan.targets, {.keyspace = direction.to_keyspace,
                                                             .shard = stream.target_shard,
                                                             .database = stream.target_database}),
                            .forward_id = stream.id,
                            .reverse_id = numbers.reverse_ids[i]});
  }
  const WorkflowRecord* replaced = FeedingRecord(records, !reversal);
  if (replaced != nullptr) {
    for (const workflow::StreamRecord& stream : replaced->streams) {
      plan.stale.push_back({.source = IndexOf(plan.sources, {.keyspace = direction.from_keyspace,
                                                             .shard = stream.target_shard,
                                                             .database = stream.target_database}),
                            .id = stream.id});
    }
  }
  return plan;
}

}  // namespace sluice::traffic
