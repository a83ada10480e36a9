// Which traffic a command moves, and the plans of its cutovers. Pure.

#pragma once

#include <cstdint>
#include <set>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "common/routing/target.h"
#include "coordinator/cutover/plan.h"
#include "coordinator/cutover/records.h"

namespace sluice::traffic {

// One flag per kind of traffic.
struct TrafficTypes {
  bool replica = false;
  bool rdonly = false;
  bool writes = false;
  [[nodiscard]] bool reads() const { return replica || rdonly; }
  [[nodiscard]] bool any() const { return replica || rdonly || writes; }
  friend bool operator==(const TrafficTypes&, const TrafficTypes&) = default;
};

// What the side that a direction leads to has already: of reads, all those of these cells (none
// named: of any).
TrafficTypes MovedTo(const cutover::Records& records, bool reversal,
                     const std::vector<std::string>& cells = {});
// What the side that a direction leads to has at least some of.
TrafficTypes SomeMovedTo(const cutover::Records& records, bool reversal);

// What there is left to move of the types asked for (none named: all). Types that are there already
// are left out. With no RDONLY tablet on either side rdonly follows replica. FAILED_PRECONDITION
// when a type is to be reversed by name that was never switched, or when fewer than all are named
// for a partial workflow; INVALID_ARGUMENT for an unknown type. `cells`: whose reads are meant, if
// not all.
absl::StatusOr<TrafficTypes> ChooseTypes(const std::vector<routing::TabletType>& asked,
                                         const cutover::Records& records, bool reversal,
                                         bool has_rdonly,
                                         const std::vector<std::string>& cells = {});

// Whether reads of these cells alone can move. INVALID_ARGUMENT when only writes were asked for,
// which have no cells; FAILED_PRECONDITION for a partial workflow; NOT_FOUND names a cell that is
// not among `known` nor an exception of the record, and those that are.
absl::Status CheckCells(const std::vector<std::string>& cells,
                        const std::vector<routing::TabletType>& asked,
                        const cutover::Records& records, const std::set<std::string>& known);

// "REPLICA,RDONLY".
std::string TypesText(const TrafficTypes& types);

// The two sides of a direction.
struct Direction {
  bool reversal = false;
  std::string from_keyspace;
  std::string to_keyspace;
  std::vector<cutover::Side> from;
  std::vector<cutover::Side> to;
};
Direction DirectionOf(const cutover::Records& records, bool reversal);

// The record whose streams feed the side that the direction leads to; nullptr when there is none.
const workflow::WorkflowRecord* FeedingRecord(const cutover::Records& records, bool reversal);

// What a plan needs beside the records.
struct PlanNumbers {
  std::string id;
  uint64_t epoch = 0;                 // and the one after it
  std::vector<uint64_t> reverse_ids;  // one per stream; only for writes
  uint32_t timeout_ms = 30'000;
  bool start_reverse = true;
  uint32_t max_lag_ms = 30'000;
  bool await_release = false;
  bool raise_counters = false;
  uint32_t kill_blockers_after_ms = 0;
  uint64_t kill_rows_max = 10'000;
  std::vector<cutover::GatePlan> gates;
  uint32_t parallelism = 0;             // 0: the plan's default
  std::vector<std::string> cells = {};  // whose reads move, if not all; only for reads
};

// `types` has reads only. REQUIRES: types.reads().
cutover::Plan ReadsPlan(const cutover::Records& records, bool reversal, const TrafficTypes& types,
                        const PlanNumbers& numbers);
// FAILED_PRECONDITION when there is no record to move writes by (a reversal before any switch).
absl::StatusOr<cutover::Plan> WritesPlan(const cutover::Records& records, bool reversal,
                                         const PlanNumbers& numbers);

}  // namespace sluice::traffic
