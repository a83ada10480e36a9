// Writers: sessions that write to the source without a pause, whatever happens to it.

#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <thread>
#include <vector>

#include "absl/time/time.h"
#include "common/mysql/connection.h"

namespace sluice::crashloop {

struct WritersOptions {
  mysql::ConnectionOptions server;
  uint64_t seed = 0;
  uint64_t scale = 1;
  size_t writers = 2;
  absl::Duration pause = absl::Milliseconds(3);  // between transactions
};

// Write until destroyed. A transaction that fails is rolled back and not repeated.
class Writers {
 public:
  explicit Writers(const WritersOptions& options);
  ~Writers();
  Writers(const Writers&) = delete;
  Writers& operator=(const Writers&) = delete;

  [[nodiscard]] uint64_t commits() const { return commits_; }

 private:
  void Work(const std::stop_token& stop, uint64_t writer);

  const WritersOptions options_;
  std::atomic<uint64_t> commits_ = 0;
  std::vector<std::jthread> threads_;
};

}  // namespace sluice::crashloop
