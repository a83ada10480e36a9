// SnapshotSession: opening the snapshot and reading chunks of it.

#include "agent/source/snapshot_session.h"

#include <algorithm>
#include <utility>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "agent/source/cell_codec.h"
#include "agent/source/chunk_query.h"
#include "agent/source/history_check.h"
#include "agent/source/prepared_wait.h"
#include "common/base/status.h"
#include "common/base/status_macros.h"

namespace sluice::source {
namespace {

constexpr uint32_t kRowsMax = 100'000;
// Of a table of which nothing is known: its rows may be large.
constexpr uint64_t kFirstRows = 16;
constexpr uint32_t kBytesMax = 16U << 20U;
// Larger documents have no shape.
constexpr size_t kTeachingBytesMax = 4096;
constexpr unsigned kTableDefinitionChanged = 1412;

// A transaction that is visible and not in gtid_executed yet is owned by its session until it is,
// and in one of the two if what is owned is read first.
absl::StatusOr<std::string> ReadUpTo(mysql::Connection& connection) {
  SLUICE_ASSIGN_OR_RETURN(const std::string owned,
                          connection.QueryScalar("SELECT @@GLOBAL.gtid_owned"));
  SLUICE_ASSIGN_OR_RETURN(std::string executed,
                          connection.QueryScalar("SELECT @@GLOBAL.gtid_executed"));
  const std::string more = OwnedGtids(owned);
  return more.empty() ? executed : absl::StrCat(executed, executed.empty() ? "" : ",", more);
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

absl::Status ReadNumber(absl::string_view bytes, uint64_t& number) {
  if (bytes.empty()) {
    return absl::OkStatus();
  }
  std::vector<mysql::Cell> cells;
  SLUICE_RETURN_IF_ERROR(CellReader(bytes).ReadRow(1, cells));
  if (!cells.front().has_value() || !absl::SimpleAtoi(*cells.front(), &number)) {
    return absl::InvalidArgumentError("a number of rows that is none");
  }
  return absl::OkStatus();
}

absl::Status ReadKey(absl::string_view bytes, size_t columns, std::vector<mysql::Cell>& key) {
  return bytes.empty() ? absl::OkStatus() : CellReader(bytes).ReadRow(columns, key);
}

}  // namespace

// One connection of the session, for as long as it lives.
class SnapshotSession::Reader {
 public:
  explicit Reader(SnapshotSession& session) : session_(session) {
    const absl::MutexLock lock(&session_.mutex_);
    session_.mutex_.Await(absl::Condition(&session_, &SnapshotSession::HasFree));
    connection_ = session_.free_.back();
    session_.free_.pop_back();
    lost_ = session_.lost_;
  }
  Reader(const Reader&) = delete;
  Reader& operator=(const Reader&) = delete;
  ~Reader() {
    const absl::MutexLock lock(&session_.mutex_);
    session_.lost_ = session_.lost_ || !connection_->healthy();
    session_.free_.push_back(connection_);
  }

  mysql::Connection& connection() { return *connection_; }
  // Whether one of the session's connections has ended.
  [[nodiscard]] bool lost() const { return lost_ || !connection_->healthy(); }

 private:
  SnapshotSession& session_;
  mysql::Connection* connection_ = nullptr;
  bool lost_ = false;
};

SnapshotSession::SnapshotSession(std::vector<std::unique_ptr<mysql::Connection>> connections,
                                 std::string database, std::string position)
    : connections_(std::move(connections)),
      database_(std::move(database)),
      position_(std::move(position)),
      held_(connections_.size()) {
  const absl::MutexLock lock(&mutex_);
  for (const auto& connection : connections_) {
    free_.push_back(connection.get());
  }
}

absl::StatusOr<std::unique_ptr<SnapshotSession>> SnapshotSession::Open(
    const SnapshotOptions& options) {
  std::vector<std::unique_ptr<mysql::Connection>> connections;
  for (size_t i = 0; i < std::max<size_t>(options.readers, 1); ++i) {
    SLUICE_ASSIGN_OR_RETURN(auto connection, mysql::Connection::Connect(options.connection));
    SLUICE_RETURN_IF_ERROR(mysql::ConfigureDataSession(*connection));
    SLUICE_RETURN_IF_ERROR(
        connection->Execute("SET SESSION transaction_isolation = 'REPEATABLE-READ'").status());
    connections.push_back(std::move(connection));
  }
  if (!options.not_before.empty()) {
    SLUICE_RETURN_IF_ERROR(CheckHistory(*connections.front(), options.not_before, options.wait));
  }
  // gtid_executed grows only after a commit is visible, so what is in it is in every later
  // snapshot.
  SLUICE_ASSIGN_OR_RETURN(std::string position,
                          connections.front()->QueryScalar("SELECT @@GLOBAL.gtid_executed"));
  if (options.not_before.empty()) {
    // A stream that has begun knows what was prepared since: its position has gaps there.
    SLUICE_RETURN_IF_ERROR(AwaitPrepared(*connections.front(), options.wait));
  }
  for (const auto& connection : connections) {
    SLUICE_RETURN_IF_ERROR(
        connection->Execute("START TRANSACTION WITH CONSISTENT SNAPSHOT, READ ONLY").status());
  }
  SLUICE_ASSIGN_OR_RETURN(std::string up_to, ReadUpTo(*connections.front()));
  std::unique_ptr<SnapshotSession> session(
      new SnapshotSession(std::move(connections), options.database, std::move(position)));
  session->up_to_ = std::move(up_to);
  SLUICE_RETURN_IF_ERROR(session->ReadSchemas(*session->connections_.front(), options.tables));
  return session;
}

absl::Status SnapshotSession::ReadSchemas(mysql::Connection& connection,
                                          const std::vector<std::string>& tables) {
  SLUICE_ASSIGN_OR_RETURN(std::vector<mysql::TableSchema> schemas,
                          mysql::ReadTableSchemas(connection, database_, tables));
  const absl::MutexLock lock(&mutex_);
  for (mysql::TableSchema& schema : schemas) {
    std::string name = schema.name;
    tables_.try_emplace(std::move(name), Table{.schema = std::move(schema), .shapes = {}});
  }
  return absl::OkStatus();
}

std::vector<SnapshotSession::Estimate> SnapshotSession::Estimates() {
  const absl::MutexLock lock(&mutex_);
  std::vector<Estimate> estimates;
  estimates.reserve(tables_.size());
  for (const auto& [name, table] : tables_) {
    estimates.push_back(
        {.table = name, .rows = table.schema.rows_estimate, .bytes = table.schema.bytes_estimate});
  }
  return estimates;
}

absl::StatusOr<const mysql::TableSchema*> SnapshotSession::Schema(mysql::Connection& connection,
                                                                  const std::string& table) {
  for (const bool read_before : {false, true}) {
    {
      const absl::MutexLock lock(&mutex_);
      const auto known = tables_.find(table);
      if (known != tables_.end()) {
        return &known->second.schema;
      }
    }
    if (!read_before) {
      SLUICE_RETURN_IF_ERROR(ReadSchemas(connection, {table}));
    }
  }
  // NOT_FOUND is what a lost session answers.
  return absl::FailedPreconditionError(
      absl::StrCat("table ", database_, ".", table, " does not exist on the source"));
}

// As many rows as will about fill a chunk: a limit far above that makes the server send rows that
// are thrown away.
uint64_t SnapshotSession::NextLimit(const ChunkRequest& request, uint64_t bytes_max) {
  const uint64_t rows_max = std::clamp(request.rows_max, 1U, kRowsMax);
  const absl::MutexLock lock(&mutex_);
  const Table& table = tables_.find(request.table)->second;
  const bool learned = table.rows_seen > 0;
  const uint64_t rows = learned ? table.rows_seen : table.schema.rows_estimate;
  const uint64_t bytes = learned ? table.bytes_seen : table.schema.bytes_estimate;
  if (rows == 0) {
    return std::min<uint64_t>(rows_max, kFirstRows);
  }
  return std::clamp<uint64_t>(bytes_max / (bytes / rows + 1) + 1, 1, rows_max);
}

std::vector<std::optional<binlog::JsonShape>> SnapshotSession::Shapes(const ChunkRequest& request) {
  const absl::MutexLock lock(&mutex_);
  const Table& table = tables_.find(request.table)->second;
  std::vector<std::optional<binlog::JsonShape>> shapes;
  shapes.reserve(request.columns.size());
  for (const std::string& column : request.columns) {
    const auto guess = table.shapes.find(column);
    shapes.push_back(guess == table.shapes.end() ? std::nullopt : guess->second.shape());
  }
  return shapes;
}

void SnapshotSession::Seen(const ChunkRequest& request, const Chunk& chunk,
                           const Documents& documents) {
  const absl::MutexLock lock(&mutex_);
  Table& known = tables_.find(request.table)->second;
  // Old chunks count half as much with every new one, for tables whose rows change in size.
  known.rows_seen = known.rows_seen / 2 + chunk.row_count;
  known.bytes_seen = known.bytes_seen / 2 + chunk.rows.size();
  for (size_t i = 0; i < documents.size(); ++i) {
    if (!documents[i].empty()) {
      known.shapes[request.columns[i]].Learn(documents[i]);
    }
  }
}

absl::StatusOr<Chunk> SnapshotSession::ReadBoundary(mysql::Connection& connection,
                                                    const ChunkQuery& query) {
  SLUICE_ASSIGN_OR_RETURN(const std::string sql, BuildBoundaryQuery(query));
  Chunk chunk;
  chunk.rows_estimate = query.schema->rows_estimate;
  chunk.bytes_estimate = query.schema->bytes_estimate;
  SLUICE_RETURN_IF_ERROR(connection.QueryStream(sql, [&](const std::vector<mysql::Cell>& cells) {
    for (const mysql::Cell& cell : cells) {
      AppendCell(cell, chunk.last_key);
    }
    return absl::OkStatus();
  }));
  chunk.end_of_table = chunk.last_key.empty();
  return chunk;
}

absl::StatusOr<Chunk> SnapshotSession::Read(mysql::Connection& connection,
                                            const ChunkRequest& request) {
  SLUICE_ASSIGN_OR_RETURN(const mysql::TableSchema* schema, Schema(connection, request.table));
  ChunkQuery query;
  query.schema = schema;
  SLUICE_ASSIGN_OR_RETURN(query.columns, FindColumns(*schema, request.columns));
  SLUICE_ASSIGN_OR_RETURN(query.key, FindColumns(*schema, request.key_columns));
  if (query.columns.empty()) {
    return absl::InvalidArgumentError(
        absl::StrCat("a request for rows of ", request.table, " without columns"));
  }
  if (query.key.empty()) {
    // A row's number means the same only within one snapshot.
    if (connections_.size() != 1 || request.skip_rows > 0 || !request.end_key.empty()) {
      return absl::InvalidArgumentError(
          absl::StrCat("a request for rows of ", request.table, " by number in a session of ",
                       connections_.size(), " snapshots, or for a part of them"));
    }
    SLUICE_RETURN_IF_ERROR(ReadNumber(request.after_key, query.offset));
  } else {
    SLUICE_RETURN_IF_ERROR(ReadKey(request.after_key, query.key.size(), query.after_key));
    SLUICE_RETURN_IF_ERROR(ReadKey(request.end_key, query.key.size(), query.end_key));
  }
  if (request.skip_rows > 0) {
    query.limit = request.skip_rows;
    return ReadBoundary(connection, query);
  }
  const size_t bytes_max = std::clamp(request.bytes_max, 1U, kBytesMax);
  query.limit = NextLimit(request, bytes_max);
  query.shapes = Shapes(request);
  SLUICE_ASSIGN_OR_RETURN(const std::string sql, BuildChunkQuery(query));

  Chunk chunk;
  chunk.rows_estimate = schema->rows_estimate;
  chunk.bytes_estimate = schema->bytes_estimate;
  bool full = false;
  Documents documents(query.columns.size());
  const absl::Status read = connection.QueryStream(sql, [&](const std::vector<mysql::Cell>& cells) {
    for (size_t i = 0; i < query.columns.size(); ++i) {
      AppendCell(cells[i], chunk.rows);
      const bool teaches = chunk.row_count == 0 && query.columns[i]->data_type == "json" &&
                           cells[i].has_value() && cells[i]->size() <= kTeachingBytesMax;
      if (teaches) {
        documents[i] = std::string(*cells[i]);
      }
    }
    chunk.last_key.clear();
    for (size_t i = query.columns.size(); i < cells.size(); ++i) {
      AppendCell(cells[i], chunk.last_key);
    }
    ++chunk.row_count;
    full = chunk.rows.size() >= bytes_max;
    return full ? absl::CancelledError("enough") : absl::OkStatus();
  });
  if (query.key.empty() && chunk.row_count > 0) {
    AppendCell(absl::StrCat(query.offset + chunk.row_count), chunk.last_key);
  }
  if (!full) {
    SLUICE_RETURN_IF_ERROR(read);
  } else if (!connection.healthy()) {
    return absl::UnavailableError("the source's connection was lost behind a chunk");
  }
  chunk.end_of_table = !full && chunk.row_count < query.limit;
  Seen(request, chunk, documents);
  return chunk;
}

absl::StatusOr<Chunk> SnapshotSession::FetchRows(const ChunkRequest& request) {
  Reader reader(*this);
  if (reader.lost()) {
    return absl::NotFoundError("the snapshot is lost: its connection to mysqld ended");
  }
  absl::StatusOr<Chunk> chunk = Read(reader.connection(), request);
  if (!chunk.ok() && (reader.lost() || MysqlErrnoOf(chunk.status()) == kTableDefinitionChanged)) {
    return absl::NotFoundError(absl::StrCat("the snapshot is lost: ", chunk.status().message()));
  }
  if (!chunk.ok()) {
    return WithSubject(Annotate(chunk.status(), absl::StrCat("reading ", database_, ".",
                                                             request.table, " on the source")),
                       request.table);
  }
  return chunk;
}

void SnapshotSession::Interrupt() {
  for (const auto& connection : connections_) {
    connection->Interrupt();
  }
}

}  // namespace sluice::source
