// Decisions of repair.

#include "coordinator/traffic/repair_plan.h"

#include <algorithm>
#include <optional>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"

namespace sluice::traffic {
namespace {

using workflow::GateState;
using workflow::GateStateName;
using workflow::WorkflowPhase;

std::string NameOf(const SideReading& reading) {
  return absl::StrCat(reading.side.keyspace, "/", reading.side.shard);
}

// Names the databases of a side that `is` is true of.
template <typename Predicate>
std::string NamesWhere(const std::vector<SideReading>& side, const Predicate& is) {
  std::vector<std::string> names;
  for (const SideReading& reading : side) {
    if (is(reading)) {
      names.push_back(NameOf(reading));
    }
  }
  return absl::StrJoin(names, ", ");
}

std::string RefusalOfPhase(const Observation& seen) {
  const workflow::WorkflowRecord& original = seen.records.original;
  const bool frozen = original.phase == WorkflowPhase::kFrozen;
  switch (original.phase) {
    case WorkflowPhase::kActive:
    case WorkflowPhase::kFrozen:
      if (frozen != original.writes_switched ||
          (original.writes_switched && !seen.records.reverse)) {
        return "the store's records of the workflow and of its reverse contradict each other, so "
               "they do not say which side serves; restore the store from a backup";
      }
      return "";
    case WorkflowPhase::kCreating:
      return "the workflow is being created; a coordinator finishes that or undoes it by itself, "
             "\"movetables cancel\" gives it up";
    case WorkflowPhase::kCompleting:
    case WorkflowPhase::kCancelling:
      return absl::StrCat("the workflow is ", workflow::WorkflowPhaseName(original.phase),
                          ", and the store does not hold what is left to do of it; restore the "
                          "store from a backup");
  }
  return "";
}

// What makes it impossible to know which rows are right.
std::string RefusalOfGates(const Observation& seen, const std::optional<JournaledCommit>& last) {
  const std::string serving = seen.serving().empty() ? "" : seen.serving()[0].side.keyspace;
  if (StoreIsBehind(seen, last)) {
    return absl::StrCat("the databases hold the commit of cutover ", last->cutover,
                        ", which the store's record does not show: the store is older than they "
                        "are. Restore its newest copy");
  }
  const auto is_open = [](const SideReading& reading) {
    return reading.reached.ok() &&
           (reading.gate.state == GateState::kOpen || reading.gate.state == GateState::kMixed);
  };
  const std::string wrong = NamesWhere(seen.other(), is_open);
  if (wrong.empty()) {
    return "";
  }
  const std::string right = NamesWhere(seen.serving(), is_open);
  return absl::StrCat(
      "the store says that keyspace ", serving, " serves, but the tables of ", wrong,
      " take writes", right.empty() ? "" : absl::StrCat(", as do those of ", right),
      ". Rows that were written there are nowhere else, and no program can tell which side is "
      "right: compare the rows of both sides, bring those that are missing to keyspace ",
      serving, ", rename the tables of ", wrong, " to _sluice_closed_<table>, and repair again");
}

struct Planner {
  const Observation& seen;
  const std::optional<JournaledCommit> last;
  RepairPlan plan;

  void Add(Repair repair) { plan.repairs.push_back(std::move(repair)); }
  void Remains(std::string text) { plan.remains.push_back(std::move(text)); }

  void Journals() {
    for (const bool serving : {true, false}) {
      const std::vector<SideReading>& side = serving ? seen.serving() : seen.other();
      for (size_t i = 0; last && i < side.size(); ++i) {
        const auto& journal = side[i].journal;
        if (side[i].reached.ok() &&
            std::none_of(journal.begin(), journal.end(),
                         [&](const auto& entry) { return entry.cutover_id == last->cutover; })) {
          Add({.kind = RepairKind::kWriteJournal,
               .text = absl::StrCat("write the commit of cutover ", last->cutover,
                                    " to the journal of ", NameOf(side[i])),
               .serving = serving,
               .side = i,
               .cutover = last->cutover,
               .record = last->record});
        }
      }
    }
  }

  // What may write into a side stops before the side is opened.
  void StopStreams(const std::vector<StreamReading>& streams) {
    for (const StreamReading& stream : streams) {
      const std::string name =
          absl::StrCat("stream ", stream.id, " into ",
                       NameOf((stream.serving ? seen.serving() : seen.other())[stream.side]));
      Repair repair = {.serving = stream.serving, .side = stream.side, .stream = stream.id};
      if (stream.fault == StreamFault::kNotFrozen) {
        repair.kind = RepairKind::kFreezeStream;
        repair.text = absl::StrCat("freeze ", name, ", which serves");
        Add(std::move(repair));
      } else if (stream.fault == StreamFault::kLeftOver) {
        if (!stream.info->frozen) {
          repair.kind = RepairKind::kFreezeStream;
          repair.text = absl::StrCat("freeze ", name, ", which no record names");
          Add(repair);
        }
        repair.kind = RepairKind::kDeleteStream;
        repair.text = absl::StrCat("delete ", name, ", which no record names");
        // One that never began has nothing to lose.
        repair.irreversible = !stream.info->position.empty() || stream.info->rows_copied > 0;
        Add(std::move(repair));
      }
    }
  }

  void Gates() {
    const std::string unknown =
        NamesWhere(seen.other(), [](const SideReading& each) { return !each.reached.ok(); });
    for (const bool serving : {false, true}) {
      const std::vector<SideReading>& side = serving ? seen.serving() : seen.other();
      for (size_t i = 0; i < side.size(); ++i) {
        if (!side[i].reached.ok()) {
          Remains(absl::StrCat(NameOf(side[i]), " can't be asked: ", side[i].reached.message()));
        } else {
          Gate(serving, i, unknown);
        }
      }
    }
  }

  void Gate(bool serving, size_t index, const std::string& unknown) {
    const SideReading& reading = (serving ? seen.serving() : seen.other())[index];
    const GateState wanted = WantedGate(seen.records, serving);
    const bool fits = GateFits(reading.gate, wanted);
    const bool recorded =
        reading.recorded_gate.empty() ||
        reading.recorded_gate == GateStateName(fits ? reading.gate.state : wanted);
    if (fits && recorded) {
      return;
    }
    if (reading.gate.state == GateState::kAbsent) {
      Remains(absl::StrCat("the tables of ", NameOf(reading), " do not exist; ",
                           serving ? "restore them from a backup"
                                   : "\"movetables cancel\" or \"complete\" ends the workflow"));
      return;
    }
    if (serving && reading.gate.state != wanted && !unknown.empty()) {
      Remains(absl::StrCat("the tables of ", NameOf(reading),
                           " stay shut until it is known that those of ", unknown, " are"));
      return;
    }
    Add({.kind = RepairKind::kSetGate,
         .text = absl::StrCat(
             "bring the gate of ", NameOf(reading), " from ", GateStateName(reading.gate.state),
             recorded ? "" : absl::StrCat(" (recorded as ", reading.recorded_gate, ")"), " to ",
             GateStateName(wanted), ": the side ", serving ? "serves" : "does not serve"),
         .serving = serving,
         .side = index,
         .gate = wanted});
  }

  // Where the stream of the living record begins; empty when nobody knows.
  [[nodiscard]] std::string StartOf(uint64_t stream) const {
    const cutover::Records& records = seen.records;
    const workflow::WorkflowRecord& living =
        records.original.writes_switched ? *records.reverse : records.original;
    const auto record =
        std::find_if(living.streams.begin(), living.streams.end(),
                     [&](const workflow::StreamRecord& each) { return each.id == stream; });
    if (record == living.streams.end() || !last) {
      return "";
    }
    const cutover::Side from = {.keyspace = living.source_keyspace,
                                .shard = record->source_shard,
                                .database = record->source_database};
    const auto side = std::find(last->to.begin(), last->to.end(), from);
    const auto index = static_cast<size_t>(side - last->to.begin());
    return side == last->to.end() || index >= last->positions.size() ? "" : last->positions[index];
  }

  void StartStreams(const std::vector<StreamReading>& streams) {
    for (const StreamReading& stream : streams) {
      const std::string name = absl::StrCat("stream ", stream.id);
      Repair repair = {.serving = stream.serving, .side = stream.side, .stream = stream.id};
      switch (stream.fault) {
        case StreamFault::kFrozen:
          repair.kind = RepairKind::kThawStream;
          repair.text = absl::StrCat("let ", name, " follow the side that serves again");
          Add(std::move(repair));
          break;
        case StreamFault::kMissing:
        case StreamFault::kAwaitsPosition:
          repair.position = StartOf(stream.id);
          Begin(stream, name, std::move(repair));
          break;
        case StreamFault::kFailed:
          Remains(absl::StrCat(name, " has failed: ", stream.info->message,
                               "; \"workflow start\" starts it when the cause is gone"));
          break;
        default:
          break;
      }
    }
  }

  void Begin(const StreamReading& stream, const std::string& name, Repair repair) {
    const bool missing = stream.fault == StreamFault::kMissing;
    if (repair.position.empty()) {
      Remains(absl::StrCat(name, missing ? " is missing" : " was never told where to begin",
                           ", and no journal says where it would have to begin; cancel the "
                           "workflow and create it anew"));
      return;
    }
    if (missing && seen.records.original.options.stream.allow_no_key) {
      Remains(absl::StrCat(name,
                           " is missing; it can't begin anew at the commit, since changes of "
                           "tables without a key can't be applied twice"));
      return;
    }
    repair.kind = missing ? RepairKind::kRecreateStream : RepairKind::kPlaceStream;
    repair.text =
        absl::StrCat(missing ? "create " : "start ", name, missing ? " anew, to begin" : "",
                     " at the commit of cutover ", last->cutover);
    Add(std::move(repair));
  }

  void Rules() {
    const std::vector<std::string> faults = RuleFaults(seen);
    const std::vector<std::string> holds = HoldsLeftOver(seen);
    if (faults.empty() && holds.empty()) {
      return;
    }
    std::vector<std::string> what;
    if (!faults.empty()) {
      what.push_back(
          absl::StrCat("correct ", faults.size(), " routing rule(s), such as: ", faults.front()));
    }
    if (!holds.empty()) {
      what.push_back(absl::StrCat("end the hold of cutover ", absl::StrJoin(holds, ", ")));
    }
    Add({.kind = RepairKind::kRouteRules, .text = absl::StrJoin(what, "; ")});
  }
};

// What becomes of a cutover that is taken up again.
absl::string_view EndOf(const cutover::State& state) {
  if (state.phase == cutover::Phase::kCommitted) {
    return "carry out the rest of cutover ";
  }
  return cutover::WaitsForRelease(state) ? "let a person decide about cutover "
                                         : "take back what was done of cutover ";
}

// A command that has stopped half way. True when there is one.
bool PlanCommand(const Observation& seen, RepairPlan& plan) {
  Repair repair;
  if (!seen.unreadable_operation.empty()) {
    repair.kind = RepairKind::kForgetCommand;
    repair.irreversible = true;
    repair.text =
        absl::StrCat("forget the half-done command, of which nothing can be read (",
                     seen.unreadable_operation, "): which side serves is known without it");
  } else if (const cutover::StoredCutover* stored = StoredCutoverOf(seen); stored != nullptr) {
    repair.text = absl::StrCat(EndOf(stored->state), stored->state.plan.id);
  } else if (seen.operation) {
    const auto& teardown = std::get<cutover::StoredTeardown>(*seen.operation);
    const bool complete = teardown.kind == cutover::TeardownKind::kComplete;
    repair.irreversible = true;
    repair.text =
        absl::StrCat("go on with the ", complete ? "complete" : "cancel",
                     " that was decided, which ", teardown.keep_data ? "keeps" : "removes",
                     " the tables of the ", complete ? "source" : "target");
  } else {
    return false;
  }
  plan.repairs.push_back(std::move(repair));
  return true;
}

}  // namespace

RepairPlan PlanRepair(const Observation& seen) {
  RepairPlan plan;
  if (!seen.command.empty()) {
    plan.refusal = absl::StrCat(
        seen.command, " is at work on the workflow",
        seen.command_detail.empty() ? "" : absl::StrCat(" (", seen.command_detail, ")"),
        "; it ends by itself",
        seen.waits_for_release ? ", after \"cutover release\" or \"cutover abort\"" : "");
    return plan;
  }
  if (PlanCommand(seen, plan)) {
    return plan;
  }
  plan.refusal = RefusalOfPhase(seen);
  if (!plan.refusal.empty()) {
    return plan;
  }
  const std::optional<JournaledCommit> last = LastCommit(seen);
  plan.refusal = RefusalOfGates(seen, last);
  if (!plan.refusal.empty()) {
    return plan;
  }
  Planner planner = {.seen = seen, .last = last, .plan = {}};
  const std::vector<StreamReading> streams = ReadStreams(seen, last);
  planner.Journals();
  planner.StopStreams(streams);
  planner.Gates();
  planner.StartStreams(streams);
  planner.Rules();
  return std::move(planner.plan);
}

}  // namespace sluice::traffic
