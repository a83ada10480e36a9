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
#include "proxy/rules/hold_table.h"
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

// One shard of one keyspace.
struct Place {
  std::string keyspace;
  std::string shard;
  friend bool operator==(const Place&, const Place&) = default;
};
// "keyspace/shard".
std::string NameOf(const Place& place);

// Immutable, thread-safe. What a query asks of it is a hash look-up, whatever the number of rules
// and tablets.
class RuleSnapshot {
 public:
  // INVALID_ARGUMENT says what is broken: a name with two rules, a rule to an unknown keyspace, a
  // malformed name, shard rules that lead to each other, a tablet without an address.
  // `cell` is the proxy's own, whose rules it obeys beside those of all.
  static absl::StatusOr<std::shared_ptr<const RuleSnapshot>> Create(schemas::RuleSet::Reader set,
                                                                    absl::string_view cell = "");

  [[nodiscard]] uint64_t epoch() const { return epoch_; }
  [[nodiscard]] const routing::RuleTable& rules() const { return rules_; }
  [[nodiscard]] const std::vector<Hold>& holds() const { return holds_; }
  [[nodiscard]] const std::vector<Tablet>& tablets() const { return tablets_; }
  // Sorted.
  [[nodiscard]] const std::vector<std::string>& keyspaces() const { return keyspaces_; }
  [[nodiscard]] bool HasKeyspace(absl::string_view keyspace) const;
  // Those of its tablets and those that a shard rule leads away from it, sorted.
  [[nodiscard]] const std::vector<std::string>& ShardsOf(absl::string_view keyspace) const;
  // Where a bare name goes in a session without a keyspace: nullopt when unknown, empty when
  // several keyspaces have it.
  [[nodiscard]] std::optional<std::string> HomeOf(absl::string_view table) const;
  // Where a place is served: itself unless a shard rule says another keyspace. Rules are not
  // chained.
  [[nodiscard]] Place ServedAt(const Place& place) const;
  // Whether a shard rule leads from here or to here, so that a closed gate may be met.
  [[nodiscard]] bool HasShardRule(const Place& place) const;
  // Tablets that serve a place with a type, in the order of the set.
  [[nodiscard]] const std::vector<const Tablet*>& Serving(const Place& place,
                                                          routing::TabletType type) const;
  // Equal for two sets of this process exactly when they differ in nothing but epoch and holds.
  [[nodiscard]] uint64_t routes() const { return routes_; }

 private:
  RuleSnapshot(uint64_t epoch, const std::vector<routing::TableRule>& rules, absl::string_view cell)
      : epoch_(epoch), rules_(rules, cell) {}

  absl::Status ReadTopology(schemas::RuleSet::Reader set);
  absl::Status ReadShardRules(schemas::RuleSet::Reader set);
  void Index();
  absl::Status ReadHolds(schemas::RuleSet::Reader set);

  const uint64_t epoch_;
  const routing::RuleTable rules_;
  std::vector<Hold> holds_;
  std::vector<Tablet> tablets_;
  std::vector<std::string> keyspaces_;
  absl::flat_hash_set<std::string> keyspace_set_;
  absl::flat_hash_map<std::string, std::string> homes_;
  absl::flat_hash_map<std::string, std::string> shard_rules_;  // "keyspace/shard" -> keyspace
  absl::flat_hash_set<std::string> ruled_places_;              // both ends of shard rules
  absl::flat_hash_map<std::string, std::vector<std::string>> shards_;  // of each keyspace
  // "keyspace/shard@TYPE" -> tablets_.
  absl::flat_hash_map<std::string, std::vector<const Tablet*>> serving_;
  uint64_t routes_ = 0;
};

}  // namespace sluice::proxy
