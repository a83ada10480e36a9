// PipeWatch: counts pipes from nng's notifications.

#include "common/rpc/pipe_watch.h"

#include <algorithm>

#include "common/base/status_macros.h"
#include "common/rpc/nng_handles.h"

namespace sluice::rpc {
namespace {

constexpr size_t kRemovedEarlyMax = 64;
constexpr absl::Duration kQuiesceMax = absl::Seconds(2);

}  // namespace

absl::Status PipeWatch::Attach(nng_socket socket) {
  for (const nng_pipe_ev event :
       {NNG_PIPE_EV_ADD_PRE, NNG_PIPE_EV_ADD_POST, NNG_PIPE_EV_REM_POST}) {
    SLUICE_RETURN_IF_ERROR(
        StatusFromNng(nng_pipe_notify(socket, event, &PipeWatch::OnEvent, this), "pipe events"));
  }
  return absl::OkStatus();
}

absl::Status PipeWatch::AwaitConnected(absl::Time deadline, absl::Duration patience) {
  const absl::MutexLock lock(&mutex_);
  const absl::Time give_up = down_since_ + patience;
  mutex_.AwaitWithDeadline(absl::Condition(this, &PipeWatch::Settled), std::min(deadline, give_up));
  if (cancelled_) {
    return absl::CancelledError("the client is closed");
  }
  if (!pipes_.empty()) {
    return absl::OkStatus();
  }
  if (give_up <= deadline) {
    return absl::UnavailableError("no connection");
  }
  return absl::DeadlineExceededError("no connection in time");
}

void PipeWatch::Quiesce() {
  const absl::MutexLock lock(&mutex_);
  cancelled_ = true;
  mutex_.AwaitWithTimeout(absl::Condition(this, &PipeWatch::NoneStarting), kQuiesceMax);
}

void PipeWatch::OnEvent(nng_pipe pipe, nng_pipe_ev event, void* self) {
  auto* watch = static_cast<PipeWatch*>(self);
  if (event == NNG_PIPE_EV_ADD_PRE) {
    if (!watch->Starting(nng_pipe_id(pipe))) {
      (void)nng_pipe_close(pipe);
    }
  } else if (event == NNG_PIPE_EV_ADD_POST) {
    watch->Added(nng_pipe_id(pipe));
  } else if (event == NNG_PIPE_EV_REM_POST) {
    watch->Removed(nng_pipe_id(pipe));
  }
}

bool PipeWatch::Starting(int pipe) {
  const absl::MutexLock lock(&mutex_);
  if (cancelled_) {
    return false;
  }
  starting_.insert(pipe);
  return true;
}

void PipeWatch::Added(int pipe) {
  const absl::MutexLock lock(&mutex_);
  starting_.erase(pipe);
  const auto early = std::find(removed_early_.begin(), removed_early_.end(), pipe);
  if (early != removed_early_.end()) {
    removed_early_.erase(early);
    return;
  }
  pipes_.insert(pipe);
}

void PipeWatch::Removed(int pipe) {
  const absl::MutexLock lock(&mutex_);
  starting_.erase(pipe);
  if (pipes_.erase(pipe) == 0) {
    removed_early_.push_back(pipe);
    if (removed_early_.size() > kRemovedEarlyMax) {
      removed_early_.pop_front();
    }
    return;
  }
  if (pipes_.empty()) {
    down_since_ = absl::Now();
  }
}

}  // namespace sluice::rpc
