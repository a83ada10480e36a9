// Gate: the newest sample, judged.

#include "agent/throttle/gate.h"

#include "absl/time/clock.h"

namespace sluice::throttle {
namespace {

// A look has time-outs of about this length.
constexpr absl::Duration kStaleAfter = absl::Seconds(3);

}  // namespace

Gate::Gate(Sampler& sampler, const Limits& limits)
    : interest_(sampler, limits), judge_(limits, kStaleAfter) {}

std::string Gate::Why() {
  const Sample sample = interest_.Newest();
  const absl::MutexLock lock(&mutex_);
  return judge_.Look(sample, absl::Now());
}

}  // namespace sluice::throttle
