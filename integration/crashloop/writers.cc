// Writers: the threads.

#include "integration/crashloop/writers.h"

#include <string>

#include "absl/time/clock.h"
#include "common/base/status.h"
#include "integration/crashloop/transactions.h"

namespace sluice::crashloop {
namespace {

constexpr absl::Duration kReconnectPause = absl::Milliseconds(50);

}  // namespace

Writers::Writers(const WritersOptions& options) : options_(options) {
  for (size_t i = 0; i < options_.writers; ++i) {
    threads_.emplace_back([this, i](const std::stop_token& stop) { Work(stop, i); });
  }
}

Writers::~Writers() {
  for (std::jthread& thread : threads_) {
    thread.request_stop();
  }
}

void Writers::Work(const std::stop_token& stop, uint64_t writer) {
  TransactionMaker maker(options_.seed, writer, options_.scale);
  std::unique_ptr<mysql::Connection> connection;
  while (!stop.stop_requested()) {
    if (connection == nullptr || !connection->healthy()) {
      auto connected = mysql::Connection::Connect(options_.server);
      if (!connected.ok() ||
          !(*connected)->Execute("SET SESSION innodb_lock_wait_timeout = 2").ok()) {
        absl::SleepFor(kReconnectPause);  // Delay: a server that is away tells nobody of its return
        continue;
      }
      connection = *std::move(connected);
    }
    const std::vector<std::string> statements = maker.Next();
    bool good = connection->Execute("BEGIN").ok();
    for (const std::string& statement : statements) {
      good = good && connection->Execute(statement).ok();
    }
    if (good) {
      ++commits_;
    } else if (connection->healthy()) {
      connection->Execute("ROLLBACK").status().IgnoreError();
    }
    absl::SleepFor(options_.pause);  // Delay: leaves the machine to those that are tested
  }
}

}  // namespace sluice::crashloop
