// CutoverRun: effects as requests to agents and changes of the rules, as AgentEffects makes them.

#include <algorithm>
#include <limits>
#include <utility>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "coordinator/cutover/agent_effects.h"
#include "integration/simulate/cutover_run.h"
#include "integration/simulate/world.h"

namespace sluice::simulate {

using cutover::EffectKind;
using cutover::EffectOutcome;
using cutover::Plan;
using cutover::Result;
using cutover::Side;
using cutover::StreamPair;

namespace {

constexpr Micros kNever = std::numeric_limits<Micros>::max();
constexpr uint32_t kCounterMargin = 1'000;
constexpr Micros kCallMax = 5 * kSecond;
constexpr Micros kCallMin = 100 * kMilli;
constexpr Micros kProxiesWait = 2 * kSecond;
constexpr uint32_t kLeaseMarginMs = 10'000;

EffectOutcome Ok(std::string value = {}) {
  return {.result = Result::kOk, .message = {}, .value = std::move(value)};
}

void RemoveHold(Store& store, const std::string& id) {
  std::erase_if(store.holds, [&](const proxy::Hold& hold) { return hold.cutover_id == id; });
}

void RouteByRecords(Store& store) {
  store.writes = store.records.original.writes_switched ? 1 : 0;
  store.reads = store.records.original.replica_switched ? 1 : 0;
}

Respond OutcomeTo(const std::function<void(EffectOutcome)>& told) {
  return [told](const Answer& answer) {
    EffectOutcome outcome = cutover::OutcomeOf(answer.status);
    outcome.value = answer.value;
    told(std::move(outcome));
  };
}

}  // namespace

uint32_t SideNumber(const Side& side) {
  return side.keyspace == kKeyspaces[0] ? 0 : 1;
}

uint32_t ShardNumber(const Side& side) {
  uint32_t number = 0;
  return absl::SimpleAtoi(side.shard, &number) ? number : 0;
}

Micros CutoverRun::Budget(const Job& job, Micros at_most) const {
  return job.deadline == kNever ? at_most : std::clamp(job.deadline - Now(), kCallMin, at_most);
}

void CutoverRun::CallAgent(const JobPointer& job, const Side& side, Micros at_most,
                           std::function<void(Agent&, Micros, Respond)> request,
                           const Respond& answer) {
  Agent& agent = world_.AgentOf(SideNumber(side), ShardNumber(side));
  const Micros timeout = Budget(*job, at_most);
  world_.network.Call(
      {.from = coordinator_.process, .to = agent.process, .timeout = timeout},
      [this, &agent, timeout, request = std::move(request)](Respond respond) {
        request(agent, Now() + timeout, std::move(respond));  // counted from when it comes
      },
      answer);
}

void CutoverRun::Perform(const JobPointer& job, const Told& told) {
  if (!PerformHere(job, told)) {
    PerformThere(job, told);
  }
}

bool CutoverRun::PerformHere(const JobPointer& job, const Told& told) {
  const std::string& id = job->plan().id;
  switch (job->effect.kind) {
    case EffectKind::kHoldRules:
      HoldRules(job, told);
      return true;
    case EffectKind::kReleaseRules:
      told(cutover::OutcomeOf(
          coordinator_.ChangeRules([&](Store& store) { RemoveHold(store, id); })));
      return true;
    case EffectKind::kRouteRules:
      told(cutover::OutcomeOf(coordinator_.ChangeRules([&](Store& store) {
        RouteByRecords(store);
        RemoveHold(store, id);
      })));
      return true;
    case EffectKind::kAskProxies:
    case EffectKind::kAwaitProxies:
      coordinator_.AwaitProxies(Coordinator::Progress::kObeyed, Now() + kProxiesWait,
                                [told] { told(Ok()); });
      return true;
    case EffectKind::kAwaitRelease:
      AwaitRelease(job, told);
      return true;
    default:
      return false;
  }
}

void CutoverRun::PerformThere(const JobPointer& job, const Told& told) {
  const Plan& plan = job->plan();
  const uint32_t index = job->effect.index;
  const Side& side = *SideOf(plan, job->effect);
  switch (job->effect.kind) {
    case EffectKind::kProbeGate:
      return CallAgent(
          job, side, kCallMax,
          [](Agent& agent, Micros /*until*/, const Respond& respond) { agent.ProbeGate(respond); },
          OutcomeTo(told));
    case EffectKind::kCheckStream:
      return CallAgent(
          job, side, kCallMax,
          [id = plan.streams.at(index).forward_id](Agent& agent, Micros /*until*/,
                                                   const Respond& respond) {
            agent.CheckStream(id, respond);
          },
          OutcomeTo(told));
    case EffectKind::kCloseGate:
      return SetGate(job, plan.source_readable ? gate::State::kReadable : gate::State::kClosed,
                     told);
    case EffectKind::kMakeReadable:
      return SetGate(job, gate::State::kReadable, told);
    case EffectKind::kOpenGate:
    case EffectKind::kReopenGate:
      return SetGate(job, gate::State::kOpen, told);
    case EffectKind::kCloseBehind:
    case EffectKind::kRestoreClosed:
      return SetGate(job, gate::State::kClosed, told);
    case EffectKind::kSeal:
      return Seal(job, told);
    case EffectKind::kRaiseCounters:
      return RaiseCounters(job, kCounterMargin, told);
    case EffectKind::kSettleCounters:
      return RaiseCounters(job, 0, told);
    case EffectKind::kStopStream:
      return ControlStream(job, plan.streams.at(index).forward_id, StreamAction::kStop, told);
    case EffectKind::kRestartStream:
      return ControlStream(job, plan.streams.at(index).forward_id, StreamAction::kStart, told);
    case EffectKind::kFreezeForward:
      return ControlStream(job, plan.streams.at(index).forward_id, StreamAction::kFreeze, told);
    case EffectKind::kDeleteReverse:
      return ControlStream(job, plan.streams.at(index).reverse_id, StreamAction::kDelete, told);
    case EffectKind::kDeleteStale:
      return ControlStream(job, plan.stale.at(index).id, StreamAction::kDelete, told);
    case EffectKind::kStartReverse:
      return StartReverse(job, told);
    case EffectKind::kPrepareReverse:
      return PrepareReverse(job, told);
    case EffectKind::kAwaitReplicas:
      return AwaitReplicas(job, told);
    default:
      break;
  }
  CallAgent(
      job, side, kCallMax,
      [id = plan.id](Agent& agent, Micros /*until*/, const Respond& respond) {
        agent.WriteJournal(id, respond);
      },
      OutcomeTo(told));
}

void CutoverRun::HoldRules(const JobPointer& job, const Told& told) {
  const Plan& plan = job->plan();
  const absl::Status status = coordinator_.ChangeRules([&](Store& store) {
    RemoveHold(store, plan.id);
    store.holds.push_back({.cutover_id = plan.id,
                           .tables = cutover::HeldTables(plan),
                           .shards = cutover::HeldShards(plan),
                           .lease = absl::Milliseconds(plan.timeout_ms + kLeaseMarginMs)});
  });
  if (!status.ok()) {
    return told(cutover::OutcomeOf(status));
  }
  const Micros until = std::min(job->deadline, Now() + Micros{plan.hold_ms} * kMilli);
  coordinator_.AwaitProxies(Coordinator::Progress::kDrained, until, [told] { told(Ok()); });
}

void CutoverRun::AwaitRelease(const JobPointer& job, const Told& told) {
  if (coordinator_.release_given(job->plan().id)) {
    return told(Ok());
  }
  coordinator_.process.Later(20 * kMilli, [self = shared_from_this(), job, told] {
    if (cutover::WaitsForRelease(self->state())) {
      self->AwaitRelease(job, told);
    } else {
      told(cutover::OutcomeOf(absl::CancelledError("aborted")));
    }
  });
}

void CutoverRun::SetGate(const JobPointer& job, gate::State wanted, const Told& told) {
  const Plan& plan = job->plan();
  gate::GateChange change;
  change.id = {.workflow = plan.workflow, .database = kDatabase};
  change.tables = plan.tables;
  change.wanted = wanted;
  change.epoch = EpochOf(job->state(), job->effect.kind);
  change.lock_wait = absl::Milliseconds(plan.lock_wait_ms);
  if (job->effect.kind == EffectKind::kCloseGate) {
    change.marker_id = absl::StrCat(plan.id, "/", job->effect.index);
    change.kind =
        plan.gates.at(job->effect.index).server ? gate::GateKind::kServer : gate::GateKind::kTables;
  } else if (job->effect.kind == EffectKind::kOpenGate) {
    change.cutover_id = plan.id;
    change.journal = plan.id;
  }
  CallAgent(
      job, *SideOf(plan, job->effect), Micros{plan.lock_wait_ms} * kMilli + kCallMax,
      [change](Agent& agent, Micros until, Respond respond) {
        agent.SetGate(change, until, std::move(respond));
      },
      OutcomeTo(told));
}

void CutoverRun::Seal(const JobPointer& job, const Told& told) {
  const StreamPair& pair = job->plan().streams.at(job->effect.index);
  const std::string marker = absl::StrCat(job->plan().id, "/", pair.source);
  CallAgent(
      job, *SideOf(job->plan(), job->effect), kSecond * 60,
      [id = pair.forward_id, marker](Agent& agent, Micros until, Respond respond) {
        agent.AwaitMarker(id, marker, until, std::move(respond));
      },
      OutcomeTo(told));
}

void CutoverRun::PrepareReverse(const JobPointer& job, const Told& told) {
  const StreamPair& pair = job->plan().streams.at(job->effect.index);
  StreamRow row;
  row.id = pair.reverse_id;
  row.workflow = job->plan().backward;
  row.from_side = static_cast<uint8_t>(SideNumber(job->plan().targets.at(pair.target)));
  row.awaits_position = true;
  CallAgent(
      job, *SideOf(job->plan(), job->effect), kCallMax,
      [row](Agent& agent, Micros until, const Respond& respond) {
        agent.CreateStream(row, until, respond);
      },
      OutcomeTo(told));
}

// One that a failover has lost is created again.
void CutoverRun::StartReverse(const JobPointer& job, const Told& told) {
  const uint64_t stream = job->plan().streams.at(job->effect.index).reverse_id;
  ControlStream(job, stream, StreamAction::kStart,
                [self = shared_from_this(), job, stream, told](const EffectOutcome& outcome) {
                  if (!outcome.message.starts_with(kNoSuchStream)) {
                    return told(outcome);
                  }
                  self->PrepareReverse(job, [self, job, stream, told](const EffectOutcome& made) {
                    if (made.result != cutover::Result::kOk) {
                      return told(made);
                    }
                    self->ControlStream(job, stream, StreamAction::kStart, told);
                  });
                });
}

void CutoverRun::ControlStream(const JobPointer& job, uint64_t stream, StreamAction action,
                               const Told& told) {
  StreamCommand command = {
      .id = stream, .action = action, .epoch = EpochOf(job->state(), job->effect.kind)};
  if (job->effect.kind == EffectKind::kStartReverse) {
    command.position = job->state().positions.at(job->plan().streams.at(job->effect.index).target);
  }
  CallAgent(
      job, *SideOf(job->plan(), job->effect), kCallMax,
      [command](Agent& agent, Micros /*until*/, Respond respond) {
        agent.Control(command, std::move(respond));
      },
      [told, action](const Answer& answer) {
        const bool gone = action == StreamAction::kDelete && absl::IsNotFound(answer.status);
        told(gone ? Ok() : cutover::OutcomeOf(answer.status));
      });
}

void CutoverRun::RaiseCounters(const JobPointer& job, uint32_t margin, const Told& told) {
  const StreamPair& pair = job->plan().streams.at(job->effect.index);
  const Respond raise = [self = shared_from_this(), job, margin, told](const Answer& answer) {
    if (!answer.status.ok()) {
      return told(cutover::OutcomeOf(answer.status));
    }
    const auto at_least = static_cast<uint32_t>(answer.number) + margin;
    self->CallAgent(
        job, *SideOf(job->plan(), job->effect), kCallMax,
        [at_least](Agent& agent, Micros /*until*/, const Respond& respond) {
          agent.RaiseCounter(at_least, respond);
        },
        OutcomeTo(told));
  };
  CallAgent(
      job, job->plan().sources.at(pair.source), kCallMax,
      [](Agent& agent, Micros /*until*/, const Respond& respond) { agent.ReadCounter(respond); },
      raise);
}

void CutoverRun::AwaitReplicas(const JobPointer& job, const Told& told) {
  const Side& side = *SideOf(job->plan(), job->effect);
  const Respond wait = [self = shared_from_this(), job, side, told](const Answer& answer) {
    if (!answer.status.ok()) {
      return told(cutover::OutcomeOf(answer.status));
    }
    World& world = self->world_;
    Place& place = world.place(SideNumber(side), ShardNumber(side));
    Agent& replica = place.tablets.at(1U - place.known).agent();
    const Micros timeout = self->Budget(*job, 60 * kSecond);
    world.network.Call(
        {.from = self->coordinator_.process, .to = replica.process, .timeout = timeout},
        [&replica, &world, timeout, position = Gtids::Parse(answer.value)](Respond respond) {
          replica.AwaitPosition(position, world.scheduler.now() + timeout, std::move(respond));
        },
        OutcomeTo(told));
  };
  CallAgent(
      job, side, kCallMax,
      [](Agent& agent, Micros /*until*/, const Respond& respond) { agent.ReadPosition(respond); },
      wait);
}

}  // namespace sluice::simulate
