// Bench: one run of the benchmark: its options, which measures are wanted, and what was found.

#pragma once

#include <functional>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "integration/bench/measure.h"

namespace sluice::bench {

struct BenchOptions {
  size_t runs = 5;
  double scale = 1;           // of all amounts of data and durations
  std::string directory;      // for servers and dumps; exists
  std::string bin_directory;  // where the programs are
  // More flags of `movetables create` where an application runs beside the copy: the throttle, so
  // that the copy goes on only while fewer than two statements run.
  std::vector<std::string> application_flags = {
      "--config-overrides", "source-threads=1,throttle-apply=on,copy-workers=1"};
};

// Owned by one thread.
class Bench {
 public:
  Bench(BenchOptions options, std::set<std::string> wanted);

  [[nodiscard]] const BenchOptions& options() const { return options_; }
  [[nodiscard]] bool Wants(const std::string& measure) const { return wanted_.contains(measure); }
  // `full` by the scale, but at least `least`.
  [[nodiscard]] uint64_t Scaled(uint64_t full, uint64_t least) const;

  // Notes a run's value; for measures that nobody wants all of these do nothing.
  void Sample(const std::string& measure, double value);
  void Detail(const std::string& measure, const std::string& name, double value);
  void Verified(const std::string& measure, uint64_t rows);

  // Progress, to stderr.
  static void Say(const std::string& text);

  // Takes what was noted about a measure.
  Outcome Take(const MeasureSpec& spec);

 private:
  const BenchOptions options_;
  const std::set<std::string> wanted_;
  std::map<std::string, Outcome> noted_;
};

// Measures that are found together, in the same runs and on the same data.
struct Group {
  std::vector<MeasureSpec> measures;
  std::function<absl::Status(Bench&)> run;
};

// All of them, in the order of the report.
std::vector<Group> AllGroups();

// Parts of AllGroups().
std::vector<Group> CopyGroups();
std::vector<Group> DrainGroups();
std::vector<Group> DecodeGroups();
std::vector<Group> RunningGroups();
std::vector<Group> MemoryGroups();
std::vector<Group> CutoverGroups();

}  // namespace sluice::bench
