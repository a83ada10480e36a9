// ClientLoad: applications that read and write through the proxy as sysbench does, each statement
// outside transactions and timed.

#pragma once

#include <cstdint>
#include <memory>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "common/mysql/connection.h"

namespace sluice::bench {

struct ClientLoadOptions {
  // Shared out among the clients; each client uses its own in turn.
  std::vector<mysql::ConnectionOptions> sessions;
  size_t clients = 4;
  std::vector<std::string> tables;  // as SysbenchTable makes them, in every session
  uint64_t rows = 0;                // ids 1 … rows of each table
};

// Thread-safe. Ends with the object.
class ClientLoad {
 public:
  // Connects all sessions, then starts, as fast as it can.
  static absl::StatusOr<std::unique_ptr<ClientLoad>> Start(ClientLoadOptions options);
  ClientLoad(const ClientLoad&) = delete;
  ClientLoad& operator=(const ClientLoad&) = delete;
  ~ClientLoad();

  // Statements a second of all clients together; 0: as fast as they can. What a pause has held up
  // is not made up for.
  void SetRate(double per_second) ABSL_LOCKS_EXCLUDED(mutex_);
  // Lets every statement under way end and keeps the clients quiet until Resume.
  void Pause() ABSL_LOCKS_EXCLUDED(mutex_);
  void Resume() ABSL_LOCKS_EXCLUDED(mutex_);

  // Waits until each client has ended a statement in each of its sessions that it began after this
  // call.
  absl::Status AwaitRound(absl::Duration timeout) ABSL_LOCKS_EXCLUDED(mutex_);

  [[nodiscard]] uint64_t statements() const ABSL_LOCKS_EXCLUDED(mutex_);
  // The slowest statement that has ended since the last call, milliseconds.
  double TakeLongestPauseMs() ABSL_LOCKS_EXCLUDED(mutex_);
  // Statements that failed, lost connections included, and the first few in words.
  [[nodiscard]] uint64_t errors() const ABSL_LOCKS_EXCLUDED(mutex_);
  [[nodiscard]] std::string FirstErrors() const ABSL_LOCKS_EXCLUDED(mutex_);

 private:
  struct Client;

  explicit ClientLoad(ClientLoadOptions options);

  void Run(Client& client);
  // Waits for the moment of the next statement; false when the client is to end.
  bool Enter(Client& client) ABSL_LOCKS_EXCLUDED(mutex_);
  void Leave(Client& client) ABSL_LOCKS_EXCLUDED(mutex_);
  void Step(Client& client);
  bool Execute(Client& client, const std::string& sql) ABSL_LOCKS_EXCLUDED(mutex_);

  const ClientLoadOptions options_;
  std::vector<std::unique_ptr<Client>> clients_;

  mutable absl::Mutex mutex_;
  absl::Duration interval_ ABSL_GUARDED_BY(mutex_);  // of one client
  bool paused_ ABSL_GUARDED_BY(mutex_) = false;
  bool stopped_ ABSL_GUARDED_BY(mutex_) = false;
  int busy_ ABSL_GUARDED_BY(mutex_) = 0;
  uint64_t statements_ ABSL_GUARDED_BY(mutex_) = 0;
  double longest_ms_ ABSL_GUARDED_BY(mutex_) = 0;
  uint64_t errors_ ABSL_GUARDED_BY(mutex_) = 0;
  std::vector<std::string> first_errors_ ABSL_GUARDED_BY(mutex_);

  std::vector<std::jthread> threads_;  // last: they start when everything else stands
};

}  // namespace sluice::bench
