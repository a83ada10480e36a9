// StreamRunner: the thread of one stream; runs tasks until it is stopped or needs a person.

#pragma once

#include <cstdint>
#include <memory>
#include <thread>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "absl/synchronization/notification.h"
#include "agent/target/stream_board.h"
#include "agent/target/stream_record.h"
#include "agent/target/stream_task.h"

namespace sluice::target {

// Start and Stop are for one thread at a time; board() is thread-safe.
class StreamRunner {
 public:
  // `environment` outlives it.
  StreamRunner(const StreamEnvironment& environment, const StreamRecord& record);
  StreamRunner(const StreamRunner&) = delete;
  StreamRunner& operator=(const StreamRunner&) = delete;
  ~StreamRunner();  // Stop()

  // Runs the stream as its durable state says. Nothing happens when it runs already.
  void Start();
  // Returns when the thread has ended and its last commit is over. The durable state stays as it
  // is.
  void Stop();

  // False also when the thread has ended by itself.
  [[nodiscard]] bool running() const;

  [[nodiscard]] StreamBoard& board() { return board_; }
  [[nodiscard]] const StreamBoard& board() const { return board_; }
  [[nodiscard]] StreamThrottle& throttle() { return throttle_; }

 private:
  // What one thread shares with those who stop it.
  struct Run {
    absl::Notification stopping;
    absl::Notification ended;
    absl::Mutex mutex;
    std::shared_ptr<SourceClient> source ABSL_GUARDED_BY(mutex);
  };

  void Work(Run& run);
  bool KeepError(Run& run, const absl::Status& error);
  static void SetSource(Run& run, const std::shared_ptr<SourceClient>& source);

  const StreamEnvironment& environment_;
  const uint64_t id_;
  StreamBoard board_;
  StreamThrottle throttle_;
  std::unique_ptr<Run> run_;
  std::jthread thread_;
};

}  // namespace sluice::target
