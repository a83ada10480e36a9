// Migrations: the tables of the sidecar database _sluice, version by version.

#include "agent/sidecar/migrations.h"

#include "agent/target/sidecar_tables.h"

namespace sluice::sidecar {
namespace {

static_assert(target::kStreamTablesVersion == 1,
              "changed stream tables need a migration of their own");

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

// Streams read the rows of this table from the binlog: marker_id stays the first column.
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

}  // namespace

std::vector<Migration> Migrations() {
  Migration first{.version = 1, .statements = {kGate, kMarker, kJournal}};
  for (const absl::string_view statement : target::kStreamTables) {
    first.statements.emplace_back(statement);
  }
  return {first};
}

}  // namespace sluice::sidecar
