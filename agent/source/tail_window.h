// TailWindow: the last transactions of a binlog, and who may read on in them. Pure.

#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <memory>
#include <optional>
#include <utility>

#include "agent/source/tail_transaction.h"
#include "common/gtid/gtid_set.h"

namespace sluice::source {

// A dump that began at a GTID set has brought transactions, in the binlog's order; the window is
// the run of the last ones, each at a place, which only grows.
//
// Invariant: floor() is the set where the dump began and all transactions before begin(). So what
// stands in the binlog before begin() is in floor(): the dump has brought it or was told to leave
// it out. Who holds all of floor() therefore lacks nothing that stands there, and gets all that it
// lacks, in order and once, when it reads on from begin() and passes over what it holds. Who lacks
// any of floor() (the part of an XA transaction that it was given and has lost, say) does not: the
// missing one may stand before begin().
//
// Thread-compatible.
class TailWindow {
 public:
  // Of a dump that begins at `floor`. Keeps `bytes_max`, whole transactions.
  TailWindow(gtid::GtidSet floor, size_t bytes_max)
      : floor_(std::move(floor)), bytes_max_(bytes_max) {}

  // The dump's next one, which takes the place end(). The first ones go while there are too many
  // bytes.
  void Append(std::shared_ptr<const TailTransaction> transaction);

  // Where somebody reads on who holds the set: at the first transaction that it lacks, and passes
  // over later ones that it holds. nullopt: not here.
  [[nodiscard]] std::optional<uint64_t> PlaceFor(const gtid::GtidSet& held) const;

  [[nodiscard]] uint64_t begin() const { return begin_; }
  [[nodiscard]] uint64_t end() const { return begin_ + entries_.size(); }
  // REQUIRES: begin() <= place < end().
  [[nodiscard]] const std::shared_ptr<const TailTransaction>& At(uint64_t place) const;
  // Of the transactions from there on. REQUIRES: begin() <= place <= end().
  [[nodiscard]] size_t BytesFrom(uint64_t place) const;

  [[nodiscard]] const gtid::GtidSet& floor() const { return floor_; }
  [[nodiscard]] size_t bytes() const { return BytesFrom(begin_); }
  [[nodiscard]] size_t bytes_max() const { return bytes_max_; }

 private:
  struct Entry {
    std::shared_ptr<const TailTransaction> transaction;
    uint64_t bytes_before = 0;  // of all that ever came before it
  };

  gtid::GtidSet floor_;
  size_t bytes_max_;
  std::deque<Entry> entries_;
  uint64_t begin_ = 0;
  uint64_t bytes_ever_ = 0;
};

}  // namespace sluice::source
