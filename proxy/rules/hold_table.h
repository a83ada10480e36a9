// HoldTable: which holds of an epoch name what a statement touches.

#pragma once

#include <string>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/container/flat_hash_set.h"
#include "absl/container/inlined_vector.h"
#include "absl/time/time.h"

namespace sluice::proxy {

struct Hold {
  std::string cutover_id;
  std::vector<std::string> tables;  // keyspace.table
  std::vector<std::string> shards;  // keyspace/shard; empty: wherever the tables are
  absl::Duration lease;
  friend bool operator==(const Hold&, const Hold&) = default;
};

// What a statement or transaction has to do with on PRIMARYs.
struct Touched {
  std::vector<std::string> tables;  // keyspace.table, before and after each kind of rule
  std::vector<std::string> places;  // keyspace/shard, the same
  friend bool operator==(const Touched&, const Touched&) = default;
};
void AddOnce(std::vector<std::string>& names, std::string name);

// Immutable value. Pure. A look-up costs some hashes, whatever the number of tables and shards.
class HoldTable {
 public:
  using Indices = absl::InlinedVector<size_t, 2>;

  HoldTable() = default;
  explicit HoldTable(std::vector<Hold> holds);

  [[nodiscard]] bool empty() const { return holds_.empty(); }
  [[nodiscard]] const std::vector<Hold>& holds() const { return holds_; }
  // The holds that name one of the tables and, where they name shards, one of the places: ascending
  // indices.
  [[nodiscard]] Indices Of(const Touched& touched) const;

  friend bool operator==(const HoldTable& a, const HoldTable& b) { return a.holds_ == b.holds_; }

 private:
  std::vector<Hold> holds_;
  absl::flat_hash_map<std::string, Indices> everywhere_;  // table -> holds without shards
  absl::flat_hash_map<std::string, Indices> at_place_;    // place -> holds with it
  std::vector<absl::flat_hash_set<std::string>> tables_;  // of each hold with shards
};

}  // namespace sluice::proxy
