// ProxyModel: proxies that hear of the rules late, twice, out of order or not at all, that die and
// come back with what is on their disk, under all sequences of rules that a cutover brings forth.

#pragma once

#include <array>
#include <bit>
#include <compare>
#include <cstdint>
#include <string>
#include <vector>

#include "absl/hash/hash.h"
#include "integration/explore/cutover_model.h"
#include "integration/explore/proxy_table.h"
#include "integration/explore/search.h"

namespace sluice::explore {

inline constexpr uint32_t kProxiesMax = 2;

// Epochs are numbered from 1; 0 is none.
struct ProxyPart {
  uint32_t machine = 0;
  uint8_t to_write = 0;  // obeyed, and not yet written to the file
  uint8_t written = 0;   // what this process wrote last
  uint8_t to_sync = 0;   // written, and not yet synced
  uint8_t syncing = 0;   // the sync of what was written then is under way
  uint8_t file = 0;      // what a new process finds
  uint8_t synced = 0;    // what it finds when the host has died
  uint8_t told = 0;      // the highest epoch acknowledged that the next process must stand by
  uint8_t routes = 0;    // what that acknowledged of the routes, for good
  uint8_t now = 0;       // in leases
  uint8_t lease_from = 0;
  uint8_t begun = 0;  // transactions that this process let in
  uint8_t born = 1;   // the newest epoch when this process began: no older one can reach it
  // NOLINTNEXTLINE(modernize-use-nullptr): what the compiler writes compares with 0
  friend auto operator<=>(const ProxyPart&, const ProxyPart&) = default;
};

struct ProxyNode {
  uint32_t history = 0;  // two bits an epoch: its Rules
  uint32_t epochs = 1;
  std::array<ProxyPart, kProxiesMax> proxies;

  using Words = std::array<uint64_t, 5>;
  [[nodiscard]] Words words() const { return std::bit_cast<Words>(*this); }
  [[nodiscard]] uint64_t Hash() const { return absl::HashOf(words()); }
  friend bool operator==(const ProxyNode& a, const ProxyNode& b) { return a.words() == b.words(); }
};

struct ProxyOptions {
  uint32_t proxies = 1;
  uint32_t epochs_max = 4;  // up to 16
  RuleChanges changes;      // which rules may follow which
};

// Proxies see nothing but the rules, the coordinator and the agents see nothing of proxies that
// they depend on, and no proxy sees another. So what all of them together can do is what each can
// do alone, and each promise here speaks of one proxy. The rules follow one another as a search of
// the CutoverModel has found, or in more ways.
class ProxyModel {
 public:
  using Node = ProxyNode;
  using Edges = std::vector<Edge<Node>>;

  explicit ProxyModel(ProxyOptions options) : options_(options) {}

  Node Root() const { return {}; }
  int Free(const Node& node, Edges& edges);
  void Faults(const Node& node, Edges& edges);
  [[nodiscard]] bool Ended(const Node& node) const;
  [[nodiscard]] std::string Judge(const Node& node);
  [[nodiscard]] std::string Describe(const Node& from, uint32_t action, bool exchanged) const;

  [[nodiscard]] const ProxyTable& table() const { return table_; }

 private:
  void FreeOfProxy(const Node& node, uint32_t number, Edges& edges, int& progress);
  void Emit(Node next, uint32_t action, Edges& edges) const;
  ProxyStep Feed(ProxyPart& part, const ProxyEvent& event);
  void Hear(const Node& node, ProxyPart& part, uint8_t epoch);
  void Restart(const Node& node, ProxyPart& part);
  [[nodiscard]] std::string JudgePart(const Node& node, const ProxyPart& part);
  [[nodiscard]] std::string JudgeDisk(const Node& node, const ProxyPart& part) const;

  const ProxyOptions options_;
  ProxyTable table_;
};

}  // namespace sluice::explore
