// SessionPool: sessions on the agent's mysqld for short work, kept open between uses.

#pragma once

#include <cstddef>
#include <functional>
#include <memory>
#include <set>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "common/mysql/connection.h"

namespace sluice::agent {

class SessionPool;

// A session on loan. Goes back to the pool when it is healthy and nothing says otherwise.
// Owned by one thread.
class Session {
 public:
  Session(Session&& other) noexcept;
  Session& operator=(Session&&) = delete;
  Session(const Session&) = delete;
  Session& operator=(const Session&) = delete;
  ~Session();

  mysql::Connection& operator*() const { return *connection_; }
  mysql::Connection* operator->() const { return connection_.get(); }

  // The session ends with this loan: its state (locks, variables) can't be vouched for.
  void Discard() { discard_ = true; }

 private:
  friend class SessionPool;
  Session(SessionPool* pool, std::unique_ptr<mysql::Connection> connection)
      : pool_(pool), connection_(std::move(connection)) {}

  SessionPool* pool_;
  std::unique_ptr<mysql::Connection> connection_;
  bool discard_ = false;
};

// How a session is opened and made ready.
using OpenSession = std::function<absl::StatusOr<std::unique_ptr<mysql::Connection>>(
    const mysql::ConnectionOptions&)>;

// Set up for definitions and small rows: names in utf8mb4, sql_mode and time zone of a data
// session, no foreign key checks, READ COMMITTED, autocommit.
absl::StatusOr<std::unique_ptr<mysql::Connection>> OpenDefinitionSession(
    const mysql::ConnectionOptions& options);

// Outlives its loans. Thread-safe.
class SessionPool {
 public:
  static constexpr size_t kIdleMax = 8;

  // Keeps up to `idle_max` sessions open that nobody uses.
  explicit SessionPool(mysql::ConnectionOptions options, size_t idle_max = kIdleMax,
                       OpenSession open = OpenDefinitionSession)
      : options_(std::move(options)), idle_max_(idle_max), open_(std::move(open)) {}
  SessionPool(const SessionPool&) = delete;
  SessionPool& operator=(const SessionPool&) = delete;

  // An idle session that still answers, else a new one. UNAVAILABLE when mysqld does not answer.
  absl::StatusOr<Session> Borrow() ABSL_LOCKS_EXCLUDED(mutex_);

  // A session that begins now. One that began earlier does without the global privileges that its
  // account was given since, though SHOW GRANTS lists them there too.
  absl::StatusOr<Session> BorrowNew() ABSL_LOCKS_EXCLUDED(mutex_);

  // Ends what sessions on loan wait for (they get UNAVAILABLE) and refuses further loans.
  void Close() ABSL_LOCKS_EXCLUDED(mutex_);

  [[nodiscard]] const mysql::ConnectionOptions& options() const { return options_; }

 private:
  friend class Session;
  struct Idle {
    std::unique_ptr<mysql::Connection> connection;
    absl::Time since;
  };

  std::unique_ptr<mysql::Connection> TakeIdle() ABSL_LOCKS_EXCLUDED(mutex_);
  absl::StatusOr<Session> Lend(std::unique_ptr<mysql::Connection> connection)
      ABSL_LOCKS_EXCLUDED(mutex_);
  void Return(std::unique_ptr<mysql::Connection> connection, bool reusable)
      ABSL_LOCKS_EXCLUDED(mutex_);

  const mysql::ConnectionOptions options_;
  const size_t idle_max_;
  const OpenSession open_;
  absl::Mutex mutex_;
  std::vector<Idle> idle_ ABSL_GUARDED_BY(mutex_);
  std::set<mysql::Connection*> lent_ ABSL_GUARDED_BY(mutex_);
  bool closed_ ABSL_GUARDED_BY(mutex_) = false;
};

}  // namespace sluice::agent
