// Registrar: tells the coordinator what this tablet is and how it fares.

#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "agent/config/agent_config.h"
#include "agent/health/monitor.h"
#include "common/rpc/client.h"
#include "schemas/control.capnp.h"

namespace sluice::agent {

// Initialises the list in the message for that many streams.
using StreamListInit = std::function<capnp::List<schemas::StreamStatus>::Builder(unsigned streams)>;
// Writes the streams whose target is this database.
using StreamFill = std::function<void(const std::string& database, const StreamListInit& init)>;

struct RegistrarHooks {
  // All streams as they are now; asked once for each message.
  std::function<StreamFill()> streams;
  // A registration has succeeded for the first time.
  std::function<void()> registered;
  // What an answer of the coordinator says of the cluster, for each tablet. May be empty.
  std::function<void(const std::vector<schemas::ClusterView::Reader>&)> told;
};

// Of the first shard of the configuration.
void FillIdentity(const AgentConfig& config, const std::string& url, const MysqldState& state,
                  schemas::TabletIdentity::Builder identity);
void FillHealth(const MysqldState& state, schemas::TabletHealth::Builder health);
// Of another one; streams and tables are left empty.
void FillShare(const ShardConfig& shard, const ShardState& state,
               schemas::TabletShare::Builder share);

// Registers, then reports once a second and soon after each Changed(), all tablets of the agent in
// one message; registers anew when the coordinator does not know it (NOT_FOUND), and goes on trying
// while the coordinator is away, or refuses a tablet. One thread. Thread-safe.
class Registrar {
 public:
  // `url` is where others dial this agent. `monitor` outlives this.
  static absl::StatusOr<std::unique_ptr<Registrar>> Create(AgentConfig config, std::string url,
                                                           const Monitor& monitor,
                                                           RegistrarHooks hooks);
  Registrar(const Registrar&) = delete;
  Registrar& operator=(const Registrar&) = delete;
  ~Registrar();  // Stop()

  void Start();
  void Stop() ABSL_LOCKS_EXCLUDED(mutex_);

  // Something worth a report has changed. Changes close together make one report.
  void Changed() ABSL_LOCKS_EXCLUDED(mutex_);

  // The connection to the coordinator, for other calls of this agent.
  [[nodiscard]] rpc::Client& coordinator() { return *client_; }

 private:
  Registrar(AgentConfig config, std::string url, const Monitor& monitor, RegistrarHooks hooks,
            std::unique_ptr<rpc::Client> client);

  void Run(const std::stop_token& stop);
  // OK when any tablet is registered; all_registered_ tells whether all are.
  absl::Status Register();
  absl::Status Report();
  void TakeRefusals(capnp::List<capnp::Text>::Reader refusals);
  template <typename Reply>
  void Told(Reply reply) const;
  // Waits for a change, the interval's end, or the stop.
  void Rest(absl::Duration interval) ABSL_LOCKS_EXCLUDED(mutex_);

  const AgentConfig config_;
  const std::string url_;
  const Monitor& monitor_;
  const RegistrarHooks hooks_;
  const std::unique_ptr<rpc::Client> client_;
  const uint64_t incarnation_;
  // Of the thread.
  absl::Duration interval_ = absl::Seconds(1);
  bool all_registered_ = false;

  absl::Mutex mutex_;
  bool changed_ ABSL_GUARDED_BY(mutex_) = false;
  bool stopping_ ABSL_GUARDED_BY(mutex_) = false;

  std::jthread thread_;  // last: starts when everything else stands
};

}  // namespace sluice::agent
