// The two bounds, and running them.

#include "integration/explore/explore.h"

#include <utility>

#include "absl/cleanup/cleanup.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "integration/explore/plans.h"

namespace sluice::explore {
namespace {

// Of the search under way.
std::function<std::vector<std::string>()>& Standing() {
  static std::function<std::vector<std::string>()> standing;
  return standing;
}

template <typename Model>
SearchResult Run(Model& model, uint32_t faults_max, double& seconds) {
  const absl::Time began = absl::Now();
  Search<Model> search(model, {.faults_max = faults_max});
  Standing() = [&] { return search.TraceToHere(); };
  const absl::Cleanup over = [] { Standing() = nullptr; };
  SearchResult result = search.Run();
  seconds = absl::ToDoubleSeconds(absl::Now() - began);
  return result;
}

CutoverPart Plain(uint32_t shards, uint32_t faults_max) {
  return {.name = shards == 1 ? "cutover of one shard" : "cutover of two shards",
          .model = {.plan = WritesPlan(shards)},
          .faults_max = faults_max};
}

// With a person's word and counters to raise.
CutoverPart WithAllSteps(uint32_t shards, uint32_t faults_max) {
  CutoverPart part = Plain(shards, faults_max);
  absl::StrAppend(&part.name, " with counters and a person's word");
  part.model.plan.await_release = true;
  part.model.plan.raise_counters = true;
  return part;
}

}  // namespace

std::vector<std::string> WhereItStands() {
  return Standing() ? Standing()() : std::vector<std::string>();
}

std::optional<Bound> BoundOf(absl::string_view name) {
  if (name == "short") {
    return Bound{
        .cutovers = {Plain(1, 4), WithAllSteps(1, 2), Plain(2, 1)},
        .proxies = {
            {.name = "any number of proxies", .proxies = 1, .epochs_max = 4, .faults_max = 2}}};
  }
  if (name == "long") {
    return Bound{
        .cutovers = {Plain(1, 8), WithAllSteps(1, 5), Plain(2, 3), WithAllSteps(2, 1)},
        .proxies = {
            {.name = "any number of proxies", .proxies = 1, .epochs_max = 6, .faults_max = 3},
            {.name = "two proxies at once", .proxies = 2, .epochs_max = 3, .faults_max = 2}}};
  }
  return std::nullopt;
}

std::optional<Bound> BoundOfCutover(uint32_t shards, uint32_t faults_max) {
  return Bound{.cutovers = {Plain(shards, faults_max)}, .proxies = {}};
}

Report ExploreCutover(const CutoverPart& part, RuleChanges& changes) {
  CutoverModel model(part.model);
  Report report;
  report.name = part.name;
  report.bound = absl::StrCat("any ", part.faults_max,
                              " faults: crashes of any process, cuts, messages lost, late or "
                              "doubled, refusals, unknown outcomes");
  report.result = Run(model, part.faults_max, report.seconds);
  report.machine_states = model.table().size();
  for (size_t from = 0; from < kRules; ++from) {
    for (size_t to = 0; to < kRules; ++to) {
      changes.at(from).at(to) = changes.at(from).at(to) || model.rule_changes().at(from).at(to);
    }
  }
  return report;
}

Report ExploreProxies(const ProxyPartBound& part, const RuleChanges& changes) {
  ProxyModel model({.proxies = part.proxies, .epochs_max = part.epochs_max, .changes = changes});
  Report report;
  report.name = part.name;
  report.bound = absl::StrCat(
      "rules of ", part.epochs_max, " epochs, heard late, twice, out of order or never; any ",
      part.faults_max, " faults: processes and hosts that die, files that can't be written");
  report.result = Run(model, part.faults_max, report.seconds);
  report.machine_states = model.table().size();
  return report;
}

std::vector<Report> Explore(const Bound& bound, const std::function<void(const Report&)>& tell) {
  std::vector<Report> reports;
  RuleChanges changes = {};
  const auto add = [&](Report report) {
    tell(report);
    reports.push_back(std::move(report));
    return reports.back().result.violation.empty();
  };
  for (const CutoverPart& part : bound.cutovers) {
    if (!add(ExploreCutover(part, changes))) {
      return reports;
    }
  }
  for (const ProxyPartBound& part : bound.proxies) {
    if (!add(ExploreProxies(part, changes))) {
      return reports;
    }
  }
  return reports;
}

std::string Text(const Report& report) {
  const SearchResult& result = report.result;
  std::string text =
      absl::StrCat(report.name, " (", report.bound, ")\n  states ", result.states, " (by faults ",
                   absl::StrJoin(result.states_by_faults, " + "), "), of the machine ",
                   report.machine_states, "\n  transitions ", result.transitions, ", ends ",
                   result.ends, ", violations ", result.violation.empty() ? 0 : 1, ", ",
                   absl::FormatDuration(absl::Seconds(report.seconds)), "\n");
  if (!result.violation.empty()) {
    absl::StrAppend(&text, "VIOLATION: ", result.violation, ", after:\n  ",
                    absl::StrJoin(result.trace, "\n  "), "\n");
  }
  return text;
}

}  // namespace sluice::explore
