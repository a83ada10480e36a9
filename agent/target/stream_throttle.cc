// StreamThrottle: whose word closes it, and what is shown.

#include "agent/target/stream_throttle.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "agent/throttle/limits.h"

namespace sluice::target {
namespace {

using stream::Knob;

constexpr absl::Duration kApplyLagMax = absl::Seconds(30);
// About as often as mysqld is measured.
constexpr absl::Duration kLook = absl::Milliseconds(100);
constexpr char kCopy[] = "copy";
constexpr char kApply[] = "apply";

}  // namespace

void StreamThrottle::SetByHand(const std::string& reason) {
  const absl::MutexLock lock(&mutex_);
  by_hand_ = reason;
}

void StreamThrottle::Begin(const stream::Tuning& tuning) {
  const throttle::Limits limits = throttle::LimitsOf(tuning, throttle::Side::kTarget);
  std::shared_ptr<throttle::Gate> gate;
  if (shared_ != nullptr && !limits.empty()) {
    gate = std::make_shared<throttle::Gate>(shared_->sampler, limits);
  }
  const absl::MutexLock lock(&mutex_);
  gate_ = std::move(gate);
  source_.clear();
  apply_ = tuning.Count(Knob::kThrottleApply).value_or(0) != 0;
  apply_lag_max_ = tuning.Time(Knob::kThrottleApplyLagMax).value_or(kApplyLagMax);
}

void StreamThrottle::EndCopy() {
  bool apply = false;
  {
    const absl::MutexLock lock(&mutex_);
    apply = apply_;
  }
  if (!apply) {
    End();
  }
  board_.SetThrottled("", "");
}

void StreamThrottle::End() {
  std::shared_ptr<throttle::Gate> gate;
  {
    const absl::MutexLock lock(&mutex_);
    gate = std::move(gate_);
    gate_ = nullptr;
    source_.clear();
  }
  board_.SetThrottled("", "");
}

void StreamThrottle::HeardFromSource(const std::string& reason) {
  const absl::MutexLock lock(&mutex_);
  source_ = reason;
}

std::string StreamThrottle::WhyHere() const {
  std::shared_ptr<throttle::Gate> gate;
  {
    const absl::MutexLock lock(&mutex_);
    if (!by_hand_.empty()) {
      return absl::StrCat("throttled by hand: ", by_hand_);
    }
    gate = gate_;
  }
  if (shared_ == nullptr) {
    return "";
  }
  std::string why = shared_->cluster.WhyNone();
  if (why.empty() && gate != nullptr) {
    why = gate->Why();
    why = why.empty() ? why : absl::StrCat("target: ", why);
  }
  return why;
}

std::string StreamThrottle::WhyAtAll() const {
  std::string why = WhyHere();
  if (why.empty()) {
    const absl::MutexLock lock(&mutex_);
    why = source_;
  }
  return why;
}

bool StreamThrottle::CopyMustWait() {
  const std::string why = WhyHere();
  if (!why.empty()) {
    board_.SetThrottled(kCopy, why);
  }
  return !why.empty();
}

bool StreamThrottle::CopyIsClosed() {
  const std::string why = WhyAtAll();
  board_.SetThrottled(why.empty() ? "" : kCopy, why);
  return !why.empty();
}

void StreamThrottle::AwaitApply(const absl::Notification& stopping) {
  absl::Duration lag_max;
  {
    const absl::MutexLock lock(&mutex_);
    if (!apply_) {
      return;
    }
    lag_max = apply_lag_max_;
  }
  const absl::Duration lag = std::max(board_.Lag(), absl::ZeroDuration());
  const absl::Time until = absl::Now() + lag_max - lag;
  bool waited = false;
  while (absl::Now() < until && !board_.MarkerAwaited()) {
    const std::string why = WhyAtAll();
    if (why.empty()) {
      break;
    }
    waited = true;
    board_.SetThrottled(kApply, why);
    if (stopping.WaitForNotificationWithTimeout(kLook)) {
      break;
    }
  }
  if (waited) {
    board_.SetThrottled("", "");
  }
}

}  // namespace sluice::target
