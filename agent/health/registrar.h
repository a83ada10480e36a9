// Registrar: tells the coordinator what this tablet is and how it fares.

#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <thread>

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

struct RegistrarHooks {
  std::function<void(const StreamListInit&)> fill_streams;
  // The first registration has succeeded.
  std::function<void()> registered;
  // What an answer of the coordinator says of the cluster. May be empty.
  std::function<void(schemas::ClusterView::Reader)> told;
};

void FillIdentity(const AgentConfig& config, const std::string& url, const TabletState& state,
                  schemas::TabletIdentity::Builder identity);
void FillHealth(const TabletState& state, schemas::TabletHealth::Builder health);

// Registers, then reports once a second and soon after each Changed(); registers anew when the
// coordinator does not know it (NOT_FOUND), and goes on trying while the coordinator is away. One
// thread. Thread-safe.
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
  absl::Status Register();
  absl::Status Report();
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
  absl::Duration interval_ = absl::Seconds(1);  // of the thread

  absl::Mutex mutex_;
  bool changed_ ABSL_GUARDED_BY(mutex_) = false;
  bool stopping_ ABSL_GUARDED_BY(mutex_) = false;

  std::jthread thread_;  // last: starts when everything else stands
};

}  // namespace sluice::agent
