// Making of observations.

#include "tests/coordinator/traffic/observations.h"

#include "absl/strings/str_cat.h"
#include "coordinator/cutover/agent_effects.h"
#include "coordinator/traffic/plans.h"
#include "coordinator/workflow/move_rules.h"

namespace sluice::traffic::testing {
namespace {

using workflow::WorkflowPhase;

workflow::WorkflowRecord Original() {
  workflow::WorkflowRecord original;
  original.keyspace = "customer";
  original.name = "move";
  original.source_keyspace = "commerce";
  original.target_keyspace = "customer";
  original.tables = {"corder", "customer"};
  original.source_shards = {"-80", "80-"};
  original.target_shards = {"-80", "80-"};
  original.options.source_types = {routing::TabletType::kPrimary};
  original.phase = WorkflowPhase::kActive;
  for (const auto& [id, shard] : {std::pair<uint64_t, std::string>{11, "-80"}, {12, "80-"}}) {
    original.streams.push_back({.id = id,
                                .source_shard = shard,
                                .target_shard = shard,
                                .source_database = "vt_commerce",
                                .target_database = "vt_customer"});
  }
  return original;
}

topology::StreamInfo Running(uint64_t id, const std::string& database) {
  topology::StreamInfo info;
  info.id = id;
  info.state = topology::StreamState::kRunning;
  info.position = "uuid:1-30";
  info.target_database = database;
  return info;
}

std::vector<SideReading> Readings(const std::vector<cutover::Side>& sides,
                                  workflow::GateState gate) {
  std::vector<SideReading> readings;
  for (const cutover::Side& side : sides) {
    SideReading reading;
    reading.side = side;
    reading.tablet = absl::StrCat("zone1-", side.keyspace == "commerce" ? 1 : 2, side.shard);
    reading.gate.state = gate;
    reading.recorded_gate = workflow::GateStateName(gate);
    readings.push_back(std::move(reading));
  }
  return readings;
}

// What a switch of all traffic leaves behind.
void Switch(Observation& seen) {
  PlanNumbers numbers = {.id = "c1", .epoch = 7, .reverse_ids = {21, 22}, .gates = {}};
  seen.records.original.replica_switched = seen.records.original.rdonly_switched = true;
  cutover::State state;
  state.plan = WritesPlan(seen.records, false, numbers).value();
  state.positions = {"uuid:1-10", "uuid:1-20"};
  seen.records = cutover::ApplyCommit(state.plan, seen.records, 1).value();
  seen.attempts = {{"c1", "customer.move", "forward", "committed", 1, 2, {}}};
  for (std::vector<SideReading>* side : {&seen.source, &seen.target}) {
    for (SideReading& reading : *side) {
      reading.journal = {
          {.cutover_id = "c1", .record = cutover::JournalRecord(state), .written_us = 2}};
    }
  }
  for (SideReading& reading : seen.target) {
    reading.streams[0].frozen = true;
    reading.streams[0].state = topology::StreamState::kStopped;
  }
  seen.source[0].streams = {Running(21, "vt_commerce")};
  seen.source[1].streams = {Running(22, "vt_commerce")};
}

}  // namespace

Observation InOrder(bool switched) {
  Observation seen;
  seen.records.original = Original();
  const Direction direction = DirectionOf(seen.records, false);
  using workflow::GateState;
  seen.source = Readings(direction.from, switched ? GateState::kClosed : GateState::kOpen);
  seen.target = Readings(direction.to, switched ? GateState::kOpen : GateState::kClosed);
  seen.target[0].streams = {Running(11, "vt_customer")};
  seen.target[1].streams = {Running(12, "vt_customer")};
  if (switched) {
    Switch(seen);
  }
  workflow::RouteMove(seen.records.original, seen.rules);
  seen.epoch = 9;
  seen.now = absl::UnixEpoch() + absl::Hours(1);
  rules::ProxyState proxy;
  proxy.id = "p1";
  proxy.epoch = 9;
  proxy.connected = true;
  proxy.last_heard = seen.now;
  seen.proxies = {proxy};
  return seen;
}

}  // namespace sluice::traffic::testing
