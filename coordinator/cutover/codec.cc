// Cap'n Proto encoding of stored operations, field by field.

#include "coordinator/cutover/codec.h"

#include <capnp/message.h>

#include <limits>
#include <utility>

#include "absl/strings/str_cat.h"
#include "common/wire/message_bytes.h"
#include "common/wire/wire.h"
#include "schemas/cutover.capnp.h"

namespace sluice::cutover {
namespace {

using wire::Fill;
using wire::Size;
using wire::Str;
using wire::Strs;

constexpr uint16_t kFormatVersion = 2;

absl::Status Damaged(absl::string_view what) {
  return absl::DataLossError(absl::StrCat("the stored state of a command is damaged: ", what));
}

void EncodeSides(const std::vector<Side>& sides,
                 capnp::List<schemas::CutoverSide>::Builder builder) {
  for (unsigned i = 0; i < builder.size(); ++i) {
    builder[i].setKeyspace(sides[i].keyspace);
    builder[i].setShard(sides[i].shard);
    builder[i].setDatabase(sides[i].database);
  }
}

std::vector<Side> DecodeSides(capnp::List<schemas::CutoverSide>::Reader reader) {
  std::vector<Side> sides;
  for (const auto side : reader) {
    sides.push_back({.keyspace = Str(side.getKeyspace()),
                     .shard = Str(side.getShard()),
                     .database = Str(side.getDatabase())});
  }
  return sides;
}

void EncodeLists(const Plan& plan, schemas::CutoverPlan::Builder builder) {
  Fill(builder.initTables(Size(plan.tables)), plan.tables);
  EncodeSides(plan.sources, builder.initSources(Size(plan.sources)));
  EncodeSides(plan.targets, builder.initTargets(Size(plan.targets)));
  auto streams = builder.initStreams(Size(plan.streams));
  for (unsigned i = 0; i < streams.size(); ++i) {
    streams[i].setSource(plan.streams[i].source);
    streams[i].setTarget(plan.streams[i].target);
    streams[i].setForwardId(plan.streams[i].forward_id);
    streams[i].setReverseId(plan.streams[i].reverse_id);
  }
  auto stale = builder.initStale(Size(plan.stale));
  for (unsigned i = 0; i < stale.size(); ++i) {
    stale[i].setSource(plan.stale[i].source);
    stale[i].setId(plan.stale[i].id);
  }
  auto types = builder.initSourceTypes(Size(plan.source_types));
  for (unsigned i = 0; i < types.size(); ++i) {
    types.set(i, static_cast<schemas::TabletType>(plan.source_types[i]));
  }
  auto gates = builder.initGates(Size(plan.gates));
  for (unsigned i = 0; i < gates.size(); ++i) {
    gates[i].setServer(plan.gates[i].server);
    gates[i].setReason(plan.gates[i].reason);
    Fill(gates[i].initBeside(Size(plan.gates[i].beside)), plan.gates[i].beside);
  }
  stream::WriteStreamOptions(plan.reverse_options, builder.initReverseOptions());
  Fill(builder.initCells(Size(plan.cells)), plan.cells);
}

void EncodePlan(const Plan& plan, schemas::CutoverPlan::Builder builder) {
  builder.setId(plan.id);
  builder.setKind(static_cast<uint16_t>(plan.kind));
  builder.setWorkflow(plan.workflow);
  builder.setForward(plan.forward);
  builder.setBackward(plan.backward);
  builder.setReversal(plan.reversal);
  EncodeLists(plan, builder);
  builder.setEpoch(plan.epoch);
  builder.setTimeoutMs(plan.timeout_ms);
  builder.setHoldMs(plan.hold_ms);
  builder.setAwaitRelease(plan.await_release);
  builder.setRaiseCounters(plan.raise_counters);
  builder.setMaxLagMs(plan.max_lag_ms);
  builder.setParallelism(plan.parallelism);
  builder.setLockWaitMs(plan.lock_wait_ms);
  builder.setBlockerAgeMs(plan.blocker_age_ms);
  builder.setKillBlockersAfterMs(plan.kill_blockers_after_ms);
  builder.setKillRowsMax(plan.kill_rows_max);
  builder.setStartReverse(plan.start_reverse);
  builder.setSourceReadable(plan.source_readable);
  builder.setMoveReplica(plan.move_replica);
  builder.setMoveRdonly(plan.move_rdonly);
  builder.setMakeReadable(plan.make_readable);
  builder.setRestoreClosed(plan.restore_closed);
  builder.setCloseBehind(plan.close_behind);
}

void DecodeLists(schemas::CutoverPlan::Reader reader, Plan& plan) {
  plan.tables = Strs(reader.getTables());
  plan.sources = DecodeSides(reader.getSources());
  plan.targets = DecodeSides(reader.getTargets());
  for (const auto stream : reader.getStreams()) {
    plan.streams.push_back({.source = stream.getSource(),
                            .target = stream.getTarget(),
                            .forward_id = stream.getForwardId(),
                            .reverse_id = stream.getReverseId()});
  }
  for (const auto stale : reader.getStale()) {
    plan.stale.push_back({.source = stale.getSource(), .id = stale.getId()});
  }
  for (const auto gate : reader.getGates()) {
    plan.gates.push_back({.server = gate.getServer(),
                          .reason = Str(gate.getReason()),
                          .beside = Strs(gate.getBeside())});
  }
  if (plan.gates.empty() && reader.getServerGate()) {
    plan.gates.assign(plan.sources.size(), {.server = true, .reason = {}, .beside = {}});
  }
  for (const auto type : reader.getSourceTypes()) {
    plan.source_types.push_back(static_cast<routing::TabletType>(type));
  }
  plan.reverse_options = stream::ReadStreamOptions(reader.getReverseOptions());
  plan.cells = Strs(reader.getCells());
}

absl::StatusOr<Plan> DecodePlan(schemas::CutoverPlan::Reader reader) {
  Plan plan;
  plan.id = Str(reader.getId());
  if (reader.getKind() > static_cast<uint16_t>(Kind::kWrites)) {
    return Damaged("an unknown kind");
  }
  plan.kind = static_cast<Kind>(reader.getKind());
  plan.workflow = Str(reader.getWorkflow());
  plan.forward = Str(reader.getForward());
  plan.backward = Str(reader.getBackward());
  plan.reversal = reader.getReversal();
  DecodeLists(reader, plan);
  plan.epoch = reader.getEpoch();
  plan.timeout_ms = reader.getTimeoutMs();
  plan.hold_ms = reader.getHoldMs();
  plan.await_release = reader.getAwaitRelease();
  plan.raise_counters = reader.getRaiseCounters();
  plan.max_lag_ms = reader.getMaxLagMs();
  plan.parallelism = reader.getParallelism();
  plan.lock_wait_ms = reader.getLockWaitMs();
  plan.blocker_age_ms = reader.getBlockerAgeMs();
  plan.kill_blockers_after_ms = reader.getKillBlockersAfterMs();
  plan.kill_rows_max = reader.getKillRowsMax();
  plan.start_reverse = reader.getStartReverse();
  plan.source_readable = reader.getSourceReadable();
  plan.move_replica = reader.getMoveReplica();
  plan.move_rdonly = reader.getMoveRdonly();
  plan.make_readable = reader.getMakeReadable();
  plan.restore_closed = reader.getRestoreClosed();
  plan.close_behind = reader.getCloseBehind();
  if (const absl::Status valid = ValidatePlan(plan); !valid.ok()) {
    return Damaged(valid.message());
  }
  return plan;
}

void EncodeCutover(const StoredCutover& stored, schemas::CutoverState::Builder builder) {
  const State& state = stored.state;
  EncodePlan(state.plan, builder.initPlan());
  builder.setPhase(static_cast<uint16_t>(state.phase));
  auto slots = builder.initSlots(Size(state.slots));
  for (unsigned i = 0; i < slots.size(); ++i) {
    const Slot& slot = state.slots[i];
    slots[i].setEffect(static_cast<uint16_t>(slot.effect.kind));
    slots[i].setIndex(slot.effect.index);
    slots[i].setAttempt(slot.effect.attempt);
    slots[i].setProgress(static_cast<uint16_t>(slot.progress));
    slots[i].setMessage(slot.message);
  }
  Fill(builder.initPositions(Size(state.positions)), state.positions);
  builder.setFailure(state.failure);
  builder.setLocksNotGranted(state.locks_not_granted);
  builder.setStartedUs(stored.started_us);
}

absl::StatusOr<StoredCutover> DecodeCutover(schemas::CutoverState::Reader reader) {
  StoredCutover stored;
  absl::StatusOr<Plan> plan = DecodePlan(reader.getPlan());
  if (!plan.ok()) {
    return plan.status();
  }
  stored.state.plan = *std::move(plan);
  if (reader.getPhase() > static_cast<uint16_t>(Phase::kRolledBack)) {
    return Damaged("an unknown phase");
  }
  stored.state.phase = static_cast<Phase>(reader.getPhase());
  for (const auto slot : reader.getSlots()) {
    const auto kind = static_cast<EffectKind>(slot.getEffect());
    if (slot.getEffect() >= kEffectKinds ||
        slot.getIndex() >= InstancesOf(stored.state.plan, kind) ||
        slot.getProgress() > static_cast<uint16_t>(Progress::kAbandoned)) {
      return Damaged("a step that the plan does not have");
    }
    stored.state.slots.push_back(
        {.effect = {.kind = kind, .index = slot.getIndex(), .attempt = slot.getAttempt()},
         .progress = static_cast<Progress>(slot.getProgress()),
         .message = Str(slot.getMessage())});
  }
  stored.state.positions = Strs(reader.getPositions());
  stored.state.failure = Str(reader.getFailure());
  stored.state.locks_not_granted = reader.getLocksNotGranted();
  stored.started_us = reader.getStartedUs();
  return stored;
}

absl::StatusOr<StoredOperation> Decode(schemas::StoredOperation::Reader reader) {
  if (reader.getFormatVersion() != kFormatVersion) {
    return Damaged(absl::StrCat("format version ", reader.getFormatVersion(),
                                ", this program knows ", kFormatVersion));
  }
  if (reader.isTeardown()) {
    const auto teardown = reader.getTeardown();
    return StoredTeardown{.kind = teardown.getKind() == schemas::TeardownKind::COMPLETE
                                      ? TeardownKind::kComplete
                                      : TeardownKind::kCancel,
                          .keep_data = teardown.getKeepData(),
                          .keep_routing_rules = teardown.getKeepRoutingRules(),
                          .rename_tables = teardown.getRenameTables(),
                          .epoch = teardown.getEpoch()};
  }
  absl::StatusOr<StoredCutover> cutover = DecodeCutover(reader.getCutover());
  if (!cutover.ok()) {
    return cutover.status();
  }
  return *std::move(cutover);
}

}  // namespace

std::string EncodeOperation(const StoredOperation& operation) {
  capnp::MallocMessageBuilder message;
  auto root = message.initRoot<schemas::StoredOperation>();
  root.setFormatVersion(kFormatVersion);
  if (const auto* cutover = std::get_if<StoredCutover>(&operation)) {
    EncodeCutover(*cutover, root.initCutover());
  } else {
    const auto& teardown = std::get<StoredTeardown>(operation);
    auto builder = root.initTeardown();
    builder.setKind(teardown.kind == TeardownKind::kComplete ? schemas::TeardownKind::COMPLETE
                                                             : schemas::TeardownKind::CANCEL);
    builder.setKeepData(teardown.keep_data);
    builder.setKeepRoutingRules(teardown.keep_routing_rules);
    builder.setRenameTables(teardown.rename_tables);
    builder.setEpoch(teardown.epoch);
  }
  return wire::Serialize(message);
}

absl::StatusOr<StoredOperation> DecodeOperation(absl::string_view bytes) {
  return wire::ReadStored<schemas::StoredOperation>("the stored state of a command", bytes,
                                                    &Decode);
}

}  // namespace sluice::cutover
