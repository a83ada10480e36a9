// The tables of the sidecar database that hold the durable state of streams.

#pragma once

#include <array>

#include "absl/strings/string_view.h"

namespace sluice::target {

// Grows with every change of the statements below.
inline constexpr int kStreamTablesVersion = 6;

// Each may be run again at any time.
inline constexpr std::array<absl::string_view, 6> kStreamTables = {
    // spec: control.capnp StreamSpec. epoch: of the last command that was obeyed. source_*: the
    // tablet
    // that was read from last, for when the coordinator cannot be asked.
    R"(CREATE TABLE IF NOT EXISTS _sluice.stream (
  id BIGINT UNSIGNED NOT NULL PRIMARY KEY,
  workflow VARCHAR(255) NOT NULL,
  spec LONGBLOB NOT NULL,
  state VARCHAR(16) NOT NULL,
  message TEXT NOT NULL,
  frozen TINYINT NOT NULL DEFAULT 0,
  epoch BIGINT UNSIGNED NOT NULL DEFAULT 0,
  source_alias VARCHAR(255) NOT NULL DEFAULT '',
  source_url VARCHAR(255) NOT NULL DEFAULT '',
  created_at TIMESTAMP(6) NOT NULL DEFAULT CURRENT_TIMESTAMP(6),
  updated_at TIMESTAMP(6) NOT NULL DEFAULT CURRENT_TIMESTAMP(6) ON UPDATE CURRENT_TIMESTAMP(6),
  KEY workflow (workflow)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin)",

    // One narrow row per stream, written in the same commit as the rows it speaks of. version:
    // every
    // commit of a stream raises it and names the one before, so of two writers one fails. position:
    // NULL until a copy has its first snapshot. markers: the last ones applied, one per line.
    R"(CREATE TABLE IF NOT EXISTS _sluice.stream_position (
  stream_id BIGINT UNSIGNED NOT NULL PRIMARY KEY,
  version BIGINT UNSIGNED NOT NULL,
  position LONGTEXT NULL,
  transaction_us BIGINT NOT NULL DEFAULT 0,
  transactions_applied BIGINT UNSIGNED NOT NULL DEFAULT 0,
  rows_applied BIGINT UNSIGNED NOT NULL DEFAULT 0,
  markers TEXT NOT NULL
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin)",

    // One row per part of a table that is copied by itself (stream_record.h). last_key: as the
    // source gave it with the last rows that were copied. ordinal: of the table in the stream.
    R"(CREATE TABLE IF NOT EXISTS _sluice.copy_range (
  stream_id BIGINT UNSIGNED NOT NULL,
  table_name VARCHAR(64) NOT NULL,
  slot INT UNSIGNED NOT NULL,
  ordinal INT UNSIGNED NOT NULL,
  started TINYINT NOT NULL DEFAULT 0,
  done TINYINT NOT NULL DEFAULT 0,
  last_key LONGBLOB NOT NULL,
  end_key LONGBLOB NOT NULL,
  rows_copied BIGINT UNSIGNED NOT NULL DEFAULT 0,
  bytes_copied BIGINT UNSIGNED NOT NULL DEFAULT 0,
  rows_estimate BIGINT UNSIGNED NOT NULL DEFAULT 0,
  bytes_estimate BIGINT UNSIGNED NOT NULL DEFAULT 0,
  PRIMARY KEY (stream_id, table_name, slot)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin)",

    // The statement of the source that a stream is about to run here (ddl_intent.h). Statements and
    // definitions are bytes: their literals may be of any character set.
    R"(CREATE TABLE IF NOT EXISTS _sluice.stream_ddl (
  stream_id BIGINT UNSIGNED NOT NULL PRIMARY KEY,
  gtid VARCHAR(128) NOT NULL,
  statement LONGBLOB NOT NULL,
  definition LONGBLOB NOT NULL
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin)",

    // One row per secondary key that a table does without until it is copied. definition: as SHOW
    // CREATE TABLE had it.
    R"(CREATE TABLE IF NOT EXISTS _sluice.deferred_key (
  stream_id BIGINT UNSIGNED NOT NULL,
  table_name VARCHAR(64) NOT NULL,
  key_name VARCHAR(64) NOT NULL,
  ordinal INT UNSIGNED NOT NULL,
  definition LONGBLOB NOT NULL,
  PRIMARY KEY (stream_id, table_name, key_name)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin)",

    // Ids of streams that were deleted lately: a request to create one of them was delayed.
    R"(CREATE TABLE IF NOT EXISTS _sluice.deleted_stream (
  stream_id BIGINT UNSIGNED NOT NULL PRIMARY KEY,
  deleted_at TIMESTAMP(6) NOT NULL
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin)",
};

}  // namespace sluice::target
