// TabletInfo, StreamInfo: what the agents say of themselves, as plain structs.

#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "absl/time/time.h"
#include "common/routing/target.h"
#include "coordinator/store/records.h"
#include "schemas/control.capnp.h"

namespace sluice::topology {

struct TabletInfo {
  std::string alias;  // zone1-200
  std::string cell;
  uint32_t uid = 0;
  std::string keyspace;
  std::string shard;
  std::string database;
  std::string agent_url;
  std::string mysql_host;
  uint16_t mysql_port = 0;
  routing::TabletType configured_type = routing::TabletType::kUnknown;
  routing::TabletType type = routing::TabletType::kUnknown;  // as mysqld itself says
  uint64_t incarnation = 0;

  bool reachable = false;
  bool read_only = false;
  int64_t replica_lag_ms = -1;
  std::string problem;  // of the agent or, when it was not heard lately, ours
  std::string server_uuid;
  std::string server_version;
  std::string gtid_executed;

  // What a person should know of it though it serves: streams that nothing wants.
  std::vector<std::string> remarks;
  absl::Time last_heard = absl::InfinitePast();
  bool serving = false;    // heard lately, reachable, without a problem, and no rival primary
  bool contested = false;  // a PRIMARY that does not serve because it has a rival
};

// Where the time of writes has gone; microseconds.
struct WriteTimes {
  uint64_t writes = 0;
  uint64_t waiting_us = 0;
  uint64_t building_us = 0;
  uint64_t server_us = 0;
  uint64_t hand_off_us = 0;
};

enum class StreamState { kInit, kCopying, kRunning, kStopped, kError };
// "Init", "Copying", "Running", "Stopped", "Error".
std::string StreamStateName(StreamState state);

struct CopyProgress {
  std::string table;
  bool done = false;
  bool started = false;
  uint64_t rows_copied = 0;
  uint64_t bytes_copied = 0;
  uint64_t rows_estimate = 0;
  uint64_t bytes_estimate = 0;
  std::vector<std::string> keys_owed;  // added when all tables are copied
};

struct StreamInfo {
  uint64_t id = 0;
  std::string tablet;  // alias of the tablet that runs it
  std::string workflow;
  StreamState state = StreamState::kInit;
  std::string message;
  std::string position;
  std::string source_tablet;
  int64_t lag_ms = -1;
  int64_t transaction_timestamp = 0;  // seconds
  int64_t time_updated = 0;           // seconds
  std::vector<CopyProgress> copy;
  uint64_t rows_copied = 0;
  std::string source_keyspace;
  std::string source_shard;
  std::string target_database;
  std::vector<std::string> tables;
  bool stop_after_copy = false;
  bool frozen = false;
  std::string workflow_type;
  uint64_t transactions_applied = 0;
  uint64_t rows_applied = 0;
  int64_t time_throttled = 0;       // seconds
  std::string component_throttled;  // "copy", "apply", or empty
  std::string reason_throttled;
  WriteTimes copy_times;
  WriteTimes apply_times;
  absl::Time heard;
};

// What an agent says of one of its tablets.
struct TabletReport {
  TabletInfo tablet;  // identity, health and incarnation
  std::vector<StreamInfo> streams;
  std::vector<std::string> tables;  // of a PRIMARY: base tables that stand under their names
};

// The fields of control.capnp ClusterView.
struct ClusterView {
  std::string throttled;
  int64_t replica_lag_ms = 0;
  std::string replica;
  std::string replica_problem;
};
void EncodeView(const ClusterView& view, schemas::ClusterView::Builder builder);

// Unknown states of a later version are read as kError. The fields tablet and heard are left empty.
StreamInfo DecodeStream(schemas::StreamStatus::Reader status);
// All tablets of the agent that sends it, in the order of the message; at least one.
std::vector<TabletReport> DecodeReport(schemas::RegisterTabletRequest::Reader request);
std::vector<TabletReport> DecodeReport(schemas::ReportTabletRequest::Reader request);

store::TabletRecord RecordOf(const TabletInfo& tablet);
// A tablet that served is reachable, until it is found not to be.
TabletInfo FromRecord(const store::TabletRecord& record);

}  // namespace sluice::topology
