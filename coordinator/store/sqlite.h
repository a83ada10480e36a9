// Sqlite: RAII over one SQLite connection and its prepared statements.

#pragma once

#include <sqlite3.h>

#include <cstdint>
#include <map>
#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace sluice::store {

class SqliteDatabase;

// One run of a statement: bind in order, then Step. Resets when destroyed. The first error of a
// bind is returned by Step.
class SqliteQuery {
 public:
  SqliteQuery(SqliteDatabase& database, sqlite3_stmt* statement, absl::Status status)
      : database_(database), statement_(statement), status_(std::move(status)) {}
  SqliteQuery(const SqliteQuery&) = delete;
  SqliteQuery& operator=(const SqliteQuery&) = delete;
  ~SqliteQuery();

  SqliteQuery& Text(absl::string_view value);
  SqliteQuery& Blob(absl::string_view value);
  SqliteQuery& Int(int64_t value);
  // Above 2^63 - 1 it is stored as the same 64 bits.
  SqliteQuery& Uint(uint64_t value) { return Int(static_cast<int64_t>(value)); }

  // True when there is a row.
  absl::StatusOr<bool> Step();
  // Runs a statement that gives no row.
  absl::Status Run();

  [[nodiscard]] std::string GetText(int column) const;  // also of a blob
  [[nodiscard]] int64_t GetInt(int column) const;
  [[nodiscard]] uint64_t GetUint(int column) const { return static_cast<uint64_t>(GetInt(column)); }

 private:
  void Note(int code);

  SqliteDatabase& database_;
  sqlite3_stmt* statement_;
  absl::Status status_;
  int next_parameter_ = 1;
};

// Owned by one thread at a time.
class SqliteDatabase {
 public:
  // Opens or creates the file and takes it for this process alone: UNAVAILABLE when another one has
  // it. Commits are durable (WAL, synchronous=FULL).
  static absl::StatusOr<std::unique_ptr<SqliteDatabase>> Open(const std::string& path);
  SqliteDatabase(const SqliteDatabase&) = delete;
  SqliteDatabase& operator=(const SqliteDatabase&) = delete;
  ~SqliteDatabase();

  // `sql` is a constant: its prepared statement is kept. One query of a text at a time.
  SqliteQuery Query(const char* sql);
  // Statements without parameters or rows.
  absl::Status Execute(const char* sql);

  // The status for a result code of SQLite, with the database's own message.
  [[nodiscard]] absl::Status Error(int code) const;

 private:
  SqliteDatabase(sqlite3* handle, std::string path) : handle_(handle), path_(std::move(path)) {}

  sqlite3* handle_;
  const std::string path_;
  std::map<std::string, sqlite3_stmt*, std::less<>> statements_;
};

}  // namespace sluice::store
