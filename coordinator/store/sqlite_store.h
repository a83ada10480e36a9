// SqliteStore: the store of a single coordinator, one SQLite file.

#pragma once

#include <functional>
#include <memory>
#include <string>

#include "absl/base/thread_annotations.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "coordinator/store/sqlite.h"
#include "coordinator/store/store.h"

namespace sluice::store {

// Thread-safe: one connection, one transaction at a time.
class SqliteStore : public Store {
 public:
  // Creates the file and its tables when there are none. UNAVAILABLE when another process has it;
  // FAILED_PRECONDITION when a later version of the program wrote it.
  static absl::StatusOr<std::unique_ptr<SqliteStore>> Open(const std::string& path);

  absl::Status Transaction(const std::function<absl::Status(StoreTransaction&)>& change) override;
  absl::Status Read(const std::function<absl::Status(StoreReader&)>& read) override;

 private:
  explicit SqliteStore(std::unique_ptr<SqliteDatabase> database) : database_(std::move(database)) {}

  absl::Mutex mutex_;
  const std::unique_ptr<SqliteDatabase> database_ ABSL_PT_GUARDED_BY(mutex_);
};

}  // namespace sluice::store
