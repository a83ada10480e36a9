// Cases: all combinations, and some of them by dice.

#include "integration/killloop/cases.h"

#include <algorithm>
#include <numeric>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "integration/crashloop/dice.h"

namespace sluice::killloop {
namespace {

constexpr uint64_t kPurpose = 2000;

bool Fits(const std::vector<std::string>& wanted, const std::string& text) {
  return wanted.empty() ||
         std::any_of(wanted.begin(), wanted.end(),
                     [&text](const std::string& part) { return absl::StrContains(text, part); });
}

// Nobody is held by a teardown, so one proxy stands for all.
bool TakesPart(const Boundary& boundary, const std::string& role) {
  const bool teardown = boundary.story == Story::kComplete || boundary.story == Story::kCancel;
  return !teardown || role != "proxy-2";
}

void AddCases(const Choice& choice, Gate gate, const Boundary& boundary, std::vector<Case>& all) {
  for (const std::string& role : Roles()) {
    for (const Way way : {Way::kExit, Way::kKill, Way::kStop, Way::kCut}) {
      if (!Fits(choice.processes, role) || !Fits(choice.ways, WayName(way)) ||
          !TakesPart(boundary, role) || (way == Way::kExit && role != RoleOf(boundary.owner))) {
        continue;
      }
      for (const bool reverse : {false, true}) {
        all.push_back(
            {.gate = gate, .boundary = boundary, .reverse = reverse, .role = role, .way = way});
      }
    }
  }
}

}  // namespace

const char* WayName(Way way) {
  switch (way) {
    case Way::kExit:
      return "exit";
    case Way::kKill:
      return "kill";
    case Way::kStop:
      return "stop";
    case Way::kCut:
      return "cut";
  }
  return "";
}

const std::vector<std::string>& Roles() {
  static const std::vector<std::string> roles = {
      "coordinator", "from-agent", "to-agent", "from-mysqld", "to-mysqld", "proxy-1", "proxy-2"};
  return roles;
}

std::string RoleOf(Owner owner) {
  return Roles()[static_cast<size_t>(owner)];
}

std::string Case::PlaceName() const {
  return absl::StrCat(boundary.Name(), gate == Gate::kServer ? ", server" : "");
}

std::string Case::ToString() const {
  return absl::StrCat(WayName(way), " ", role, " at ", PlaceName(),
                      reverse ? ", reverse" : ", forward");
}

std::vector<Case> ChooseCases(const Choice& choice) {
  std::vector<Case> all;
  for (const Gate gate : {Gate::kTables, Gate::kServer}) {
    for (const Boundary& boundary : Boundaries(gate)) {
      if (Fits(choice.gates, GateName(gate)) && Fits(choice.names, boundary.Name())) {
        AddCases(choice, gate, boundary, all);
      }
    }
  }
  if (choice.limit == 0 || choice.limit >= all.size()) {
    return all;
  }
  std::vector<size_t> order(all.size());
  std::iota(order.begin(), order.end(), 0);
  crashloop::Dice dice(choice.seed, kPurpose);
  for (size_t i = 0; i < choice.limit; ++i) {
    std::swap(order[i], order[i + dice.Roll(order.size() - i)]);
  }
  order.resize(choice.limit);
  std::sort(order.begin(), order.end());
  std::vector<Case> chosen;
  chosen.reserve(order.size());
  for (const size_t i : order) {
    chosen.push_back(all[i]);
  }
  return chosen;
}

}  // namespace sluice::killloop
