// Monitor: watches the agent's mysqld and says what it is and whether it can serve.

#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "agent/config/agent_config.h"
#include "agent/health/checks.h"
#include "common/mysql/connection.h"

namespace sluice::agent {

// What differs between the shards of one mysqld.
struct ShardState {
  routing::TabletType type = routing::TabletType::kUnknown;
  std::string problem;  // why it cannot serve, with the remedy; empty when it can
  bool ready = false;   // of a PRIMARY: its sidecar is installed and its streams are loaded
  std::vector<std::string> tables;  // base tables under their names; PRIMARY only
  friend bool operator==(const ShardState&, const ShardState&) = default;
};

// One look at mysqld.
struct MysqldState {
  bool probed = false;  // a first look has been taken
  bool reachable = false;
  bool primary = false;  // it is writable and no replica
  bool read_only = false;
  int64_t replica_lag_ms = -1;
  std::string server_uuid;
  std::string server_version;
  std::string gtid_executed;
  uint16_t port = 0;
  std::vector<ShardState> shards;  // in the order of the configuration
};

struct MonitorHooks {
  // mysqld has become a writable PRIMARY that can serve these shards (indices into the
  // configuration), or this is the first look at one, or the first after some seconds without any.
  // One status each; an error of this or of resume becomes a problem of the shard, and the hook is
  // called again a second later.
  std::function<std::vector<absl::Status>(const std::vector<size_t>& shards)> become_primary;
  // After become_primary has succeeded for any, and whenever mysqld answers again after it did not.
  std::function<absl::Status()> resume;
  // mysqld is not the PRIMARY any more.
  std::function<void()> resign;
  // Something other than positions and lag is different from before. Must not block.
  std::function<void()> changed;
};

// Looks once a second and when kicked, on a thread and a session of its own, by as many statements
// for many shards as for one. Hooks are called on that thread. Thread-safe.
class Monitor {
 public:
  Monitor(AgentConfig config, MonitorHooks hooks);
  Monitor(const Monitor&) = delete;
  Monitor& operator=(const Monitor&) = delete;
  ~Monitor();  // Stop()

  void Start();
  void Stop() ABSL_LOCKS_EXCLUDED(mutex_);

  [[nodiscard]] MysqldState Current() const ABSL_LOCKS_EXCLUDED(mutex_);
  // Looks again at once.
  void Kick() ABSL_LOCKS_EXCLUDED(mutex_);
  // False when there was no first look by then.
  bool AwaitFirstLook(absl::Duration timeout) ABSL_LOCKS_EXCLUDED(mutex_);

  // OK when this mysqld may take commands that write to the shard (an index into the
  // configuration): it answers, is PRIMARY, and its sidecar is there. UNAVAILABLE when that may
  // pass by itself, FAILED_PRECONDITION when a person must act.
  absl::Status CheckPrimary(size_t shard) const ABSL_LOCKS_EXCLUDED(mutex_);
  // The same for what concerns the mysqld as a whole: of any shard.
  absl::Status CheckAnyPrimary() const ABSL_LOCKS_EXCLUDED(mutex_);
  // As CheckPrimary, and nothing is wrong with it: for work that begins something new.
  absl::Status CheckServing(size_t shard) const ABSL_LOCKS_EXCLUDED(mutex_);

 private:
  void Run(const std::stop_token& stop);
  absl::StatusOr<MysqldState> LookAfresh();
  absl::StatusOr<MysqldState> Look();
  void Part();
  absl::Status EnsurePrivileges(MysqldFacts& facts);
  void Reign(MysqldState& state);
  void TakeUp(MysqldState& state);
  void Publish(const MysqldState& state) ABSL_LOCKS_EXCLUDED(mutex_);
  void Rest(const std::stop_token& stop) ABSL_LOCKS_EXCLUDED(mutex_);

  const AgentConfig config_;
  const MonitorHooks hooks_;

  // Of the thread.
  std::unique_ptr<mysql::Connection> connection_;
  MysqldFacts known_;  // its privileges and account are kept between looks
  absl::Time privileges_read_ = absl::InfinitePast();
  bool had_problems_ = false;
  absl::Time looked_ = absl::InfinitePast();  // at a PRIMARY
  std::string reign_;        // server UUID of the PRIMARY that it is; empty: it is none
  std::vector<bool> taken_;  // of that reign: become_primary has succeeded for the shard
  bool resumed_ = false;     // and resume too, since mysqld was away last

  mutable absl::Mutex mutex_;
  MysqldState state_ ABSL_GUARDED_BY(mutex_);
  bool kicked_ ABSL_GUARDED_BY(mutex_) = false;
  bool stopping_ ABSL_GUARDED_BY(mutex_) = false;

  std::jthread thread_;  // last: starts when everything else stands
};

}  // namespace sluice::agent
