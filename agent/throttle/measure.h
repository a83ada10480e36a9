// Measures of a mysqld that throttles go by, on a session of their own.

#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "common/mysql/connection.h"

namespace sluice::throttle {

// A session that can't write and runs no statement longer than a second.
absl::StatusOr<std::unique_ptr<mysql::Connection>> ConnectToMeasure(
    mysql::ConnectionOptions options);

// Statements that run now, those of agents, replication and binlog readers not counted, from
// performance_schema.threads.
absl::StatusOr<double> ReadThreadsRunning(mysql::Connection& connection);

// A number that a user's query gives. FAILED_PRECONDITION when it is none.
absl::StatusOr<double> ReadQuery(mysql::Connection& connection, const std::string& sql);

// The mean time, since it was asked last, of a sync of InnoDB's redo log and of a read of its data
// files, as mysqld itself saw them (performance_schema.file_summary_by_event_name). Owned by one
// thread.
class DiskMeter {
 public:
  // Microseconds, the larger of the two; 0 where there was neither. FAILED_PRECONDITION at the
  // first time, and where mysqld does not time its files.
  absl::StatusOr<double> Read(mysql::Connection& connection);

  // The counters may be another mysqld's.
  void Forget() { last_.reset(); }

 private:
  struct Counters {
    uint64_t reads = 0;
    uint64_t read_ps = 0;
    uint64_t syncs = 0;
    uint64_t sync_ps = 0;
    uint64_t writes = 0;
    uint64_t write_ps = 0;
  };
  static absl::StatusOr<Counters> ReadCounters(mysql::Connection& connection);

  std::optional<Counters> last_;
};

}  // namespace sluice::throttle
