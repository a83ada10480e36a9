// DirectClients: applications that know nothing of proxies and write straight to a mysqld.

#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/synchronization/mutex.h"
#include "common/mysql/connection.h"
#include "integration/workload/oracle.h"

namespace sluice::killloop {

// One client for each mysqld, with rows of its own in corder. It is refused wherever the side does
// not serve; what it was acknowledged must be among the rows of whoever serves in the end.
// Owned by one thread; the clients have threads of their own.
class DirectClients {
 public:
  // Keys from `first_key` on, a million for each.
  static std::unique_ptr<DirectClients> Start(const std::vector<mysql::ConnectionOptions>& mysqlds,
                                              uint64_t first_key);
  DirectClients(const DirectClients&) = delete;
  DirectClients& operator=(const DirectClients&) = delete;
  ~DirectClients();

  // Lets every statement under way end and keeps the clients quiet until Resume.
  void Pause();
  void Resume();

  // While paused. DATA_LOSS names writes that are lost, doubled, or there though they were refused.
  // `owner`: a session on the mysqld that serves.
  absl::Status Judge(mysql::Connection& owner);

  struct Counts {
    uint64_t acknowledged = 0;
    uint64_t refused = 0;
  };
  [[nodiscard]] Counts counts() const;

 private:
  struct Client {
    mysql::ConnectionOptions address;
    uint64_t counter_key = 0;  // of a row whose price is added to
    uint64_t next_key = 0;
    bool has_counter = false;
    uint64_t steps = 0;
    std::unique_ptr<mysql::Connection> session;
    workload::Oracle oracle;  // of its thread; of the owner's while paused
  };

  DirectClients() = default;
  bool Enter();
  void Leave();
  void Loop(Client& client);
  void Step(Client& client);
  void MakeCounter(Client& client);
  void Settle(Client& client, const absl::Status& outcome);

  mutable absl::Mutex mutex_;
  bool paused_ ABSL_GUARDED_BY(mutex_) = false;
  bool stopped_ ABSL_GUARDED_BY(mutex_) = false;
  int busy_ ABSL_GUARDED_BY(mutex_) = 0;
  Counts counts_ ABSL_GUARDED_BY(mutex_);
  std::vector<std::unique_ptr<Client>> clients_;
  std::vector<std::jthread> threads_;
};

}  // namespace sluice::killloop
