// RuleSnapshot: all that one epoch says. Pure.

#pragma once

#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "coordinator/store/records.h"
#include "coordinator/topology/tablet.h"
#include "schemas/routing.capnp.h"

namespace sluice::rules {

struct RuleSnapshot {
  uint64_t epoch = 0;
  store::RuleState rules;
  std::vector<topology::TabletInfo> tablets;
  std::vector<std::string> keyspaces;
  std::vector<store::TableHome> homes;  // by table
};

// Where each bare table name goes: an explicit home where the table stands there, else the only
// keyspace that has it, else nowhere (an empty keyspace: ambiguous). Sorted by table.
std::vector<store::TableHome> ComputeHomes(
    const std::map<std::string, std::set<std::string>>& tables_by_keyspace,
    const std::vector<store::TableHome>& explicit_homes);

void FillRuleSet(const RuleSnapshot& snapshot, schemas::RuleSet::Builder builder);

}  // namespace sluice::rules
