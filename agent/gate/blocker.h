// Blocker: a session that stands in the way of a gate, and how it is told to people. Pure.

#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace sluice::gate {

// A session that stands in the way of a metadata lock.
struct Blocker {
  uint64_t connection_id = 0;  // 0: no session; a prepared XA transaction
  std::string user;
  std::string host;
  int64_t age_ms = 0;     // of its transaction, else of its statement
  std::string statement;  // running, or the last one
};

// "connection 20 (app@10.0.0.7, for 3.1 s: UPDATE …)"; several joined by "; ".
std::string DescribeBlockers(const std::vector<Blocker>& blockers);

}  // namespace sluice::gate
