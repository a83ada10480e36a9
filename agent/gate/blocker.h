// Blocker: a session that stands in the way of a gate, and how it is told to people. Pure.

#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace sluice::gate {

enum class BlockerKind {
  kSession,     // uses the tables, or writes somewhere
  kPreparedXa,  // a prepared XA transaction, which outlives its session
  kBackupLock,  // LOCK INSTANCE FOR BACKUP: no DDL until the backup is over
  kReadLock,    // FLUSH TABLES WITH READ LOCK: nobody writes
  kServer,      // a thread of mysqld's own, such as that of InnoDB's statistics or its purge
};

// A session that stands in the way of a metadata lock.
struct Blocker {
  uint64_t connection_id = 0;  // 0: no session
  BlockerKind kind = BlockerKind::kSession;
  std::string user;
  std::string host;
  int64_t age_ms = 0;     // of its transaction, else of its statement
  std::string statement;  // running, or the last one; of kServer the thread's name
};

// The statement, or the lock that is for a backup: it is never ended.
std::string DescribeUse(const Blocker& blocker);
// "connection 20 (app@10.0.0.7, for 3.1 s: UPDATE …)"; several joined by "; ".
std::string DescribeBlockers(const std::vector<Blocker>& blockers);

}  // namespace sluice::gate
