// Stage: two keyspaces on real servers with real agents, and the move of all tables from one to the
// other.

#pragma once

#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "common/mysql/connection.h"
#include "integration/bench/bench.h"
#include "integration/bench/data.h"
#include "integration/cluster/cluster.h"

namespace sluice::bench {

inline constexpr char kSourceDatabase[] = "vt_source";
inline constexpr char kTargetDatabase[] = "vt_target";

// Settings of every server, ours and the peers': binlog and redo log are on disk before a commit is
// answered.
std::vector<std::string> ServerSettings();

// root with time-outs that fit statements over millions of rows.
absl::StatusOr<std::unique_ptr<mysql::Connection>> ConnectRoot(uint16_t port,
                                                               const std::string& database);

// Waits until the server has no changed pages to write (bounded), so that one side's leftovers are
// not charged to the next.
absl::Status Settle(mysql::Connection& connection);
// Deletes all binlogs but the one that is written.
absl::Status PurgeBinlogs(mysql::Connection& connection);

// Owned by one thread. Servers and programs end with it.
class Stage {
 public:
  static absl::StatusOr<std::unique_ptr<Stage>> Start(const Bench& bench);

  [[nodiscard]] cluster::Cluster& cluster() { return *cluster_; }
  [[nodiscard]] mysql::Connection& source() { return *source_; }
  [[nodiscard]] mysql::Connection& target() { return *target_; }
  [[nodiscard]] uint16_t source_port() const;
  [[nodiscard]] uint16_t target_port() const;

  // Runs `sluice movetables <action> target.bench` and wants exit code 0.
  absl::Status Move(const std::string& action, const std::vector<std::string>& flags = {});
  // Creates the move of all tables and returns when all is copied and the keys are in place.
  // Returns the seconds from the start of the command on.
  absl::StatusOr<double> CopyAll(const std::vector<std::string>& flags = {});
  absl::Status AwaitCopied(absl::Duration timeout);
  // Gives the move up, so that the target has no table again.
  absl::Status Cancel();

  // Compares all tables of both sides.
  absl::StatusOr<uint64_t> Verify();

  // Waits until the stream has applied all that the source has executed.
  absl::Status AwaitApplied(const std::string& executed, absl::Duration timeout);

  // Processor seconds of both agents, and of both mysqlds.
  absl::StatusOr<double> AgentSeconds() const;
  absl::StatusOr<double> MysqldSeconds() const;
  [[nodiscard]] std::vector<pid_t> AgentPids() const;
  [[nodiscard]] pid_t TargetMysqldPid() const;

  // Drops what stands in both databases; no move is under way.
  absl::Status Clear();

 private:
  Stage() = default;
  absl::StatusOr<bool> KeysInPlace();
  [[nodiscard]] pid_t PidOf(const std::string& name) const;

  std::unique_ptr<cluster::Cluster> cluster_;
  std::unique_ptr<mysql::Connection> source_;
  std::unique_ptr<mysql::Connection> target_;
};

}  // namespace sluice::bench
