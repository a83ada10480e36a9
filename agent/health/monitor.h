// Monitor: watches the agent's mysqld and says what it is and whether it can serve.

#pragma once

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

// One look at mysqld.
struct TabletState {
  bool probed = false;  // a first look has been taken
  bool reachable = false;
  routing::TabletType type = routing::TabletType::kUnknown;
  bool read_only = false;
  int64_t replica_lag_ms = -1;
  std::string problem;  // why it cannot serve, with the remedy; empty when it can
  bool ready = false;   // a PRIMARY with its sidecar installed and its streams loaded
  std::string server_uuid;
  std::string server_version;
  std::string gtid_executed;
  uint16_t port = 0;
  std::vector<std::string> tables;  // base tables under their names; PRIMARY only
};

struct MonitorHooks {
  // mysqld has become a writable PRIMARY that can serve, or this is the first look at one. An error
  // of this or of resume becomes a problem, and the hook is called again a second later.
  std::function<absl::Status()> become_primary;
  // After become_primary, and whenever mysqld answers again after it did not.
  std::function<absl::Status()> resume;
  // mysqld is not the PRIMARY any more.
  std::function<void()> resign;
  // Something other than positions and lag is different from before. Must not block.
  std::function<void()> changed;
};

// Looks once a second and when kicked, on a thread and a session of its own. Hooks are called on
// that thread. Thread-safe.
class Monitor {
 public:
  Monitor(AgentConfig config, MonitorHooks hooks);
  Monitor(const Monitor&) = delete;
  Monitor& operator=(const Monitor&) = delete;
  ~Monitor();  // Stop()

  void Start();
  void Stop() ABSL_LOCKS_EXCLUDED(mutex_);

  [[nodiscard]] TabletState Current() const ABSL_LOCKS_EXCLUDED(mutex_);
  // Looks again at once.
  void Kick() ABSL_LOCKS_EXCLUDED(mutex_);
  // False when there was no first look by then.
  bool AwaitFirstLook(absl::Duration timeout) ABSL_LOCKS_EXCLUDED(mutex_);

  // OK when this mysqld may take commands that write: it answers, is PRIMARY, and its sidecar is
  // there. UNAVAILABLE when that may pass by itself, FAILED_PRECONDITION when a person must act.
  absl::Status CheckPrimary() const ABSL_LOCKS_EXCLUDED(mutex_);
  // As CheckPrimary, and nothing is wrong with it: for work that begins something new.
  absl::Status CheckServing() const ABSL_LOCKS_EXCLUDED(mutex_);

 private:
  void Run(const std::stop_token& stop);
  absl::StatusOr<TabletState> Look();
  absl::Status EnsurePrivileges(MysqldFacts& facts);
  void Reign(TabletState& state, std::vector<std::string>& problems);
  absl::Status TakeUp(const std::string& server_uuid);
  void Publish(const TabletState& state) ABSL_LOCKS_EXCLUDED(mutex_);
  void Rest(const std::stop_token& stop) ABSL_LOCKS_EXCLUDED(mutex_);

  const AgentConfig config_;
  const MonitorHooks hooks_;

  // Of the thread.
  std::unique_ptr<mysql::Connection> connection_;
  MysqldFacts known_;  // its privileges and account are kept between looks
  absl::Time privileges_read_ = absl::InfinitePast();
  bool had_problems_ = false;
  std::string reign_;     // server UUID for which become_primary has succeeded
  bool resumed_ = false;  // and resume too, since mysqld was away last

  mutable absl::Mutex mutex_;
  TabletState state_ ABSL_GUARDED_BY(mutex_);
  bool kicked_ ABSL_GUARDED_BY(mutex_) = false;
  bool stopping_ ABSL_GUARDED_BY(mutex_) = false;

  std::jthread thread_;  // last: starts when everything else stands
};

}  // namespace sluice::agent
