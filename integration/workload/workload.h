// Workload: applications that read and write through the proxies and remember what was
// acknowledged.

#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "common/mysql/connection.h"

namespace sluice::workload {

// The table that the writers use:
//   corder(order_id bigint primary key, customer_id bigint, sku varbinary(128), price bigint)
// Writer w owns the order_ids from first_key + w * 1'000'000 on.
struct WorkloadOptions {
  std::vector<mysql::ConnectionOptions> proxies;  // clients are spread over them
  std::string keyspace;  // of the session; empty: bare names, as most applications
  std::string table = "corder";
  int writers = 3;
  int readers = 2;  // one of them reads with @replica
  uint64_t first_key = 1'000'000'000;
  absl::Duration think_time = absl::Milliseconds(2);  // between two statements of one client
  bool replica_reads = true;
};

struct WorkloadReport {
  uint64_t acknowledged_writes = 0;
  uint64_t unknown_writes = 0;
  uint64_t lost_writes = 0;
  uint64_t duplicated_writes = 0;
  uint64_t reads = 0;
  uint64_t wrong_reads = 0;         // a writer read from the primary what it may not be
  uint64_t client_errors = 0;       // statements outside transactions that failed
  uint64_t transaction_errors = 0;  // transactions that failed (and were rolled back)
  uint64_t lost_connections = 0;    // not counted as client errors
  double longest_pause_ms = 0;      // the slowest statement of any client
  std::vector<std::string> findings;
};

// Thread-safe.
class Workload {
 public:
  static absl::StatusOr<std::unique_ptr<Workload>> Start(const WorkloadOptions& options);
  Workload(const Workload&) = delete;
  Workload& operator=(const Workload&) = delete;
  ~Workload();  // Stop()

  // Lets every statement under way end and keeps the clients quiet until Resume.
  void Pause();
  void Resume();
  void Stop();

  // Waits until `count` more writes are acknowledged.
  absl::Status AwaitWrites(uint64_t count, absl::Duration timeout);
  // The slowest statement since the last call, milliseconds.
  double TakeLongestPauseMs();

  // Compares with the rows that the owner holds; call when stopped or paused. `owner` is a session
  // on the mysqld that serves, `physical_table` quoted.
  absl::StatusOr<WorkloadReport> Judge(mysql::Connection& owner, const std::string& physical_table);
  // The numbers so far, without a judgement of lost and duplicated writes.
  [[nodiscard]] WorkloadReport Snapshot() const;

 private:
  struct Impl;
  explicit Workload(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace sluice::workload
