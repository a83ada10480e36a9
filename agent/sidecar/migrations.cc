// Migrations: the tables of the sidecar database _sluice, version by version.

#include "agent/sidecar/migrations.h"

#include <utility>

#include "agent/target/sidecar_tables.h"

namespace sluice::sidecar {
namespace {

static_assert(target::kStreamTablesVersion == 6,
              "changed stream tables need a migration of their own");

// Version 1 copied a table from its start to its end in one go.
constexpr const char* kCopyState = R"(CREATE TABLE IF NOT EXISTS _sluice.copy_state (
  stream_id BIGINT UNSIGNED NOT NULL,
  table_name VARCHAR(64) NOT NULL,
  ordinal INT UNSIGNED NOT NULL,
  started TINYINT NOT NULL DEFAULT 0,
  done TINYINT NOT NULL DEFAULT 0,
  last_key LONGBLOB NOT NULL,
  rows_copied BIGINT UNSIGNED NOT NULL DEFAULT 0,
  bytes_copied BIGINT UNSIGNED NOT NULL DEFAULT 0,
  rows_estimate BIGINT UNSIGNED NOT NULL DEFAULT 0,
  bytes_estimate BIGINT UNSIGNED NOT NULL DEFAULT 0,
  PRIMARY KEY (stream_id, table_name)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin)";

constexpr const char* kCopyStateToRanges =
    "INSERT IGNORE INTO _sluice.copy_range (stream_id, table_name, slot, ordinal, started, done, "
    "last_key, end_key, rows_copied, bytes_copied, rows_estimate, bytes_estimate) "
    "SELECT stream_id, table_name, 0, ordinal, started, done, last_key, '', rows_copied, "
    "bytes_copied, rows_estimate, bytes_estimate FROM _sluice.copy_state";

constexpr const char* kGate = R"(CREATE TABLE IF NOT EXISTS _sluice.gate (
  workflow VARCHAR(255) NOT NULL,
  database_name VARCHAR(64) NOT NULL,
  state VARCHAR(16) NOT NULL,
  wanted VARCHAR(16) NOT NULL,
  epoch BIGINT UNSIGNED NOT NULL,
  connection_id BIGINT UNSIGNED NOT NULL,
  table_names LONGTEXT NOT NULL,
  changed_at TIMESTAMP(6) NOT NULL,
  PRIMARY KEY (workflow, database_name)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin)";

// Streams read the rows of this table from the binlog: marker_id stays the first column. What it
// holds is in agent/gate/marker_name.h.
constexpr const char* kMarker = R"(CREATE TABLE IF NOT EXISTS _sluice.marker (
  marker_id VARCHAR(128) NOT NULL PRIMARY KEY,
  workflow VARCHAR(255) NOT NULL,
  created_at TIMESTAMP(6) NOT NULL
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin)";

constexpr const char* kJournal = R"(CREATE TABLE IF NOT EXISTS _sluice.journal (
  cutover_id VARCHAR(128) NOT NULL PRIMARY KEY,
  workflow VARCHAR(255) NOT NULL,
  record LONGTEXT NOT NULL,
  written_at TIMESTAMP(6) NOT NULL
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin)";

// MySQL's ALTER TABLE can't be told to leave a column that stands there alone.
std::vector<std::string> AddGateKind() {
  return {
      "SET @sluice_add = (SELECT IF(COUNT(*) = 0, 'ALTER TABLE _sluice.gate ADD COLUMN kind"
      " VARCHAR(16) NOT NULL DEFAULT ''tables''', 'DO 0') FROM information_schema.COLUMNS WHERE"
      " TABLE_SCHEMA = '_sluice' AND TABLE_NAME = 'gate' AND COLUMN_NAME = 'kind')",
      "PREPARE sluice_add FROM @sluice_add",
      "EXECUTE sluice_add",
      "DEALLOCATE PREPARE sluice_add",
  };
}

}  // namespace

// Each statement may be run again, so the one that takes its source away from another is of a later
// version.
std::vector<Migration> Migrations() {
  Migration first{.version = 1, .statements = {kGate, kMarker, kJournal, kCopyState}};
  Migration second{.version = 2, .statements = {}};
  for (const absl::string_view statement : target::kStreamTables) {
    second.statements.emplace_back(statement);
  }
  second.statements.emplace_back(kCopyStateToRanges);
  const Migration third{.version = 3, .statements = {"DROP TABLE IF EXISTS _sluice.copy_state"}};
  Migration fourth{.version = 4, .statements = {}};
  for (const absl::string_view statement : target::kStreamTables) {
    fourth.statements.emplace_back(statement);
  }
  Migration fifth = fourth;  // what stands there already is left as it is
  fifth.version = 5;
  Migration sixth{.version = 6, .statements = AddGateKind()};
  // LONGTEXT would refuse the bytes of literals of other character sets.
  Migration seventh{
      .version = 7,
      .statements = {"ALTER TABLE _sluice.stream_ddl MODIFY statement LONGBLOB NOT NULL, MODIFY "
                     "definition LONGBLOB NOT NULL",
                     "ALTER TABLE _sluice.deferred_key MODIFY definition LONGBLOB NOT NULL"}};
  Migration eighth = fourth;
  eighth.version = 8;
  return {std::move(first),   std::move(second), third,
          std::move(fourth),  std::move(fifth),  std::move(sixth),
          std::move(seventh), std::move(eighth)};
}

}  // namespace sluice::sidecar
