// HoldTable: which statements must wait while tables are held, and when nothing open touches them.

#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"

namespace sluice::proxy {

struct Hold {
  std::string cutover_id;
  std::vector<std::string> tables;  // keyspace.table
  absl::Duration lease;
};

struct BufferLimits {
  size_t statements_max = 1000;
  size_t bytes_max = size_t{16} << 20U;
};

// Pure: time comes in as an argument. Owned by one thread (Traffic puts a lock around it).
class HoldTable {
 public:
  enum class Verdict {
    kPass,
    kWait,       // until the next epoch
    kLeaseOver,  // the coordinator is silent: fail with a retryable error, never route by these
                 // rules
  };

  explicit HoldTable(BufferLimits limits) : limits_(limits) {}

  // The holds of a new epoch take the place of the old ones; leases begin at `now`.
  void Install(uint64_t epoch, const std::vector<Hold>& holds, absl::Time now);
  // The coordinator was heard and the epoch still stands: leases begin anew.
  void Heard(absl::Time now);

  // What a new statement on `tables` has to do. `already` are the tables that its transaction has
  // touched: where one of them is held by the same hold, the transaction may run to its end.
  [[nodiscard]] Verdict Judge(const std::vector<std::string>& tables,
                              const std::vector<std::string>& already, absl::Time now) const;
  // When the first lease ends; InfiniteFuture without holds.
  [[nodiscard]] absl::Time NextLeaseEnd() const;

  // An open statement or transaction that touches tables; returns its number.
  uint64_t Open(std::vector<std::string> tables);
  // Puts what `from` touches into `into`; `from` is closed.
  void Merge(uint64_t into, uint64_t from);
  void Close(uint64_t number);
  // What it touches.
  [[nodiscard]] const std::vector<std::string>& TablesOf(uint64_t number) const;

  [[nodiscard]] uint64_t epoch() const { return epoch_; }
  // The newest epoch at which nothing open touched a held table.
  [[nodiscard]] uint64_t drained_epoch() const { return drained_epoch_; }
  // Open statements and transactions on held tables.
  [[nodiscard]] size_t open_on_held() const { return open_on_held_; }

  // Place for one waiting statement; false when the buffer is full.
  bool EnterBuffer(size_t bytes);
  void LeaveBuffer(size_t bytes);
  [[nodiscard]] size_t waiting() const { return waiting_; }

 private:
  struct Touch {
    std::vector<std::string> tables;
    bool on_held = false;
  };

  // The hold that names the table, or nullptr.
  [[nodiscard]] const Hold* HoldOf(absl::string_view table) const;
  [[nodiscard]] bool AnyHeld(const std::vector<std::string>& tables) const;
  void NoteDrained();

  const BufferLimits limits_;
  uint64_t epoch_ = 0;
  uint64_t drained_epoch_ = 0;
  std::vector<Hold> holds_;
  absl::flat_hash_map<std::string, size_t> held_;  // table -> index of its hold
  absl::Time lease_begin_ = absl::InfinitePast();
  absl::flat_hash_map<uint64_t, Touch> open_;
  uint64_t next_number_ = 1;
  size_t open_on_held_ = 0;
  size_t waiting_ = 0;
  size_t waiting_bytes_ = 0;
};

}  // namespace sluice::proxy
