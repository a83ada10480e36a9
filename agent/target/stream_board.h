// StreamBoard: what is known of a stream now, between its thread and those who ask.

#pragma once

#include <cstdint>
#include <functional>
#include <string>

#include "absl/base/thread_annotations.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "agent/target/stream_record.h"
#include "agent/target/stream_status.h"

namespace sluice::target {

// What a batch from the source tells of the time.
struct HeardFromSource {
  int64_t source_time_us = 0;
  int64_t transaction_us = 0;  // commit of the last transaction that is applied
  bool caught_up = false;
};

// Thread-safe.
class StreamBoard {
 public:
  explicit StreamBoard(StreamRecord record);

  // By the stream's thread (or by a command, while there is none).
  void SetRecord(const StreamRecord& record) ABSL_LOCKS_EXCLUDED(mutex_);
  void SetSpec(const StreamSpec& spec) ABSL_LOCKS_EXCLUDED(mutex_);
  void SetPosition(const PositionRow& row) ABSL_LOCKS_EXCLUDED(mutex_);
  void SetCopyTable(const CopyTable& table) ABSL_LOCKS_EXCLUDED(mutex_);
  void SetSource(const std::string& alias) ABSL_LOCKS_EXCLUDED(mutex_);
  // Why it does not get on at the moment; shown as the message where there is no other. Not
  // durable.
  void SetNote(const std::string& note) ABSL_LOCKS_EXCLUDED(mutex_);
  // What is being done about keys that tables lack; shown where there is nothing else to say.
  void SetKeysNote(const std::string& note) ABSL_LOCKS_EXCLUDED(mutex_);
  void Heard(const HeardFromSource& heard) ABSL_LOCKS_EXCLUDED(mutex_);
  // What waits, "copy" or "apply", and why; empty when nothing does.
  void SetThrottled(const std::string& component, const std::string& reason)
      ABSL_LOCKS_EXCLUDED(mutex_);
  void AddCopyTimes(const WriteTimes& times) ABSL_LOCKS_EXCLUDED(mutex_);
  void AddApplyTimes(const WriteTimes& times) ABSL_LOCKS_EXCLUDED(mutex_);

  [[nodiscard]] StreamStatus Status() const ABSL_LOCKS_EXCLUDED(mutex_);
  [[nodiscard]] bool Active() const ABSL_LOCKS_EXCLUDED(mutex_);
  // Negative where it is not known.
  [[nodiscard]] absl::Duration Lag() const ABSL_LOCKS_EXCLUDED(mutex_);
  // Somebody waits in AwaitMarker.
  [[nodiscard]] bool MarkerAwaited() const ABSL_LOCKS_EXCLUDED(mutex_);

  // The applied position, as soon as the commit that holds the marker is over. FAILED_PRECONDITION,
  // with the stream's message, when it stands in error, stopped or frozen; DEADLINE_EXCEEDED at the
  // deadline; CANCELLED when `closing` becomes true.
  absl::StatusOr<std::string> AwaitMarker(const std::string& id, absl::Time deadline,
                                          const std::function<bool()>& closing) const
      ABSL_LOCKS_EXCLUDED(mutex_);

 private:
  bool HasMarker(const std::string& id) const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  [[nodiscard]] int64_t LagMs() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  mutable absl::Mutex mutex_;
  StreamRecord record_ ABSL_GUARDED_BY(mutex_);
  std::string source_ ABSL_GUARDED_BY(mutex_);
  std::string note_ ABSL_GUARDED_BY(mutex_);
  std::string keys_note_ ABSL_GUARDED_BY(mutex_);
  absl::Time heard_at_ ABSL_GUARDED_BY(mutex_) = absl::InfinitePast();
  int64_t heard_lag_ms_ ABSL_GUARDED_BY(mutex_) = -1;
  std::string throttled_component_ ABSL_GUARDED_BY(mutex_);
  std::string throttled_reason_ ABSL_GUARDED_BY(mutex_);
  absl::Time throttled_at_ ABSL_GUARDED_BY(mutex_) = absl::UnixEpoch();
  WriteTimes copy_times_ ABSL_GUARDED_BY(mutex_);
  WriteTimes apply_times_ ABSL_GUARDED_BY(mutex_);
  mutable int marker_waiters_ ABSL_GUARDED_BY(mutex_) = 0;
};

}  // namespace sluice::target
