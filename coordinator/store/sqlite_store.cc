// SqliteStore: transactions over one SQLite connection.

#include "coordinator/store/sqlite_store.h"

#include <utility>

#include "common/base/status_macros.h"
#include "coordinator/store/sqlite_transaction.h"

namespace sluice::store {

absl::StatusOr<std::unique_ptr<SqliteStore>> SqliteStore::Open(const std::string& path) {
  SLUICE_ASSIGN_OR_RETURN(std::unique_ptr<SqliteDatabase> database, SqliteDatabase::Open(path));
  SLUICE_RETURN_IF_ERROR(PrepareSchema(*database));
  return std::unique_ptr<SqliteStore>(new SqliteStore(std::move(database)));
}

absl::Status SqliteStore::Transaction(
    const std::function<absl::Status(StoreTransaction&)>& change) {
  const absl::MutexLock lock(&mutex_);
  SLUICE_RETURN_IF_ERROR(database_->Execute("BEGIN IMMEDIATE"));
  SqliteTransaction transaction(*database_);
  absl::Status status = change(transaction);
  if (status.ok()) {
    status = database_->Execute("COMMIT");
  }
  if (!status.ok()) {
    // Some failures have rolled back already; then there is nothing more to undo.
    database_->Execute("ROLLBACK").IgnoreError();
  }
  return status;
}

absl::Status SqliteStore::Read(const std::function<absl::Status(StoreReader&)>& read) {
  const absl::MutexLock lock(&mutex_);
  // Nobody else writes: the file belongs to this process and the mutex to this thread.
  SqliteTransaction transaction(*database_);
  return read(transaction);
}

}  // namespace sluice::store
