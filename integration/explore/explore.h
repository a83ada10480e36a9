// What sluice-explore explores, and its report.

#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "integration/explore/cutover_model.h"
#include "integration/explore/proxy_model.h"
#include "integration/explore/search.h"

namespace sluice::explore {

struct CutoverPart {
  std::string name;
  CutoverOptions model;
  uint32_t faults_max = 1;
};
struct ProxyPartBound {
  std::string name;
  uint32_t proxies = 1;
  uint32_t epochs_max = 4;
  uint32_t faults_max = 1;
};

// Parts in the order in which they are explored. The proxies' rules are those that the cutovers
// brought forth.
struct Bound {
  std::vector<CutoverPart> cutovers;
  std::vector<ProxyPartBound> proxies;
};

// "short" or "long".
std::optional<Bound> BoundOf(absl::string_view name);

// A single cutover.
std::optional<Bound> BoundOfCutover(uint32_t shards, uint32_t faults_max);

struct Report {
  std::string name;
  std::string bound;
  SearchResult result;
  size_t machine_states = 0;  // of the shipped machine, in canonical form
  double seconds = 0;
};

// Explores until the first violation; `tell` hears of each part as soon as it is over.
std::vector<Report> Explore(const Bound& bound, const std::function<void(const Report&)>& tell);

// Some lines for people.
std::string Text(const Report& report);

// The way to where the search stands, for one that the machine ends by a failed check of its own.
std::vector<std::string> WhereItStands();

// One part by itself.
Report ExploreCutover(const CutoverPart& part, RuleChanges& changes);
Report ExploreProxies(const ProxyPartBound& part, const RuleChanges& changes);

}  // namespace sluice::explore
