// Operator: what a person does with the operator's program, and what he can see.

#pragma once

#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "integration/cluster/cluster.h"
#include "integration/killloop/boundaries.h"

namespace sluice::killloop {

// A workflow that moves customer and corder.
struct Move {
  std::string name;  // customer.move1
  std::string source;
  std::string target;
  uint32_t source_uid = 0;
  uint32_t target_uid = 0;
  Gate gate = Gate::kTables;  // of all its switches

  [[nodiscard]] std::string ReverseName() const;  // commerce.move1_reverse
};

struct Standing {
  std::string phase;  // empty: there is no such workflow
  std::string traffic_state;
  bool running = false;  // all its streams
};

// Thread-safe, as the cluster's Sluice() is.
class Operator {
 public:
  explicit Operator(const cluster::Cluster& cluster) : cluster_(cluster) {}

  // Once; nobody minds how it ends.
  void Try(const std::vector<std::string>& arguments) const;
  // Again and again until it succeeds. DEADLINE_EXCEEDED with its last words.
  absl::Status Insist(const std::vector<std::string>& arguments, absl::Duration timeout) const;

  // UNAVAILABLE when the coordinator does not answer.
  absl::StatusOr<Standing> Look(const std::string& workflow) const;
  absl::Status AwaitRunning(const std::string& workflow, absl::Duration timeout) const;

  // How the newest cutover ended: "committed", "rolled back: …", empty without any.
  // DEADLINE_EXCEEDED says what it waits for.
  absl::StatusOr<std::string> AwaitCutoverOver(const std::string& workflow,
                                               absl::Duration timeout) const;

 private:
  const cluster::Cluster& cluster_;
};

}  // namespace sluice::killloop
