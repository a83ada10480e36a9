// StreamRunner: tasks one after the other, and errors that are kept.

#include "agent/target/stream_runner.h"

#include <algorithm>
#include <string>
#include <utility>

#include "agent/target/local_session.h"
#include "agent/target/stream_store.h"
#include "agent/target/transaction_retry.h"
#include "common/base/log.h"
#include "common/base/status_macros.h"

namespace sluice::target {
namespace {

// Writes the error durably. NOT_FOUND when the stream is gone; OK also when it was stopped
// meanwhile.
absl::Status WriteError(const StreamEnvironment& environment, uint64_t id,
                        const std::string& message, StreamBoard& board) {
  SLUICE_ASSIGN_OR_RETURN(const auto connection, ConnectLocal(environment.local));
  StreamStore store(*connection);
  SLUICE_RETURN_IF_ERROR(store.CheckWritable());
  SLUICE_ASSIGN_OR_RETURN(StreamRecord record, store.Load(id));
  if (record.Active()) {
    SLUICE_RETURN_IF_ERROR(store.WriteError(record, message));
    record.state = schemas::StreamState::ERROR;
    record.message = message;
  }
  board.SetRecord(record);
  return absl::OkStatus();
}

}  // namespace

StreamRunner::StreamRunner(const StreamEnvironment& environment, const StreamRecord& record)
    : environment_(environment),
      id_(record.spec.id),
      board_(record),
      throttle_(environment.throttles, board_) {}

StreamRunner::~StreamRunner() {
  Stop();
}

void StreamRunner::Start() {
  if (running()) {
    return;
  }
  Stop();
  run_ = std::make_unique<Run>();
  thread_ = std::jthread([this, run = run_.get()] {
    Work(*run);
    run->ended.Notify();
  });
}

void StreamRunner::Stop() {
  if (run_ == nullptr) {
    return;
  }
  if (!run_->stopping.HasBeenNotified()) {
    run_->stopping.Notify();
  }
  std::shared_ptr<SourceClient> source;
  {
    const absl::MutexLock lock(&run_->mutex);
    source = run_->source;
  }
  if (source != nullptr) {
    source->Interrupt();
  }
  thread_.join();
  run_.reset();
}

bool StreamRunner::running() const {
  return run_ != nullptr && !run_->ended.HasBeenNotified();
}

void StreamRunner::SetSource(Run& run, const std::shared_ptr<SourceClient>& source) {
  {
    const absl::MutexLock lock(&run.mutex);
    run.source = source;
  }
  if (source != nullptr && run.stopping.HasBeenNotified()) {
    source->Interrupt();
  }
}

void StreamRunner::Work(Run& run) {
  const StreamTuning& tuning = environment_.tuning;
  absl::Duration backoff = tuning.backoff_min;
  while (!run.stopping.HasBeenNotified()) {
    absl::Status status;
    bool made_progress = false;
    bool again = false;
    {
      StreamTask task(id_, {.environment = environment_,
                            .board = board_,
                            .throttle = throttle_,
                            .stopping = run.stopping,
                            .set_source = [&run](const std::shared_ptr<SourceClient>& source) {
                              SetSource(run, source);
                            }});
      status = task.Run();
      made_progress = task.made_progress();
      again = task.again();
    }
    if (again) {
      continue;
    }
    if (status.ok() || run.stopping.HasBeenNotified() ||
        (!IsTransient(status) && KeepError(run, status))) {
      return;
    }
    board_.SetNote(std::string(status.message()));
    SLUICE_LOG(kWarning, "stream interrupted", {{"stream", id_}, {"reason", status}});
    backoff = made_progress ? tuning.backoff_min : std::min(backoff * 2, tuning.backoff_max);
    if (run.stopping.WaitForNotificationWithTimeout(backoff)) {
      return;
    }
  }
}

// True when the stream is at its end: the error is durable, or the stream is gone.
bool StreamRunner::KeepError(Run& run, const absl::Status& error) {
  SLUICE_LOG(kError, "stream stands in error", {{"stream", id_}, {"reason", error}});
  const std::string message(error.message());
  board_.SetNote(message);
  while (true) {
    const absl::Status written = WriteError(environment_, id_, message, board_);
    if (written.ok()) {
      environment_.on_change();
      return true;
    }
    if (absl::IsNotFound(written)) {
      return true;
    }
    if (run.stopping.WaitForNotificationWithTimeout(environment_.tuning.backoff_max)) {
      return true;
    }
  }
}

}  // namespace sluice::target
