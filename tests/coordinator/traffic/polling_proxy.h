// PollingProxy: a proxy as the coordinator sees it, which polls for rules all the time.

#pragma once

#include <gtest/gtest.h>

#include <string>
#include <thread>

#include "absl/synchronization/notification.h"
#include "absl/time/clock.h"
#include "capnp/message.h"
#include "coordinator/rules/rule_service.h"
#include "schemas/routing.capnp.h"

namespace sluice::traffic::testing {

// It obeys what it is sent; a deaf one stays with the rules of its beginning for ever.
class PollingProxy {
 public:
  PollingProxy(rules::RuleService& rules, std::string id, bool deaf = false)
      : rules_(rules), id_(std::move(id)), deaf_(deaf), epoch_(rules.epoch()) {
    Poll();
    thread_ = std::jthread([this] {
      do {
        Poll();
      } while (!end_.WaitForNotificationWithTimeout(absl::Milliseconds(2)));
    });
  }
  PollingProxy(const PollingProxy&) = delete;
  PollingProxy& operator=(const PollingProxy&) = delete;
  ~PollingProxy() { end_.Notify(); }

 private:
  void Poll() {
    capnp::MallocMessageBuilder request;
    capnp::MallocMessageBuilder reply;
    auto poll = request.initRoot<schemas::PollRulesRequest>();
    poll.setProxyId(id_);
    poll.setHaveEpoch(epoch_);
    poll.setDrainedEpoch(epoch_);
    rpc::RequestContext context;
    context.deadline = absl::Now() + absl::Seconds(10);
    auto answer = reply.initRoot<schemas::PollRulesReply>();
    EXPECT_TRUE(rules_.HandlePoll(context, poll.asReader(), answer).ok());
    if (answer.getChanged() && !deaf_) {
      epoch_ = answer.getRules().getEpoch();
    }
  }

  rules::RuleService& rules_;
  const std::string id_;
  const bool deaf_;
  uint64_t epoch_;
  absl::Notification end_;
  std::jthread thread_;  // last: it uses the others
};

}  // namespace sluice::traffic::testing
