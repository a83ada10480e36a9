// FakeCoordinator: answers pollRules from memory and keeps what proxies acknowledge; for tests.

#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "common/routing/rules.h"
#include "common/rpc/server.h"
#include "proxy/rules/rule_snapshot.h"

namespace sluice::proxy {

struct ShardRule {
  std::string from_keyspace;
  std::string shard;
  std::string to_keyspace;
};

// A rule set as tests write it down.
struct RuleSetSpec {
  std::vector<std::string> keyspaces;
  std::vector<Tablet> tablets;
  std::vector<routing::TableRule> rules;
  std::vector<ShardRule> shard_rules;
  std::vector<Hold> holds;
  std::vector<std::pair<std::string, std::string>> homes;  // table, keyspace
};

void FillRuleSet(const RuleSetSpec& spec, uint64_t epoch, schemas::RuleSet::Builder out);
// What a proxy makes of it.
absl::StatusOr<std::shared_ptr<const RuleSnapshot>> SnapshotOf(const RuleSetSpec& spec,
                                                               uint64_t epoch,
                                                               const std::string& cell = "");

// Thread-safe.
class FakeCoordinator {
 public:
  struct Poll {
    absl::Time at;
    uint64_t have_epoch = 0;
    uint64_t drained_epoch = 0;
    uint64_t refused_epoch = 0;
    std::string refused_reason;
    uint32_t held_statements = 0;
    uint32_t open_transactions = 0;
  };

  static std::unique_ptr<FakeCoordinator> Start();
  ~FakeCoordinator();

  [[nodiscard]] std::string url() const { return server_->url(); }

  // The next epoch; returns its number.
  uint64_t Publish(const RuleSetSpec& spec);
  void PublishAs(uint64_t epoch, const RuleSetSpec& spec);

  // Wait for an acknowledgement; false after ten seconds.
  bool AwaitHave(uint64_t epoch);
  bool AwaitDrained(uint64_t epoch);
  bool AwaitRefused(uint64_t epoch);
  [[nodiscard]] Poll last() const;

 private:
  FakeCoordinator();
  absl::Status Handle(const rpc::RequestContext& context, schemas::PollRulesRequest::Reader request,
                      schemas::PollRulesReply::Builder reply);

  mutable absl::Mutex mutex_;
  RuleSetSpec spec_ ABSL_GUARDED_BY(mutex_);
  uint64_t epoch_ ABSL_GUARDED_BY(mutex_) = 0;
  uint64_t have_ ABSL_GUARDED_BY(mutex_) = 0;
  uint64_t drained_ ABSL_GUARDED_BY(mutex_) = 0;
  Poll last_ ABSL_GUARDED_BY(mutex_);
  std::unique_ptr<rpc::Server> server_;
};

}  // namespace sluice::proxy
