// Registry: the sessions that are there, for KILL and for shutting down.

#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "absl/base/thread_annotations.h"
#include "absl/container/flat_hash_map.h"
#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "proxy/backend/backend.h"

namespace sluice::proxy {

// Thread-safe.
class Registry {
 public:
  explicit Registry(BackendOptions options) : options_(std::move(options)) {}
  Registry(const Registry&) = delete;
  Registry& operator=(const Registry&) = delete;

  // A session with its client's socket, which stays open until Remove.
  void Add(uint64_t id, int client_fd);
  void SetUser(uint64_t id, const std::string& user);
  void Remove(uint64_t id);

  // What the session runs now, so that KILL QUERY can end it.
  void SetRunning(uint64_t id, const Tablet& tablet, uint64_t connection_id);
  void ClearRunning(uint64_t id);

  // KILL [QUERY] id by a user; 1094 when there is no such session of that user.
  absl::Status Kill(uint64_t id, bool query_only, absl::string_view user);
  // Hangs up on every client.
  void HangUpAll();

  // Waits until no session is left, at most this long.
  void AwaitEmpty(absl::Duration timeout);

  [[nodiscard]] size_t size() const;

 private:
  struct Running {
    Tablet tablet;
    uint64_t connection_id = 0;
  };
  struct Entry {
    int client_fd = -1;
    std::string user;
    std::optional<Running> running;
  };

  const BackendOptions options_;
  mutable absl::Mutex mutex_;
  absl::flat_hash_map<uint64_t, Entry> entries_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace sluice::proxy
