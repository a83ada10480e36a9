// Traffic: admission of statements under one lock with the rule set.

#include "proxy/traffic.h"

#include <algorithm>
#include <optional>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/time/clock.h"
#include "common/base/status.h"
#include "common/base/status_macros.h"
#include "proxy/wire.h"

namespace sluice::proxy {
namespace {

// How often a waiting statement looks whether its client is still there.
constexpr absl::Duration kLookAround = absl::Milliseconds(200);

absl::Status TryAgain(absl::string_view why, const std::vector<std::string>& tables) {
  return MysqlError(1205, absl::StrCat(why, " (", absl::StrJoin(tables, ", "),
                                       "); nothing was executed, try again"));
}

}  // namespace

OpenWork::OpenWork(OpenWork&& other) noexcept
    : traffic_(std::exchange(other.traffic_, nullptr)), number_(other.number_) {}

OpenWork& OpenWork::operator=(OpenWork&& other) noexcept {
  if (this != &other) {
    Reset();
    traffic_ = std::exchange(other.traffic_, nullptr);
    number_ = other.number_;
  }
  return *this;
}

void OpenWork::Reset() {
  if (traffic_ != nullptr) {
    std::exchange(traffic_, nullptr)->CloseWork(number_);
  }
}

void OpenWork::Absorb(OpenWork other) {
  if (traffic_ == nullptr) {
    *this = std::move(other);
  } else if (other.traffic_ != nullptr) {
    traffic_->MergeWork(number_, other.number_);
    other.traffic_ = nullptr;
  }
}

void WaitingPlace::Leave() {
  if (std::exchange(taken_, false)) {
    absl::MutexLock lock(&traffic_.mutex_);
    traffic_.holds_.LeaveBuffer(bytes_);
  }
}

absl::Status WaitingPlace::Take() {
  if (taken_) {
    return absl::OkStatus();
  }
  absl::MutexLock lock(&traffic_.mutex_);
  if (!traffic_.holds_.EnterBuffer(bytes_)) {
    return WithMysqlErrno(
        absl::ResourceExhaustedError(absl::StrCat("buffer full: ", traffic_.holds_.waiting(),
                                                  " statements wait for a cutover; nothing was "
                                                  "executed, try again")),
        1203);
  }
  taken_ = true;
  return absl::OkStatus();
}

void Traffic::Install(std::shared_ptr<const RuleSnapshot> snapshot) {
  absl::MutexLock lock(&mutex_);
  holds_.Install(snapshot->epoch(), snapshot->holds(), absl::Now());
  snapshot_ = std::move(snapshot);
}

void Traffic::Heard() {
  absl::MutexLock lock(&mutex_);
  holds_.Heard(absl::Now());
  ++heard_;
}

std::shared_ptr<const RuleSnapshot> Traffic::snapshot() const {
  absl::MutexLock lock(&mutex_);
  return snapshot_;
}

bool Traffic::AwaitFirst(absl::Time deadline) {
  absl::MutexLock lock(&mutex_);
  const auto ready = [this]() ABSL_SHARED_LOCKS_REQUIRED(mutex_) {
    return closed_ || snapshot_ != nullptr;
  };
  mutex_.AwaitWithDeadline(absl::Condition(&ready), deadline);
  return snapshot_ != nullptr && !closed_;
}

absl::StatusOr<std::optional<OpenWork>> Traffic::Admit(const Request& request,
                                                       WaitingPlace& place) {
  static const std::vector<std::string> kNothing;
  const std::vector<std::string>& tables = request.plan.touched;
  while (true) {
    {
      absl::MutexLock lock(&mutex_);
      if (closed_) {
        return TryAgain("the proxy is shutting down", tables);
      }
      if (snapshot_->epoch() != request.plan.epoch) {
        return std::optional<OpenWork>();
      }
      const OpenWork& transaction = request.transaction;
      const auto& already =
          transaction.traffic_ == nullptr ? kNothing : holds_.TablesOf(transaction.number_);
      const absl::Time now = absl::Now();
      switch (holds_.Judge(tables, already, now)) {
        case HoldTable::Verdict::kPass:
          return tables.empty() ? std::make_optional<OpenWork>()
                                : std::make_optional(OpenWork(this, holds_.Open(tables)));
        case HoldTable::Verdict::kLeaseOver:
          return TryAgain("the coordinator is silent and a cutover's lease is over", tables);
        case HoldTable::Verdict::kWait:
          break;
      }
      if (now >= request.deadline) {
        return TryAgain("a cutover took longer than a statement may wait", tables);
      }
    }
    SLUICE_RETURN_IF_ERROR(place.Take());
    if (request.cancelled && request.cancelled()) {
      return absl::CancelledError("the client is gone");
    }
    absl::MutexLock lock(&mutex_);
    const auto changed = [this, &request]() ABSL_SHARED_LOCKS_REQUIRED(mutex_) {
      return closed_ || snapshot_->epoch() != request.plan.epoch;
    };
    const absl::Time until =
        std::min({request.deadline, absl::Now() + kLookAround, holds_.NextLeaseEnd()});
    mutex_.AwaitWithDeadline(absl::Condition(&changed), until);
  }
}

bool Traffic::AwaitOtherEpoch(uint64_t epoch, absl::Time deadline) {
  absl::MutexLock lock(&mutex_);
  const auto changed = [this, epoch]() ABSL_SHARED_LOCKS_REQUIRED(mutex_) {
    return closed_ || (snapshot_ != nullptr && snapshot_->epoch() != epoch);
  };
  return mutex_.AwaitWithDeadline(absl::Condition(&changed), deadline);
}

Traffic::Acknowledgement Traffic::acknowledgement() const {
  absl::MutexLock lock(&mutex_);
  return {holds_.epoch(), holds_.drained_epoch(), static_cast<uint32_t>(holds_.waiting()),
          static_cast<uint32_t>(holds_.open_on_held())};
}

bool Traffic::AwaitNews(const Acknowledgement& sent) {
  absl::MutexLock lock(&mutex_);
  const auto news = [this, &sent]() ABSL_SHARED_LOCKS_REQUIRED(mutex_) {
    return closed_ || poll_wanted_ || holds_.epoch() != sent.have_epoch ||
           holds_.drained_epoch() != sent.drained_epoch;
  };
  mutex_.Await(absl::Condition(&news));
  poll_wanted_ = false;
  return !closed_;
}

bool Traffic::ConfirmEpoch(absl::Time deadline) {
  absl::MutexLock lock(&mutex_);
  const uint64_t before = heard_;
  poll_wanted_ = true;
  const auto heard = [this, before]()
                         ABSL_SHARED_LOCKS_REQUIRED(mutex_) { return closed_ || heard_ != before; };
  return mutex_.AwaitWithDeadline(absl::Condition(&heard), deadline) && !closed_;
}

void Traffic::Close() {
  absl::MutexLock lock(&mutex_);
  closed_ = true;
}

void Traffic::CloseWork(uint64_t number) {
  absl::MutexLock lock(&mutex_);
  holds_.Close(number);
}

void Traffic::MergeWork(uint64_t into, uint64_t from) {
  absl::MutexLock lock(&mutex_);
  holds_.Merge(into, from);
}

}  // namespace sluice::proxy
