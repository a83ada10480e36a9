// Checks: what follows from a mysqld's facts: its type, and why it cannot serve. Pure.

#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "agent/health/privileges.h"
#include "common/routing/target.h"

namespace sluice::agent {

struct ReplicaFacts {
  bool configured = false;  // SHOW REPLICA STATUS has a channel
  bool io_running = false;
  bool sql_running = false;
  int64_t lag_ms = -1;  // -1: unknown
  std::string last_error;
};

// What mysqld says of itself.
struct MysqldFacts {
  std::string version;
  int version_number = 0;  // 90704 for 9.7.4
  std::string server_uuid;
  std::string gtid_executed;
  std::string gtid_mode;
  bool enforce_gtid_consistency = false;
  bool log_bin = false;
  std::string binlog_format;
  std::string binlog_row_image;
  uint32_t server_id = 0;
  bool log_replica_updates = false;
  int lower_case_table_names = 0;
  bool read_only = false;
  bool super_read_only = false;
  bool closed_by_gate = false;  // read_only is a gate's, which has closed the whole server
  uint16_t port = 0;
  std::string account;  // 'user'@'host' of the agent's session, for remedies
  Privileges privileges;
  ReplicaFacts replica;
};

// "9.7.4-2" -> 90704; 0 when it is no version.
int VersionNumber(const std::string& version);

// PRIMARY when writable, or read-only by a gate, and not a replica; a mysqld configured as PRIMARY
// that is not one now is a REPLICA; else as configured.
routing::TabletType EffectiveType(const MysqldFacts& facts, routing::TabletType configured);

// One line per reason that keeps this mysqld from serving, each with the remedy. Empty: it can.
std::vector<std::string> FindProblems(const MysqldFacts& facts, const std::string& database,
                                      routing::TabletType configured);

}  // namespace sluice::agent
