// TailTransaction: what is kept of one transaction of a binlog for all streams that read it.

#pragma once

#include <memory>
#include <set>
#include <string>
#include <utility>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "agent/source/binlog_filter.h"
#include "agent/source/event_unwrapper.h"
#include "agent/source/wanted_tables.h"
#include "common/gtid/gtid_set.h"

namespace sluice::source {

// A value.
//
// Invariant: for a stream of which Touches() is false, `skeleton` is what its filter makes of the
// transaction; for any other it is made of `events`, if they are kept.
struct TailTransaction {
  gtid::Gtid gtid;
  bool kept = true;      // false: too large, who wants rows of it reads them elsewhere
  std::string events;    // without checksums, unpacked; empty when not kept
  std::string skeleton;  // GTID, statements and end
  // Of the tables whose rows it holds, database and name.
  std::set<std::pair<std::string, std::string>> tables;
  bool any_table = false;  // too many to name them

  [[nodiscard]] bool Touches(const WantedTables& wanted) const;
  // False where a stream loses nothing by waiting a moment for it: it touches none of its tables,
  // or just the marker of another shard's gate.
  [[nodiscard]] bool IsUrgentFor(const WantedTables& wanted) const;
  // What it takes in memory, about.
  [[nodiscard]] size_t Bytes() const;
};

// Makes transactions out of a server's events. A transaction that breaks off (the next one begins)
// is none. Pure; owned by one thread.
class TailTransactionBuilder {
 public:
  // Of more than `bytes_max` the events are not kept.
  explicit TailTransactionBuilder(size_t bytes_max) : bytes_max_(bytes_max) {}

  // Takes an event as mysqld sent it. Returns the transaction that ends with it, or nullptr. Fails
  // as BinlogFilter does, and with nothing that it does not fail with for every stream.
  absl::StatusOr<std::shared_ptr<const TailTransaction>> Feed(absl::string_view event);

  // The one that is not whole yet.
  [[nodiscard]] const TailTransaction& unfinished() const { return current_; }

 private:
  absl::Status Take(const binlog::EventHeader& header, absl::string_view event);
  void Keep(absl::string_view event);
  void GiveUp();  // the events

  const size_t bytes_max_;
  EventUnwrapper unwrapper_;
  BinlogFilter filter_{WantedTables()};  // for the skeleton
  TailTransaction current_;
};

}  // namespace sluice::source
