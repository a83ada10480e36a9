// Sampler: one look after the other.

#include "agent/throttle/sampler.h"

#include <utility>

#include "absl/time/clock.h"
#include "common/base/status_macros.h"

namespace sluice::throttle {
namespace {

Reading ReadingOf(const absl::StatusOr<double>& value) {
  return value.ok()
             ? Reading{.value = *value, .detail = {}}
             : Reading{.value = std::nullopt, .detail = std::string(value.status().message())};
}

}  // namespace

Sampler::Interest::Interest(Sampler& sampler, const Limits& limits)
    : sampler_(sampler), limits_(limits), since_(absl::Now()) {
  const absl::MutexLock lock(&sampler_.mutex_);
  sampler_.interests_.insert(&limits_);
  sampler_.changed_ = true;
}

Sampler::Interest::~Interest() {
  const absl::MutexLock lock(&sampler_.mutex_);
  sampler_.interests_.erase(&limits_);
}

Sample Sampler::Interest::Newest() const {
  const absl::MutexLock lock(&sampler_.mutex_);
  Sample sample = sampler_.newest_.sample;
  if (sample.at < since_) {
    return {};
  }
  if (!limits_.query.empty()) {
    const auto found = sampler_.newest_.queries.find(limits_.query);
    if (found == sampler_.newest_.queries.end()) {
      return {};
    }
    sample.Of(Metric::kQuery) = found->second;
  }
  return sample;
}

Sampler::Sampler(SamplerOptions options)
    : options_(std::move(options)), thread_([this] { Run(); }) {}

Sampler::~Sampler() {
  Stop();
}

void Sampler::Stop() {
  {
    const absl::MutexLock lock(&mutex_);
    stopped_ = true;
    if (connection_ != nullptr) {
      connection_->Interrupt();
    }
  }
  if (thread_.joinable()) {
    thread_.join();
  }
}

Sampler::Wanted Sampler::WantedNow() const {
  Wanted wanted;
  for (const Limits* limits : interests_) {
    wanted.lag = wanted.lag || limits->Of(Metric::kLag).has_value();
    wanted.threads = wanted.threads || limits->Of(Metric::kThreads).has_value();
    wanted.disk = wanted.disk || limits->Of(Metric::kDisk).has_value();
    if (!limits->query.empty()) {
      wanted.queries.insert(limits->query);
    }
  }
  return wanted;
}

void Sampler::Run() {
  const auto wanted_or_stopped = [this]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    return stopped_ || !interests_.empty();
  };
  const auto changed_or_stopped = [this]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    return stopped_ || changed_;
  };
  while (true) {
    bool idle = false;
    {
      const absl::MutexLock lock(&mutex_);
      idle = interests_.empty();
    }
    if (idle) {
      Disconnect();
    }
    Wanted wanted;
    {
      const absl::MutexLock lock(&mutex_);
      mutex_.Await(absl::Condition(&wanted_or_stopped));
      if (stopped_) {
        return;
      }
      changed_ = false;
      wanted = WantedNow();
    }
    Measured measured = Measure(wanted);
    const absl::MutexLock lock(&mutex_);
    newest_ = std::move(measured);
    mutex_.AwaitWithTimeout(absl::Condition(&changed_or_stopped), options_.period);
  }
}

absl::Status Sampler::Connect() {
  {
    const absl::MutexLock lock(&mutex_);
    if (connection_ != nullptr && connection_->healthy()) {
      return absl::OkStatus();
    }
    connection_.reset();
  }
  disk_.Forget();
  SLUICE_ASSIGN_OR_RETURN(auto connection, ConnectToMeasure(options_.connection));
  const absl::MutexLock lock(&mutex_);
  connection_ = std::move(connection);
  return absl::OkStatus();
}

void Sampler::Disconnect() {
  std::unique_ptr<mysql::Connection> ended;
  const absl::MutexLock lock(&mutex_);
  ended = std::move(connection_);
}

Sampler::Measured Sampler::Measure(const Wanted& wanted) {
  Measured measured;
  Sample& sample = measured.sample;
  if (wanted.lag) {
    sample.Of(Metric::kLag) = options_.lag();
  }
  if (wanted.threads || wanted.disk || !wanted.queries.empty()) {
    const absl::Status connected = Connect();
    mysql::Connection* connection = nullptr;
    {
      const absl::MutexLock lock(&mutex_);
      connection = connection_.get();
    }
    const auto read = [&](const std::function<absl::StatusOr<double>()>& measure) {
      return ReadingOf(connected.ok() ? measure() : connected);
    };
    if (wanted.threads) {
      sample.Of(Metric::kThreads) = read([&] { return ReadThreadsRunning(*connection); });
    }
    if (wanted.disk) {
      sample.Of(Metric::kDisk) = read([&] { return disk_.Read(*connection); });
    }
    for (const std::string& query : wanted.queries) {
      measured.queries[query] = read([&] { return ReadQuery(*connection, query); });
    }
  }
  // When it was over: a look that hangs is no newer than the one before it, until it ends.
  sample.at = absl::Now();
  return measured;
}

}  // namespace sluice::throttle
