// Effects: how the runner has an effect carried out.

#pragma once

#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "coordinator/cutover/machine.h"

namespace sluice::cutover {

// One proxy's part of an effect, for the timeline.
struct ProxyPart {
  std::string proxy;
  absl::Time started;
  absl::Duration took;
  std::string detail;
};

struct EffectOutcome {
  Result result = Result::kOk;
  std::string message;  // the failure, or a remark for the timeline
  std::string value;    // kSeal: the position
  std::vector<ProxyPart> proxies = {};
};

// An error as the machine wants it: ABORTED and RESOURCE_EXHAUSTED had no effect and may be
// repeated; of lost connections and time-outs nobody knows; the rest is final.
EffectOutcome OutcomeOf(const absl::Status& status);

// Every effect but kCommit, which is the runner's own. Thread-safe: effects of several shards run
// at the same time.
class Effects {
 public:
  Effects() = default;
  Effects(const Effects&) = delete;
  Effects& operator=(const Effects&) = delete;
  virtual ~Effects() = default;

  // Blocks until it is over. `state` is the one that issued the effect, without its slots;
  // `deadline` the end of the time up to the commit, InfiniteFuture afterwards (then it waits for
  // agents that are away, within reason, and is called again).
  virtual EffectOutcome Run(const State& state, const Effect& effect, absl::Time deadline) = 0;
};

}  // namespace sluice::cutover
