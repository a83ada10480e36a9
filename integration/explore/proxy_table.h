// ProxyTable: the proxies' rules machine with numbers for its states; asks the shipped machine each
// question once.

#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "integration/explore/cutover_model.h"
#include "proxy/rules/rules_machine.h"

namespace sluice::explore {

// Events of one proxy. Times are in leases: a hold's lease lasts from one to the next.
struct ProxyEvent {
  enum class Type : uint8_t { kOffered, kKept, kHeard, kBegin, kEnd };
  Type type = Type::kOffered;
  uint8_t epoch = 0;
  Rules rules = Rules::kOld;  // of that epoch
  bool synced = false;
  uint8_t now = 0;
};

struct ProxyStep {
  uint32_t next = 0;
  bool obeys = false;
  bool keeps = false;
};

// What the machine says to a statement on the moving tables.
struct ProxyVerdict {
  bool lets_in_new = false;          // outside a transaction
  bool lets_in_transaction = false;  // that is open
};

// Owned by one thread.
class ProxyTable {
 public:
  ProxyTable();

  [[nodiscard]] uint32_t fresh() const { return 0; }
  // kEnd ends the work that a kBegin was let in with; at most one is open at a time.
  ProxyStep Feed(uint32_t state, const ProxyEvent& event);
  ProxyVerdict Ask(uint32_t state, uint8_t planned_epoch, uint8_t now);

  [[nodiscard]] uint64_t epoch(uint32_t state) const { return machines_[state].epoch(); }
  [[nodiscard]] uint64_t acknowledged(uint32_t state) const { return said_[state].have_epoch; }
  [[nodiscard]] uint64_t drained(uint32_t state) const { return said_[state].drained_epoch; }
  [[nodiscard]] uint64_t work(uint32_t state) const { return works_[state]; }  // 0: none
  [[nodiscard]] size_t size() const { return machines_.size(); }

 private:
  uint32_t Number(const proxy::RulesMachine& machine, uint64_t work);

  std::vector<proxy::RulesMachine> machines_;
  std::vector<uint64_t> works_;
  std::vector<proxy::Acknowledgement> said_;
  absl::flat_hash_map<std::string, std::vector<uint32_t>> alike_;
  absl::flat_hash_map<uint64_t, ProxyStep> steps_;
  absl::flat_hash_map<uint64_t, ProxyVerdict> verdicts_;
};

// Equal for rules that send clients to the same side.
uint64_t RoutesOf(Rules rules);

}  // namespace sluice::explore
