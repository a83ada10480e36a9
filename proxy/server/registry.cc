// Registry: the sessions that are there.

#include "proxy/server/registry.h"

#include <sys/socket.h>

#include "absl/strings/str_cat.h"

namespace sluice::proxy {

void Registry::Add(uint64_t id, int client_fd) {
  absl::MutexLock lock(&mutex_);
  entries_[id].client_fd = client_fd;
}

void Registry::SetUser(uint64_t id, const std::string& user) {
  absl::MutexLock lock(&mutex_);
  entries_[id].user = user;
}

void Registry::Remove(uint64_t id) {
  absl::MutexLock lock(&mutex_);
  entries_.erase(id);
}

void Registry::SetRunning(uint64_t id, const Tablet& tablet, uint64_t connection_id) {
  absl::MutexLock lock(&mutex_);
  entries_[id].running = Running{tablet, connection_id};
}

void Registry::ClearRunning(uint64_t id) {
  absl::MutexLock lock(&mutex_);
  entries_[id].running.reset();
}

absl::Status Registry::Kill(uint64_t id, bool query_only, absl::string_view user) {
  std::optional<Running> running;
  {
    absl::MutexLock lock(&mutex_);
    const auto found = entries_.find(id);
    if (found == entries_.end() || found->second.user != user) {
      return MysqlError(1094, absl::StrCat("Unknown thread id: ", id));
    }
    if (!query_only) {
      // The session notices, ends what it runs, and goes.
      shutdown(found->second.client_fd, SHUT_RDWR);
      return absl::OkStatus();
    }
    running = found->second.running;
  }
  if (running.has_value()) {
    Backend::KillOn(running->tablet, options_, running->connection_id, true);
  }
  return absl::OkStatus();
}

void Registry::HangUpAll() {
  absl::MutexLock lock(&mutex_);
  for (const auto& [id, entry] : entries_) {
    shutdown(entry.client_fd, SHUT_RDWR);
  }
}

void Registry::AwaitEmpty(absl::Duration timeout) {
  absl::MutexLock lock(&mutex_);
  const auto empty = [this]() ABSL_SHARED_LOCKS_REQUIRED(mutex_) { return entries_.empty(); };
  mutex_.AwaitWithTimeout(absl::Condition(&empty), timeout);
}

size_t Registry::size() const {
  absl::MutexLock lock(&mutex_);
  return entries_.size();
}

}  // namespace sluice::proxy
