// World: a model of the databases, streams and rules that a cutover works on, for the explorer.

#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "coordinator/cutover/machine.h"

namespace sluice::cutover::testing {

enum class StreamMode : uint8_t { kAbsent, kStopped, kRunning, kFrozen };

// One shard pair. Clients write at the worst moments: the last one before a gate closes, the first
// one after it opened. Streams ship only when somebody waits for a marker.
struct ShardModel {
  bool a_open = true;
  bool b_open = false;
  uint8_t a_epoch = 0;  // of the last obeyed gate request; 1 before the commit, 2 after or undoing
  uint8_t b_epoch = 0;
  uint8_t a_writes = 1;   // acknowledged on A; the first one before the cutover, not shipped yet
  uint8_t b_has = 0;      // of those, how many have arrived on B
  uint8_t b_writes = 0;   // acknowledged on B
  bool marker = false;    // stands in A's binlog …
  uint8_t marker_at = 0;  // … behind so many writes
  StreamMode forward = StreamMode::kRunning;
  uint8_t forward_epoch = 0;
  StreamMode reverse = StreamMode::kAbsent;
  bool reverse_awaits = false;  // it has no position yet
  uint8_t reverse_from = 0;     // how many of B's writes it thinks are on A
  uint8_t reverse_epoch = 0;
};

struct Answer {
  Result result = Result::kOk;
  std::string value;
  bool waits = false;  // there is no answer yet: something else must happen first
};

// What the explorer may break on purpose, to prove that it would notice.
struct Weaknesses {
  bool ignore_epochs = false;
};

struct World {
  std::vector<ShardModel> shards;
  bool held = false;
  bool routed_to_b = false;

  // Carries out one effect as an agent (or the rule service) does. `epoch` is the
  // request's, `position` what a reverse stream starts from.
  Answer Execute(const Effect& effect, const std::string& position, uint8_t epoch,
                 const Weaknesses& weak);

  // Empty, or the broken promise.
  [[nodiscard]] std::string BrokenPromise() const;
  [[nodiscard]] std::string WrongAtTheEnd(Phase phase) const;
  void AppendTo(std::string& key) const;
};

// `shards` pairs, one stream each.
Plan WritesPlan(uint32_t shards);

}  // namespace sluice::cutover::testing
