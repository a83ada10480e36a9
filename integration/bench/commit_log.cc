// Commit log: reading binlogs as a replica does.

#include "integration/bench/commit_log.h"

#include <algorithm>
#include <cmath>
#include <functional>
#include <optional>

#include "common/base/status_macros.h"
#include "common/binlog/event.h"
#include "common/binlog/row_image.h"
#include "common/mysql/binlog_stream.h"
#include "integration/cluster/mysqld.h"

namespace sluice::bench {
namespace {

using binlog::EventType;

constexpr uint32_t kReaderServerId = 4'000'000'001;
constexpr size_t kPositionColumn = 2;  // of _sluice.stream_position

// Hands on every event, without checksum, until all of `to` has been seen.
absl::Status ReadBinlog(
    uint16_t port, const std::string& from, const std::string& to,
    const std::function<absl::Status(EventType type, absl::string_view event)>& on_event) {
  mysql::BinlogStreamOptions options;
  options.connection = cluster::RootOptions(port);
  options.server_id = kReaderServerId;
  SLUICE_ASSIGN_OR_RETURN(options.position, gtid::GtidSet::Parse(from));
  SLUICE_ASSIGN_OR_RETURN(gtid::GtidSet left, gtid::GtidSet::Parse(to));
  left.Subtract(options.position);
  SLUICE_ASSIGN_OR_RETURN(auto stream, mysql::BinlogStream::Open(options));
  bool checksums = false;
  while (!left.empty()) {
    SLUICE_ASSIGN_OR_RETURN(absl::string_view event, stream->Next());
    SLUICE_ASSIGN_OR_RETURN(const binlog::EventHeader header, binlog::DecodeHeader(event));
    if (header.type == EventType::kFormatDescription) {
      SLUICE_ASSIGN_OR_RETURN(checksums, binlog::DecodeFormatDescriptionHasChecksum(event));
    }
    if (checksums) {
      SLUICE_ASSIGN_OR_RETURN(event, binlog::VerifyAndStripChecksum(event));
    }
    SLUICE_RETURN_IF_ERROR(on_event(header.type, event));
    if (header.type == EventType::kGtid || header.type == EventType::kGtidTagged) {
      SLUICE_ASSIGN_OR_RETURN(const binlog::GtidEvent gtid, binlog::DecodeGtid(event));
      gtid::GtidSet one;
      one.Add(gtid.gtid);
      left.Subtract(one);
    }
  }
  // The last transaction's events follow its GTID.
  while (true) {
    SLUICE_ASSIGN_OR_RETURN(absl::string_view event, stream->Next());
    SLUICE_ASSIGN_OR_RETURN(const binlog::EventHeader header, binlog::DecodeHeader(event));
    if (header.type == EventType::kXid || header.type == EventType::kGtid ||
        header.type == EventType::kHeartbeatV1 || header.type == EventType::kHeartbeatV2) {
      return absl::OkStatus();
    }
    if (checksums) {
      SLUICE_ASSIGN_OR_RETURN(event, binlog::VerifyAndStripChecksum(event));
    }
    SLUICE_RETURN_IF_ERROR(on_event(header.type, event));
  }
}

}  // namespace

absl::StatusOr<std::vector<SourceCommit>> ReadSourceCommits(uint16_t port, const std::string& from,
                                                            const std::string& to) {
  std::vector<SourceCommit> commits;
  SLUICE_RETURN_IF_ERROR(
      ReadBinlog(port, from, to, [&](EventType type, absl::string_view event) -> absl::Status {
        if (type == EventType::kGtid || type == EventType::kGtidTagged) {
          SLUICE_ASSIGN_OR_RETURN(const binlog::GtidEvent gtid, binlog::DecodeGtid(event));
          commits.push_back({gtid.gtid, gtid.immediate_commit_us});
        }
        return absl::OkStatus();
      }));
  return commits;
}

absl::StatusOr<std::vector<PositionCommit>> ReadPositionCommits(uint16_t port,
                                                                const std::string& from,
                                                                const std::string& to) {
  std::vector<PositionCommit> commits;
  uint64_t commit_us = 0;
  std::optional<binlog::TableMapEvent> map;  // of the positions' table, in this transaction
  const auto on_rows = [&](absl::string_view event) -> absl::Status {
    SLUICE_ASSIGN_OR_RETURN(const binlog::RowsEvent rows, binlog::DecodeRows(event));
    if (!map.has_value() || rows.table_id != map->table_id) {
      return absl::OkStatus();
    }
    SLUICE_ASSIGN_OR_RETURN(const std::vector<binlog::RowChange> changes,
                            binlog::DecodeRowChanges(*map, rows));
    for (const binlog::RowChange& change : changes) {
      if (change.after.has_value() && change.after->size() > kPositionColumn &&
          !(*change.after)[kPositionColumn].null) {
        SLUICE_ASSIGN_OR_RETURN(gtid::GtidSet position,
                                gtid::GtidSet::Parse((*change.after)[kPositionColumn].bytes));
        commits.push_back({commit_us, std::move(position)});
      }
    }
    return absl::OkStatus();
  };
  SLUICE_RETURN_IF_ERROR(
      ReadBinlog(port, from, to, [&](EventType type, absl::string_view event) -> absl::Status {
        switch (type) {
          case EventType::kGtid:
          case EventType::kGtidTagged: {
            SLUICE_ASSIGN_OR_RETURN(const binlog::GtidEvent gtid, binlog::DecodeGtid(event));
            commit_us = gtid.immediate_commit_us;
            map.reset();
            return absl::OkStatus();
          }
          case EventType::kTableMap: {
            SLUICE_ASSIGN_OR_RETURN(const binlog::TableName name, binlog::PeekTableMap(event));
            if (name.database == "_sluice" && name.table == "stream_position") {
              SLUICE_ASSIGN_OR_RETURN(map, binlog::DecodeTableMap(event));
            }
            return absl::OkStatus();
          }
          case EventType::kWriteRows:
          case EventType::kUpdateRows:
            return on_rows(event);
          default:
            return absl::OkStatus();
        }
      }));
  return commits;
}

absl::StatusOr<std::vector<double>> Lags(const std::vector<SourceCommit>& commits,
                                         const std::vector<PositionCommit>& positions) {
  std::vector<double> lags;
  size_t next = 0;
  for (const PositionCommit& position : positions) {
    while (next < commits.size() && position.position.Contains(commits[next].gtid)) {
      lags.push_back(
          (static_cast<double>(position.commit_us) - static_cast<double>(commits[next].commit_us)) /
          1000);
      ++next;
    }
  }
  if (next < commits.size()) {
    return absl::DataLossError("no position on the target has " + commits[next].gtid.ToString());
  }
  return lags;
}

double Percentile(std::vector<double> values, double percent) {
  if (values.empty()) {
    return 0;
  }
  std::sort(values.begin(), values.end());
  const auto rank =
      static_cast<size_t>(std::ceil(percent / 100 * static_cast<double>(values.size())));
  return values[std::clamp<size_t>(rank, 1, values.size()) - 1];
}

}  // namespace sluice::bench
