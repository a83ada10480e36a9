// RulesClient: keeps the proxy's rules up to date and tells the coordinator what they have become.

#pragma once

#include <memory>
#include <stop_token>
#include <string>
#include <thread>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/synchronization/mutex.h"
#include "common/rpc/client.h"
#include "proxy/rules/traffic.h"

namespace sluice::proxy {

struct RulesClientOptions {
  std::string coordinator;  // tcp://host:port
  std::string proxy_id;
  std::string address;     // host:port where clients connect
  std::string state_file;  // empty: nothing is kept
  std::string cell = {};   // where this proxy is; empty: in none that a rule may name
};

// What to do with a set decides the machine in Traffic; here are the polls, the file and the
// threads. One waits in a long poll for the next epoch, one sends acknowledgements at once, one
// syncs the file, so that none waits for another.
class RulesClient {
 public:
  // Loads the state file into `traffic` when there is one, then starts. `traffic` outlives this.
  static absl::StatusOr<std::unique_ptr<RulesClient>> Start(const RulesClientOptions& options,
                                                            Traffic& traffic);
  RulesClient(const RulesClient&) = delete;
  RulesClient& operator=(const RulesClient&) = delete;
  ~RulesClient();  // REQUIRES: traffic is closed, so that no thread waits in it

 private:
  RulesClient(RulesClientOptions options, Traffic& traffic, std::unique_ptr<rpc::Client> client);

  void Follow();       // the long poll
  void Acknowledge();  // the acknowledgements
  void Sync();         // the file
  absl::Status Poll(const Acknowledgement& state, absl::Duration wait);
  // A rule set came in.
  void Receive(schemas::RuleSet::Reader set);
  void Keep(const std::shared_ptr<const RuleSnapshot>& snapshot, schemas::RuleSet::Reader set)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(receive_mutex_);
  // The set could not be written or synced. A restart must not obey an older one: better none.
  // False where the disk takes not even that; then the set is not acknowledged, and comes again.
  bool Forget(const RuleSnapshot& snapshot, const absl::Status& why);
  bool Pause(absl::Duration time);

  const RulesClientOptions options_;
  Traffic& traffic_;
  std::unique_ptr<rpc::Client> client_;

  absl::Mutex mutex_;
  bool stopping_ ABSL_GUARDED_BY(mutex_) = false;
  bool refused_again_ ABSL_GUARDED_BY(mutex_) = false;
  std::shared_ptr<const RuleSnapshot> unsynced_ ABSL_GUARDED_BY(mutex_);  // in the file

  absl::Mutex receive_mutex_;  // one rule set at a time, its writing included
  uint64_t written_epoch_ ABSL_GUARDED_BY(receive_mutex_) = 0;

  std::jthread follower_;
  std::jthread acknowledger_;
  std::jthread syncer_;
};

}  // namespace sluice::proxy
