// Copier: the workers' threads, and what they come to.

#include "agent/target/copier.h"

#include <algorithm>
#include <memory>
#include <thread>
#include <vector>

#include "absl/synchronization/mutex.h"
#include "agent/target/copy_queue.h"
#include "common/base/log.h"
#include "common/base/status_macros.h"

namespace sluice::target {
namespace {

constexpr size_t kWorkersMin = 2;
constexpr size_t kWorkersMax = 8;

// The cause rather than what follows from it in other workers.
bool TellsMore(const absl::Status& status, const absl::Status& than) {
  return than.ok() || (absl::IsCancelled(than) && !status.ok());
}

}  // namespace

Copier::Copier(const CopierContext& context, const CopierOptions& options)
    : context_(context), options_(options) {}

size_t Copier::Workers(const CopierOptions& options) {
  if (options.workers > 0) {
    return options.workers;
  }
  return std::clamp<size_t>(std::thread::hardware_concurrency(), kWorkersMin, kWorkersMax);
}

absl::Status Copier::CopyUntil(const std::string& session, absl::Time deadline) {
  absl::Status status;
  for (int attempt = 1;; ++attempt) {
    status = RunWorkers(session, deadline);
    if (!HasMoved(status)) {
      break;
    }
    SLUICE_RETURN_IF_ERROR(PrepareRetry(context_.retry, status, attempt));
  }
  const auto seconds = [](absl::Duration time) { return absl::FormatDuration(time); };
  SLUICE_LOG(kInfo, "copied",
             {{"stream", context_.record.spec.id},
              {"waiting", seconds(times_.waiting)},
              {"building", seconds(times_.building)},
              {"server", seconds(times_.server)},
              {"hand_off", seconds(times_.hand_off)}});
  SLUICE_RETURN_IF_ERROR(status);
  return context_.retry.stopping.HasBeenNotified()
             ? absl::CancelledError("the stream is being stopped")
             : absl::OkStatus();
}

absl::Status Copier::RunWorkers(const std::string& session, absl::Time deadline) {
  const size_t count = Workers(options_);
  CopyQueue queue(context_.record.copy, {.workers = count, .part_bytes = options_.part_bytes},
                  context_.on_commit);
  absl::Mutex large_rows;
  const CopyWorkerContext context{.local = context_.local,
                                  .options = options_,
                                  .queue = queue,
                                  .source = context_.source,
                                  .plans = context_.retry.plans,
                                  .position = context_.record.position,
                                  .session = session,
                                  .deadline = deadline,
                                  .stopping = context_.retry.stopping,
                                  .large_rows = large_rows,
                                  .throttle = context_.throttle,
                                  .on_times = context_.on_times};
  std::vector<std::unique_ptr<CopyWorker>> workers;
  for (size_t i = 0; i < count; ++i) {
    workers.push_back(std::make_unique<CopyWorker>(context));
  }
  std::vector<absl::Status> results(count);
  {
    std::vector<std::jthread> threads;
    threads.reserve(count);
    for (size_t i = 0; i < count; ++i) {
      threads.emplace_back(
          [&worker = *workers[i], &result = results[i]] { result = worker.Run(); });
    }
  }
  absl::Status outcome;
  for (size_t i = 0; i < count; ++i) {
    if (TellsMore(results[i], outcome)) {
      outcome = results[i];
    }
    times_ += workers[i]->times();
  }
  return outcome;
}

}  // namespace sluice::target
