// StreamRecord: the durable state of a stream, as its three sidecar tables hold it.

#pragma once

#include <algorithm>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "agent/target/deferrable_keys.h"
#include "agent/target/stream_spec.h"
#include "common/gtid/gtid_set.h"
#include "schemas/control.capnp.h"

namespace sluice::target {

// A part of a table, copied in the order of the key: what is still to come lies behind last_key.
struct CopyRange {
  uint32_t slot = 0;     // 0 is the tail, which ends where the table does; split-off parts follow
  std::string last_key;  // opaque: from the source, for the source; empty: from the table's start
  std::string end_key;   // likewise, the last key that belongs to it; empty for the tail
  bool done = false;
  uint64_t rows = 0;  // copied by way of this slot, whose parts follow one another
  uint64_t bytes = 0;
};

// How far the copy of a table has come. The ranges that are not done and what is copied make up the
// table: a part is split off the tail in one commit.
struct CopyTable {
  std::string table;
  bool started = false;
  bool done = false;
  uint64_t rows = 0;
  uint64_t bytes = 0;
  uint64_t rows_estimate = 0;
  uint64_t bytes_estimate = 0;
  std::vector<CopyRange> ranges = std::vector<CopyRange>(1);  // by slot
  std::vector<OwedKey> keys_owed;  // left out of the table, to be added when all tables are copied

  // What follows from the ranges.
  void Sum() {
    rows = 0;
    bytes = 0;
    done = true;
    for (const CopyRange& range : ranges) {
      rows += range.rows;
      bytes += range.bytes;
      done = done && range.done;
    }
  }
};

// The transactions of the source that are applied and committed here. Only a commit makes one.
struct AppliedPosition {
  gtid::GtidSet set;
  friend bool operator==(const AppliedPosition&, const AppliedPosition&) = default;
};

// The row of _sluice.stream_position.
struct PositionRow {
  uint64_t stream_id = 0;
  uint64_t version = 0;
  std::optional<AppliedPosition> position;  // none before the first snapshot
  int64_t transaction_us = 0;  // commit time on the source of the last transaction in it
  uint64_t transactions_applied = 0;
  uint64_t rows_applied = 0;
  std::vector<std::string> markers;  // the last ones, oldest first
};

struct StreamRecord {
  StreamSpec spec;
  schemas::StreamState state = schemas::StreamState::INIT;
  std::string message;
  bool frozen = false;
  uint64_t epoch = 0;
  std::string source_alias;
  std::string source_url;
  PositionRow position;
  std::vector<CopyTable> copy;  // empty for a stream that begins at a position

  [[nodiscard]] bool CopyDone() const {
    return std::all_of(copy.begin(), copy.end(), [](const CopyTable& table) { return table.done; });
  }
  [[nodiscard]] bool KeysOwed() const {
    return std::any_of(copy.begin(), copy.end(),
                       [](const CopyTable& table) { return !table.keys_owed.empty(); });
  }
  // The state that it takes when it is started. A table without its keys is not ready for readers.
  [[nodiscard]] schemas::StreamState ActiveState() const {
    if (CopyDone() && !KeysOwed() && position.position.has_value()) {
      return schemas::StreamState::RUNNING;
    }
    return position.position.has_value() ? schemas::StreamState::COPYING
                                         : schemas::StreamState::INIT;
  }
  [[nodiscard]] bool Active() const {
    return state == schemas::StreamState::INIT || state == schemas::StreamState::COPYING ||
           state == schemas::StreamState::RUNNING;
  }
};

}  // namespace sluice::target
