// StreamBoard: lag, status, and waiting for markers.

#include "agent/target/stream_board.h"

#include <algorithm>
#include <utility>

#include "absl/cleanup/cleanup.h"
#include "absl/strings/str_cat.h"

namespace sluice::target {
namespace {

// The source answers at least once a second; silence beyond this counts as lag.
constexpr absl::Duration kSilence = absl::Seconds(3);
// How often a waiting call looks whether the server is closing.
constexpr absl::Duration kClosingInterval = absl::Milliseconds(200);
constexpr int64_t kMicrosPerMilli = 1000;
constexpr int64_t kMicrosPerSecond = 1000 * kMicrosPerMilli;

std::string PositionText(const PositionRow& row) {
  return row.position.has_value() ? row.position->set.ToString() : "";
}

}  // namespace

StreamBoard::StreamBoard(StreamRecord record) : record_(std::move(record)) {}

void StreamBoard::SetRecord(const StreamRecord& record) {
  const absl::MutexLock lock(&mutex_);
  record_ = record;
  note_.clear();
  keys_note_.clear();
  if (!record_.Active()) {
    source_.clear();
    heard_lag_ms_ = -1;
    throttled_component_.clear();
    throttled_reason_.clear();
  }
}

void StreamBoard::SetSpec(const StreamSpec& spec) {
  const absl::MutexLock lock(&mutex_);
  record_.spec = spec;
}

void StreamBoard::SetPosition(const PositionRow& row) {
  const absl::MutexLock lock(&mutex_);
  record_.position = row;
}

void StreamBoard::SetCopyTable(const CopyTable& table) {
  const absl::MutexLock lock(&mutex_);
  for (CopyTable& known : record_.copy) {
    if (known.table == table.table) {
      known = table;
    }
  }
}

void StreamBoard::SetSource(const std::string& alias) {
  const absl::MutexLock lock(&mutex_);
  source_ = alias;
}

void StreamBoard::SetNote(const std::string& note) {
  const absl::MutexLock lock(&mutex_);
  note_ = note;
}

void StreamBoard::SetKeysNote(const std::string& note) {
  const absl::MutexLock lock(&mutex_);
  keys_note_ = note;
}

void StreamBoard::Heard(const HeardFromSource& heard) {
  const absl::MutexLock lock(&mutex_);
  heard_at_ = absl::Now();
  note_.clear();
  if (heard.caught_up) {
    heard_lag_ms_ = 0;
  } else if (heard.transaction_us > 0) {
    heard_lag_ms_ =
        std::max<int64_t>(0, (heard.source_time_us - heard.transaction_us) / kMicrosPerMilli);
  }
}

void StreamBoard::SetThrottled(const std::string& component, const std::string& reason) {
  const absl::MutexLock lock(&mutex_);
  throttled_component_ = component;
  throttled_reason_ = reason;
  if (!component.empty()) {
    throttled_at_ = absl::Now();
  }
}

void StreamBoard::AddCopyTimes(const WriteTimes& times) {
  const absl::MutexLock lock(&mutex_);
  copy_times_ += times;
}

void StreamBoard::AddApplyTimes(const WriteTimes& times) {
  const absl::MutexLock lock(&mutex_);
  apply_times_ += times;
}

absl::Duration StreamBoard::Lag() const {
  const absl::MutexLock lock(&mutex_);
  return absl::Milliseconds(LagMs());
}

bool StreamBoard::MarkerAwaited() const {
  const absl::MutexLock lock(&mutex_);
  return marker_waiters_ > 0;
}

int64_t StreamBoard::LagMs() const {
  if (heard_lag_ms_ < 0) {
    return -1;
  }
  const absl::Duration silence = absl::Now() - heard_at_;
  return silence < kSilence ? heard_lag_ms_ : heard_lag_ms_ + absl::ToInt64Milliseconds(silence);
}

StreamStatus StreamBoard::Status() const {
  const absl::MutexLock lock(&mutex_);
  StreamStatus status;
  status.spec = record_.spec;
  status.state = record_.state;
  status.message = !record_.message.empty() ? record_.message : !note_.empty() ? note_ : keys_note_;
  status.position = PositionText(record_.position);
  status.source_tablet = source_;
  status.lag_ms = LagMs();
  status.transaction_timestamp = record_.position.transaction_us / kMicrosPerSecond;
  status.time_updated = heard_at_ == absl::InfinitePast() ? 0 : absl::ToUnixSeconds(heard_at_);
  status.copy = record_.copy;
  status.frozen = record_.frozen;
  status.transactions_applied = record_.position.transactions_applied;
  status.rows_applied = record_.position.rows_applied;
  status.throttled_component = throttled_component_;
  status.throttled_reason = throttled_reason_;
  status.time_throttled = absl::ToUnixSeconds(throttled_at_);
  status.copy_times = copy_times_;
  status.apply_times = apply_times_;
  return status;
}

bool StreamBoard::Active() const {
  const absl::MutexLock lock(&mutex_);
  return record_.Active();
}

bool StreamBoard::HasMarker(const std::string& id) const {
  const auto& markers = record_.position.markers;
  return std::find(markers.begin(), markers.end(), id) != markers.end();
}

absl::StatusOr<std::string> StreamBoard::AwaitMarker(const std::string& id, absl::Time deadline,
                                                     const std::function<bool()>& closing) const {
  const absl::MutexLock lock(&mutex_);
  const auto settled = [&]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    return HasMarker(id) || !record_.Active();
  };
  ++marker_waiters_;
  const absl::Cleanup waited = [this]()
                                   ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) { --marker_waiters_; };
  while (!settled()) {
    if (absl::Now() >= deadline) {
      return absl::DeadlineExceededError(absl::StrCat("stream ", record_.spec.id,
                                                      " has not applied marker ", id, " yet",
                                                      note_.empty() ? "" : ": ", note_));
    }
    if (closing()) {
      return absl::CancelledError("this agent is stopping");
    }
    mutex_.AwaitWithDeadline(absl::Condition(&settled),
                             std::min(deadline, absl::Now() + kClosingInterval));
  }
  if (HasMarker(id)) {
    return PositionText(record_.position);
  }
  return absl::FailedPreconditionError(
      absl::StrCat("stream ", record_.spec.id, " does not run and has not applied marker ", id,
                   record_.message.empty() ? "" : ": ", record_.message));
}

}  // namespace sluice::target
