// Blocker: somebody who sits on a mysqld's tables for a while, so that a cutover gets stuck there.

#pragma once

#include <memory>
#include <thread>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/notification.h"
#include "absl/time/time.h"
#include "common/mysql/connection.h"

namespace sluice::killloop {

// Owned by one thread. Lets go when its time is over, and at its end.
class Blocker {
 public:
  enum class Of {
    kCommits,  // of streams into this server
    kViews,    // over the closed table corder
    kRecords,  // of gates: where a change has no statement, its outcome waits
  };
  // Holds the locks when it returns. `session` is on the database of the tables.
  static absl::StatusOr<std::unique_ptr<Blocker>> Start(std::unique_ptr<mysql::Connection> session,
                                                        Of what, absl::Duration length);
  Blocker(const Blocker&) = delete;
  Blocker& operator=(const Blocker&) = delete;
  ~Blocker();

 private:
  Blocker(std::unique_ptr<mysql::Connection> session, absl::Duration length);

  std::unique_ptr<mysql::Connection> session_;  // of the thread
  absl::Notification over_;
  std::jthread thread_;
};

}  // namespace sluice::killloop
