// Checks, cutovers of reads and of writes, and the answer.

#include "coordinator/traffic/switch_command.h"

#include <algorithm>
#include <iterator>
#include <set>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "common/base/parallel.h"
#include "common/base/random_id.h"
#include "common/base/status.h"
#include "common/base/status_macros.h"
#include "coordinator/cutover/ledger.h"
#include "coordinator/traffic/gate_choice.h"

namespace sluice::traffic {
namespace {

using cutover::Records;

constexpr absl::Duration kTimeoutMin = absl::Seconds(1);
constexpr absl::Duration kTimeoutMax = absl::Hours(1);
// What moving reads back before a cancel may take.
constexpr uint32_t kReadsBackTimeoutMs = 30'000;

// Ids and epochs for one cutover, all from one transaction.
absl::StatusOr<PlanNumbers> DrawNumbers(store::Store& store, size_t streams) {
  PlanNumbers numbers;
  numbers.id = NewId().substr(0, 16);
  const absl::Status drawn =
      store.Transaction([&](store::StoreTransaction& transaction) -> absl::Status {
        numbers.reverse_ids.clear();
        SLUICE_ASSIGN_OR_RETURN(numbers.epoch, transaction.NextId(workflow::kCommandEpochCounter));
        // The second half of the cutover uses the one after it.
        SLUICE_RETURN_IF_ERROR(transaction.NextId(workflow::kCommandEpochCounter).status());
        for (size_t i = 0; i < streams; ++i) {
          SLUICE_ASSIGN_OR_RETURN(const uint64_t id,
                                  transaction.NextId(workflow::kStreamIdCounter));
          numbers.reverse_ids.push_back(id);
        }
        return absl::OkStatus();
      });
  if (!drawn.ok()) {
    return drawn;
  }
  return numbers;
}

absl::Status RolledBack(absl::string_view command, const std::string& workflow,
                        const cutover::State& state) {
  return WithSubject(
      absl::AbortedError(absl::StrCat(
          command, " of ", state.plan.kind == cutover::Kind::kReads ? "reads" : "writes",
          " failed for workflow ", workflow, " and was rolled back: ", state.failure)),
      workflow);
}

absl::StatusOr<Records> ReadAgain(store::Store& store, const std::string& key) {
  Records records;
  SLUICE_RETURN_IF_ERROR(store.Read([&](store::StoreReader& reader) -> absl::Status {
    SLUICE_ASSIGN_OR_RETURN(records, cutover::ReadRecords(reader, key));
    return absl::OkStatus();
  }));
  return records;
}

}  // namespace

absl::StatusOr<std::vector<ShardFacts>> FactsOf(const Dependencies& parts,
                                                const std::vector<cutover::Side>& sides,
                                                bool positions) {
  std::vector<ShardFacts> facts;
  for (const cutover::Side& side : sides) {
    SLUICE_ASSIGN_OR_RETURN(const topology::TabletInfo primary,
                            parts.topology.PrimaryOf(side.keyspace, side.shard));
    ShardFacts shard = {
        .side = side, .tablet = primary.alias, .position = {}, .gate = std::nullopt};
    if (positions) {
      SLUICE_ASSIGN_OR_RETURN(
          shard.position,
          parts.agents.ReadPosition(workflow::AgentRef::Primary(side.keyspace, side.shard), {}));
    }
    facts.push_back(std::move(shard));
  }
  return facts;
}

absl::StatusOr<std::string> SwitchCommand::Run(absl::Time deadline) {
  if (args_.timeout < kTimeoutMin || args_.timeout > kTimeoutMax) {
    return absl::InvalidArgumentError(
        absl::StrCat("timeout ", absl::FormatDuration(args_.timeout), " is out of bounds: from ",
                     absl::FormatDuration(kTimeoutMin), " to ", absl::FormatDuration(kTimeoutMax)));
  }
  SLUICE_RETURN_IF_ERROR(Load());
  if (!types_.any()) {
    return Reply(SwitchLines({.records = records_,
                              .direction = direction_,
                              .types = types_,
                              .cells = args_.cells,
                              .from = {},
                              .to = {},
                              .timeout = args_.timeout,
                              .start_reverse = args_.enable_reverse}));
  }
  SLUICE_RETURN_IF_ERROR(Check());
  if (args_.dry_run) {
    return DryRun(deadline);
  }
  // Those of a partial workflow go with its writes, by the one rule of their shard.
  if (types_.reads() && !workflow::IsPartial(records_.original)) {
    SLUICE_RETURN_IF_ERROR(Move(false, deadline));
  }
  if (types_.writes) {
    SLUICE_RETURN_IF_ERROR(Move(true, deadline));
  }
  return Reply({});
}

absl::Status SwitchCommand::Load() {
  SLUICE_ASSIGN_OR_RETURN(const Resolved found, Resolve(parts_.store, args_.workflow));
  SLUICE_ASSIGN_OR_RETURN(exclusion_, Exclude(parts_.locks, found.key(),
                                              reverse_ ? "reversetraffic" : "switchtraffic"));
  // Before the exclusion another command may have changed it.
  SLUICE_ASSIGN_OR_RETURN(records_, ReadAgain(parts_.store, found.key()));
  SLUICE_RETURN_IF_ERROR(CheckPhase(records_.original));
  direction_ = DirectionOf(records_, reverse_ != found.by_reverse_name);
  start_state_ = parts_.rules.TrafficState(records_.original);
  std::set<std::string> known;
  for (const topology::TabletInfo& tablet : parts_.topology.Tablets()) {
    known.insert(tablet.cell);
  }
  for (const rules::ProxyState& proxy : parts_.rules.Proxies()) {
    known.insert(proxy.cell);
  }
  known.erase("");
  SLUICE_RETURN_IF_ERROR(CheckCells(args_.cells, args_.types, records_, known));
  SLUICE_ASSIGN_OR_RETURN(types_, ChooseTypes(args_.types, records_, direction_.reversal,
                                              HasRdonly(parts_.topology, direction_), args_.cells));
  if (args_.hold && types_.any() && !types_.writes) {
    return absl::InvalidArgumentError(
        "--hold prepares a cutover of writes, and here only reads would move, at once; name "
        "PRIMARY too, or leave it out");
  }
  return absl::OkStatus();
}

// What --force passes over is told all the same.
absl::Status SwitchCommand::Check() {
  SwitchCheck check = {
      .records = records_, .direction = direction_, .types = types_, .max_lag = args_.max_lag};
  absl::Status refused = CheckSwitch(parts_, check);
  if (refused.ok()) {
    return CheckGates();
  }
  if (!args_.force) {
    return refused;
  }
  check.force = true;
  SLUICE_RETURN_IF_ERROR(CheckSwitch(parts_, check));
  warning_ = absl::StrCat("forced, although one ", refused.message(),
                          ". Clients wait until the new side has every change, for --timeout at "
                          "most; whoever reads or writes by what does not serve meets errors");
  return CheckGates();
}

// Decided once, before anybody is held, for all attempts of the command.
absl::Status SwitchCommand::CheckGates() {
  if (!types_.writes) {
    return absl::OkStatus();
  }
  auto gates = ChooseGates(parts_, records_.original, direction_.from, args_.gate);
  if (!gates.ok()) {
    return CannotSwitch(records_.original, gates.status());
  }
  gates_ = *std::move(gates);
  if (args_.dry_run) {
    return absl::OkStatus();  // it names all that it finds, beside what each step would take
  }
  const absl::Status opening =
      CheckOpening(parts_, workflow::WorkflowKey(records_.original), direction_.to);
  return opening.ok() ? opening : CannotSwitch(records_.original, opening);
}

absl::Status SwitchCommand::Reload() {
  SLUICE_ASSIGN_OR_RETURN(records_,
                          ReadAgain(parts_.store, workflow::WorkflowKey(records_.original)));
  return absl::OkStatus();
}

// A plan is made for it, whose numbers nobody will use again.
absl::StatusOr<std::vector<Measure>> SwitchCommand::MeasureSteps(bool writes, absl::Time deadline) {
  SLUICE_ASSIGN_OR_RETURN(const cutover::Plan plan, MakePlan(writes, args_.timeout));
  SLUICE_ASSIGN_OR_RETURN(const Probes probes, Probe(parts_, plan, deadline));
  SLUICE_ASSIGN_OR_RETURN(const std::vector<store::CutoverAttempt> last,
                          LastCutovers(parts_.store, plan.workflow));
  return Expect(plan, probes, HistoryOf(last, plan.reversal));
}

absl::StatusOr<std::string> SwitchCommand::DryRun(absl::Time deadline) {
  for (const bool writes : {false, true}) {
    const bool wanted =
        writes ? types_.writes : types_.reads() && !workflow::IsPartial(records_.original);
    if (wanted) {
      SLUICE_ASSIGN_OR_RETURN(std::vector<Measure> measures, MeasureSteps(writes, deadline));
      std::move(measures.begin(), measures.end(), std::back_inserter(measures_));
    }
  }
  SLUICE_ASSIGN_OR_RETURN(std::vector<ShardFacts> from, FactsOf(parts_, direction_.from, true));
  for (size_t i = 0; i < gates_.size(); ++i) {
    from.at(i).gate = gates_[i];
  }
  SLUICE_ASSIGN_OR_RETURN(std::vector<ShardFacts> to, FactsOf(parts_, direction_.to, false));
  return Reply(SwitchLines({.records = records_,
                            .direction = direction_,
                            .types = types_,
                            .cells = args_.cells,
                            .from = std::move(from),
                            .to = std::move(to),
                            .timeout = args_.timeout,
                            .start_reverse = args_.enable_reverse}));
}

absl::StatusOr<cutover::Plan> SwitchCommand::MakePlan(bool writes, absl::Duration timeout) {
  const workflow::WorkflowRecord* feeding = FeedingRecord(records_, direction_.reversal);
  const size_t streams = writes && feeding != nullptr ? feeding->streams.size() : 0;
  SLUICE_ASSIGN_OR_RETURN(PlanNumbers numbers, DrawNumbers(parts_.store, streams));
  numbers.timeout_ms = static_cast<uint32_t>(absl::ToInt64Milliseconds(timeout));
  numbers.start_reverse = args_.enable_reverse;
  if (writes) {
    numbers.max_lag_ms = args_.force
                             ? cutover::kAnyLagMs
                             : static_cast<uint32_t>(absl::ToInt64Milliseconds(args_.max_lag));
    numbers.parallelism = args_.parallelism;
    numbers.await_release = args_.hold;
    numbers.raise_counters = args_.raise_counters;
    numbers.kill_blockers_after_ms =
        static_cast<uint32_t>(absl::ToInt64Milliseconds(args_.kill_blockers_after));
    numbers.kill_rows_max = args_.kill_blockers_rows;
    numbers.gates = gates_;
    return WritesPlan(records_, direction_.reversal, numbers);
  }
  numbers.cells = args_.cells;
  return ReadsPlan(records_, direction_.reversal, types_, numbers);
}

// Streams that an attempt of long ago left behind (its request came late) would read the same
// tables again once they are started.
absl::Status SwitchCommand::DeleteStrays(const cutover::Plan& plan) {
  for (size_t i = 0; i < plan.sources.size(); ++i) {
    const auto agent = workflow::AgentRef::Primary(plan.sources[i].keyspace, plan.sources[i].shard);
    SLUICE_ASSIGN_OR_RETURN(const std::vector<topology::StreamInfo> streams,
                            parts_.agents.ListStreams(agent, plan.backward, {}));
    for (const topology::StreamInfo& stream : streams) {
      const bool known =
          std::any_of(plan.stale.begin(), plan.stale.end(),
                      [&](const cutover::StaleStream& stale) { return stale.id == stream.id; });
      // The agent may serve other shards too, whose streams are none of this plan.
      if (!known && stream.target_database == plan.sources[i].database) {
        SLUICE_RETURN_IF_ERROR(
            parts_.agents
                .ControlStream(agent, stream.id, workflow::StreamAction::kDelete, plan.epoch, {})
                .status());
      }
    }
  }
  return absl::OkStatus();
}

absl::StatusOr<cutover::State> SwitchCommand::Attempt(bool writes, absl::Duration timeout,
                                                      absl::Time deadline) {
  SLUICE_ASSIGN_OR_RETURN(cutover::Plan plan, MakePlan(writes, timeout));
  if (writes) {
    SLUICE_RETURN_IF_ERROR(DeleteStrays(plan));
  }
  cutover_ids_.push_back(plan.id);
  SLUICE_ASSIGN_OR_RETURN(const std::shared_ptr<cutover::Run> run,
                          runner_.Begin(std::move(plan), exclusion_));
  return args_.hold ? run->AwaitHeld(deadline) : run->Await(deadline);
}

// An attempt that did not get its locks gave the tables back at once; another one waits for whoever
// holds them before it holds anybody.
absl::Status SwitchCommand::Move(bool writes, absl::Time deadline) {
  const absl::Time until = absl::Now() + args_.timeout;
  absl::StatusOr<cutover::State> state = Attempt(writes, args_.timeout, deadline);
  while (state.ok() && state->phase == cutover::Phase::kRolledBack && state->locks_not_granted &&
         until - absl::Now() > kTimeoutMin) {
    state = Attempt(writes, until - absl::Now(), deadline);
  }
  SLUICE_RETURN_IF_ERROR(state.status());
  SLUICE_RETURN_IF_ERROR(Reload());
  held_ = cutover::WaitsForRelease(*state);
  if (held_ || state->phase == cutover::Phase::kDone) {
    late_ = LateProxies(*state);
    return absl::OkStatus();
  }
  absl::Status failed = RolledBack(CommandName(), state->plan.workflow, *state);
  return absl::Status(failed.code(), absl::StrCat(failed.message(), "\nStart State: ", start_state_,
                                                  "\nCurrent State: ",
                                                  parts_.rules.TrafficState(records_.original)));
}

std::string SwitchCommand::Reply(std::vector<std::string> lines) {
  CommandReply reply;
  const std::string key = workflow::WorkflowKey(args_.workflow.keyspace, args_.workflow.name);
  reply.warning = absl::StrCat(warning_, warning_.empty() || late_.empty() ? "" : ". ", late_);
  reply.start_state = start_state_;
  reply.current_state = parts_.rules.TrafficState(records_.original);
  if (args_.dry_run) {
    reply.summary = DryRunSummary(CommandName(), key, absl::Now());
    reply.dry_run_results = std::move(lines);
    reply.measures = measures_;
    return ToJson(reply);
  }
  reply.summary =
      held_ ? absl::StrCat(CommandName(), " of workflow ", key,
                           " is prepared and waits: \"sluice cutover release ", key,
                           "\" lets it go on, \"sluice cutover abort ", key, "\" takes it back")
            : absl::StrCat(CommandName(), " was successful for workflow ", key);
  std::vector<store::CutoverAttempt> attempts;
  // The switch is done whether or not its timeline can be read.
  (void)parts_.store.Read([&](store::StoreReader& reader) -> absl::Status {
    SLUICE_ASSIGN_OR_RETURN(attempts,
                            reader.ListCutoverAttempts(workflow::WorkflowKey(records_.original)));
    return absl::OkStatus();
  });
  for (const std::string& id : cutover_ids_) {
    for (const store::CutoverAttempt& attempt : attempts) {
      if (attempt.id == id) {
        reply.cutovers.push_back(attempt);
      }
    }
  }
  return ToJson(reply);
}

absl::Status MoveReadsBack(const Dependencies& parts, cutover::Runner& runner,
                           const Records& records, const Exclusion& exclusion,
                           absl::Time deadline) {
  const TrafficTypes there = MovedTo(records, true);
  const TrafficTypes types = {.replica = !there.replica, .rdonly = !there.rdonly, .writes = false};
  if (!types.any()) {
    return absl::OkStatus();
  }
  SLUICE_ASSIGN_OR_RETURN(PlanNumbers numbers, DrawNumbers(parts.store, 0));
  numbers.timeout_ms = kReadsBackTimeoutMs;
  SLUICE_ASSIGN_OR_RETURN(const std::shared_ptr<cutover::Run> run,
                          runner.Begin(ReadsPlan(records, true, types, numbers), exclusion));
  SLUICE_ASSIGN_OR_RETURN(const cutover::State state, run->Await(deadline));
  return state.phase == cutover::Phase::kDone
             ? absl::OkStatus()
             : RolledBack("routing back", state.plan.workflow, state);
}

}  // namespace sluice::traffic
