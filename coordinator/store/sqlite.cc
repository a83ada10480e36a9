// Sqlite: RAII over one SQLite connection and its prepared statements.

#include "coordinator/store/sqlite.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "common/base/status_macros.h"

namespace sluice::store {
namespace {

absl::StatusCode CodeOf(int code) {
  switch (code & 0xff) {
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
    case SQLITE_CANTOPEN:
      return absl::StatusCode::kUnavailable;
    case SQLITE_FULL:
    case SQLITE_NOMEM:
    case SQLITE_TOOBIG:
      return absl::StatusCode::kResourceExhausted;
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
      return absl::StatusCode::kDataLoss;
    case SQLITE_READONLY:
    case SQLITE_PERM:
    case SQLITE_AUTH:
      return absl::StatusCode::kPermissionDenied;
    default:
      return absl::StatusCode::kInternal;
  }
}

// Bytes that stay put until the statement is reset are not promised by callers: SQLite copies them.
sqlite3_destructor_type Copied() {
  return SQLITE_TRANSIENT;  // NOLINT(performance-no-int-to-ptr): SQLite's own macro
}

}  // namespace

SqliteQuery::~SqliteQuery() {
  if (statement_ != nullptr) {
    sqlite3_reset(statement_);
    sqlite3_clear_bindings(statement_);
  }
}

void SqliteQuery::Note(int code) {
  if (code != SQLITE_OK && status_.ok()) {
    status_ = database_.Error(code);
  }
}

SqliteQuery& SqliteQuery::Text(absl::string_view value) {
  if (status_.ok()) {
    Note(sqlite3_bind_text64(statement_, next_parameter_++, value.empty() ? "" : value.data(),
                             value.size(), Copied(), SQLITE_UTF8));
  }
  return *this;
}

SqliteQuery& SqliteQuery::Blob(absl::string_view value) {
  if (status_.ok()) {
    Note(sqlite3_bind_blob64(statement_, next_parameter_++, value.empty() ? "" : value.data(),
                             value.size(), Copied()));
  }
  return *this;
}

SqliteQuery& SqliteQuery::Int(int64_t value) {
  if (status_.ok()) {
    Note(sqlite3_bind_int64(statement_, next_parameter_++, value));
  }
  return *this;
}

absl::StatusOr<bool> SqliteQuery::Step() {
  SLUICE_RETURN_IF_ERROR(status_);
  const int code = sqlite3_step(statement_);
  if (code == SQLITE_ROW) {
    return true;
  }
  if (code == SQLITE_DONE) {
    return false;
  }
  status_ = database_.Error(code);
  return status_;
}

absl::Status SqliteQuery::Run() {
  return Step().status();
}

std::string SqliteQuery::GetText(int column) const {
  const void* bytes = sqlite3_column_blob(statement_, column);
  const int size = sqlite3_column_bytes(statement_, column);
  return bytes == nullptr ? std::string()
                          : std::string(static_cast<const char*>(bytes), static_cast<size_t>(size));
}

int64_t SqliteQuery::GetInt(int column) const {
  return sqlite3_column_int64(statement_, column);
}

absl::StatusOr<std::unique_ptr<SqliteDatabase>> SqliteDatabase::Open(const std::string& path) {
  sqlite3* handle = nullptr;
  const int code = sqlite3_open_v2(
      path.c_str(), &handle,
      SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_EXRESCODE,
      nullptr);
  // Even a failed open gives a handle, to be closed and to ask for the reason.
  std::unique_ptr<SqliteDatabase> database(new SqliteDatabase(handle, path));
  if (code != SQLITE_OK) {
    return database->Error(code);
  }
  // A predecessor that is just dying gives its lock back with its last breath.
  sqlite3_busy_timeout(handle, 2000);
  // Exclusive before the first access: no shared memory file, and a second process is kept out.
  const absl::Status status = database->Execute(
      "PRAGMA locking_mode=EXCLUSIVE; PRAGMA journal_mode=WAL;"
      "PRAGMA synchronous=FULL; PRAGMA foreign_keys=ON; BEGIN EXCLUSIVE; COMMIT;");
  if (absl::IsUnavailable(status)) {
    return absl::UnavailableError(absl::StrCat(
        "store ", path, " is in use by another process; only one coordinator may use it"));
  }
  SLUICE_RETURN_IF_ERROR(status);
  return database;
}

SqliteDatabase::~SqliteDatabase() {
  for (const auto& [sql, statement] : statements_) {
    sqlite3_finalize(statement);
  }
  sqlite3_close(handle_);
}

SqliteQuery SqliteDatabase::Query(const char* sql) {
  const auto found = statements_.find(absl::string_view(sql));
  if (found != statements_.end()) {
    return {*this, found->second, absl::OkStatus()};
  }
  sqlite3_stmt* statement = nullptr;
  const int code =
      sqlite3_prepare_v3(handle_, sql, -1, SQLITE_PREPARE_PERSISTENT, &statement, nullptr);
  if (code != SQLITE_OK) {
    return {*this, nullptr, Error(code)};
  }
  statements_.emplace(sql, statement);
  return {*this, statement, absl::OkStatus()};
}

absl::Status SqliteDatabase::Execute(const char* sql) {
  const int code = sqlite3_exec(handle_, sql, nullptr, nullptr, nullptr);
  return code == SQLITE_OK ? absl::OkStatus() : Error(code);
}

absl::Status SqliteDatabase::Error(int code) const {
  return absl::Status(CodeOf(code), absl::StrCat("store ", path_, ": ",
                                                 handle_ == nullptr ? sqlite3_errstr(code)
                                                                    : sqlite3_errmsg(handle_),
                                                 " (SQLite ", code, ")"));
}

}  // namespace sluice::store
