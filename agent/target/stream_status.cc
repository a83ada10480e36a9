// StreamStatus: its wire form.

#include "agent/target/stream_status.h"

namespace sluice::target {
namespace {

void WriteTimesTo(const WriteTimes& times, schemas::WriteTimes::Builder builder) {
  const auto micros = [](absl::Duration time) {
    return static_cast<uint64_t>(absl::ToInt64Microseconds(time));
  };
  builder.setWrites(times.writes);
  builder.setWaitingUs(micros(times.waiting));
  builder.setBuildingUs(micros(times.building));
  builder.setServerUs(micros(times.server));
  builder.setHandOffUs(micros(times.hand_off));
}

}  // namespace

void WriteStreamStatus(const StreamStatus& status, schemas::StreamStatus::Builder builder) {
  builder.setId(status.spec.id);
  builder.setWorkflow(status.spec.workflow);
  builder.setState(status.state);
  builder.setMessage(status.message);
  builder.setPosition(status.position);
  builder.setSourceTablet(status.source_tablet);
  builder.setLagMs(status.lag_ms);
  builder.setTransactionTimestamp(status.transaction_timestamp);
  builder.setTimeUpdated(status.time_updated);
  uint64_t rows_copied = 0;
  auto copy = builder.initCopy(static_cast<unsigned>(status.copy.size()));
  for (unsigned i = 0; i < copy.size(); ++i) {
    const CopyTable& table = status.copy[i];
    copy[i].setTable(table.table);
    copy[i].setDone(table.done);
    copy[i].setStarted(table.started);
    copy[i].setRowsCopied(table.rows);
    copy[i].setBytesCopied(table.bytes);
    copy[i].setRowsEstimate(table.rows_estimate);
    copy[i].setBytesEstimate(table.bytes_estimate);
    auto keys = copy[i].initKeysOwed(static_cast<unsigned>(table.keys_owed.size()));
    for (unsigned k = 0; k < keys.size(); ++k) {
      keys.set(k, table.keys_owed[k].name);
    }
    rows_copied += table.rows;
  }
  builder.setRowsCopied(rows_copied);
  builder.setSourceKeyspace(status.spec.source_keyspace);
  builder.setSourceShard(status.spec.source_shard);
  builder.setTargetDatabase(status.spec.target_database);
  auto tables = builder.initTables(static_cast<unsigned>(status.spec.tables.size()));
  for (unsigned i = 0; i < tables.size(); ++i) {
    tables.set(i, status.spec.tables[i]);
  }
  builder.setStopAfterCopy(status.spec.stop_after_copy);
  builder.setFrozen(status.frozen);
  builder.setWorkflowType(status.spec.workflow_type);
  builder.setTransactionsApplied(status.transactions_applied);
  builder.setRowsApplied(status.rows_applied);
  builder.setTimeThrottled(status.time_throttled);
  builder.setComponentThrottled(status.throttled_component);
  builder.setReasonThrottled(status.throttled_reason);
  WriteTimesTo(status.copy_times, builder.initCopyTimes());
  WriteTimesTo(status.apply_times, builder.initApplyTimes());
}

}  // namespace sluice::target
