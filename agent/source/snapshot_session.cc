// SnapshotSession: opening the snapshot and reading chunks of it.

#include "agent/source/snapshot_session.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "agent/source/cell_codec.h"
#include "agent/source/chunk_query.h"
#include "common/base/status.h"
#include "common/base/status_macros.h"

namespace sluice::source {
namespace {

constexpr uint32_t kRowsMax = 100'000;
constexpr uint32_t kBytesMax = 16U << 20U;
// A chunk goes into one message, whose receiver takes at most 64 MiB.
constexpr size_t kRowBytesMax = 56U << 20U;
constexpr unsigned kTableDefinitionChanged = 1412;

absl::Status WaitForPosition(mysql::Connection& connection, const SnapshotOptions& options) {
  if (options.not_before.empty()) {
    return absl::OkStatus();
  }
  const double seconds = std::max(0.001, absl::ToDoubleSeconds(options.wait));
  SLUICE_ASSIGN_OR_RETURN(const std::string timed_out,
                          connection.QueryScalar(absl::StrCat(
                              "SELECT WAIT_FOR_EXECUTED_GTID_SET(",
                              mysql::QuoteString(options.not_before), ", ", seconds, ")")));
  if (timed_out != "0") {
    return absl::DeadlineExceededError(
        absl::StrCat("the source has not executed the position of the stream within ",
                     absl::FormatDuration(options.wait)));
  }
  return absl::OkStatus();
}

absl::StatusOr<std::vector<const mysql::ColumnSchema*>> FindColumns(
    const mysql::TableSchema& schema, const std::vector<std::string>& names) {
  std::vector<const mysql::ColumnSchema*> columns;
  columns.reserve(names.size());
  for (const std::string& name : names) {
    const mysql::ColumnSchema* column = schema.FindColumn(name);
    if (column == nullptr) {
      return absl::FailedPreconditionError(absl::StrCat("table ", schema.database, ".", schema.name,
                                                        " has no column ", name, " on the source"));
    }
    columns.push_back(column);
  }
  return columns;
}

}  // namespace

SnapshotSession::SnapshotSession(std::unique_ptr<mysql::Connection> connection,
                                 std::string database, std::string position)
    : connection_(std::move(connection)),
      database_(std::move(database)),
      position_(std::move(position)) {}

absl::StatusOr<std::unique_ptr<SnapshotSession>> SnapshotSession::Open(
    const SnapshotOptions& options) {
  SLUICE_ASSIGN_OR_RETURN(auto connection, mysql::Connection::Connect(options.connection));
  SLUICE_RETURN_IF_ERROR(mysql::ConfigureDataSession(*connection));
  SLUICE_RETURN_IF_ERROR(
      connection->Execute("SET SESSION transaction_isolation = 'REPEATABLE-READ'").status());
  SLUICE_RETURN_IF_ERROR(WaitForPosition(*connection, options));
  // gtid_executed grows only after a commit is visible, so what is in it is in a later snapshot.
  SLUICE_ASSIGN_OR_RETURN(std::string position,
                          connection->QueryScalar("SELECT @@GLOBAL.gtid_executed"));
  SLUICE_RETURN_IF_ERROR(
      connection->Execute("START TRANSACTION WITH CONSISTENT SNAPSHOT, READ ONLY").status());
  return std::unique_ptr<SnapshotSession>(
      new SnapshotSession(std::move(connection), options.database, std::move(position)));
}

absl::StatusOr<const mysql::TableSchema*> SnapshotSession::Schema(const std::string& table) {
  const auto known = schemas_.find(table);
  if (known != schemas_.end()) {
    return &known->second;
  }
  absl::StatusOr<mysql::TableSchema> schema =
      mysql::ReadTableSchema(*connection_, database_, table);
  if (absl::IsNotFound(schema.status())) {
    // NOT_FOUND is what a lost session answers.
    return absl::FailedPreconditionError(
        absl::StrCat("table ", database_, ".", table, " does not exist on the source"));
  }
  SLUICE_RETURN_IF_ERROR(schema.status());
  // The pointer is used before the next insertion only.
  return &schemas_.insert_or_assign(table, *std::move(schema)).first->second;
}

absl::StatusOr<Chunk> SnapshotSession::Read(const ChunkRequest& request) {
  SLUICE_ASSIGN_OR_RETURN(const mysql::TableSchema* schema, Schema(request.table));
  ChunkQuery query;
  query.schema = schema;
  SLUICE_ASSIGN_OR_RETURN(query.columns, FindColumns(*schema, request.columns));
  SLUICE_ASSIGN_OR_RETURN(query.key, FindColumns(*schema, request.key_columns));
  if (query.columns.empty() || query.key.empty()) {
    return absl::InvalidArgumentError(
        absl::StrCat("a request for rows of ", request.table, " without columns or without a key"));
  }
  if (!request.after_key.empty()) {
    SLUICE_RETURN_IF_ERROR(
        CellReader(request.after_key).ReadRow(query.key.size(), query.after_key));
  }
  query.limit = std::clamp(request.rows_max, 1U, kRowsMax);
  const size_t bytes_max = std::clamp(request.bytes_max, 1U, kBytesMax);
  SLUICE_ASSIGN_OR_RETURN(const std::string sql, BuildChunkQuery(query));

  Chunk chunk;
  chunk.rows_estimate = schema->rows_estimate;
  chunk.bytes_estimate = schema->bytes_estimate;
  bool full = false;
  const absl::Status read =
      connection_->QueryStream(sql, [&](const std::vector<mysql::Cell>& cells) {
        for (size_t i = 0; i < query.columns.size(); ++i) {
          AppendCell(cells[i], chunk.rows);
        }
        chunk.last_key.clear();
        for (size_t i = query.columns.size(); i < cells.size(); ++i) {
          AppendCell(cells[i], chunk.last_key);
        }
        ++chunk.row_count;
        full = chunk.rows.size() >= bytes_max;
        return full ? absl::CancelledError("enough") : absl::OkStatus();
      });
  if (!full) {
    SLUICE_RETURN_IF_ERROR(read);
  } else if (!connection_->healthy()) {
    return absl::UnavailableError("the source's connection was lost behind a chunk");
  }
  if (chunk.rows.size() > kRowBytesMax) {
    return absl::FailedPreconditionError(absl::StrCat("rows of ", chunk.rows.size(),
                                                      " bytes cannot be sent; the limit is ",
                                                      kRowBytesMax, " bytes"));
  }
  chunk.end_of_table = !full && chunk.row_count < query.limit;
  return chunk;
}

absl::StatusOr<Chunk> SnapshotSession::FetchRows(const ChunkRequest& request) {
  const absl::MutexLock lock(&mutex_);
  if (!connection_->healthy()) {
    return absl::NotFoundError("the snapshot is lost: its connection to mysqld ended");
  }
  absl::StatusOr<Chunk> chunk = Read(request);
  if (!chunk.ok() &&
      (!connection_->healthy() || MysqlErrnoOf(chunk.status()) == kTableDefinitionChanged)) {
    return absl::NotFoundError(absl::StrCat("the snapshot is lost: ", chunk.status().message()));
  }
  if (!chunk.ok()) {
    return WithSubject(Annotate(chunk.status(), absl::StrCat("reading ", database_, ".",
                                                             request.table, " on the source")),
                       request.table);
  }
  return chunk;
}

}  // namespace sluice::source
