// World: the cluster of the kill loop, the move that goes to and fro in it, applications under way,
// and their judge.

#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "integration/cluster/cluster.h"
#include "integration/killloop/cases.h"
#include "integration/killloop/direct.h"
#include "integration/killloop/links.h"
#include "integration/killloop/operator.h"
#include "integration/killloop/watch.h"
#include "integration/workload/workload.h"

namespace sluice::killloop {

struct WorldOptions {
  std::string directory;  // of the cluster; must not be there
  std::string bin_directory;
  // Longer than a hold's lease, which outlives the time-out of the switches by ten seconds.
  absl::Duration stop_for = absl::Seconds(16);
  absl::Duration cut_for = absl::Seconds(3);
};

struct Totals {
  uint64_t acknowledged_writes = 0;
  uint64_t unknown_writes = 0;
  uint64_t reads = 0;
  uint64_t client_errors = 0;
  uint64_t rows_compared = 0;
  uint64_t connections_cut = 0;
  uint64_t direct_writes = 0;  // acknowledged past the proxies
  uint64_t direct_refusals = 0;
  uint64_t looks = 0;  // at both sides at once
};

// Keyspaces commerce (uid 100) and customer (uid 200) with a mysqld and an agent each, two proxies.
// Owned by one thread. Processes end with it.
class World {
 public:
  static absl::StatusOr<std::unique_ptr<World>> Start(const WorldOptions& options);
  World(const World&) = delete;
  World& operator=(const World&) = delete;
  ~World() = default;

  // The traffic is where the case begins, streams run, and the owner of the place is started so
  // that it will end or stand still there.
  absl::Status Prepare(const Case& one);
  // Gives the command and strikes. False when the place was not reached.
  absl::StatusOr<bool> Strike(const Case& one);
  // Nobody does anything: every process serves, what was under way has ended, and the record agrees
  // with the gates. The end: "committed", "rolled back: …" or, of a teardown, "torn down".
  absl::StatusOr<std::string> Settle(const Case& one, bool reached);
  // No write of an application is lost or doubled, or there though it was refused; none has read
  // what it may not; both sides have the same bytes, and never were open at once; and mysqlds are
  // read-only where a gate has closed them, and nowhere else. DATA_LOSS says what is wrong.
  absl::Status Judge();

  [[nodiscard]] Totals totals() const;

 private:
  explicit World(WorldOptions options) : options_(std::move(options)) {}

  absl::Status StartClients();
  absl::Status StartPassersBy();
  absl::Status CreateMove(Gate gate);
  absl::Status CompleteMove();
  absl::Status BringTraffic(bool there);
  absl::Status BringMove(const Case& one);
  absl::Status Arm(const Case& one);
  void GiveCommand(const Case& one) const;
  absl::Status Inflict(const Case& one);
  absl::Status AwaitTornDown(const Case& one);
  absl::Status CheckRecord();
  absl::StatusOr<uint32_t> OwnerOfOrders() const;
  absl::Status CompareSides(uint32_t owner);
  absl::Status CheckReadOnly(uint32_t owner) const;
  [[nodiscard]] std::string NameOf(const Case& one, const std::string& role) const;
  [[nodiscard]] uint32_t ToUid(const Case& one) const;

  const WorldOptions options_;
  std::unique_ptr<Links> links_;  // ends after the processes
  std::unique_ptr<cluster::Cluster> cluster_;
  std::unique_ptr<Operator> operator_;
  std::unique_ptr<workload::Workload> clients_;
  std::vector<mysql::ConnectionOptions> shops_;  // a mysqld each
  std::unique_ptr<DirectClients> direct_;
  std::unique_ptr<Watch> watch_;
  std::optional<Move> move_;
  uint64_t moves_ = 0;
  uint64_t generations_ = 0;  // of clients
  uint64_t judged_ = 0;       // since the clients began
  Totals before_;             // of earlier clients
};

}  // namespace sluice::killloop
