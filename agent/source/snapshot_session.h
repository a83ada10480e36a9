// SnapshotSession: a consistent snapshot of one server, read table by table in key order.

#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/container/flat_hash_map.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "common/mysql/connection.h"
#include "common/mysql/table_schema.h"

namespace sluice::source {

struct SnapshotOptions {
  mysql::ConnectionOptions connection;
  std::string database;
  std::string not_before;  // GTID set that the snapshot must contain; empty: any
  absl::Duration wait;     // at most, for not_before
};

struct ChunkRequest {
  std::string table;
  std::vector<std::string> columns;
  std::vector<std::string> key_columns;
  std::string after_key;  // last_key of the chunk before; empty: from the start
  uint32_t rows_max = 0;
  uint32_t bytes_max = 0;
};

struct Chunk {
  std::string rows;  // cells of the wanted columns, row by row (cell_codec.h)
  uint32_t row_count = 0;
  std::string last_key;       // opaque to the reader; empty when there is no row
  bool end_of_table = false;  // the server itself ended the result below the limit
  uint64_t rows_estimate = 0;
  uint64_t bytes_estimate = 0;
};

// Reads the same state for as long as it lives, so a request that is repeated gets the same rows.
// A session that has failed stays failed: NOT_FOUND tells the reader to open a new one.
// Thread-safe; calls wait for each other.
class SnapshotSession {
 public:
  // Waits for not_before (DEADLINE_EXCEEDED when the server has not executed it in time), reads
  // gtid_executed, then opens the snapshot: it is at position() or later.
  static absl::StatusOr<std::unique_ptr<SnapshotSession>> Open(const SnapshotOptions& options);
  SnapshotSession(const SnapshotSession&) = delete;
  SnapshotSession& operator=(const SnapshotSession&) = delete;

  [[nodiscard]] const std::string& position() const { return position_; }

  // The next rows. At least one row, however large, unless the table ends. FAILED_PRECONDITION
  // names a table, column or key that is not there; NOT_FOUND when the snapshot is lost.
  absl::StatusOr<Chunk> FetchRows(const ChunkRequest& request) ABSL_LOCKS_EXCLUDED(mutex_);

  // Makes a call that blocks in another thread end soon.
  void Interrupt() { connection_->Interrupt(); }

 private:
  SnapshotSession(std::unique_ptr<mysql::Connection> connection, std::string database,
                  std::string position);

  absl::StatusOr<const mysql::TableSchema*> Schema(const std::string& table)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  absl::StatusOr<Chunk> Read(const ChunkRequest& request) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  const std::unique_ptr<mysql::Connection> connection_;  // its calls are under mutex_
  const std::string database_;
  const std::string position_;
  absl::Mutex mutex_;
  absl::flat_hash_map<std::string, mysql::TableSchema> schemas_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace sluice::source
