// WriteTimes: where the time of a stream's writes goes.

#pragma once

#include <cstdint>

#include "absl/time/time.h"

namespace sluice::target {

// Summed over sessions. They tell what limits a stream: the source (waiting), this agent
// (building), mysqld (server), or that the sessions are too few (hand_off).
struct WriteTimes {
  uint64_t writes = 0;      // commits
  absl::Duration waiting;   // for the source
  absl::Duration building;  // statements
  absl::Duration server;    // running and committing them
  absl::Duration hand_off;  // what was fetched lay ready until it was taken

  WriteTimes& operator+=(const WriteTimes& other) {
    writes += other.writes;
    waiting += other.waiting;
    building += other.building;
    server += other.server;
    hand_off += other.hand_off;
    return *this;
  }
};

}  // namespace sluice::target
