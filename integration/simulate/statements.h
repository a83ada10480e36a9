// What a client wants, and what a mysqld does with it.

#pragma once

#include <cstdint>
#include <functional>

#include "integration/simulate/mysqld.h"
#include "integration/simulate/network.h"

namespace sluice::simulate {

enum class OperationKind : uint8_t {
  kRead,
  kReadReplica,
  kUpdate,
  kTransaction,  // two updates, and time to think between them
  kInsert,
  kDelete,  // of an order that this client has inserted
};

struct Operation {
  OperationKind kind = OperationKind::kRead;
  uint32_t shard = 0;
  uint32_t key = 0;
  uint64_t token = 0;
  Micros thinks = 0;
};

// One statement on a server, over a session. The answer: FAILED_PRECONDITION where a gate or a
// read-only server is in the way, ABORTED where locks were; nothing was done then. A read answers
// version and token, an insert its id, the first half of a transaction its session.
struct ServerStatement {
  Operation operation;
  bool in_transaction = false;  // the first half: commits nothing
  SessionId session = 0;        // of the second half
  uint32_t term = 0;
};
void Serve(Mysqld& mysqld, Random& random, const ServerStatement& statement,
           const std::function<uint32_t()>& term, const Respond& respond);

}  // namespace sluice::simulate
