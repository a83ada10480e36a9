// How databases, streams and rules answer the effects of a cutover.

#include "tests/coordinator/cutover/world.h"

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"

namespace sluice::cutover::testing {
namespace {

const Answer kRefused = {.result = Result::kFailed, .value = {}};
const Answer kOk = {.result = Result::kOk, .value = {}};

bool Obeys(uint8_t& recorded, uint8_t epoch, const Weaknesses& weak) {
  if (epoch < recorded && !weak.ignore_epochs) {
    return false;
  }
  recorded = epoch;
  return true;
}

Answer SetSourceGate(ShardModel& shard, bool open, uint8_t epoch, const Weaknesses& weak) {
  if (!Obeys(shard.a_epoch, epoch, weak)) {
    return kRefused;
  }
  if (shard.a_open != open) {
    ++shard.a_writes;
    shard.a_open = open;
  }
  if (!open) {
    shard.marker = true;
    shard.marker_at = shard.a_writes;
  }
  return kOk;
}

Answer Seal(ShardModel& shard) {
  if (shard.forward != StreamMode::kRunning) {
    return {.result = Result::kUnknown, .value = {}};
  }
  if (!shard.marker) {
    return {.result = Result::kUnknown, .value = {}, .waits = true};
  }
  shard.b_has = shard.marker_at;
  return {.result = Result::kOk, .value = absl::StrCat(shard.b_writes)};
}

Answer OpenTarget(ShardModel& shard, uint8_t epoch, const Weaknesses& weak) {
  if (!Obeys(shard.b_epoch, epoch, weak)) {
    return kRefused;
  }
  if (!shard.b_open) {
    shard.b_open = true;
    ++shard.b_writes;
  }
  return kOk;
}

Answer ControlForward(ShardModel& shard, StreamMode mode, uint8_t epoch, const Weaknesses& weak) {
  if (!Obeys(shard.forward_epoch, epoch, weak)) {
    return kRefused;
  }
  if (mode == StreamMode::kStopped && shard.forward == StreamMode::kFrozen) {
    return kOk;  // a frozen stream is stopped
  }
  shard.forward = mode;
  return kOk;
}

Answer PrepareReverse(ShardModel& shard) {
  if (shard.reverse == StreamMode::kAbsent) {
    shard.reverse = StreamMode::kStopped;
    shard.reverse_awaits = true;
  }
  return kOk;
}

Answer StartReverse(ShardModel& shard, const std::string& position, uint8_t epoch,
                    const Weaknesses& weak) {
  int from = 0;
  if (shard.reverse == StreamMode::kAbsent || !Obeys(shard.reverse_epoch, epoch, weak)) {
    return kRefused;
  }
  if (shard.reverse_awaits) {
    if (!absl::SimpleAtoi(position, &from)) {
      return kRefused;
    }
    shard.reverse_awaits = false;
    shard.reverse_from = static_cast<uint8_t>(from);
  }
  shard.reverse = StreamMode::kRunning;
  return kOk;
}

}  // namespace

Answer World::Execute(const Effect& effect, const std::string& position, uint8_t epoch,
                      const Weaknesses& weak) {
  ShardModel& shard = shards.at(effect.index);
  switch (effect.kind) {
    case EffectKind::kHoldRules:
      held = true;
      return kOk;
    case EffectKind::kReleaseRules:
      held = false;
      return kOk;
    case EffectKind::kRouteRules:
      held = false;
      routed_to_b = true;
      return kOk;
    case EffectKind::kCloseGate:
      return SetSourceGate(shard, false, epoch, weak);
    case EffectKind::kReopenGate:
      return SetSourceGate(shard, true, epoch, weak);
    case EffectKind::kSeal:
      return Seal(shard);
    case EffectKind::kStopStream:
      return ControlForward(shard, StreamMode::kStopped, epoch, weak);
    case EffectKind::kRestartStream:
      return ControlForward(shard, StreamMode::kRunning, epoch, weak);
    case EffectKind::kFreezeForward:
      return ControlForward(shard, StreamMode::kFrozen, epoch, weak);
    case EffectKind::kPrepareReverse:
      return PrepareReverse(shard);
    case EffectKind::kOpenGate:
      return OpenTarget(shard, epoch, weak);
    case EffectKind::kStartReverse:
      return StartReverse(shard, position, epoch, weak);
    case EffectKind::kDeleteReverse:
      shard.reverse = StreamMode::kAbsent;
      return kOk;
    default:
      return kOk;
  }
}

std::string World::BrokenPromise() const {
  for (const ShardModel& shard : shards) {
    if (shard.a_open && shard.b_open) {
      return "both gates are open";
    }
    if (shard.b_open && shard.b_has != shard.a_writes) {
      return "the new side is open without all writes of the old one";
    }
    if (shard.b_open && shard.forward == StreamMode::kRunning) {
      return "the new side is open while the old one still feeds it";
    }
    if (shard.reverse == StreamMode::kRunning && shard.a_open) {
      return "the reverse stream writes to a side that serves";
    }
    if (shard.reverse == StreamMode::kRunning && shard.reverse_from != 0) {
      return "the reverse stream leaves out writes of the new side";
    }
  }
  return {};
}

std::string World::WrongAtTheEnd(Phase phase) const {
  const bool done = phase == Phase::kDone;
  if (held || routed_to_b != done) {
    return "the rules do not fit the outcome";
  }
  for (const ShardModel& shard : shards) {
    if (shard.a_open == done || shard.b_open != done) {
      return "the gates do not fit the outcome";
    }
    if (shard.forward != (done ? StreamMode::kFrozen : StreamMode::kRunning)) {
      return "the forward stream does not fit the outcome";
    }
    if ((shard.reverse == StreamMode::kRunning) != done) {
      return "the reverse stream does not fit the outcome";
    }
  }
  return {};
}

void World::AppendTo(std::string& key) const {
  const auto put = [&](auto value) { key.push_back(static_cast<char>(value)); };
  put(held);
  put(routed_to_b);
  for (const ShardModel& shard : shards) {
    put(shard.a_open);
    put(shard.b_open);
    put(shard.a_epoch);
    put(shard.b_epoch);
    put(shard.a_writes);
    put(shard.b_has);
    put(shard.b_writes);
    put(shard.marker);
    put(shard.marker_at);
    put(shard.forward);
    put(shard.forward_epoch);
    put(shard.reverse);
    put(shard.reverse_awaits);
    put(shard.reverse_from);
    put(shard.reverse_epoch);
  }
}

Plan WritesPlan(uint32_t shards) {
  Plan plan;
  plan.id = "c1";
  plan.kind = Kind::kWrites;
  plan.workflow = "customer.move";
  plan.forward = "customer.move";
  plan.backward = "commerce.move_reverse";
  plan.tables = {"corder", "customer"};
  plan.epoch = 1;
  for (uint32_t i = 0; i < shards; ++i) {
    const std::string shard = shards == 1 ? "0" : i == 0 ? "-80" : "80-";
    plan.sources.push_back({.keyspace = "commerce", .shard = shard, .database = "vt_commerce"});
    plan.targets.push_back({.keyspace = "customer", .shard = shard, .database = "vt_customer"});
    plan.streams.push_back(
        {.source = i, .target = i, .forward_id = 10U + i, .reverse_id = 20U + i});
  }
  return plan;
}

}  // namespace sluice::cutover::testing
