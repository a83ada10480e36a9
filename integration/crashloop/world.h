// World: the cluster of the crash loop: two mysqlds, their agents, a coordinator, and relays
// between all of them; and what a fault does to it.

#pragma once

#include <array>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "integration/cluster/cluster.h"
#include "integration/crashloop/faults.h"
#include "integration/crashloop/relay.h"

namespace sluice::crashloop {

inline constexpr uint32_t kSourceUid = 100;
inline constexpr uint32_t kTargetUid = 200;

struct FaultCounts {
  std::array<uint64_t, kFaultKinds> done{};  // by kind
  uint64_t points_reached = 0;               // of kCrashAgent
  uint64_t skipped = 0;                      // its victim was stopped or away at that moment

  [[nodiscard]] uint64_t kills() const;  // of processes: by SIGKILL, or at a point
  [[nodiscard]] uint64_t all() const;
};

// Owned by one thread. Processes end with it.
class World {
 public:
  static absl::StatusOr<std::unique_ptr<World>> Start(const std::string& directory,
                                                      const std::string& bin_directory);
  World(const World&) = delete;
  World& operator=(const World&) = delete;
  ~World();

  cluster::Cluster& cluster() { return *cluster_; }

  // Does it and returns; what ends it later happens in Tend().
  absl::Status Do(const Fault& fault);
  // Ends the pauses and stalls whose time is over, and starts what has ended.
  absl::Status Tend();
  // When Tend() has something to do.
  [[nodiscard]] absl::Time NextEnd() const;
  // Ends all faults; every process runs when it returns.
  absl::Status Heal();

  [[nodiscard]] const FaultCounts& counts() const { return counts_; }
  [[nodiscard]] uint64_t connections_cut() const;

 private:
  struct Program {
    std::string name;
    std::vector<std::string> argv;
    cluster::ProcessId id;
    bool armed = false;  // it will end at a point
    absl::Time paused_until = absl::InfiniteFuture();
  };
  struct Stalled {
    Relay* relay = nullptr;
    absl::Time until;
    bool cut = false;
  };

  explicit World(std::unique_ptr<cluster::Cluster> cluster) : cluster_(std::move(cluster)) {}

  absl::Status TakeOver();
  absl::Status WriteAgentFiles(uint32_t uid, Side side);
  absl::Status Spawn(Program& program, const std::vector<std::string>& environment = {});
  absl::Status KillAndStart(Program& program, int signal,
                            const std::vector<std::string>& environment = {});
  absl::Status Pause(Program& program, absl::Duration duration);
  absl::Status Rival(Program& program, absl::Duration duration);
  [[nodiscard]] bool HasRival(const std::string& name) const;
  absl::Status Stall(Relay& relay, const Fault& fault);
  Program& Agent(Side side);
  Program& Mysqld(Side side);
  Relay& Of(Link link) { return *relays_[static_cast<size_t>(link)]; }

  std::unique_ptr<cluster::Cluster> cluster_;
  std::array<std::unique_ptr<Relay>, 5> relays_;  // by Link
  std::vector<Program> programs_;                 // mysqlds, agents, coordinator
  std::vector<Program> rivals_;                   // agents that were replaced and still live
  std::vector<Stalled> stalled_;
  FaultCounts counts_;
};

}  // namespace sluice::crashloop
