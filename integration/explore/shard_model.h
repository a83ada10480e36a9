// ShardModel: one shard's source and target, gates, streams and the rows that clients wrote, and
// what the effects of a cutover do to them.

#pragma once

#include <cstdint>
#include <string>

#include "coordinator/cutover/machine.h"
#include "integration/explore/gate_model.h"
#include "integration/explore/machine_table.h"

namespace sluice::explore {

enum class StreamMode : uint8_t { kAbsent, kStopped, kRunning, kFrozen };

// Of the source's binlog. Stale: clients wrote behind it.
enum class Marker : uint8_t { kNone, kFresh, kStale };

// Of a reverse stream, seen from the clients' first write on the target.
enum class Begins : uint8_t { kNowhere, kInTime, kLate };

// Clients are as hostile as they can be: they go past every proxy, write the very moment before a
// gate closes and the very moment after it opens, and never stop while it is open. So that a side
// was open says that it was written to, and no writes need be counted. Streams ship nothing until
// somebody waits for it, which leaves the target as far behind as it can be.
struct Shard {
  Gate source = {.open = kAllTables};
  Gate target;
  Marker marker = Marker::kNone;
  uint8_t applied = 0;         // the target has all that stands before the marker
  uint8_t target_written = 0;  // by clients
  uint8_t seal_late = 0;       // the position in the seal's answer lies behind such a write
  StreamMode forward = StreamMode::kRunning;
  uint8_t forward_epoch = 0;  // of the last command obeyed
  StreamMode reverse = StreamMode::kAbsent;
  uint8_t reverse_epoch = 0;
  Begins reverse_begins = Begins::kNowhere;
  uint8_t reverse_deleted = 0;  // the agent remembers so, until it dies
  friend bool operator==(const Shard&, const Shard&) = default;
};

// Which hosts of the shard work, and whether source and target reach each other.
struct Surroundings {
  bool source_up = true;
  bool target_up = true;
  bool joined = true;
};

enum class Reply : uint8_t {
  kDone,
  kNothing,  // done, and nothing in the model has changed
  kRefused,  // so that repeating is of no use
  kUnknown,  // nobody can tell
  kWaits,    // something else must happen first
};

struct ShardRequest {
  cutover::EffectKind kind = cutover::EffectKind::kCloseGate;
  uint8_t epoch = 1;
  char position = '\0';  // of kStartReverse
};

// Thread-compatible, immutable.
class ShardModel {
 public:
  // `obey_any_epoch` is wrong on purpose, to prove that it would be noticed.
  explicit ShardModel(bool obey_any_epoch)
      : obey_any_epoch_(obey_any_epoch), gates_(obey_any_epoch) {}

  // Carries out one effect as the agent does, or a part of it where the agent dies on the way. Not
  // for effects of the coordinator's own process.
  Reply Execute(const ShardRequest& request, Shard& shard, const Surroundings& around,
                GateStop stop = GateStop::kNowhere) const;

  // The broken promise, or empty.
  static std::string Judge(const Shard& shard);
  static std::string JudgeEnd(const Shard& shard, bool done);

 private:
  [[nodiscard]] Reply SetSource(Shard& shard, GateRequest request, GateStop stop) const;
  [[nodiscard]] Reply OpenTarget(Shard& shard, GateRequest request, GateStop stop) const;
  Reply Control(StreamMode& stream, uint8_t& obeyed, StreamMode mode, uint8_t epoch) const;
  Reply StopStream(Shard& shard, uint8_t epoch) const;
  Reply StartReverse(Shard& shard, const ShardRequest& request) const;

  bool obey_any_epoch_;
  GateModel gates_;
};

// Effects that go to agents and change something there, so that it matters when they arrive.
bool ChangesShard(cutover::EffectKind kind);
bool IsGateChange(cutover::EffectKind kind);

}  // namespace sluice::explore
