// CutoverStage: two keyspaces of one or many shards, a proxy, clients under way, and the move of
// all tables to and fro between them.

#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "common/mysql/connection.h"
#include "integration/bench/bench.h"
#include "integration/bench/client_load.h"
#include "integration/bench/data.h"
#include "integration/bench/processor_log.h"
#include "integration/cluster/cluster.h"

namespace sluice::bench {

struct CutoverStageOptions {
  int shards = 1;                 // a power of two
  int mysqlds = 1;                // a side, each with one agent for all its shards
  std::vector<TableSpec> tables;  // in each shard, made by SysbenchTable
};

// What one switch of all traffic, there or back, took.
struct CutoverTimes {
  double pause_ms = 0;        // the slowest statement of any client
  double command_ms = 0;      // `sluice movetables switchtraffic` or `reversetraffic`
  double fence_ms = 0;        // from the hold to the rules of the new side
  double gates_ms = 0;        // from the first gate's closing to the last one's standing open
  double coordinator_ms = 0;  // the coordinator's processor time during the command
  double share_ms = 0;     // of it, from the first gate's closing to the last one's standing open
  std::string gate_kinds;  // "4 of 4 gates as whole mysqlds"
};

// Owned by one thread. Servers and programs end with it.
class CutoverStage {
 public:
  // The tables are made, copied, and followed; nobody reads or writes yet.
  static absl::StatusOr<std::unique_ptr<CutoverStage>> Start(const Bench& bench,
                                                             const CutoverStageOptions& options);

  // Starts clients at half of the rate that they reach as fast as they can, which is found out
  // first in twice that time. All shards have some.
  absl::Status StartLoad(absl::Duration measured);
  [[nodiscard]] ClientLoad& load() { return *load_; }
  [[nodiscard]] double rate() const { return rate_; }  // statements a second

  // The operator's command, once streams of that direction run; wants exit code 0.
  absl::StatusOr<CutoverTimes> Switch(bool back, const std::vector<std::string>& flags = {});
  // The same, but for an exit code of 1: the reason.
  struct Refusal {
    std::string reason;
    double pause_ms = 0;
  };
  absl::StatusOr<Refusal> FailToSwitch(const std::vector<std::string>& flags);

  // A session of an application in keyspace source, through the proxy.
  absl::StatusOr<std::unique_ptr<mysql::Connection>> ConnectClient() const;

  // Compares all tables of both sides while the clients are quiet; the source serves.
  absl::StatusOr<uint64_t> Verify();

 private:
  explicit CutoverStage(CutoverStageOptions options) : options_(std::move(options)) {}

  absl::Status Fill();
  absl::Status AwaitRunning(const std::string& workflow) const;
  [[nodiscard]] mysql::ConnectionOptions SessionOf(const std::string& target) const;
  // Streams run, clients have come round, and what they waited for so far is forgotten.
  absl::Status Prepare(bool back);
  absl::StatusOr<cluster::CommandResult> Command(bool back,
                                                 const std::vector<std::string>& flags) const;
  absl::StatusOr<double> PauseOfClients();
  absl::Status ReadTimeline(const ProcessorLog& coordinator, CutoverTimes& times) const;
  absl::StatusOr<uint64_t> VerifyShard(uint32_t shard) const;

  const CutoverStageOptions options_;
  double rate_ = 0;
  std::unique_ptr<cluster::Cluster> cluster_;
  std::unique_ptr<ClientLoad> load_;  // ends before the servers
};

}  // namespace sluice::bench
