// RulesClient: long poll and acknowledgements.

#include "proxy/rules_client.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "common/base/log.h"
#include "common/base/status_macros.h"
#include "proxy/state_file.h"

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
    auto loaded = LoadRules(options.state_file);
    if (loaded.ok()) {
      SLUICE_LOG(kInfo, "rules loaded from disk", {{"epoch", (*loaded)->epoch()}});
      traffic.Install(*std::move(loaded));
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
  }
}

void RulesClient::Acknowledge() {
  Traffic::Acknowledgement sent;
  while (traffic_.AwaitNews(sent)) {
    const Traffic::Acknowledgement state = traffic_.acknowledgement();
    if (Poll(state, absl::ZeroDuration()).ok()) {
      sent = state;
    } else if (!Pause(kRetryPause)) {
      return;
    }
  }
}

absl::Status RulesClient::Poll(const Traffic::Acknowledgement& state, absl::Duration wait) {
  rpc::CallOptions call;
  call.timeout = wait + kCallMargin;
  return client_->Call<schemas::PollRulesRequest, schemas::PollRulesReply>(
      schemas::Method::POLL_RULES,
      [&](schemas::PollRulesRequest::Builder request) {
        request.setProxyId(options_.proxy_id);
        request.setAddress(options_.address);
        request.setHaveEpoch(state.have_epoch);
        request.setDrainedEpoch(state.drained_epoch);
        request.setHeldStatements(state.held_statements);
        request.setOpenTransactions(state.open_on_held);
        request.setWaitMs(static_cast<uint32_t>(absl::ToInt64Milliseconds(wait)));
        absl::MutexLock lock(&mutex_);
        request.setRefusedEpoch(refused_epoch_);
        request.setRefusedReason(refused_reason_);
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
  const uint64_t have = traffic_.acknowledgement().have_epoch;
  if (epoch == have) {  // both threads got it
    return;
  }
  if (epoch < have) {
    Refuse(epoch, absl::StrCat("epoch ", epoch, " is older than ", have,
                               ", which this proxy obeys; epochs only grow"));
    return;
  }
  auto snapshot = RuleSnapshot::Create(set);
  if (!snapshot.ok()) {
    Refuse(epoch, std::string(snapshot.status().message()));
    return;
  }
  {
    // Before the rules are obeyed: whoever hears of the new epoch hears of no refusal before it.
    absl::MutexLock lock(&mutex_);
    refused_epoch_ = 0;
    refused_reason_.clear();
  }
  traffic_.Install(*std::move(snapshot));
  SLUICE_LOG(kInfo, "rules received", {{"epoch", epoch}, {"holds", set.getHolds().size()}});
  if (options_.state_file.empty()) {
    return;
  }
  if (const absl::Status saved = SaveRules(options_.state_file, set); !saved.ok()) {
    SLUICE_LOG(kWarning, "rules are not on disk", {{"reason", saved}});
  }
}

void RulesClient::Refuse(uint64_t epoch, absl::string_view reason) {
  SLUICE_LOG_EVERY(absl::Seconds(10), kError, "rules refused",
                   {{"epoch", epoch}, {"reason", reason}});
  absl::MutexLock lock(&mutex_);
  refused_again_ = true;
  refused_epoch_ = epoch;
  refused_reason_ = std::string(reason);
}

}  // namespace sluice::proxy
