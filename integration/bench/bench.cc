// Bench: notes of one run, and the list of all groups.

#include "integration/bench/bench.h"

#include <algorithm>
#include <iostream>
#include <utility>

namespace sluice::bench {

Bench::Bench(BenchOptions options, std::set<std::string> wanted)
    : options_(std::move(options)), wanted_(std::move(wanted)) {}

uint64_t Bench::Scaled(uint64_t full, uint64_t least) const {
  return std::max(least, static_cast<uint64_t>(static_cast<double>(full) * options_.scale));
}

void Bench::Sample(const std::string& measure, double value) {
  if (Wants(measure)) {
    noted_[measure].runs.push_back(value);
  }
}

void Bench::Detail(const std::string& measure, const std::string& name, double value) {
  if (Wants(measure)) {
    noted_[measure].details[name].push_back(value);
  }
}

void Bench::Verified(const std::string& measure, uint64_t rows) {
  if (Wants(measure)) {
    noted_[measure].rows_verified += rows;
  }
}

void Bench::Say(const std::string& text) {
  std::cerr << "sluice-bench: " << text << std::endl;
}

Outcome Bench::Take(const MeasureSpec& spec) {
  Outcome outcome = std::move(noted_[spec.name]);
  noted_.erase(spec.name);
  outcome.spec = spec;
  return outcome;
}

std::vector<Group> AllGroups() {
  std::vector<Group> all;
  for (auto* part :
       {CopyGroups, DrainGroups, DecodeGroups, RunningGroups, MemoryGroups, CutoverGroups}) {
    for (Group& group : part()) {
      all.push_back(std::move(group));
    }
  }
  return all;
}

}  // namespace sluice::bench
