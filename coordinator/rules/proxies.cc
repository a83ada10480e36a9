// RuleService: the proxies' long polls and acknowledgements.

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "common/base/log.h"
#include "common/base/status_macros.h"
#include "common/wire/wire.h"
#include "coordinator/rules/rule_service.h"

namespace sluice::rules {
namespace {

// An epoch of a proxy above this is no epoch of any coordinator.
constexpr uint64_t kEpochMax = uint64_t{1} << 62U;
constexpr size_t kReasonBytesMax = 1024;
constexpr size_t kCellBytesMax = 255;
constexpr size_t kProxiesMax = 10000;

}  // namespace

RuleService::Proxy& RuleService::TakePollLocked(schemas::PollRulesRequest::Reader request) {
  Proxy& proxy = proxies_[wire::Str(request.getProxyId())];
  ProxyState& state = proxy.state;
  const bool refuses = request.getRefusedEpoch() > state.refused_epoch;
  const absl::Time now = absl::Now();
  if (request.getHaveEpoch() != state.epoch) {
    proxy.obeyed_at = now;
  }
  if (request.getDrainedEpoch() != state.drained_epoch) {
    proxy.drained_at = now;
  }
  state.id = wire::Str(request.getProxyId());
  state.address = wire::Str(request.getAddress());
  state.cell = wire::Str(request.getCell()).substr(0, kCellBytesMax);
  state.epoch = request.getHaveEpoch();
  state.drained_epoch = request.getDrainedEpoch();
  state.held_statements = request.getHeldStatements();
  state.open_transactions = request.getOpenTransactions();
  state.refused_epoch = request.getRefusedEpoch();
  state.refused_reason = wire::Str(request.getRefusedReason()).substr(0, kReasonBytesMax);
  state.last_heard = now;
  ++proxy.poll;
  ++proxy.polls_open;
  ++progress_;
  if (refuses) {
    SLUICE_LOG(
        kWarning, "a proxy refuses the rules",
        {{"proxy", state.id}, {"epoch", state.refused_epoch}, {"reason", state.refused_reason}});
  }
  return proxy;
}

std::shared_ptr<const RuleSnapshot> RuleService::AwaitEpochAbove(uint64_t epoch,
                                                                 const std::string& proxy,
                                                                 uint64_t poll,
                                                                 absl::Time deadline) {
  const absl::MutexLock lock(&mutex_);
  Proxy& entry = proxies_[proxy];
  const auto answerable = [&] {
    mutex_.AssertReaderHeld();
    return closed_ || snapshot_->epoch > epoch || entry.poll != poll;
  };
  mutex_.AwaitWithDeadline(absl::Condition(&answerable), deadline);
  --entry.polls_open;
  entry.state.last_heard = absl::Now();
  return snapshot_->epoch > epoch ? snapshot_ : nullptr;
}

absl::Status RuleService::HandlePoll(const rpc::RequestContext& context,
                                     schemas::PollRulesRequest::Reader request,
                                     schemas::PollRulesReply::Builder reply) {
  const std::string id = wire::Str(request.getProxyId());
  if (id.empty()) {
    return absl::InvalidArgumentError("pollRules without a proxyId");
  }
  if (request.getHaveEpoch() > kEpochMax) {
    return absl::InvalidArgumentError(
        absl::StrCat("proxy ", id, " claims epoch ", request.getHaveEpoch()));
  }
  SLUICE_RETURN_IF_ERROR(RaiseEpochAbove(request.getHaveEpoch()));
  uint64_t poll = 0;
  {
    const absl::MutexLock lock(&mutex_);
    if (!proxies_.contains(id) && proxies_.size() >= kProxiesMax) {
      return absl::ResourceExhaustedError("too many proxies have been seen");
    }
    poll = TakePollLocked(request).poll;
  }
  // A refused epoch is not offered again; the next one is.
  const uint64_t above = std::max(request.getHaveEpoch(), request.getRefusedEpoch());
  const absl::Duration wait = std::min(absl::Milliseconds(request.getWaitMs()), options_.wait_max);
  const absl::Time deadline =
      std::min(absl::Now() + wait, context.deadline - absl::Milliseconds(50));
  const std::shared_ptr<const RuleSnapshot> snapshot = AwaitEpochAbove(above, id, poll, deadline);
  reply.setChanged(snapshot != nullptr);
  if (snapshot != nullptr) {
    FillRuleSet(*snapshot, reply.initRules());
  }
  return absl::OkStatus();
}

// A proxy that obeys a later epoch than ours has it from a store that is lost; it would take none
// of ours until we are past it.
absl::Status RuleService::RaiseEpochAbove(uint64_t epoch) {
  if (epoch <= this->epoch()) {
    return absl::OkStatus();
  }
  SLUICE_LOG(kWarning, "a proxy obeys an epoch that this store does not know; going past it",
             {{"epoch", epoch}});
  return Change([epoch](store::StoreTransaction& transaction, store::RuleState&) -> absl::Status {
           SLUICE_ASSIGN_OR_RETURN(const uint64_t last, transaction.ReadEpoch());
           return last < epoch ? transaction.WriteEpoch(epoch) : absl::OkStatus();
         })
      .status();
}

bool RuleService::ConnectedLocked(const Proxy& proxy, absl::Time now) const {
  return proxy.polls_open > 0 || now - proxy.state.last_heard <= options_.connected_within;
}

std::vector<ProxyDelay> RuleService::DelaysLocked(uint64_t epoch, ProxyProgress progress,
                                                  absl::Time now, bool& all_refused) const {
  std::vector<ProxyDelay> delays;
  all_refused = true;
  for (const auto& [id, proxy] : proxies_) {
    const ProxyState& state = proxy.state;
    const uint64_t reached =
        progress == ProxyProgress::kDrained ? state.drained_epoch : state.epoch;
    if (reached >= epoch || !ConnectedLocked(proxy, now)) {
      continue;
    }
    if (state.refused_epoch >= epoch) {
      delays.push_back(
          {id, absl::StrCat("refused epoch ", state.refused_epoch, ": ", state.refused_reason)});
      continue;
    }
    all_refused = false;
    delays.push_back({id, state.epoch < epoch
                              ? absl::StrCat("obeys epoch ", state.epoch, " still")
                              : absl::StrCat(state.open_transactions,
                                             " statements or transactions open on held tables")});
  }
  return delays;
}

std::vector<ProxyDelay> RuleService::AwaitProxies(uint64_t epoch, ProxyProgress progress,
                                                  absl::Time deadline) const {
  const absl::ReaderMutexLock lock(&mutex_);
  while (true) {
    const absl::Time now = absl::Now();
    bool all_refused = false;
    std::vector<ProxyDelay> delays = DelaysLocked(epoch, progress, now, all_refused);
    if (all_refused || closed_ || now >= deadline) {
      return delays;
    }
    // A proxy may also just fall silent.
    absl::Time wake = deadline;
    for (const auto& [id, proxy] : proxies_) {
      if (proxy.polls_open == 0 && ConnectedLocked(proxy, now)) {
        wake = std::min(wake,
                        proxy.state.last_heard + options_.connected_within + absl::Milliseconds(1));
      }
    }
    const uint64_t known = progress_;
    const auto news = [&] {
      mutex_.AssertReaderHeld();
      return closed_ || progress_ != known;
    };
    mutex_.AwaitWithDeadline(absl::Condition(&news), wake);
  }
}

std::vector<ProxyArrival> RuleService::Arrivals(uint64_t epoch, ProxyProgress progress) const {
  const absl::ReaderMutexLock lock(&mutex_);
  std::vector<ProxyArrival> arrivals;
  for (const auto& [id, proxy] : proxies_) {
    const bool drained = progress == ProxyProgress::kDrained;
    if ((drained ? proxy.state.drained_epoch : proxy.state.epoch) >= epoch) {
      arrivals.push_back({.id = id, .at = drained ? proxy.drained_at : proxy.obeyed_at});
    }
  }
  return arrivals;
}

std::vector<ProxyState> RuleService::Proxies() const {
  const absl::Time now = absl::Now();
  const absl::ReaderMutexLock lock(&mutex_);
  std::vector<ProxyState> result;
  result.reserve(proxies_.size());
  for (const auto& [id, proxy] : proxies_) {
    result.push_back(proxy.state);
    result.back().connected = ConnectedLocked(proxy, now);
  }
  return result;
}

}  // namespace sluice::rules
