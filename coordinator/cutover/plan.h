// Plan: what one cutover moves, from where to where. A value, fixed when the cutover begins.

#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "common/routing/target.h"
#include "common/stream/stream_options.h"

namespace sluice::cutover {

// One shard of one side.
struct Side {
  std::string keyspace;
  std::string shard;
  std::string database;  // the MySQL schema that holds it
  friend bool operator==(const Side&, const Side&) = default;
};

// A pipe from sources[source] to targets[target] and the one that will run the other way.
struct StreamPair {
  uint32_t source = 0;
  uint32_t target = 0;
  uint64_t forward_id = 0;
  uint64_t reverse_id = 0;
  friend bool operator==(const StreamPair&, const StreamPair&) = default;
};

// A stream of an earlier cutover on the same side, which the new reverse stream replaces.
struct StaleStream {
  uint32_t source = 0;
  uint64_t id = 0;
  friend bool operator==(const StaleStream&, const StaleStream&) = default;
};

// As max_lag_ms: however far a stream is behind, and when nobody knows.
inline constexpr uint32_t kAnyLagMs = 0xffff'ffff;

// How the gate of one source closes, as the checks have found before anybody is held.
struct GatePlan {
  bool server = false;              // as a whole mysqld; else table by table
  std::string reason;               // of the latter, where it was a choice: why not as a whole
  std::vector<std::string> beside;  // of the former: the mysqld's other databases, which close too
  friend bool operator==(const GatePlan&, const GatePlan&) = default;
};

enum class Kind : uint16_t { kReads = 0, kWrites = 1 };

// Traffic goes from `sources` to `targets`, whichever way the workflow was created: for a reversal
// the workflow's own target is the source here.
struct Plan {
  std::string id;
  Kind kind = Kind::kWrites;
  std::string workflow;  // keyspace.name of the workflow as it was created; also names the gates
  std::string forward;   // record whose streams run sources -> targets
  std::string backward;  // record that takes over when writes are switched
  bool reversal = false;
  std::vector<std::string> tables;
  std::vector<Side> sources;
  std::vector<Side> targets;
  std::vector<StreamPair> streams;
  std::vector<StaleStream> stale;
  // Of the tablets that the reverse streams read from, in order of preference.
  std::vector<routing::TabletType> source_types;
  stream::StreamOptions reverse_options;  // of the reverse streams

  // Requests to gates and streams carry `epoch` before the commit and epoch + 1 after it or when
  // undoing, so that a late request of the first part can't disturb the second.
  uint64_t epoch = 0;
  uint32_t timeout_ms = 30'000;  // from the beginning, or the release, to the commit
  uint32_t hold_ms = 500;        // of it, at most, waiting for the proxies to drain
  bool await_release = false;    // everything is prepared, then a person says go
  bool raise_counters = false;
  // How far a stream may be behind when clients are held. Of the gate: how long one attempt waits
  // for locks while clients are held; since when who sits on the tables is waited for before
  // anybody is held; what may be ended that sits there longer (0: nothing), unless it changed more
  // rows.
  uint32_t max_lag_ms = 30'000;
  uint32_t lock_wait_ms = 400;
  uint32_t blocker_age_ms = 500;
  uint32_t kill_blockers_after_ms = 0;
  uint64_t kill_rows_max = 10'000;
  std::vector<GatePlan> gates;  // per source; none: all table by table
  // How many shards are prepared at once before anybody is held; the fence is one for all.
  uint32_t parallelism = 16;
  bool start_reverse = true;
  bool source_readable = false;  // reads stay on the sources: readable instead of closed

  // Only for reads.
  bool move_replica = false;
  bool move_rdonly = false;
  std::vector<std::string> cells;  // whose reads move; empty: all, those yet to come included
  bool make_readable = false;      // the targets' writes are closed: views come first
  bool restore_closed = false;     // undoing takes the views away again
  bool close_behind = false;       // the last reads leave sources that are closed for writes

  friend bool operator==(const Plan&, const Plan&) = default;
};

}  // namespace sluice::cutover
