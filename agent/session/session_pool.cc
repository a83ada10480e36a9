// SessionPool: sessions on the agent's mysqld for short work, kept open between uses.

#include "agent/session/session_pool.h"

#include <utility>

#include "common/base/status.h"
#include "common/base/status_macros.h"

namespace sluice::agent {
namespace {

constexpr absl::Duration kIdleAgeMax = absl::Minutes(5);

}  // namespace

absl::StatusOr<std::unique_ptr<mysql::Connection>> OpenDefinitionSession(
    const mysql::ConnectionOptions& options) {
  SLUICE_ASSIGN_OR_RETURN(auto connection, mysql::Connection::Connect(options));
  SLUICE_RETURN_IF_ERROR(mysql::ConfigureDefinitionSession(*connection));
  SLUICE_RETURN_IF_ERROR(
      connection->Execute("SET SESSION transaction_isolation = 'READ-COMMITTED'").status());
  return connection;
}

Session::Session(Session&& other) noexcept
    : pool_(other.pool_), connection_(std::move(other.connection_)), discard_(other.discard_) {}

Session::~Session() {
  if (connection_ != nullptr) {
    pool_->Return(std::move(connection_), !discard_);
  }
}

absl::StatusOr<Session> SessionPool::Borrow() {
  while (std::unique_ptr<mysql::Connection> idle = TakeIdle()) {
    // mysqld may have been restarted since.
    if (idle->Execute("DO 0").ok()) {
      return Lend(std::move(idle));
    }
  }
  return BorrowNew();
}

absl::StatusOr<Session> SessionPool::BorrowNew() {
  SLUICE_ASSIGN_OR_RETURN(auto connection, open_(options_));
  return Lend(std::move(connection));
}

void SessionPool::Close() {
  std::vector<Idle> ended;
  const absl::MutexLock lock(&mutex_);
  closed_ = true;
  ended.swap(idle_);
  for (mysql::Connection* connection : lent_) {
    connection->Interrupt();
  }
}

std::unique_ptr<mysql::Connection> SessionPool::TakeIdle() {
  std::vector<Idle> aged;
  const absl::MutexLock lock(&mutex_);
  while (!idle_.empty()) {
    Idle idle = std::move(idle_.back());
    idle_.pop_back();
    if (absl::Now() - idle.since < kIdleAgeMax) {
      return std::move(idle.connection);
    }
    aged.push_back(std::move(idle));
  }
  return nullptr;
}

absl::StatusOr<Session> SessionPool::Lend(std::unique_ptr<mysql::Connection> connection) {
  const absl::MutexLock lock(&mutex_);
  if (closed_) {
    return absl::UnavailableError("the agent is stopping");
  }
  lent_.insert(connection.get());
  return Session(this, std::move(connection));
}

void SessionPool::Return(std::unique_ptr<mysql::Connection> connection, bool reusable) {
  const absl::MutexLock lock(&mutex_);
  lent_.erase(connection.get());
  if (reusable && !closed_ && connection->healthy() && idle_.size() < idle_max_) {
    idle_.push_back({std::move(connection), absl::Now()});
  }
}

}  // namespace sluice::agent
