// Traffic: admission of statements under one lock with the rule set.

#include "proxy/rules/traffic.h"

#include <algorithm>
#include <optional>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/time/clock.h"
#include "common/base/status.h"
#include "common/base/status_macros.h"
#include "proxy/wire/wire.h"

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
    traffic_.machine_.Step(PlaceLeft{bytes_});
  }
}

absl::Status WaitingPlace::Take() {
  if (taken_) {
    return absl::OkStatus();
  }
  absl::MutexLock lock(&traffic_.mutex_);
  const RulesEffects effects = traffic_.machine_.Step(PlaceWanted{bytes_});
  if (effects.front().kind == RulesEffect::Kind::kBufferFull) {
    return WithMysqlErrno(
        absl::ResourceExhaustedError(absl::StrCat("buffer full: ", traffic_.machine_.waiting(),
                                                  " statements wait for a cutover; nothing was "
                                                  "executed, try again")),
        1203);
  }
  taken_ = true;
  return absl::OkStatus();
}

Traffic::Answer Traffic::Offer(uint64_t epoch,
                               const absl::StatusOr<std::shared_ptr<const RuleSnapshot>>& set) {
  EpochRules rules;
  rules.epoch = epoch;
  std::string broken;
  if (set.ok()) {
    rules = {(*set)->epoch(), (*set)->routes(), HoldTable((*set)->holds())};
  } else {
    broken = std::string(set.status().message());
  }
  absl::MutexLock lock(&mutex_);
  Answer answer = Answer::kNothing;
  for (const RulesEffect& effect :
       machine_.Step(SetOffered{&rules, std::move(broken), absl::Now()})) {
    if (effect.kind == RulesEffect::Kind::kObey) {
      snapshot_ = *set;
      answer = Answer::kObeyed;
    } else if (effect.kind == RulesEffect::Kind::kRefuse) {
      answer = Answer::kRefused;
    } else if (effect.kind == RulesEffect::Kind::kKeep && answer == Answer::kNothing) {
      answer = Answer::kNotKept;
    }
  }
  return answer;
}

void Traffic::Kept(const RuleSnapshot& set, bool synced) {
  absl::MutexLock lock(&mutex_);
  machine_.Step(SetKept{set.epoch(), set.routes(), synced});
}

void Traffic::Heard() {
  absl::MutexLock lock(&mutex_);
  machine_.Step(CoordinatorHeard{absl::Now()});
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
  const Touched& touched = request.plan.touched;
  while (true) {
    RulesEffect verdict;
    {
      absl::MutexLock lock(&mutex_);
      if (closed_) {
        return TryAgain("the proxy is shutting down", touched.tables);
      }
      verdict =
          machine_
              .Step(StatementAsks{
                  .epoch = request.plan.epoch,
                  .touched = &touched,
                  .transaction =
                      request.transaction.traffic_ == nullptr ? 0 : request.transaction.number_,
                  .now = absl::Now(),
                  .deadline = request.deadline,
              })
              .front();
    }
    switch (verdict.kind) {
      case RulesEffect::Kind::kLetIn:
        return verdict.number == 0 ? std::make_optional<OpenWork>()
                                   : std::make_optional(OpenWork(this, verdict.number));
      case RulesEffect::Kind::kPlanAnew:
        return std::optional<OpenWork>();
      case RulesEffect::Kind::kLeaseOver:
        return TryAgain("the coordinator is silent and a cutover's lease is over", touched.tables);
      case RulesEffect::Kind::kTooLong:
        return TryAgain("a cutover took longer than a statement may wait", touched.tables);
      default:
        break;
    }
    SLUICE_RETURN_IF_ERROR(place.Take());
    if (request.cancelled && request.cancelled()) {
      return absl::CancelledError("the client is gone");
    }
    absl::MutexLock lock(&mutex_);
    const auto changed = [this, &request]() ABSL_SHARED_LOCKS_REQUIRED(mutex_) {
      return closed_ || machine_.epoch() != request.plan.epoch;
    };
    mutex_.AwaitWithDeadline(absl::Condition(&changed),
                             std::min(verdict.until, absl::Now() + kLookAround));
  }
}

bool Traffic::AwaitOtherEpoch(uint64_t epoch, absl::Time deadline) {
  absl::MutexLock lock(&mutex_);
  const auto changed = [this, epoch]() ABSL_SHARED_LOCKS_REQUIRED(mutex_) {
    return closed_ || (snapshot_ != nullptr && snapshot_->epoch() != epoch);
  };
  return mutex_.AwaitWithDeadline(absl::Condition(&changed), deadline);
}

Acknowledgement Traffic::acknowledgement() const {
  absl::MutexLock lock(&mutex_);
  return machine_.acknowledgement();
}

bool Traffic::AwaitNews(const Acknowledgement& sent) {
  absl::MutexLock lock(&mutex_);
  const auto news = [this, &sent]() ABSL_SHARED_LOCKS_REQUIRED(mutex_) {
    return closed_ || poll_wanted_ || machine_.HasNewsSince(sent);
  };
  mutex_.Await(absl::Condition(&news));
  poll_wanted_ = false;
  return !closed_;
}

bool Traffic::AwaitAcknowledged(absl::Time deadline) {
  absl::MutexLock lock(&mutex_);
  const auto told = [this]() ABSL_SHARED_LOCKS_REQUIRED(mutex_) {
    return closed_ || machine_.acknowledged();
  };
  return mutex_.AwaitWithDeadline(absl::Condition(&told), deadline) && !closed_;
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
  machine_.Step(WorkEnds{number});
}

void Traffic::MergeWork(uint64_t into, uint64_t from) {
  absl::MutexLock lock(&mutex_);
  machine_.Step(WorkJoins{.into = into, .work = from});
}

}  // namespace sluice::proxy
