// Loop: rounds of copying and following under load and faults, each judged byte by byte.

#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "integration/crashloop/world.h"
#include "integration/crashloop/writers.h"

namespace sluice::crashloop {

struct LoopOptions {
  uint64_t seed = 1;
  uint64_t rounds = 1;
  uint64_t first_round = 0;
  uint64_t faults = 60;  // in each round
  uint64_t scale = 1;    // of the tables
  std::string directory;
  std::string bin_directory;
};

struct LoopResult {
  uint64_t rounds = 0;
  uint64_t faults_during_copy = 0;
  uint64_t commits = 0;  // of the writers
  uint64_t rows_compared = 0;
  uint64_t differences = 0;
  FaultCounts faults;
  uint64_t connections_cut = 0;

  [[nodiscard]] std::string ToString() const;
};

// A round: tables with rows and writers on the source, a move of them to the target, faults from
// its first moment on, an end of faults and writers, and a comparison once the stream's position
// holds all that the source has executed. Owned by one thread.
class Loop {
 public:
  explicit Loop(LoopOptions options) : options_(std::move(options)) {}

  // Prints a line for each round. Fails when a stream does not recover, when it stands in error, or
  // when a process ends by itself; differences are counted in the result, and end the loop.
  absl::StatusOr<LoopResult> Run();

 private:
  absl::Status Round(uint64_t round);
  absl::Status FillTables(uint64_t round);
  absl::Status DoFaults(uint64_t round);
  absl::Status TendUntil(absl::Time moment);
  absl::Status AwaitAllApplied();
  absl::Status Compare();
  absl::Status Operate(const std::vector<std::string>& arguments);
  absl::StatusOr<std::string> Ask(uint32_t uid, const std::string& sql);
  bool Copying();

  const LoopOptions options_;
  std::unique_ptr<World> world_;
  LoopResult result_;
};

}  // namespace sluice::crashloop
