// TabletInfo, StreamInfo: out of the agents' messages.

#include "coordinator/topology/tablet.h"

#include "absl/strings/str_cat.h"
#include "common/wire/wire.h"

namespace sluice::topology {
namespace {

using wire::Str;

StreamState StateOf(schemas::StreamState state) {
  switch (state) {
    case schemas::StreamState::INIT:
      return StreamState::kInit;
    case schemas::StreamState::COPYING:
      return StreamState::kCopying;
    case schemas::StreamState::RUNNING:
      return StreamState::kRunning;
    case schemas::StreamState::STOPPED:
      return StreamState::kStopped;
    case schemas::StreamState::ERROR:
      break;
  }
  return StreamState::kError;
}

}  // namespace

std::string StreamStateName(StreamState state) {
  switch (state) {
    case StreamState::kInit:
      return "Init";
    case StreamState::kCopying:
      return "Copying";
    case StreamState::kRunning:
      return "Running";
    case StreamState::kStopped:
      return "Stopped";
    case StreamState::kError:
      break;
  }
  return "Error";
}

namespace {

WriteTimes TimesOf(schemas::WriteTimes::Reader times) {
  return {.writes = times.getWrites(),
          .waiting_us = times.getWaitingUs(),
          .building_us = times.getBuildingUs(),
          .server_us = times.getServerUs(),
          .hand_off_us = times.getHandOffUs()};
}

}  // namespace

void EncodeView(const ClusterView& view, schemas::ClusterView::Builder builder) {
  builder.setThrottled(view.throttled);
  builder.setReplicaLagMs(view.replica_lag_ms);
  builder.setReplica(view.replica);
  builder.setReplicaProblem(view.replica_problem);
}

StreamInfo DecodeStream(schemas::StreamStatus::Reader status) {
  StreamInfo stream;
  stream.id = status.getId();
  stream.workflow = Str(status.getWorkflow());
  stream.state = StateOf(status.getState());
  stream.message = Str(status.getMessage());
  stream.position = Str(status.getPosition());
  stream.source_tablet = Str(status.getSourceTablet());
  stream.lag_ms = status.getLagMs();
  stream.transaction_timestamp = status.getTransactionTimestamp();
  stream.time_updated = status.getTimeUpdated();
  for (const auto table : status.getCopy()) {
    stream.copy.push_back({Str(table.getTable()), table.getDone(), table.getStarted(),
                           table.getRowsCopied(), table.getBytesCopied(), table.getRowsEstimate(),
                           table.getBytesEstimate(), wire::Strs(table.getKeysOwed())});
  }
  stream.rows_copied = status.getRowsCopied();
  stream.source_keyspace = Str(status.getSourceKeyspace());
  stream.source_shard = Str(status.getSourceShard());
  stream.target_database = Str(status.getTargetDatabase());
  stream.tables = wire::Strs(status.getTables());
  stream.stop_after_copy = status.getStopAfterCopy();
  stream.frozen = status.getFrozen();
  stream.workflow_type = Str(status.getWorkflowType());
  stream.transactions_applied = status.getTransactionsApplied();
  stream.rows_applied = status.getRowsApplied();
  stream.time_throttled = status.getTimeThrottled();
  stream.component_throttled = Str(status.getComponentThrottled());
  stream.reason_throttled = Str(status.getReasonThrottled());
  stream.copy_times = TimesOf(status.getCopyTimes());
  stream.apply_times = TimesOf(status.getApplyTimes());
  return stream;
}

namespace {

void NameTablet(TabletInfo& tablet) {
  tablet.alias = absl::StrCat(tablet.cell, "-", tablet.uid);
}

void ReadStreams(capnp::List<schemas::StreamStatus>::Reader streams, TabletReport& report) {
  for (const auto stream : streams) {
    report.streams.push_back(DecodeStream(stream));
    report.streams.back().tablet = report.tablet.alias;
  }
}

template <typename Request>
TabletReport ReadFirst(Request request) {
  const schemas::TabletIdentity::Reader identity = request.getIdentity();
  const schemas::TabletHealth::Reader health = request.getHealth();
  TabletReport report;
  TabletInfo& tablet = report.tablet;
  tablet.cell = Str(identity.getCell());
  tablet.uid = identity.getUid();
  NameTablet(tablet);
  tablet.keyspace = Str(identity.getKeyspace());
  tablet.shard = Str(identity.getShard());
  tablet.database = Str(identity.getDatabase());
  tablet.agent_url = Str(identity.getAgentUrl());
  tablet.mysql_host = Str(identity.getMysqlHost());
  tablet.mysql_port = identity.getMysqlPort();
  tablet.configured_type = wire::TypeOf(identity.getConfiguredType());
  tablet.incarnation = request.getIncarnation();
  tablet.reachable = health.getReachable();
  tablet.type = wire::TypeOf(health.getType());
  tablet.read_only = health.getReadOnly();
  tablet.replica_lag_ms = health.getReplicaLagMs();
  tablet.problem = Str(health.getProblem());
  tablet.server_uuid = Str(health.getServerUuid());
  tablet.server_version = Str(health.getServerVersion());
  tablet.gtid_executed = Str(health.getGtidExecuted());
  ReadStreams(request.getStreams(), report);
  report.tables = wire::Strs(request.getTables());
  return report;
}

// Agent and mysqld are those of the first one.
TabletReport ReadShare(schemas::TabletShare::Reader share, const TabletInfo& first) {
  TabletReport report;
  TabletInfo& tablet = report.tablet;
  tablet = first;
  tablet.uid = share.getUid();
  NameTablet(tablet);
  tablet.keyspace = Str(share.getKeyspace());
  tablet.shard = Str(share.getShard());
  tablet.database = Str(share.getDatabase());
  tablet.configured_type = wire::TypeOf(share.getConfiguredType());
  tablet.type = wire::TypeOf(share.getType());
  tablet.problem = Str(share.getProblem());
  ReadStreams(share.getStreams(), report);
  report.tables = wire::Strs(share.getTables());
  return report;
}

template <typename Request>
std::vector<TabletReport> ReadReport(Request request) {
  std::vector<TabletReport> reports = {ReadFirst(request)};
  const TabletInfo first = reports.front().tablet;
  for (const auto share : request.getOthers()) {
    reports.push_back(ReadShare(share, first));
  }
  return reports;
}

}  // namespace

std::vector<TabletReport> DecodeReport(schemas::RegisterTabletRequest::Reader request) {
  return ReadReport(request);
}

std::vector<TabletReport> DecodeReport(schemas::ReportTabletRequest::Reader request) {
  return ReadReport(request);
}

store::TabletRecord RecordOf(const TabletInfo& tablet) {
  store::TabletRecord record;
  record.alias = tablet.alias;
  record.cell = tablet.cell;
  record.uid = tablet.uid;
  record.keyspace = tablet.keyspace;
  record.shard = tablet.shard;
  record.database = tablet.database;
  record.agent_url = tablet.agent_url;
  record.mysql_host = tablet.mysql_host;
  record.mysql_port = tablet.mysql_port;
  record.configured_type = tablet.configured_type;
  record.type = tablet.type;
  record.serving = tablet.serving;
  record.incarnation = tablet.incarnation;
  return record;
}

TabletInfo FromRecord(const store::TabletRecord& record) {
  TabletInfo tablet;
  tablet.alias = record.alias;
  tablet.cell = record.cell;
  tablet.uid = record.uid;
  tablet.keyspace = record.keyspace;
  tablet.shard = record.shard;
  tablet.database = record.database;
  tablet.agent_url = record.agent_url;
  tablet.mysql_host = record.mysql_host;
  tablet.mysql_port = record.mysql_port;
  tablet.configured_type = record.configured_type;
  tablet.type = record.type;
  tablet.incarnation = record.incarnation;
  tablet.reachable = record.serving;
  return tablet;
}

}  // namespace sluice::topology
