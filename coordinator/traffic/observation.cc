// Reading all that concerns a workflow.

#include "coordinator/traffic/observation.h"

#include <algorithm>
#include <memory>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "common/base/parallel.h"
#include "common/base/status_macros.h"
#include "coordinator/cutover/ledger.h"
#include "coordinator/traffic/gate_choice.h"

namespace sluice::traffic {
namespace {

// One question to one agent.
constexpr absl::Duration kCallMax = absl::Seconds(3);
constexpr absl::Duration kCallMin = absl::Milliseconds(10);
// Databases that are asked at the same time.
constexpr size_t kAskersMax = 16;

workflow::CallBudget BudgetUntil(absl::Time deadline) {
  workflow::CallBudget budget;
  budget.timeout = std::clamp(deadline - absl::Now(), kCallMin, kCallMax);
  return budget;
}

absl::Status ReadStore(store::StoreReader& reader, const std::string& key, Observation& seen) {
  SLUICE_ASSIGN_OR_RETURN(seen.records, cutover::ReadRecords(reader, key));
  SLUICE_ASSIGN_OR_RETURN(seen.attempts, reader.ListCutoverHeads(key));
  SLUICE_ASSIGN_OR_RETURN(const std::optional<std::string> bytes, reader.FindCutoverState(key));
  seen.operation.reset();
  seen.unreadable_operation.clear();
  if (bytes) {
    absl::StatusOr<cutover::StoredOperation> operation = cutover::DecodeOperation(*bytes);
    if (operation.ok()) {
      seen.operation = *std::move(operation);
    } else {
      seen.unreadable_operation = std::string(operation.status().message());
    }
  }
  return absl::OkStatus();
}

void NoteCommand(const Dependencies& parts, const cutover::Runner& runner, const std::string& key,
                 const std::string& own_command, Observation& seen) {
  seen.command = parts.locks.HolderOf(key);
  if (seen.command == own_command) {
    seen.command.clear();
  }
  const std::shared_ptr<cutover::Run> run = runner.Find(key);
  if (run == nullptr) {
    return;
  }
  const cutover::State state = run->Current();
  seen.command_detail = absl::StrCat("cutover ", state.plan.id, " is ",
                                     cutover::PhaseName(state.phase), ", ", run->WaitsFor());
  seen.waits_for_release = cutover::WaitsForRelease(state);
  seen.databases_asked = !cutover::FenceBegun(state) || state.finished();
}

// The first question that is not answered ends the look at a database: the others would only make
// the operator wait as long again.
absl::Status AskSide(const Dependencies& parts, const workflow::WorkflowRecord& original,
                     absl::Time deadline, SideReading& reading) {
  const cutover::Side& side = reading.side;
  SLUICE_ASSIGN_OR_RETURN(const topology::TabletInfo primary,
                          parts.topology.PrimaryOf(side.keyspace, side.shard));
  reading.tablet = primary.alias;
  const auto agent = workflow::AgentRef::Primary(side.keyspace, side.shard);
  const std::string key = workflow::WorkflowKey(original);
  const workflow::GateQuery query = {
      .workflow = key, .database = side.database, .tables = original.tables};
  SLUICE_ASSIGN_OR_RETURN(reading.gate, parts.agents.ReadGate(agent, query, BudgetUntil(deadline)));
  SLUICE_ASSIGN_OR_RETURN(workflow::JournalReading journal,
                          parts.agents.ReadJournal(agent, query, BudgetUntil(deadline)));
  reading.recorded_gate = std::move(journal.gate_state);
  reading.journal = std::move(journal.entries);
  for (const std::string& name :
       {key,
        workflow::WorkflowKey(original.source_keyspace, workflow::ReverseName(original.name))}) {
    SLUICE_ASSIGN_OR_RETURN(std::vector<topology::StreamInfo> streams,
                            parts.agents.ListStreams(agent, name, BudgetUntil(deadline)));
    for (topology::StreamInfo& stream : streams) {
      // The agent may serve other shards too.
      if (stream.target_database == side.database) {
        reading.streams.push_back(std::move(stream));
      }
    }
  }
  return absl::OkStatus();
}

// How the side that serves would close now. Nobody's answer is waited for twice: where a database
// could not be asked, nothing is said of any.
void AskGates(const Dependencies& parts, absl::Time deadline, Observation& seen) {
  std::vector<SideReading>& serving =
      seen.records.original.writes_switched ? seen.target : seen.source;
  std::vector<cutover::Side> sides;
  for (const SideReading& reading : serving) {
    if (!reading.reached.ok() || reading.gate.state != workflow::GateState::kOpen) {
      return;
    }
    sides.push_back(reading.side);
  }
  const auto answers = AskServers(parts, seen.records.original, sides, BudgetUntil(deadline));
  if (!answers.ok()) {
    return;
  }
  const std::vector<cutover::GatePlan> gates = DecideGates(sides, *answers);
  for (size_t i = 0; i < gates.size(); ++i) {
    serving[i].next_gate = gates[i];
  }
}

std::vector<SideReading> ReadingsOf(const std::vector<cutover::Side>& sides) {
  std::vector<SideReading> readings(sides.size());
  for (size_t i = 0; i < sides.size(); ++i) {
    readings[i].side = sides[i];
  }
  return readings;
}

void AskAll(const Dependencies& parts, absl::Time deadline, Observation& seen) {
  std::vector<SideReading*> all;
  for (std::vector<SideReading>* side : {&seen.source, &seen.target}) {
    for (SideReading& reading : *side) {
      all.push_back(&reading);
    }
  }
  // What one of them answers is a finding, and no reason not to ask the next one.
  ForEachAtOnce(all.size(), kAskersMax, [&](size_t i) {
    all[i]->reached = AskSide(parts, seen.records.original, deadline, *all[i]);
    return absl::OkStatus();
  }).IgnoreError();
}

}  // namespace

absl::StatusOr<Observation> Observe(const Dependencies& parts, const cutover::Runner& runner,
                                    const std::string& key, const std::string& own_command,
                                    absl::Time deadline) {
  Observation seen;
  const auto read_store = [&](store::StoreReader& reader) { return ReadStore(reader, key, seen); };
  SLUICE_RETURN_IF_ERROR(parts.store.Read(read_store));
  NoteCommand(parts, runner, key, own_command, seen);
  const Direction direction = DirectionOf(seen.records, false);
  seen.source = ReadingsOf(direction.from);
  seen.target = ReadingsOf(direction.to);
  if (seen.databases_asked) {
    AskAll(parts, deadline, seen);
    AskGates(parts, deadline, seen);
  }
  // A command that began meanwhile explains what does not fit; one that ended has left other
  // records behind, which the databases are judged by.
  const cutover::Records before = seen.records;
  SLUICE_RETURN_IF_ERROR(parts.store.Read(read_store));
  if (seen.command.empty()) {
    NoteCommand(parts, runner, key, own_command, seen);
  }
  if (seen.records != before && seen.command.empty()) {
    seen.command = "a command that has just ended";
  }
  seen.rules = parts.rules.Rules();
  seen.epoch = parts.rules.epoch();
  seen.proxies = parts.rules.Proxies();
  seen.now = absl::Now();
  return seen;
}

}  // namespace sluice::traffic
