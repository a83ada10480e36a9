// Measure: medians, and the report as JSON and as a table.

#include "integration/bench/measure.h"

#include <nlohmann/json.hpp>

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"

namespace sluice::bench {

MeasureSpec AtMost(const std::string& name, const std::string& unit, double target,
                   const std::string& what) {
  return {.name = name, .unit = unit, .target = target, .better = Better::kLower, .what = what};
}

double Median(std::vector<double> values) {
  if (values.empty()) {
    return 0;
  }
  std::sort(values.begin(), values.end());
  const size_t middle = values.size() / 2;
  return values.size() % 2 == 1 ? values[middle] : (values[middle - 1] + values[middle]) / 2;
}

double Outcome::value() const {
  return Median(runs);
}

bool Outcome::met() const {
  if (!error.empty() || runs.empty()) {
    return false;
  }
  return spec.better == Better::kHigher ? value() >= spec.target : value() <= spec.target;
}

std::string ReportToJson(const std::vector<Outcome>& outcomes) {
  nlohmann::ordered_json document;
  document["measures"] = nlohmann::ordered_json::array();
  for (const Outcome& outcome : outcomes) {
    nlohmann::ordered_json one;
    const bool measured = outcome.error.empty() && !outcome.runs.empty();
    one["name"] = outcome.spec.name;
    one["value"] = measured ? nlohmann::ordered_json(outcome.value()) : nullptr;
    one["unit"] = outcome.spec.unit;
    one["target"] = outcome.spec.target;
    one["better"] = outcome.spec.better == Better::kHigher ? "higher" : "lower";
    one["met"] = outcome.met();
    one["runs"] = outcome.runs;
    one["rows_verified"] = outcome.rows_verified;
    one["details"] = outcome.details;
    if (!measured) {
      one["error"] = outcome.error.empty() ? "not measured" : outcome.error;
    }
    document["measures"].push_back(std::move(one));
  }
  return document.dump(2) + "\n";
}

std::string ReportToText(const std::vector<Outcome>& outcomes) {
  std::string text = absl::StrFormat("%-34s %12s %-6s %10s  %-4s %s\n", "measure", "median", "unit",
                                     "target", "met", "runs");
  for (const Outcome& outcome : outcomes) {
    const char* sign = outcome.spec.better == Better::kHigher ? ">=" : "<=";
    const std::string target = absl::StrFormat("%s %g", sign, outcome.spec.target);
    if (!outcome.error.empty() || outcome.runs.empty()) {
      absl::StrAppendFormat(&text, "%-34s %12s %-6s %10s  %-4s %s\n", outcome.spec.name, "-",
                            outcome.spec.unit, target, "no", outcome.error);
      continue;
    }
    std::string runs;
    for (const double run : outcome.runs) {
      absl::StrAppendFormat(&runs, "%s%.4g", runs.empty() ? "" : " ", run);
    }
    absl::StrAppendFormat(&text, "%-34s %12.4g %-6s %10s  %-4s %s\n", outcome.spec.name,
                          outcome.value(), outcome.spec.unit, target, outcome.met() ? "yes" : "no",
                          runs);
    for (const auto& [name, values] : outcome.details) {
      absl::StrAppendFormat(&text, "  %-32s %12.4g\n", name, Median(values));
    }
  }
  return text;
}

}  // namespace sluice::bench
