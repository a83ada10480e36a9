// Loop: prepare, strike, settle, judge.

#include "integration/killloop/loop.h"

#include <nlohmann/json.hpp>

#include <iostream>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/time/clock.h"
#include "common/base/status.h"
#include "common/base/status_macros.h"

namespace sluice::killloop {
namespace {

void CountEnd(const Case& one, bool reached, const std::string& end, Tally& tally) {
  if (!reached) {
    ++tally.not_reached;
    return;
  }
  ++tally.struck;
  ++tally.by_way[static_cast<size_t>(one.way)];
  tally.forward += one.reverse ? 0U : 1U;
  tally.committed += end == "committed" ? 1U : 0U;
  tally.rolled_back += absl::StartsWith(end, "rolled back") ? 1U : 0U;
  tally.torn_down += end == "torn down" ? 1U : 0U;
}

absl::Status RunCase(World& world, const Case& one, LoopResult& result) {
  const absl::Time begin = absl::Now();
  SLUICE_RETURN_IF_ERROR(Annotate(world.Prepare(one), "before the fault"));
  SLUICE_ASSIGN_OR_RETURN(const bool reached, world.Strike(one));
  const absl::Time struck = absl::Now();
  SLUICE_ASSIGN_OR_RETURN(const std::string end, world.Settle(one, reached));
  const absl::Duration recovery = absl::Now() - struck;
  SLUICE_RETURN_IF_ERROR(world.Judge());
  CountEnd(one, reached, end, result.boundaries[one.PlaceName()]);
  if (recovery > result.longest_recovery) {
    result.longest_recovery = recovery;
    result.longest_recovery_case = one.ToString();
  }
  std::cout << ++result.cases << " " << one.ToString() << ": "
            << (reached ? end.substr(0, 100) : "NOT REACHED") << ", "
            << absl::FormatDuration(absl::Trunc(absl::Now() - begin, absl::Milliseconds(100)))
            << std::endl;
  return absl::OkStatus();
}

}  // namespace

uint64_t LoopResult::not_reached() const {
  uint64_t sum = 0;
  for (const auto& [name, tally] : boundaries) {
    sum += tally.not_reached;
  }
  return sum;
}

std::string LoopResult::ToText() const {
  std::string text =
      absl::StrFormat("\n%-46s %6s %5s %5s %5s %5s %8s %9s %11s %s\n", "boundary", "struck", "exit",
                      "kill", "stop", "cut", "forward", "committed", "rolled back", "not reached");
  uint64_t struck = 0;
  for (const auto& [name, tally] : boundaries) {
    absl::StrAppendFormat(&text, "%-46s %6d %5d %5d %5d %5d %8d %9d %11d %s\n", name, tally.struck,
                          tally.by_way[0], tally.by_way[1], tally.by_way[2], tally.by_way[3],
                          tally.forward, tally.committed, tally.rolled_back,
                          tally.not_reached == 0 ? "" : absl::StrCat(tally.not_reached));
    struck += tally.struck;
  }
  absl::StrAppend(&text, "\nboundaries ", boundaries.size(), ", struck ", struck, " times in ",
                  absl::FormatDuration(took), ", connections cut ", totals.connections_cut,
                  "\nacknowledged writes ", totals.acknowledged_writes, ", of unknown outcome ",
                  totals.unknown_writes, ", reads ", totals.reads, ", statements refused ",
                  totals.client_errors, ", rows compared ", totals.rows_compared,
                  "\npast the proxies: acknowledged writes ", totals.direct_writes, ", refused ",
                  totals.direct_refusals, "; looks at both sides at once ", totals.looks,
                  "\nlongest recovery ", absl::FormatDuration(longest_recovery), " (",
                  longest_recovery_case, ")\nviolations ", violation.empty() ? "0" : violation,
                  "\n");
  return text;
}

std::string LoopResult::ToJson() const {
  nlohmann::ordered_json document;
  document["cases"] = cases;
  document["took_s"] = absl::ToDoubleSeconds(took);
  document["violation"] = violation;
  document["acknowledged_writes"] = totals.acknowledged_writes;
  document["unknown_writes"] = totals.unknown_writes;
  document["reads"] = totals.reads;
  document["statements_refused"] = totals.client_errors;
  document["rows_compared"] = totals.rows_compared;
  document["direct_writes"] = totals.direct_writes;
  document["direct_refusals"] = totals.direct_refusals;
  document["looks_at_both"] = totals.looks;
  document["connections_cut"] = totals.connections_cut;
  document["longest_recovery_s"] = absl::ToDoubleSeconds(longest_recovery);
  document["longest_recovery_case"] = longest_recovery_case;
  document["boundaries"] = nlohmann::ordered_json::array();
  for (const auto& [name, tally] : boundaries) {
    document["boundaries"].push_back({{"name", name},
                                      {"struck", tally.struck},
                                      {"exit", tally.by_way[0]},
                                      {"kill", tally.by_way[1]},
                                      {"stop", tally.by_way[2]},
                                      {"cut", tally.by_way[3]},
                                      {"forward", tally.forward},
                                      {"reverse", tally.struck - tally.forward},
                                      {"committed", tally.committed},
                                      {"rolled_back", tally.rolled_back},
                                      {"torn_down", tally.torn_down},
                                      {"not_reached", tally.not_reached}});
  }
  return document.dump(2) + "\n";
}

absl::StatusOr<LoopResult> RunLoop(const WorldOptions& options, const std::vector<Case>& cases) {
  SLUICE_ASSIGN_OR_RETURN(const std::unique_ptr<World> world, World::Start(options));
  LoopResult result;
  const absl::Time begin = absl::Now();
  for (const Case& one : cases) {
    const absl::Status status = RunCase(*world, one, result);
    if (!status.ok()) {
      result.violation = absl::StrCat(one.ToString(), ": ", status.ToString());
      std::cout << "VIOLATION " << result.violation << std::endl;
      break;
    }
  }
  result.took = absl::Now() - begin;
  result.totals = world->totals();
  return result;
}

}  // namespace sluice::killloop
