// BackendSet: the backend sessions of one client, one per tablet, and the settings that all of them
// have.

#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "proxy/backend/backend.h"
#include "proxy/backend/server_session.h"
#include "proxy/rules/rule_snapshot.h"

namespace sluice::proxy {

// What SET statements a session has given, in order, without those that a later one replaces.
class Settings {
 public:
  // 1235 when there are too many to keep.
  absl::Status Record(const std::vector<std::string>& variables, const std::string& text);
  void Clear() { texts_.clear(); }
  [[nodiscard]] const std::vector<std::pair<std::string, std::string>>& texts() const {
    return texts_;
  }

 private:
  std::vector<std::pair<std::string, std::string>> texts_;  // variables, statement
};

// Picks tablets of the own cell first, in turn. Thread-safe.
class TabletChooser {
 public:
  explicit TabletChooser(std::string cell) : cell_(std::move(cell)) {}

  // REQUIRES: candidates is not empty.
  const Tablet& Choose(const std::vector<const Tablet*>& candidates);

 private:
  const std::string cell_;
  std::atomic<uint64_t> turn_{0};
};

// Owned by one thread.
class BackendSet {
 public:
  explicit BackendSet(BackendOptions options) : options_(std::move(options)) {}

  void SetClient(uint64_t capabilities, uint8_t collation) {
    capabilities_ = capabilities;
    collation_ = collation;
  }

  // The open session on this tablet, or with this number, or nullptr.
  [[nodiscard]] Backend* Find(const Tablet& tablet) const;
  [[nodiscard]] Backend* Find(uint64_t number) const;
  // A session with this tablet that has gone stale, or is with a mysqld that is not the tablet's
  // any more; or nullptr.
  [[nodiscard]] Backend* Outdated(const Tablet& tablet) const;
  // The session on this tablet; opened, with all settings, where it is not there.
  absl::StatusOr<Backend*> Get(const Tablet& tablet, const Settings& settings);
  // What the session's state knows it by. REQUIRES: it is one of these.
  [[nodiscard]] const ServerSession& SessionOf(const Backend* backend) const;
  void Drop(const Backend* backend);
  void DropAll() { backends_.clear(); }
  [[nodiscard]] std::vector<Backend*> all() const;

 private:
  struct Entry {
    ServerSession session;
    std::unique_ptr<Backend> backend;
  };

  const BackendOptions options_;
  uint64_t capabilities_ = 0;
  uint8_t collation_ = 0;
  std::vector<Entry> backends_;
  uint64_t next_number_ = 1;
};

}  // namespace sluice::proxy
