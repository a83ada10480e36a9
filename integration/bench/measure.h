// Measure: one line of the benchmark's table: what is measured, what is to be reached, what was
// found.

#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

namespace sluice::bench {

enum class Better { kHigher, kLower };

struct MeasureSpec {
  std::string name;
  std::string unit;  // "ratio": time of the peer divided by ours
  double target = 0;
  Better better = Better::kHigher;
  std::string what;  // in words
};

struct Outcome {
  MeasureSpec spec;
  std::vector<double> runs;  // the measure's value in each run
  // What the values were made of, by run: "sluice_s", "mydumper_s", …
  std::map<std::string, std::vector<double>> details;
  uint64_t rows_verified = 0;  // over all runs
  std::string error;           // why it could not be measured; empty when it was

  // The median of the runs; of an even number the mean of the middle two. 0 without runs.
  [[nodiscard]] double value() const;
  // Measured, and the median reaches the target.
  [[nodiscard]] bool met() const;
};

// The spec of a measure that is better when it is lower.
MeasureSpec AtMost(const std::string& name, const std::string& unit, double target,
                   const std::string& what);

double Median(std::vector<double> values);

// {"measures": [{"name", "value", "unit", "target", "better", "met", "runs", "rows_verified",
// "details"}, …]}; value is null and "error" says why where it could not be measured.
std::string ReportToJson(const std::vector<Outcome>& outcomes);
// The same as a table for people.
std::string ReportToText(const std::vector<Outcome>& outcomes);

}  // namespace sluice::bench
