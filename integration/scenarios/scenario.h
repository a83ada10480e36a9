// Scenario: a cluster for a test, with the tables of the story, clients under way, and a judge.

#pragma once

#include <nlohmann/json.hpp>

#include <memory>
#include <string>
#include <vector>

#include "absl/time/time.h"
#include "integration/cluster/cluster.h"
#include "integration/workload/workload.h"

namespace sluice::scenario {

struct ScenarioOptions {
  bool replicas = false;  // a REPLICA and a RDONLY beside each PRIMARY
  int proxies = 1;
  uint64_t orders = 2000;
  // More than one: both keyspaces have that many key ranges (a power of two), spread over so many
  // mysqlds a side, each with one agent; the tables of the story are not made.
  int shards = 1;
  int mysqlds = 1;
  // Both keyspaces on the mysqlds of commerce.
  bool together = false;
  std::string rdonly_cell = "zone1";
  std::vector<std::string> proxy_cells = {};  // in order; else zone1
};

// Keyspaces commerce (tablets 100-102) and customer (tablets 200-202); of sharded ones the i-th
// shard's PRIMARY is 100 + i and 200 + i, REPLICAs are 1000 and RDONLYs 2000 above. Failures of a
// step end the test program's current test by an exception-free FAIL: every method that can go
// wrong reports through gtest and returns a harmless value.
class Scenario {
 public:
  // Null, and a failure reported, when the cluster does not come up.
  static std::unique_ptr<Scenario> Start(const ScenarioOptions& options);
  // Any other cluster, without tables.
  static std::unique_ptr<Scenario> StartEmpty(const cluster::Topology& topology);

  cluster::Cluster& cluster() { return *cluster_; }

  // The operator's program: answer and exit code, whatever they are.
  cluster::CommandResult Sluice(const std::vector<std::string>& arguments,
                                absl::Duration timeout = absl::Seconds(90));
  // Wants exit code 0; the answer.
  std::string Done(const std::vector<std::string>& arguments);
  // Wants exit code 0; the answer with --format json.
  nlohmann::json Json(const std::vector<std::string>& arguments);
  // Wants exit code 1 and a reason on stderr that holds `reason`.
  void Refused(const std::vector<std::string>& arguments, const std::string& reason);

  // Waits until every stream of the workflow is Running.
  bool AwaitRunning(const std::string& workflow, absl::Duration timeout = absl::Seconds(60));
  // The traffic state string, empty when the workflow does not exist (or nobody answers).
  std::string TrafficState(const std::string& workflow);

  // One statement as root on a mysqld: rows as text, cells joined by "|".
  std::vector<std::string> Ask(uint32_t uid, const std::string& sql);
  // The error number of a statement through the proxy, 0 when it succeeds.
  unsigned ProxyErrno(const std::string& target, const std::string& sql);
  // Names of all tables and views in the tablet's database, sorted.
  std::vector<std::string> TableNames(uint32_t uid);

  void StartClients(int writers = 2, int readers = 1);
  workload::Workload& clients() { return *clients_; }
  // The primary that holds corder under its own name: 100 or 200; 0, reported, when not exactly
  // one.
  uint32_t OwnerOfOrders();
  // The same, once a cutover that is committed has opened a side.
  uint32_t AwaitOwnerOfOrders(absl::Duration timeout);
  // Pauses the clients, judges their writes at the owner, and compares the tables of both sides;
  // no lost or doubled write, no wrong read, no difference.
  void JudgeAll(bool compare_sides = true);
  // The same where the PRIMARYs are others by now: `owner` serves, `other` (0: none) follows it.
  void JudgeSides(uint32_t owner, uint32_t other);

 private:
  std::vector<uint32_t> OpenSidesOfOrders();
  void CompareSides(mysql::Connection& owner, uint32_t other_uid);

  std::unique_ptr<cluster::Cluster> cluster_;
  std::unique_ptr<workload::Workload> clients_;
};

}  // namespace sluice::scenario
