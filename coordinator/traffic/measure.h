// Measures of a dry run: what each step of a switch is expected to take, and what stands in its
// way, found out without closing anything.

#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "coordinator/store/records.h"
#include "coordinator/traffic/dependencies.h"
#include "coordinator/traffic/plans.h"

namespace sluice::traffic {

// One step of one shard or proxy.
struct Measure {
  std::string step = {};   // an effect's name, or "round_trip"
  std::string place = {};  // "commerce/0", "proxy p1"; empty: of all
  int64_t expected_us = 0;
  std::string basis = {};   // "recorded": of earlier cutovers; "measured": just now
  std::string detail = {};  // what was met; a problem's words
  bool problem = false;
  friend bool operator==(const Measure&, const Measure&) = default;
};

// What was just measured; microseconds.
struct Probes {
  int64_t store_write_us = 0;
  std::map<std::string, int64_t> agents;   // "keyspace/shard" -> a question and its answer
  std::map<std::string, int64_t> proxies;  // id -> until it obeyed an epoch
  std::vector<Measure> tried;              // steps that were tried as they are
};

// (step, place) -> its lengths in the last committed cutovers of the same direction and kind.
using History = std::map<std::pair<std::string, std::string>, std::vector<int64_t>>;
// `attempts` with their steps; those that were rolled back are passed over.
History HistoryOf(const std::vector<store::CutoverAttempt>& attempts, bool reversal);

// The plan's steps in the order of a cutover. A step's length is the median of those recorded, else
// what was tried, else the round trips that it needs. Pure.
std::vector<Measure> Expect(const cutover::Plan& plan, const Probes& probes,
                            const History& history);

// For how long clients are expected to wait, from the hold to the new rules: the slowest shard or
// proxy of each step in between. Zero for reads. Pure.
int64_t ExpectedFenceUs(const std::vector<Measure>& measures);

// Asks each agent and each proxy, looks who sits on the tables, and makes the reverse streams of a
// plan for writes and deletes them again. What fails is a measure with a problem. An error means
// that the store can't be used.
absl::StatusOr<Probes> Probe(const Dependencies& parts, const cutover::Plan& plan,
                             absl::Time deadline);

// The last few committed cutovers of a workflow, with their steps.
absl::StatusOr<std::vector<store::CutoverAttempt>> LastCutovers(store::Store& store,
                                                                const std::string& workflow);

}  // namespace sluice::traffic
