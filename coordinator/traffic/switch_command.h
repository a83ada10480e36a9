// SwitchCommand: one switchtraffic or reversetraffic, from its checks to its answer.

#pragma once

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "coordinator/cutover/runner.h"
#include "coordinator/traffic/checks.h"
#include "coordinator/traffic/dependencies.h"
#include "coordinator/traffic/measure.h"
#include "coordinator/traffic/plans.h"
#include "coordinator/traffic/replies.h"

namespace sluice::traffic {

// Used once, by one thread.
class SwitchCommand {
 public:
  // `reverse`: the command was reversetraffic.
  SwitchCommand(const Dependencies& parts, cutover::Runner& runner, admin::SwitchArgs args,
                bool reverse)
      : parts_(parts), runner_(runner), args_(std::move(args)), reverse_(reverse) {}

  absl::StatusOr<std::string> Run(absl::Time deadline);

 private:
  absl::Status Load();
  absl::Status Check();
  absl::Status CheckGates();
  absl::StatusOr<std::string> DryRun(absl::Time deadline);
  absl::StatusOr<std::vector<Measure>> MeasureSteps(bool writes, absl::Time deadline);
  absl::Status Move(bool writes, absl::Time deadline);
  // One cutover, to its end, or to where it waits for a person.
  absl::StatusOr<cutover::State> Attempt(bool writes, absl::Duration timeout, absl::Time deadline);
  absl::StatusOr<cutover::Plan> MakePlan(bool writes, absl::Duration timeout);
  absl::Status DeleteStrays(const cutover::Plan& plan);
  absl::Status Reload();
  std::string Reply(std::vector<std::string> lines);
  [[nodiscard]] std::string CommandName() const {
    return reverse_ ? "ReverseTraffic" : "SwitchTraffic";
  }

  const Dependencies& parts_;
  cutover::Runner& runner_;
  const admin::SwitchArgs args_;
  const bool reverse_;

  Exclusion exclusion_;
  cutover::Records records_;
  Direction direction_;
  TrafficTypes types_;
  std::string start_state_;
  std::vector<cutover::GatePlan> gates_;  // of direction_.from, where writes move
  bool held_ = false;                     // the cutover waits for a release
  std::vector<std::string> cutover_ids_;
  std::vector<Measure> measures_;  // of a dry run
  std::string warning_;            // what it is forced in spite of
  std::string late_;               // LateProxies of the last cutover
};

// Moves reads back to the source of a workflow, as reversetraffic of REPLICA and RDONLY does. OK
// when they are there already.
absl::Status MoveReadsBack(const Dependencies& parts, cutover::Runner& runner,
                           const cutover::Records& records, const Exclusion& exclusion,
                           absl::Time deadline);

// Facts of the primaries of some shards, for dry runs; positions only where asked for.
absl::StatusOr<std::vector<ShardFacts>> FactsOf(const Dependencies& parts,
                                                const std::vector<cutover::Side>& sides,
                                                bool positions);

}  // namespace sluice::traffic
