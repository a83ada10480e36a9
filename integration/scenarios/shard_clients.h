// ShardClients: applications of sharded keyspaces that write straight to the mysqlds, each shard by
// a client of its own, and remember what was acknowledged.

#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "common/mysql/connection.h"

namespace sluice::scenario {

// The two databases of which one holds a shard; the client finds out which by being refused.
struct ShardSides {
  mysql::ConnectionOptions source;
  mysql::ConnectionOptions target;
};

// Writes rows (order_id, shard, payload) to table corder, with ids from kFirstId on. Thread-safe.
class ShardClients {
 public:
  static constexpr uint64_t kFirstId = 1'000'000'000;

  explicit ShardClients(std::vector<ShardSides> shards);
  ShardClients(const ShardClients&) = delete;
  ShardClients& operator=(const ShardClients&) = delete;
  ~ShardClients();  // Stop()

  // Waits until each shard has `more` further acknowledged writes. DEADLINE_EXCEEDED names one that
  // has not.
  absl::Status AwaitWrites(uint64_t more, absl::Duration timeout) ABSL_LOCKS_EXCLUDED(mutex_);

  // Lets every statement under way end and keeps the clients quiet until Resume.
  void Pause() ABSL_LOCKS_EXCLUDED(mutex_);
  void Resume() ABSL_LOCKS_EXCLUDED(mutex_);
  void Stop() ABSL_LOCKS_EXCLUDED(mutex_);

  // What is wrong with the rows of a shard where they stand now; empty: each acknowledged write is
  // there, and nothing that no client wrote. While paused.
  absl::StatusOr<std::string> Judge(size_t shard, mysql::Connection& owner) const
      ABSL_LOCKS_EXCLUDED(mutex_);

 private:
  struct Written {
    std::vector<uint64_t> acknowledged;
    std::vector<uint64_t> unknown;  // the connection ended meanwhile
    bool writing = false;
  };

  void Run(size_t shard) ABSL_LOCKS_EXCLUDED(mutex_);
  // False when the client is to end.
  bool MayWrite(size_t shard) ABSL_LOCKS_EXCLUDED(mutex_);
  void Rest(absl::Duration duration) ABSL_LOCKS_EXCLUDED(mutex_);

  const std::vector<ShardSides> shards_;
  mutable absl::Mutex mutex_;
  std::vector<Written> written_ ABSL_GUARDED_BY(mutex_);
  bool paused_ ABSL_GUARDED_BY(mutex_) = false;
  bool stopped_ ABSL_GUARDED_BY(mutex_) = false;
  std::vector<std::jthread> threads_;  // last: start when everything else stands
};

}  // namespace sluice::scenario
