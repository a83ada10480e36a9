// StreamStatus: what is told of a stream: to the coordinator, and by it to the operator.

#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "agent/target/stream_record.h"
#include "agent/target/write_times.h"
#include "schemas/control.capnp.h"

namespace sluice::target {

// The fields of control.capnp StreamStatus.
struct StreamStatus {
  StreamSpec spec;
  schemas::StreamState state = schemas::StreamState::INIT;
  std::string message;
  std::string position;  // applied and durable
  std::string source_tablet;
  int64_t lag_ms = -1;
  int64_t transaction_timestamp = 0;
  int64_t time_updated = 0;
  std::vector<CopyTable> copy;
  bool frozen = false;
  uint64_t transactions_applied = 0;
  uint64_t rows_applied = 0;
  std::string throttled_component;  // "copy" or "apply" while it waits
  std::string throttled_reason;
  int64_t time_throttled = 0;  // seconds; when it last had to wait
  WriteTimes copy_times;
  WriteTimes apply_times;
};

void WriteStreamStatus(const StreamStatus& status, schemas::StreamStatus::Builder builder);

}  // namespace sluice::target
