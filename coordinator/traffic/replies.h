// The JSON documents that traffic commands answer, and the lines of their dry runs.

#pragma once

#include <optional>
#include <string>
#include <vector>

#include "absl/time/time.h"
#include "coordinator/cutover/machine.h"
#include "coordinator/store/records.h"
#include "coordinator/traffic/measure.h"
#include "coordinator/traffic/plans.h"

namespace sluice::traffic {

// What a command did to one tablet.
struct TabletDetail {
  std::string tablet;
  bool deleted = false;
};

struct CommandReply {
  std::string summary;
  std::string warning;
  std::string start_state;
  std::string current_state;
  bool dry_run = false;
  std::vector<std::string> dry_run_results;
  std::vector<Measure> measures;                // of a dry run
  std::vector<store::CutoverAttempt> cutovers;  // in the order in which they ran
  std::vector<TabletDetail> details;
};

// {"summary","start_state","current_state","dry_run_results":[],"cutover":{"id","steps":[…]},
// "cutovers":[…],"details":[…],"warning","measures":[{"step","place","expected_us",
// "basis","detail","problem"}],"expected_pause_us"}; those behind the results only where there is
// something in them.
std::string ToJson(const CommandReply& reply);

// "SwitchTraffic dry run results for workflow customer.move at 02 Jan 06 15:04 UTC".
std::string DryRunSummary(absl::string_view command, absl::string_view workflow, absl::Time now);

// What a dry run knows of one shard.
struct ShardFacts {
  cutover::Side side;
  std::string tablet;                     // alias of the primary
  std::string position;                   // empty where nobody asked
  std::optional<cutover::GatePlan> gate;  // how it would close
};

struct SwitchPreview {
  const cutover::Records& records;
  const Direction& direction;
  TrafficTypes types;
  std::vector<std::string> cells;  // whose reads move; empty: all
  std::vector<ShardFacts> from;
  std::vector<ShardFacts> to;
  absl::Duration timeout;
  bool start_reverse = true;
};
std::vector<std::string> SwitchLines(const SwitchPreview& preview);

struct FinishPreview {
  const cutover::Records& records;
  std::vector<ShardFacts> dropping;  // whose tables go
  std::vector<ShardFacts> forward;   // that run the streams of the workflow
  std::vector<ShardFacts> backward;  // that run those of its reverse
  TrafficTypes reads_back;           // reads that are routed back first
  bool keep_data = false;
  bool keep_routing_rules = false;
  bool rename_tables = false;
  bool rules_are_shared = false;  // of a partial workflow: other shards need them
};
std::vector<std::string> FinishLines(const FinishPreview& preview);

// A warning of proxies that a cutover did not wait for any longer; empty when there are none.
std::string LateProxies(const cutover::State& state);

}  // namespace sluice::traffic
