// ShardModel: what agents do.

#include "integration/explore/shard_model.h"

namespace sluice::explore {
namespace {

using cutover::EffectKind;

// Every acknowledged write of the source is on the target: the marker is applied, and nobody wrote
// behind it.
bool Complete(const Shard& shard) {
  return shard.applied != 0 && shard.marker == Marker::kFresh;
}

Reply Seal(Shard& shard, const Surroundings& around) {
  if (shard.forward != StreamMode::kRunning) {
    return Reply::kUnknown;
  }
  if (shard.applied == 0 &&
      (shard.marker == Marker::kNone || !around.source_up || !around.joined)) {
    return Reply::kWaits;
  }
  shard.applied = 1;
  shard.seal_late = shard.target_written;
  return Reply::kDone;
}

Reply PrepareReverse(Shard& shard) {
  if (shard.reverse_deleted != 0) {
    return Reply::kRefused;
  }
  if (shard.reverse != StreamMode::kAbsent) {
    return Reply::kNothing;
  }
  shard.reverse = StreamMode::kStopped;
  shard.reverse_epoch = 0;
  shard.reverse_begins = Begins::kNowhere;
  return Reply::kDone;
}

Reply DeleteReverse(Shard& shard) {
  if (shard.reverse == StreamMode::kAbsent && shard.reverse_deleted != 0) {
    return Reply::kNothing;
  }
  shard.reverse = StreamMode::kAbsent;
  shard.reverse_epoch = 0;
  shard.reverse_begins = Begins::kNowhere;
  shard.reverse_deleted = 1;
  return Reply::kDone;
}

}  // namespace

Reply ShardModel::Control(StreamMode& stream, uint8_t& obeyed, StreamMode mode,
                          uint8_t epoch) const {
  if (epoch < obeyed && !obey_any_epoch_) {
    return Reply::kRefused;
  }
  const bool same = stream == mode && obeyed == epoch;
  stream = mode;
  obeyed = epoch;
  return same ? Reply::kNothing : Reply::kDone;
}

// A stream that is frozen stays so.
Reply ShardModel::StopStream(Shard& shard, uint8_t epoch) const {
  const StreamMode mode =
      shard.forward == StreamMode::kFrozen ? StreamMode::kFrozen : StreamMode::kStopped;
  return Control(shard.forward, shard.forward_epoch, mode, epoch);
}

Reply ShardModel::StartReverse(Shard& shard, const ShardRequest& request) const {
  if (shard.reverse == StreamMode::kAbsent) {
    return Reply::kRefused;
  }
  if (shard.reverse_begins == Begins::kNowhere) {
    if (request.position == '\0') {
      return Reply::kRefused;
    }
    shard.reverse_begins = request.position == kPositionLate ? Begins::kLate : Begins::kInTime;
  }
  return Control(shard.reverse, shard.reverse_epoch, StreamMode::kRunning, request.epoch);
}

Reply ShardModel::SetSource(Shard& shard, GateRequest request, GateStop stop) const {
  const Shard before = shard;
  const GateAnswer answer = gates_.Apply(shard.source, request, stop);
  if (answer.refused) {
    return Reply::kRefused;
  }
  if (shard.source.open != 0 && shard.marker == Marker::kFresh) {
    shard.marker = Marker::kStale;
  }
  // One that stands there already is left where it is.
  if (answer.settled && !request.open && shard.marker == Marker::kNone) {
    shard.marker = shard.source.open == 0 ? Marker::kFresh : Marker::kStale;
  }
  return shard == before ? Reply::kNothing : Reply::kDone;
}

Reply ShardModel::OpenTarget(Shard& shard, GateRequest request, GateStop stop) const {
  const Shard before = shard;
  const GateAnswer answer = gates_.Apply(shard.target, request, stop);
  if (answer.refused) {
    return Reply::kRefused;
  }
  if (shard.target.open != 0) {
    shard.target_written = 1;
  }
  return shard == before ? Reply::kNothing : Reply::kDone;
}

Reply ShardModel::Execute(const ShardRequest& request, Shard& shard, const Surroundings& around,
                          GateStop stop) const {
  const uint8_t epoch = request.epoch;
  switch (request.kind) {
    case EffectKind::kCloseGate:
      return SetSource(shard, {.epoch = epoch, .open = false}, stop);
    case EffectKind::kReopenGate:
      return SetSource(shard, {.epoch = epoch, .open = true}, stop);
    case EffectKind::kOpenGate:
      return OpenTarget(shard, {.epoch = epoch, .open = true}, stop);
    case EffectKind::kSeal:
      return Seal(shard, around);
    case EffectKind::kStopStream:
      return StopStream(shard, epoch);
    case EffectKind::kRestartStream:
      return Control(shard.forward, shard.forward_epoch, StreamMode::kRunning, epoch);
    case EffectKind::kFreezeForward:
      return Control(shard.forward, shard.forward_epoch, StreamMode::kFrozen, epoch);
    case EffectKind::kPrepareReverse:
      return PrepareReverse(shard);
    case EffectKind::kStartReverse:
      return StartReverse(shard, request);
    case EffectKind::kDeleteReverse:
      return DeleteReverse(shard);
    default:
      return Reply::kNothing;
  }
}

std::string ShardModel::Judge(const Shard& shard) {
  if ((shard.source.open & shard.target.open) != 0) {
    return "a table is open on both sides";
  }
  if (shard.target.open != 0 && !Complete(shard)) {
    return "the new side is open without all acknowledged writes of the old one";
  }
  if (shard.target.open != 0 && shard.forward == StreamMode::kRunning) {
    return "the new side is open while the old one still feeds it";
  }
  if (shard.reverse == StreamMode::kRunning && shard.source.open != 0) {
    return "the reverse stream writes to a side that serves";
  }
  if (shard.reverse_begins == Begins::kLate) {
    return "the reverse stream begins after the first write on the new side";
  }
  return {};
}

std::string ShardModel::JudgeEnd(const Shard& shard, bool done) {
  if (shard.source.open != (done ? 0 : kAllTables) ||
      shard.target.open != (done ? kAllTables : 0)) {
    return "the gates do not fit the outcome";
  }
  if (shard.forward != (done ? StreamMode::kFrozen : StreamMode::kRunning)) {
    return "the forward stream does not fit the outcome";
  }
  // A request to create it may come when all is over, and its agent may have forgotten that it was
  // deleted. Without a position it does nothing.
  const bool idle =
      shard.reverse == StreamMode::kAbsent ||
      (shard.reverse == StreamMode::kStopped && shard.reverse_begins == Begins::kNowhere);
  if (done ? shard.reverse != StreamMode::kRunning : !idle) {
    return "the reverse stream does not fit the outcome";
  }
  return {};
}

bool IsGateChange(EffectKind kind) {
  return kind == EffectKind::kCloseGate || kind == EffectKind::kReopenGate ||
         kind == EffectKind::kOpenGate;
}

bool ChangesShard(EffectKind kind) {
  switch (kind) {
    case EffectKind::kCloseGate:
    case EffectKind::kSeal:
    case EffectKind::kReopenGate:
    case EffectKind::kOpenGate:
    case EffectKind::kStopStream:
    case EffectKind::kRestartStream:
    case EffectKind::kFreezeForward:
    case EffectKind::kPrepareReverse:
    case EffectKind::kStartReverse:
    case EffectKind::kDeleteReverse:
      return true;
    default:
      return false;
  }
}

}  // namespace sluice::explore
