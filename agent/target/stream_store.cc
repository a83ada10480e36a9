// StreamStore: statements on the sidecar tables, and the fenced commit.

#include "agent/target/stream_store.h"

#include <algorithm>
#include <utility>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "common/base/crash_point.h"
#include "common/base/status.h"
#include "common/base/status_macros.h"

namespace sluice::target {
namespace {

using mysql::QuoteString;
using schemas::StreamState;

constexpr absl::string_view kSelect =
    "SELECT s.id, s.spec, s.state, s.message, s.frozen, s.epoch, s.source_alias, s.source_url, "
    "p.version, p.position, p.transaction_us, p.transactions_applied, p.rows_applied, p.markers "
    "FROM _sluice.stream s JOIN _sluice.stream_position p ON p.stream_id = s.id";

absl::StatusOr<StreamState> ParseState(absl::string_view name) {
  for (const StreamState state : {StreamState::INIT, StreamState::COPYING, StreamState::RUNNING,
                                  StreamState::STOPPED, StreamState::ERROR}) {
    if (StateName(state) == name) {
      return state;
    }
  }
  return absl::DataLossError(absl::StrCat("a stored stream state '", name, "'"));
}

// Cells of one row, in order, with numbers checked.
class RowCells {
 public:
  explicit RowCells(const mysql::Row& row) : row_(row) {}

  const std::optional<std::string>& Next() { return row_[next_++]; }
  std::string Text() { return Next().value_or(""); }
  template <typename T>
  T Number() {
    T value{};
    if (!absl::SimpleAtoi(Text(), &value)) {
      failed_ = true;
    }
    return value;
  }
  bool Flag() { return Number<uint64_t>() != 0; }
  [[nodiscard]] bool failed() const { return failed_; }

 private:
  const mysql::Row& row_;
  size_t next_ = 0;
  bool failed_ = false;
};

absl::StatusOr<StreamRecord> ParseRecord(const mysql::Row& row) {
  RowCells cells(row);
  StreamRecord record;
  const auto id = cells.Number<uint64_t>();
  SLUICE_ASSIGN_OR_RETURN(record.spec, DecodeStreamSpec(cells.Text()));
  SLUICE_ASSIGN_OR_RETURN(record.state, ParseState(cells.Text()));
  record.message = cells.Text();
  record.frozen = cells.Flag();
  record.epoch = cells.Number<uint64_t>();
  record.source_alias = cells.Text();
  record.source_url = cells.Text();
  record.position.stream_id = id;
  record.position.version = cells.Number<uint64_t>();
  const std::optional<std::string>& position = cells.Next();
  if (position.has_value()) {
    SLUICE_ASSIGN_OR_RETURN(gtid::GtidSet set, gtid::GtidSet::Parse(*position));
    record.position.position = AppliedPosition{std::move(set)};
  }
  record.position.transaction_us = cells.Number<int64_t>();
  record.position.transactions_applied = cells.Number<uint64_t>();
  record.position.rows_applied = cells.Number<uint64_t>();
  record.position.markers = absl::StrSplit(cells.Text(), '\n', absl::SkipEmpty());
  if (cells.failed() || record.spec.id != id) {
    return absl::DataLossError(absl::StrCat("the stored state of stream ", id, " cannot be read"));
  }
  return record;
}

// A message as a text that the column takes: whole UTF-8 characters, all else as '?', not too long.
std::string MessageLiteral(absl::string_view message) {
  constexpr size_t kMessageBytesMax = 4096;
  std::string text;
  for (size_t i = 0; i < message.size() && text.size() < kMessageBytesMax;) {
    const auto first = static_cast<uint8_t>(message[i]);
    size_t size = 1;
    if (first >= 0xC2 && first <= 0xDF) {
      size = 2;
    } else if (first >= 0xE1 && first <= 0xEF && first != 0xED) {
      size = 3;
    } else if (first >= 0xF1 && first <= 0xF3) {
      size = 4;
    } else if (first >= 0x80) {
      size = 0;
    }
    bool whole = size > 0 && i + size <= message.size();
    for (size_t k = 1; whole && k < size; ++k) {
      whole = (static_cast<uint8_t>(message[i + k]) & 0xC0U) == 0x80U;
    }
    if (whole) {
      text.append(message.data() + i, size);
    } else {
      text += '?';
      size = 1;
    }
    i += size;
  }
  return QuoteString(text);
}

std::string PositionLiteral(const PositionRow& row) {
  return row.position.has_value() ? QuoteString(row.position->set.ToString()) : "NULL";
}

std::string MarkersLiteral(const PositionRow& row) {
  return QuoteString(absl::StrJoin(row.markers, "\n"));
}

void ReachBeforeCommit(CommitKind kind) {
  if (kind == CommitKind::kCopy) {
    SLUICE_CRASH_POINT("copy.before_commit");
  } else if (kind == CommitKind::kApply) {
    SLUICE_CRASH_POINT("apply.before_commit");
  } else {
    SLUICE_CRASH_POINT("stream.before_commit");
  }
}

void ReachAfterCommit(CommitKind kind) {
  if (kind == CommitKind::kCopy) {
    SLUICE_CRASH_POINT("copy.after_commit");
  } else if (kind == CommitKind::kApply) {
    SLUICE_CRASH_POINT("apply.after_commit");
  } else {
    SLUICE_CRASH_POINT("stream.after_commit");
  }
}

}  // namespace

absl::string_view StateName(StreamState state) {
  switch (state) {
    case StreamState::INIT:
      return "init";
    case StreamState::COPYING:
      return "copying";
    case StreamState::RUNNING:
      return "running";
    case StreamState::STOPPED:
      return "stopped";
    case StreamState::ERROR:
      return "error";
  }
  return "error";
}

absl::Status StreamStore::LoadCopy(uint64_t id, std::vector<CopyTable>& tables) {
  SLUICE_ASSIGN_OR_RETURN(
      const mysql::QueryResult result,
      connection_.Query(absl::StrCat(
          "SELECT table_name, started, done, last_key, end_key, rows_copied, bytes_copied, "
          "rows_estimate, bytes_estimate FROM _sluice.copy_range WHERE stream_id = ",
          id, " ORDER BY ordinal, slot")));
  for (const mysql::Row& row : result.rows) {
    RowCells cells(row);
    const std::string name = cells.Text();
    if (tables.empty() || tables.back().table != name) {
      CopyTable& table = tables.emplace_back();
      table.table = name;
      table.ranges.clear();
    }
    CopyTable& table = tables.back();
    CopyRange& range = table.ranges.emplace_back();
    range.slot = static_cast<uint32_t>(table.ranges.size() - 1);
    table.started = cells.Flag() || table.started;
    range.done = cells.Flag();
    range.last_key = cells.Text();
    range.end_key = cells.Text();
    range.rows = cells.Number<uint64_t>();
    range.bytes = cells.Number<uint64_t>();
    table.rows_estimate = std::max(table.rows_estimate, cells.Number<uint64_t>());
    table.bytes_estimate = std::max(table.bytes_estimate, cells.Number<uint64_t>());
    if (cells.failed()) {
      return absl::DataLossError(
          absl::StrCat("the stored state of the copy of stream ", id, " cannot be read"));
    }
  }
  for (CopyTable& table : tables) {
    table.Sum();
  }
  return LoadOwedKeys(id, tables);
}

absl::Status StreamStore::LoadOwedKeys(uint64_t id, std::vector<CopyTable>& tables) {
  SLUICE_ASSIGN_OR_RETURN(
      const mysql::QueryResult result,
      connection_.Query(absl::StrCat("SELECT table_name, key_name, definition FROM "
                                     "_sluice.deferred_key WHERE stream_id = ",
                                     id, " ORDER BY table_name, ordinal")));
  for (const mysql::Row& row : result.rows) {
    RowCells cells(row);
    const std::string name = cells.Text();
    const auto table = std::find_if(tables.begin(), tables.end(),
                                    [&](const CopyTable& each) { return each.table == name; });
    if (table == tables.end()) {
      return absl::DataLossError(
          absl::StrCat("keys are owed to table ", name, ", which stream ", id, " does not copy"));
    }
    OwedKey& key = table->keys_owed.emplace_back();
    key.name = cells.Text();
    key.definition = cells.Text();
  }
  return absl::OkStatus();
}

absl::Status StreamStore::WriteOwedKeys(uint64_t id, const std::string& table,
                                        const std::vector<OwedKey>& keys) {
  std::string sql =
      "INSERT IGNORE INTO _sluice.deferred_key (stream_id, table_name, key_name, ordinal, "
      "definition) VALUES ";
  for (size_t i = 0; i < keys.size(); ++i) {
    absl::StrAppend(&sql, i == 0 ? "(" : ", (", id, ", ", QuoteString(table), ", ",
                    QuoteString(keys[i].name), ", ", i, ", ", QuoteString(keys[i].definition), ")");
  }
  return connection_.Execute(sql).status();
}

absl::Status StreamStore::ForgetOwedKeys(uint64_t id, const std::string& table) {
  return connection_
      .Execute(absl::StrCat("DELETE FROM _sluice.deferred_key WHERE stream_id = ", id,
                            " AND table_name = ", QuoteString(table)))
      .status();
}

absl::StatusOr<std::vector<StreamRecord>> StreamStore::LoadAll() {
  SLUICE_ASSIGN_OR_RETURN(const mysql::QueryResult result,
                          connection_.Query(absl::StrCat(kSelect, " ORDER BY s.id")));
  std::vector<StreamRecord> records;
  for (const mysql::Row& row : result.rows) {
    SLUICE_ASSIGN_OR_RETURN(StreamRecord record, ParseRecord(row));
    SLUICE_RETURN_IF_ERROR(LoadCopy(record.spec.id, record.copy));
    records.push_back(std::move(record));
  }
  return records;
}

absl::StatusOr<StreamRecord> StreamStore::Load(uint64_t id) {
  SLUICE_ASSIGN_OR_RETURN(const mysql::QueryResult result,
                          connection_.Query(absl::StrCat(kSelect, " WHERE s.id = ", id)));
  if (result.rows.empty()) {
    return WithSubject(absl::NotFoundError(absl::StrCat("stream ", id, " does not exist")),
                       absl::StrCat(id));
  }
  SLUICE_ASSIGN_OR_RETURN(StreamRecord record, ParseRecord(result.rows.front()));
  SLUICE_RETURN_IF_ERROR(LoadCopy(id, record.copy));
  return record;
}

absl::Status StreamStore::Insert(const StreamRecord& record) {
  const uint64_t id = record.spec.id;
  return AsOne([&]() -> absl::Status {
    SLUICE_RETURN_IF_ERROR(TakeId(id));
    SLUICE_RETURN_IF_ERROR(
        connection_
            .Execute(absl::StrCat(
                "INSERT INTO _sluice.stream (id, workflow, spec, state, message, frozen, epoch) "
                "VALUES (",
                id, ", ", QuoteString(record.spec.workflow), ", ",
                QuoteString(EncodeStreamSpec(record.spec)), ", ",
                QuoteString(StateName(record.state)), ", ", MessageLiteral(record.message), ", ",
                record.frozen ? 1 : 0, ", ", record.epoch, ")"))
            .status());
    SLUICE_RETURN_IF_ERROR(
        connection_
            .Execute(absl::StrCat(
                "INSERT INTO _sluice.stream_position (stream_id, version, position, markers) "
                "VALUES (",
                id, ", 1, ", PositionLiteral(record.position), ", '')"))
            .status());
    std::vector<CopyProgress> progress;
    for (const CopyTable& table : record.copy) {
      progress.push_back({.ordinal = progress.size(), .table = table.table, .range = {}});
    }
    return WriteCopy(id, progress);
  });
}

absl::Status StreamStore::WriteState(uint64_t id, StreamState state, const std::string& message) {
  return connection_
      .Execute(absl::StrCat("UPDATE _sluice.stream SET state = ", QuoteString(StateName(state)),
                            ", message = ", MessageLiteral(message), " WHERE id = ", id))
      .status();
}

absl::Status StreamStore::WriteError(const StreamRecord& record, const std::string& message) {
  SLUICE_ASSIGN_OR_RETURN(
      const uint64_t changed,
      connection_.Execute(absl::StrCat(
          "UPDATE _sluice.stream SET state = ", QuoteString(StateName(StreamState::ERROR)),
          ", message = ", MessageLiteral(message), " WHERE id = ", record.spec.id,
          " AND state = ", QuoteString(StateName(record.state)), " AND epoch = ", record.epoch)));
  return changed == 1 ? absl::OkStatus()
                      : absl::AbortedError(absl::StrCat("a command for stream ", record.spec.id,
                                                        " came in between"));
}

absl::Status StreamStore::WritePosition(const PositionRow& row) {
  return connection_
      .Execute(absl::StrCat("UPDATE _sluice.stream_position SET position = ", PositionLiteral(row),
                            " WHERE stream_id = ", row.stream_id))
      .status();
}

absl::Status StreamStore::UpdateSource(uint64_t id, const std::string& alias,
                                       const std::string& url) {
  return connection_
      .Execute(absl::StrCat("UPDATE _sluice.stream SET source_alias = ", QuoteString(alias),
                            ", source_url = ", QuoteString(url), " WHERE id = ", id))
      .status();
}

absl::StatusOr<StreamRecord> StreamStore::Claim(uint64_t id) {
  SLUICE_RETURN_IF_ERROR(
      connection_
          .Execute(absl::StrCat(
              "UPDATE _sluice.stream_position SET version = version + 1 WHERE stream_id = ", id))
          .status());
  return Load(id);
}

absl::Status StreamStore::Begin() {
  return connection_.Execute("START TRANSACTION").status();
}

absl::Status StreamStore::Finish(PositionRow& row, CommitKind kind) {
  const auto advance = [&] {
    return connection_.Execute(absl::StrCat(
        "UPDATE _sluice.stream_position SET version = version + 1, position = ",
        PositionLiteral(row), ", transaction_us = ", row.transaction_us,
        ", transactions_applied = ", row.transactions_applied,
        ", rows_applied = ", row.rows_applied, ", markers = ", MarkersLiteral(row),
        " WHERE stream_id = ", row.stream_id, " AND version = ", row.version, " AND ", writable_));
  };
  SLUICE_ASSIGN_OR_RETURN(uint64_t changed, advance());
  if (changed != 1) {
    SLUICE_ASSIGN_OR_RETURN(const bool learned, LearnGate());
    if (learned) {
      SLUICE_ASSIGN_OR_RETURN(changed, advance());
    }
  }
  if (changed != 1) {
    return WhyNotAdvanced(row);
  }
  ReachBeforeCommit(kind);
  SLUICE_RETURN_IF_ERROR(connection_.Execute("COMMIT").status());
  ++row.version;
  ReachAfterCommit(kind);
  return absl::OkStatus();
}

void StreamStore::Rollback() {
  // On a lost connection the server does it by itself.
  connection_.Execute("ROLLBACK").status().IgnoreError();
}

absl::Status StreamStore::WriteCopy(uint64_t id, const std::vector<CopyProgress>& progress) {
  if (progress.empty()) {
    return absl::OkStatus();
  }
  std::string sql =
      "INSERT INTO _sluice.copy_range (stream_id, table_name, slot, ordinal, started, done, "
      "last_key, end_key, rows_copied, bytes_copied, rows_estimate, bytes_estimate) VALUES ";
  for (const CopyProgress& one : progress) {
    const CopyRange& range = one.range;
    const bool started = range.done || !range.last_key.empty();
    absl::StrAppend(&sql, &one == &progress.front() ? "(" : ", (", id, ", ", QuoteString(one.table),
                    ", ", range.slot, ", ", one.ordinal, ", ", started ? 1 : 0, ", ",
                    range.done ? 1 : 0, ", ");
    absl::StrAppend(&sql, QuoteString(range.last_key), ", ", QuoteString(range.end_key), ", ",
                    range.rows, ", ", range.bytes, ", ", one.rows_estimate, ", ",
                    one.bytes_estimate, ")");
  }
  absl::StrAppend(&sql,
                  " AS new ON DUPLICATE KEY UPDATE started = new.started, done = new.done, "
                  "last_key = new.last_key, end_key = new.end_key, rows_copied = new.rows_copied, "
                  "bytes_copied = new.bytes_copied, rows_estimate = new.rows_estimate, "
                  "bytes_estimate = new.bytes_estimate");
  return connection_.Execute(sql).status();
}

absl::Status StreamStore::FinishCopy(const PositionRow& row,
                                     const std::vector<CopyProgress>& progress) {
  SLUICE_RETURN_IF_ERROR(WriteCopy(row.stream_id, progress));
  return FinishPart(row, CommitKind::kCopy);
}

absl::Status StreamStore::FinishPart(const PositionRow& row, CommitKind kind) {
  // A shared lock, so that sessions do not wait for each other's commits; Claim waits for all of
  // them, and those that come after it find another version.
  const auto fence = [&] {
    return connection_.Query(absl::StrCat(
        "SELECT version FROM _sluice.stream_position"
        " WHERE stream_id = ",
        row.stream_id, " AND version = ", row.version, " AND ", writable_, " FOR SHARE"));
  };
  SLUICE_ASSIGN_OR_RETURN(mysql::QueryResult fenced, fence());
  if (fenced.rows.size() != 1) {
    SLUICE_ASSIGN_OR_RETURN(const bool learned, LearnGate());
    if (learned) {
      SLUICE_ASSIGN_OR_RETURN(fenced, fence());
    }
  }
  if (fenced.rows.size() != 1) {
    return WhyNotAdvanced(row);
  }
  ReachBeforeCommit(kind);
  SLUICE_RETURN_IF_ERROR(connection_.Execute("COMMIT").status());
  ReachAfterCommit(kind);
  return absl::OkStatus();
}

}  // namespace sluice::target
