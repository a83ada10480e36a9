// ClusterView: the coordinator's word, and how long it counts.

#include "agent/throttle/cluster_view.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "common/wire/wire.h"

namespace sluice::throttle {
namespace {

// Long enough for a coordinator that is restarted.
constexpr absl::Duration kSilenceMax = absl::Seconds(15);

}  // namespace

void ClusterView::Told(const std::vector<schemas::ClusterView::Reader>& views, absl::Time now) {
  if (views.empty()) {
    return;
  }
  State state{.throttled = {}, .lag_ms = 0, .replica = {}, .problem = {}, .at = now};
  for (const schemas::ClusterView::Reader& view : views) {
    state.throttled = wire::Str(view.getThrottled());  // the same in all
    const bool worse = state.problem.empty() && (view.getReplicaProblem().size() != 0 ||
                                                 view.getReplicaLagMs() >= state.lag_ms);
    if (worse && view.getReplica().size() != 0) {
      state.lag_ms = view.getReplicaLagMs();
      state.replica = wire::Str(view.getReplica());
      state.problem = wire::Str(view.getReplicaProblem());
    }
  }
  const absl::MutexLock lock(&mutex_);
  state_ = std::move(state);
}

std::string ClusterView::WhyNone() const {
  const absl::MutexLock lock(&mutex_);
  if (!state_.has_value()) {
    return "the coordinator was not heard yet, so it is not known whether all copies are throttled";
  }
  return state_->throttled.empty()
             ? ""
             : absl::StrCat("all workflows are throttled by hand: ", state_->throttled);
}

Reading ClusterView::Lag(const OwnRole& own, absl::Time now) const {
  if (!own.known) {
    return {.value = std::nullopt, .detail = "mysqld does not answer"};
  }
  if (!own.primary) {
    return own.lag_ms < 0 ? Reading{.value = std::nullopt, .detail = "replication does not run"}
                          : Reading{.value = static_cast<double>(own.lag_ms), .detail = ""};
  }
  const absl::MutexLock lock(&mutex_);
  if (!state_.has_value() || now - state_->at > kSilenceMax) {
    return {.value = std::nullopt, .detail = "the coordinator is silent"};
  }
  if (!state_->problem.empty()) {
    return {.value = std::nullopt, .detail = absl::StrCat(state_->replica, ": ", state_->problem)};
  }
  return {.value = static_cast<double>(state_->lag_ms), .detail = state_->replica};
}

}  // namespace sluice::throttle
