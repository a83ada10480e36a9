// RuleSnapshot: one epoch of rules, holds and topology, checked and indexed.

#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/container/flat_hash_set.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "common/routing/rules.h"
#include "proxy/hold_table.h"
#include "schemas/routing.capnp.h"

namespace sluice::proxy {

struct Tablet {
  std::string alias;
  std::string keyspace;
  std::string shard;
  routing::TabletType type = routing::TabletType::kUnknown;
  std::string host;
  uint16_t port = 0;
  std::string database;
  std::string cell;
  bool serving = false;
  friend bool operator==(const Tablet&, const Tablet&) = default;
};

// Immutable, thread-safe.
class RuleSnapshot {
 public:
  // INVALID_ARGUMENT says what is broken: a name with two rules, a rule to an unknown keyspace, a
  // malformed name, a tablet without an address.
  static absl::StatusOr<std::shared_ptr<const RuleSnapshot>> Create(schemas::RuleSet::Reader set);

  [[nodiscard]] uint64_t epoch() const { return epoch_; }
  [[nodiscard]] const routing::RuleTable& rules() const { return rules_; }
  [[nodiscard]] const std::vector<Hold>& holds() const { return holds_; }
  [[nodiscard]] const std::vector<Tablet>& tablets() const { return tablets_; }
  // Sorted.
  [[nodiscard]] const std::vector<std::string>& keyspaces() const { return keyspaces_; }
  [[nodiscard]] bool HasKeyspace(absl::string_view keyspace) const;
  // Of its tablets, sorted.
  [[nodiscard]] std::vector<std::string> ShardsOf(absl::string_view keyspace) const;
  // Where a bare name goes in a session without a keyspace: nullopt when unknown, empty when
  // several keyspaces have it.
  [[nodiscard]] std::optional<std::string> HomeOf(absl::string_view table) const;
  // The keyspace that serves this shard: itself unless a shard rule says another.
  [[nodiscard]] std::string ShardKeyspace(const std::string& keyspace,
                                          const std::string& shard) const;
  // Tablets that serve a shard with a type, in the order of the set.
  [[nodiscard]] std::vector<const Tablet*> Serving(absl::string_view keyspace,
                                                   absl::string_view shard,
                                                   routing::TabletType type) const;

 private:
  RuleSnapshot(uint64_t epoch, const std::vector<routing::TableRule>& rules)
      : epoch_(epoch), rules_(rules) {}

  absl::Status ReadTopology(schemas::RuleSet::Reader set);
  absl::Status ReadHolds(schemas::RuleSet::Reader set);

  const uint64_t epoch_;
  const routing::RuleTable rules_;
  std::vector<Hold> holds_;
  std::vector<Tablet> tablets_;
  std::vector<std::string> keyspaces_;
  absl::flat_hash_set<std::string> keyspace_set_;
  absl::flat_hash_map<std::string, std::string> homes_;
  absl::flat_hash_map<std::string, std::string> shard_rules_;  // "keyspace/shard" -> keyspace
};

}  // namespace sluice::proxy
