// BatchQueue: requests that come while others are at work are done together.

#include "agent/gate/batch_queue.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "common/base/check.h"

namespace sluice::gate {

// The others in the order in which they came.
std::vector<GateRequest*> BatchQueue::Take(Lane& lane, GateRequest& own) {
  lane.waiting.erase(std::find(lane.waiting.begin(), lane.waiting.end(), &own));
  std::vector<GateRequest*> batch = {&own};
  size_t tables = own.change.tables.size();
  while (!lane.waiting.empty()) {
    tables += lane.waiting.front()->change.tables.size();
    if (tables > kTablesMax) {
      break;
    }
    batch.push_back(lane.waiting.front());
    lane.waiting.pop_front();
  }
  for (GateRequest* request : batch) {
    request->begun = true;
  }
  return batch;
}

absl::StatusOr<GateOutcome> BatchQueue::Run(GateRequest& request) {
  const std::string& workflow = request.change.id.workflow;
  std::vector<GateRequest*> batch;
  {
    const absl::MutexLock lock(&mutex_);
    Lane& lane = lanes_[workflow];
    lane.waiting.push_back(&request);
    const auto may_go_on = [&]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
      return request.result.has_value() || (!request.begun && !lane.at_work);
    };
    mutex_.AwaitWithDeadline(absl::Condition(&may_go_on), request.deadline);
    if (request.begun) {
      const auto told = [&]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
        return request.result.has_value();
      };
      mutex_.Await(absl::Condition(&told));
      return *std::move(request.result);
    }
    if (lane.at_work) {
      lane.waiting.erase(std::find(lane.waiting.begin(), lane.waiting.end(), &request));
      return absl::DeadlineExceededError(
          absl::StrCat("other gates of ", workflow, " are at work on this mysqld"));
    }
    lane.at_work = true;
    batch = Take(lane, request);
  }
  work_(batch);
  const absl::MutexLock lock(&mutex_);
  const auto lane = lanes_.find(workflow);
  lane->second.at_work = false;
  if (lane->second.waiting.empty()) {
    lanes_.erase(lane);
  }
  SLUICE_CHECK(request.result.has_value());
  return *std::move(request.result);
}

void BatchQueue::Deliver(GateRequest& request, absl::StatusOr<GateOutcome> result) {
  const absl::MutexLock lock(&mutex_);
  request.result = std::move(result);
}

size_t BatchQueue::Waiting(const std::string& workflow) {
  const absl::MutexLock lock(&mutex_);
  const auto lane = lanes_.find(workflow);
  return lane == lanes_.end() ? 0 : lane->second.waiting.size();
}

}  // namespace sluice::gate
