// RulesClient: long poll and acknowledgements.

#include "proxy/rules/rules_client.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "common/base/log.h"
#include "common/base/status_macros.h"
#include "proxy/rules/state_file.h"

namespace sluice::proxy {
namespace {

// A poll whose answer is lost with a dying coordinator costs this long before the next one.
constexpr absl::Duration kLongPoll = absl::Milliseconds(1000);
constexpr absl::Duration kCallMargin = absl::Milliseconds(1000);
constexpr absl::Duration kRetryPause = absl::Milliseconds(50);
constexpr absl::Duration kRefusedPause = absl::Milliseconds(200);

}  // namespace

absl::StatusOr<std::unique_ptr<RulesClient>> RulesClient::Start(const RulesClientOptions& options,
                                                                Traffic& traffic) {
  if (!options.state_file.empty()) {
    auto loaded = LoadRules(options.state_file, options.cell);
    if (loaded.ok()) {
      SLUICE_LOG(kInfo, "rules loaded from disk", {{"epoch", (*loaded)->epoch()}});
      traffic.Offer((*loaded)->epoch(), loaded);
      // The process that wrote it may have died before it was synced.
      traffic.Kept(**loaded, SyncRules(options.state_file).ok());
    } else if (loaded.status().code() != absl::StatusCode::kNotFound) {
      SLUICE_LOG(kWarning, "rules on disk are of no use", {{"reason", loaded.status()}});
    }
  }
  SLUICE_ASSIGN_OR_RETURN(
      std::unique_ptr<rpc::Client> client,
      rpc::Client::Dial(options.coordinator, absl::StrCat("proxy ", options.proxy_id)));
  std::unique_ptr<RulesClient> rules(new RulesClient(options, traffic, std::move(client)));
  rules->follower_ = std::jthread([raw = rules.get()] { raw->Follow(); });
  rules->acknowledger_ = std::jthread([raw = rules.get()] { raw->Acknowledge(); });
  rules->syncer_ = std::jthread([raw = rules.get()] { raw->Sync(); });
  return rules;
}

RulesClient::RulesClient(RulesClientOptions options, Traffic& traffic,
                         std::unique_ptr<rpc::Client> client)
    : options_(std::move(options)), traffic_(traffic), client_(std::move(client)) {}

RulesClient::~RulesClient() {
  {
    absl::MutexLock lock(&mutex_);
    stopping_ = true;
  }
  client_->Close();
}

bool RulesClient::Pause(absl::Duration time) {
  absl::MutexLock lock(&mutex_);
  mutex_.AwaitWithTimeout(absl::Condition(&stopping_), time);
  return !stopping_;
}

void RulesClient::Follow() {
  while (Pause(absl::ZeroDuration())) {
    const absl::Status status = Poll(traffic_.acknowledgement(), kLongPoll);
    absl::Duration pause = absl::ZeroDuration();
    if (!status.ok() && status.code() != absl::StatusCode::kCancelled) {
      SLUICE_LOG_EVERY(absl::Seconds(10), kWarning, "coordinator does not answer",
                       {{"url", options_.coordinator}, {"reason", status}});
      pause = kRetryPause;
    }
    {
      absl::MutexLock lock(&mutex_);
      // The same broken set would come back at once, over and over.
      pause = refused_again_ ? kRefusedPause : pause;
      refused_again_ = false;
    }
    Pause(pause);
    // So would one that is not acknowledged yet.
    traffic_.AwaitAcknowledged(absl::Now() + kRefusedPause);
  }
}

void RulesClient::Acknowledge() {
  Acknowledgement sent;
  while (traffic_.AwaitNews(sent)) {
    const Acknowledgement state = traffic_.acknowledgement();
    if (Poll(state, absl::ZeroDuration()).ok()) {
      sent = state;
    } else if (!Pause(kRetryPause)) {
      return;
    }
  }
}

absl::Status RulesClient::Poll(const Acknowledgement& state, absl::Duration wait) {
  rpc::CallOptions call;
  call.timeout = wait + kCallMargin;
  return client_->Call<schemas::PollRulesRequest, schemas::PollRulesReply>(
      schemas::Method::POLL_RULES,
      [&](schemas::PollRulesRequest::Builder request) {
        request.setProxyId(options_.proxy_id);
        request.setAddress(options_.address);
        request.setCell(options_.cell);
        request.setHaveEpoch(state.have_epoch);
        request.setDrainedEpoch(state.drained_epoch);
        request.setHeldStatements(state.held_statements);
        request.setOpenTransactions(state.open_on_held);
        request.setWaitMs(static_cast<uint32_t>(absl::ToInt64Milliseconds(wait)));
        request.setRefusedEpoch(state.refused_epoch);
        request.setRefusedReason(state.refused_reason);
      },
      [&](schemas::PollRulesReply::Reader reply) {
        if (reply.getChanged()) {
          Receive(reply.getRules());
        }
        traffic_.Heard();
        return absl::OkStatus();
      },
      call);
}

void RulesClient::Receive(schemas::RuleSet::Reader set) {
  absl::MutexLock receive(&receive_mutex_);
  const uint64_t epoch = set.getEpoch();
  const auto snapshot = RuleSnapshot::Create(set, options_.cell);
  switch (traffic_.Offer(epoch, snapshot)) {
    case Traffic::Answer::kNothing:
      return;
    case Traffic::Answer::kObeyed:
      SLUICE_LOG(kInfo, "rules received", {{"epoch", epoch}, {"holds", set.getHolds().size()}});
      [[fallthrough]];
    case Traffic::Answer::kNotKept:
      Keep(*snapshot, set);
      return;
    case Traffic::Answer::kRefused:
      SLUICE_LOG_EVERY(absl::Seconds(10), kError, "rules refused",
                       {{"epoch", epoch}, {"reason", traffic_.acknowledgement().refused_reason}});
      absl::MutexLock lock(&mutex_);
      refused_again_ = true;
  }
}

void RulesClient::Keep(const std::shared_ptr<const RuleSnapshot>& snapshot,
                       schemas::RuleSet::Reader set) {
  if (options_.state_file.empty()) {
    traffic_.Kept(*snapshot, /*synced=*/true);
    return;
  }
  if (written_epoch_ == snapshot->epoch()) {
    return;  // the syncing thread has it
  }
  if (const absl::Status written = WriteRules(options_.state_file, set); !written.ok()) {
    Forget(*snapshot, written);
    return;
  }
  written_epoch_ = snapshot->epoch();
  traffic_.Kept(*snapshot, /*synced=*/false);
  absl::MutexLock lock(&mutex_);
  unsynced_ = snapshot;
}

bool RulesClient::Forget(const RuleSnapshot& snapshot, const absl::Status& why) {
  SLUICE_LOG_EVERY(absl::Seconds(10), kWarning, "rules are not on disk", {{"reason", why}});
  if (!ForgetRules(options_.state_file).ok()) {
    return false;
  }
  traffic_.Kept(snapshot, /*synced=*/true);
  return true;
}

void RulesClient::Sync() {
  const auto wanted = [this]() ABSL_SHARED_LOCKS_REQUIRED(mutex_) {
    return stopping_ || unsynced_ != nullptr;
  };
  while (true) {
    std::shared_ptr<const RuleSnapshot> snapshot;
    {
      absl::MutexLock lock(&mutex_);
      mutex_.Await(absl::Condition(&wanted));
      if (stopping_) {
        return;
      }
      snapshot = std::move(unsynced_);
      unsynced_ = nullptr;
    }
    // What is in the file by now is this set or a later one.
    const absl::Status synced = SyncRules(options_.state_file);
    if (synced.ok()) {
      traffic_.Kept(*snapshot, /*synced=*/true);
    } else if (!Forget(*snapshot, synced)) {
      {
        absl::MutexLock lock(&mutex_);
        unsynced_ = unsynced_ == nullptr ? snapshot : unsynced_;
      }
      Pause(kRefusedPause);
    }
  }
}

}  // namespace sluice::proxy
