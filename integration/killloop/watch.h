// Watch: somebody who looks at two mysqlds all day long, whether both would take writes.

#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <string>
#include <thread>

#include "absl/base/thread_annotations.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "common/mysql/connection.h"

namespace sluice::killloop {

// Whether a mysqld would take an application's writes to the moving tables now: they stand under
// their names and it is not read-only. `session` is on their database. DATA_LOSS where that holds
// for one table only.
absl::StatusOr<bool> IsOpen(mysql::Connection& session);

// Owned by one thread; has one of its own.
class Watch {
 public:
  // With accounts that may read the records of gates; on the databases of the tables.
  static std::unique_ptr<Watch> Start(const mysql::ConnectionOptions& one,
                                      const mysql::ConnectionOptions& other);
  Watch(const Watch&) = delete;
  Watch& operator=(const Watch&) = delete;
  ~Watch();

  // Empty: nobody has seen both sides open at one time.
  [[nodiscard]] std::string finding() const;
  // How often one side was seen to be open throughout a look at the other.
  [[nodiscard]] uint64_t looks() const;

 private:
  struct Side {
    mysql::ConnectionOptions address;
    std::unique_ptr<mysql::Connection> session;  // of the thread
  };

  Watch() = default;
  void Loop();
  absl::Status Look(Side& first, Side& second);

  mutable absl::Mutex mutex_;
  bool stopped_ ABSL_GUARDED_BY(mutex_) = false;
  std::string finding_ ABSL_GUARDED_BY(mutex_);
  uint64_t looks_ ABSL_GUARDED_BY(mutex_) = 0;
  std::array<Side, 2> sides_;
  std::jthread thread_;
};

}  // namespace sluice::killloop
