// SnapshotSession: consistent snapshots of one server, read table by table in key order.

#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/container/flat_hash_map.h"
#include "absl/container/node_hash_map.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "agent/source/chunk_query.h"
#include "agent/source/held_rows.h"
#include "agent/source/shape_guess.h"
#include "common/mysql/connection.h"
#include "common/mysql/table_schema.h"

namespace sluice::source {

struct SnapshotOptions {
  mysql::ConnectionOptions connection;
  std::string database;
  std::vector<std::string> tables;  // whose definitions are read at once
  std::string not_before;           // GTID set that the snapshots must contain; empty: any
  absl::Duration wait;              // at most, for not_before
  size_t readers = 1;               // snapshots, each on a connection of its own
};

struct ChunkRequest {
  std::string table;
  std::vector<std::string> columns;
  std::vector<std::string> key_columns;  // empty: rows are numbered; for one reader
  std::string after_key;                 // last_key of the chunk before; empty: from the start
  std::string end_key;                   // the last key wanted; empty: to the table's end
  uint64_t skip_rows = 0;                // not 0: only the key of the row so many rows on
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

// Reads what the server held at position() or later: every snapshot keeps its state for as long as
// the session lives, but they need not be at one point, and each request is answered from whichever
// is free. A session that has failed stays failed: NOT_FOUND tells the reader to open a new one.
// Thread-safe; at most `readers` calls run at once, others wait.
class SnapshotSession {
 public:
  // Waits for not_before (CheckHistory says how that fails), reads
  // gtid_executed, then opens the snapshots: they are at position() or later.
  static absl::StatusOr<std::unique_ptr<SnapshotSession>> Open(const SnapshotOptions& options);
  SnapshotSession(const SnapshotSession&) = delete;
  SnapshotSession& operator=(const SnapshotSession&) = delete;

  [[nodiscard]] const std::string& position() const { return position_; }
  // A GTID set that has every transaction of every snapshot, and perhaps more.
  [[nodiscard]] const std::string& up_to() const { return up_to_; }

  struct Estimate {
    std::string table;
    uint64_t rows = 0;
    uint64_t bytes = 0;
  };
  // Of the tables whose definitions are known.
  [[nodiscard]] std::vector<Estimate> Estimates() ABSL_LOCKS_EXCLUDED(mutex_);

  // The next rows. At least one row, however large, unless the table ends. FAILED_PRECONDITION
  // names a table, column or key that is not there; NOT_FOUND when the session is lost.
  absl::StatusOr<Chunk> FetchRows(const ChunkRequest& request) ABSL_LOCKS_EXCLUDED(mutex_);

  // Rows of chunks that do not fit into one answer.
  HeldRows& held() { return held_; }

  // Makes calls that block in other threads end soon.
  void Interrupt();

 private:
  // What is known of a table. Definitions do not change within a snapshot.
  struct Table {
    mysql::TableSchema schema;
    uint64_t rows_seen = 0;  // in chunks, by which the next limit is chosen
    uint64_t bytes_seen = 0;
    absl::flat_hash_map<std::string, ShapeGuess> shapes;  // by column
  };
  class Reader;

  SnapshotSession(std::vector<std::unique_ptr<mysql::Connection>> connections, std::string database,
                  std::string position);

  absl::Status ReadSchemas(mysql::Connection& connection, const std::vector<std::string>& tables)
      ABSL_LOCKS_EXCLUDED(mutex_);
  absl::StatusOr<const mysql::TableSchema*> Schema(mysql::Connection& connection,
                                                   const std::string& table)
      ABSL_LOCKS_EXCLUDED(mutex_);
  uint64_t NextLimit(const ChunkRequest& request, uint64_t bytes_max) ABSL_LOCKS_EXCLUDED(mutex_);
  std::vector<std::optional<binlog::JsonShape>> Shapes(const ChunkRequest& request)
      ABSL_LOCKS_EXCLUDED(mutex_);
  // Documents of the chunk's first row, by column of the request; empty where there is none.
  using Documents = std::vector<std::string>;
  void Seen(const ChunkRequest& request, const Chunk& chunk, const Documents& documents)
      ABSL_LOCKS_EXCLUDED(mutex_);
  absl::StatusOr<Chunk> Read(mysql::Connection& connection, const ChunkRequest& request)
      ABSL_LOCKS_EXCLUDED(mutex_);
  absl::StatusOr<Chunk> ReadBoundary(mysql::Connection& connection, const ChunkQuery& query)
      ABSL_LOCKS_EXCLUDED(mutex_);
  [[nodiscard]] bool HasFree() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    return !free_.empty();
  }

  const std::vector<std::unique_ptr<mysql::Connection>> connections_;
  const std::string database_;
  const std::string position_;
  std::string up_to_;  // written before the session is shared
  HeldRows held_;      // a chunk of each reader
  absl::Mutex mutex_;
  std::vector<mysql::Connection*> free_ ABSL_GUARDED_BY(mutex_);
  bool lost_ ABSL_GUARDED_BY(mutex_) = false;
  absl::node_hash_map<std::string, Table> tables_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace sluice::source
