// Preconditions of traffic commands.

#include "coordinator/traffic/checks.h"

#include <algorithm>
#include <set>
#include <string>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/time/clock.h"
#include "common/base/parallel.h"
#include "common/base/status.h"
#include "common/base/status_macros.h"

namespace sluice::traffic {
namespace {

using routing::TabletType;
using topology::StreamInfo;
using topology::StreamState;
using topology::TabletInfo;
using workflow::GateState;
using workflow::WorkflowPhase;
using workflow::WorkflowRecord;

// A stream that has just started to run has not measured its lag yet.
constexpr absl::Duration kLagKnownWithin = absl::Seconds(3);
// The names of thousands of tables are looked up, and a change under way is waited for.
constexpr absl::Duration kGateTimeout = absl::Seconds(30);
constexpr size_t kAskedAtOnce = 16;

absl::Status Not(absl::string_view reason) {
  return absl::FailedPreconditionError(reason);
}

absl::Status CheckPrimaries(const topology::Topology& topology,
                            const std::vector<cutover::Side>& sides) {
  for (const cutover::Side& side : sides) {
    const auto primary = topology.PrimaryOf(side.keyspace, side.shard);
    if (!primary.ok()) {
      return Not(primary.status().message());
    }
  }
  return absl::OkStatus();
}

// Reads need somebody to answer them on the side that they go to.
absl::Status CheckReaders(const topology::Topology& topology, const Direction& direction,
                          TabletType type) {
  const auto serving = [&](const std::vector<cutover::Side>& sides, std::string* away) {
    int count = 0;
    for (const cutover::Side& side : sides) {
      for (const TabletInfo& tablet : topology.TabletsOf(side.keyspace, side.shard)) {
        if (tablet.configured_type != type || tablet.type == TabletType::kPrimary) {
          continue;
        }
        if (tablet.serving) {
          ++count;
        } else if (away != nullptr) {
          *away = absl::StrCat(tablet.alias, " (", tablet.problem, ")");
        }
      }
    }
    return count;
  };
  std::string away;
  const int there = serving(direction.to, &away);
  if (!away.empty()) {
    return Not(absl::StrCat("tablet ", away, " does not serve"));
  }
  if (there == 0 && serving(direction.from, nullptr) > 0) {
    return Not(absl::StrCat("keyspace ", direction.to_keyspace, " has no ",
                            routing::TabletTypeName(type), " tablet that serves"));
  }
  return absl::OkStatus();
}

absl::Status CheckLag(const Dependencies& parts, const StreamInfo& stream, absl::Duration max_lag) {
  int64_t lag_ms = stream.lag_ms;
  if (lag_ms < 0) {
    const auto known = parts.topology.AwaitStream(
        stream.id, [](const StreamInfo& info) { return info.lag_ms >= 0; },
        absl::Now() + kLagKnownWithin);
    if (!known.ok()) {
      return Not(absl::StrCat("replication lag of stream ", stream.id, " is not known"));
    }
    lag_ms = known->lag_ms;
  }
  if (absl::Milliseconds(lag_ms) > max_lag) {
    return Not(absl::StrCat("replication lag ", absl::FormatDuration(absl::Milliseconds(lag_ms)),
                            " is higher than allowed lag ", absl::FormatDuration(max_lag)));
  }
  return absl::OkStatus();
}

absl::Status CheckStream(const Dependencies& parts, const StreamInfo& stream,
                         const SwitchCheck& check) {
  const std::string name = absl::StrCat("stream ", stream.id);
  if (stream.frozen) {
    return Not("workflow is frozen");
  }
  switch (stream.state) {
    case StreamState::kInit:
    case StreamState::kCopying:
      return Not(absl::StrCat("copy is still in progress", stream.message.empty() ? "" : " (",
                              stream.message, stream.message.empty() ? "" : ")"));
    case StreamState::kError:
      return Not(absl::StrCat("workflow has errors: ", name, ": ", stream.message));
    case StreamState::kStopped:
      return Not(absl::StrCat(name, " is stopped", stream.message.empty() ? "" : " (",
                              stream.message, stream.message.empty() ? "" : ")",
                              "; start it with \"sluice workflow start ", stream.workflow, "\""));
    case StreamState::kRunning:
      break;
  }
  return check.force ? absl::OkStatus() : CheckLag(parts, stream, check.max_lag);
}

absl::Status CheckStreams(const Dependencies& parts, const WorkflowRecord& feeding,
                          const SwitchCheck& check) {
  const std::string key = workflow::WorkflowKey(feeding);
  for (const std::string& shard : feeding.target_shards) {
    const auto agent = workflow::AgentRef::Primary(feeding.target_keyspace, shard);
    const auto streams = parts.agents.ListStreams(agent, key, {});
    if (!streams.ok()) {
      return Not(streams.status().message());
    }
    for (const workflow::StreamRecord& record : feeding.streams) {
      if (record.target_shard != shard) {
        continue;
      }
      const auto found = std::find_if(streams->begin(), streams->end(),
                                      [&](const auto& stream) { return stream.id == record.id; });
      if (found == streams->end()) {
        return Not(absl::StrCat("stream ", record.id, " is missing on ", agent.ToString()));
      }
      SLUICE_RETURN_IF_ERROR(CheckStream(parts, *found, check));
    }
  }
  return absl::OkStatus();
}

// A table that is not of the workflow would be out of reach once its shard is routed to the other
// side.
absl::Status CheckOwnTables(const topology::Topology& topology, const WorkflowRecord& original,
                            const std::vector<cutover::Side>& sides) {
  const auto reported = topology.TablesByTablet();
  for (const cutover::Side& side : sides) {
    SLUICE_ASSIGN_OR_RETURN(const TabletInfo primary,
                            topology.PrimaryOf(side.keyspace, side.shard));
    const auto names = reported.find(primary.alias);
    if (names == reported.end()) {
      continue;
    }
    for (const std::string& table : *names->second) {
      if (std::find(original.tables.begin(), original.tables.end(), table) ==
          original.tables.end()) {
        return Not(absl::StrCat("table ", table, " of ", side.keyspace, "/", side.shard,
                                " is not in the workflow, and a shard is routed as a whole; drop "
                                "or rename it, or create the workflow anew with it"));
      }
    }
  }
  return absl::OkStatus();
}

absl::Status CheckProxies(const rules::RuleService& rules) {
  for (const rules::ProxyState& proxy : rules.Proxies()) {
    if (proxy.connected && proxy.refused_epoch > proxy.epoch) {
      return Not(absl::StrCat("proxy ", proxy.id, " refuses the rules of epoch ",
                              proxy.refused_epoch, ": ", proxy.refused_reason));
    }
  }
  return absl::OkStatus();
}

// A mysqld that gates of other moves keep read-only would not be opened by this one.
absl::Status CheckKept(const Dependencies& parts, const SwitchCheck& check) {
  std::set<std::string> agents;
  for (const cutover::Side& side : check.direction.to) {
    SLUICE_ASSIGN_OR_RETURN(const TabletInfo primary,
                            parts.topology.PrimaryOf(side.keyspace, side.shard));
    if (!agents.insert(primary.agent_url).second) {
      continue;
    }
    const auto reading =
        parts.agents.ReadGate(workflow::AgentRef::Primary(side.keyspace, side.shard),
                              {.workflow = workflow::WorkflowKey(check.records.original),
                               .database = side.database,
                               .tables = check.records.original.tables},
                              {.timeout = kGateTimeout, .idempotency_id = {}});
    if (!reading.ok()) {
      return Not(reading.status().message());
    }
    for (const std::string& database : reading->kept_by) {
      const bool own =
          std::any_of(check.direction.to.begin(), check.direction.to.end(),
                      [&](const cutover::Side& each) { return each.database == database; });
      if (!own) {
        return Not(absl::StrCat("the mysqld of ", side.keyspace, "/", side.shard,
                                " is kept read-only by the gate of ", database,
                                ", which is not of this workflow; complete that move or take it "
                                "back first"));
      }
    }
  }
  return absl::OkStatus();
}

absl::Status CheckGates(const Dependencies& parts, const SwitchCheck& check) {
  const bool serves_there = MovedTo(check.records, check.direction.reversal).writes;
  const std::vector<GateState> writable = {GateState::kOpen};
  const std::vector<GateState> fenced = {GateState::kClosed, GateState::kReadable};
  const WorkflowRecord& original = check.records.original;
  SLUICE_RETURN_IF_ERROR(RequireGates(parts, original, check.direction.from,
                                      serves_there ? fenced : writable, "the side that serves"));
  SLUICE_RETURN_IF_ERROR(RequireGates(parts, original, check.direction.to,
                                      serves_there ? writable : fenced,
                                      "the side that takes over"));
  return serves_there ? absl::OkStatus() : CheckKept(parts, check);
}

absl::Status CheckAll(const Dependencies& parts, const SwitchCheck& check) {
  const Direction& direction = check.direction;
  SLUICE_RETURN_IF_ERROR(CheckPrimaries(parts.topology, direction.from));
  SLUICE_RETURN_IF_ERROR(CheckPrimaries(parts.topology, direction.to));
  if (check.types.replica && !check.force) {
    SLUICE_RETURN_IF_ERROR(CheckReaders(parts.topology, direction, TabletType::kReplica));
  }
  if (check.types.rdonly && !check.force) {
    SLUICE_RETURN_IF_ERROR(CheckReaders(parts.topology, direction, TabletType::kRdonly));
  }
  if (!check.force) {
    SLUICE_RETURN_IF_ERROR(CheckProxies(parts.rules));
  }
  if (workflow::IsPartial(check.records.original)) {
    SLUICE_RETURN_IF_ERROR(CheckOwnTables(parts.topology, check.records.original, direction.from));
  }
  // A side that takes the writes already needs nobody to feed it.
  if (!MovedTo(check.records, direction.reversal).writes) {
    const WorkflowRecord* feeding = FeedingRecord(check.records, direction.reversal);
    if (feeding == nullptr) {
      return Not("there is no reverse workflow to switch by");
    }
    SLUICE_RETURN_IF_ERROR(CheckStreams(parts, *feeding, check));
  }
  return CheckGates(parts, check);
}

}  // namespace

absl::Status CheckPhase(const WorkflowRecord& record) {
  const std::string key = workflow::WorkflowKey(record);
  switch (record.phase) {
    case WorkflowPhase::kCreating:
      return WithSubject(Not(absl::StrCat("workflow ", key, " is still being created",
                                          record.undoing ? " (undoing)" : "",
                                          record.message.empty() ? "" : ": ", record.message)),
                         key);
    case WorkflowPhase::kCompleting:
    case WorkflowPhase::kCancelling:
      return WithSubject(
          Not(absl::StrCat("workflow ", key, " is ", workflow::WorkflowPhaseName(record.phase),
                           " already", record.message.empty() ? "" : ": ", record.message)),
          key);
    case WorkflowPhase::kActive:
    case WorkflowPhase::kFrozen:
      return absl::OkStatus();
  }
  return absl::OkStatus();
}

absl::Status CheckSwitch(const Dependencies& parts, const SwitchCheck& check) {
  absl::Status status = CheckAll(parts, check);
  return status.ok() ? status : CannotSwitch(check.records.original, status);
}

absl::Status CannotSwitch(const WorkflowRecord& original, const absl::Status& status) {
  const std::string key = workflow::WorkflowKey(original);
  return WithSubject(
      absl::Status(status.code(), absl::StrCat("cannot switch traffic for workflow ", key,
                                               " at this time: ", status.message())),
      key);
}

bool HasRdonly(const topology::Topology& topology, const Direction& direction) {
  for (const auto* sides : {&direction.from, &direction.to}) {
    for (const cutover::Side& side : *sides) {
      for (const TabletInfo& tablet : topology.TabletsOf(side.keyspace, side.shard)) {
        if (tablet.configured_type == TabletType::kRdonly) {
          return true;
        }
      }
    }
  }
  return false;
}

absl::StatusOr<GateState> GateOf(const Dependencies& parts, const WorkflowRecord& original,
                                 const cutover::Side& side) {
  SLUICE_ASSIGN_OR_RETURN(
      const workflow::GateReading reading,
      parts.agents.ReadGate(workflow::AgentRef::Primary(side.keyspace, side.shard),
                            {.workflow = workflow::WorkflowKey(original),
                             .database = side.database,
                             .tables = original.tables},
                            {.timeout = kGateTimeout, .idempotency_id = {}}));
  return reading.state;
}

absl::Status RequireGates(const Dependencies& parts, const WorkflowRecord& original,
                          const std::vector<cutover::Side>& sides,
                          const std::vector<GateState>& allowed, absl::string_view what) {
  for (const cutover::Side& side : sides) {
    const auto state = GateOf(parts, original, side);
    if (!state.ok()) {
      return Not(state.status().message());
    }
    if (std::find(allowed.begin(), allowed.end(), *state) == allowed.end()) {
      const std::string wanted =
          absl::StrJoin(allowed, " or ", [](std::string* out, GateState each) {
            absl::StrAppend(out, workflow::GateStateName(each));
          });
      return Not(absl::StrCat("the gate of ", side.keyspace, "/", side.shard, " (", what, ") is ",
                              workflow::GateStateName(*state), ", not ", wanted));
    }
  }
  return absl::OkStatus();
}

absl::Status RequireEnds(const Dependencies& parts, const WorkflowRecord& original,
                         const std::vector<cutover::Side>& sides, workflow::DropMode mode) {
  return ForEachAtOnce(sides.size(), kAskedAtOnce, [&](size_t i) -> absl::Status {
    const cutover::Side& side = sides[i];
    const auto reading =
        parts.agents.ReadGate(workflow::AgentRef::Primary(side.keyspace, side.shard),
                              {.workflow = workflow::WorkflowKey(original),
                               .database = side.database,
                               .tables = original.tables,
                               .ask_end = mode},
                              {.timeout = kGateTimeout, .idempotency_id = {}});
    if (!reading.ok()) {
      return Not(reading.status().message());
    }
    return reading->end_obstacles.empty()
               ? absl::OkStatus()
               : Not(absl::StrCat("on ", side.keyspace, "/", side.shard, ": ",
                                  absl::StrJoin(reading->end_obstacles, "; ")));
  });
}

absl::Status RequireClosed(const Dependencies& parts, const WorkflowRecord& original,
                           const std::vector<cutover::Side>& sides, absl::string_view what) {
  for (const cutover::Side& side : sides) {
    const auto journal =
        parts.agents.ReadJournal(workflow::AgentRef::Primary(side.keyspace, side.shard),
                                 {.workflow = workflow::WorkflowKey(original),
                                  .database = side.database,
                                  .tables = original.tables},
                                 {.timeout = kGateTimeout, .idempotency_id = {}});
    if (!journal.ok()) {
      return Not(journal.status().message());
    }
    std::vector<GateState> allowed = {GateState::kClosed};
    if (journal->gate_wanted == workflow::GateStateName(GateState::kClosed)) {
      allowed.push_back(GateState::kReadable);
    }
    SLUICE_RETURN_IF_ERROR(RequireGates(parts, original, {side}, allowed, what));
  }
  return absl::OkStatus();
}

absl::Status CheckOpening(const Dependencies& parts, const std::string& workflow_key,
                          const std::vector<cutover::Side>& sides) {
  return ForEachAtOnce(sides.size(), kAskedAtOnce, [&](size_t i) -> absl::Status {
    const cutover::Side& side = sides[i];
    const auto agent = workflow::AgentRef::Primary(side.keyspace, side.shard);
    const workflow::GateProbe probe = {.workflow = workflow_key,
                                       .database = side.database,
                                       .tables = {},
                                       .age_ms = cutover::Plan().blocker_age_ms,
                                       .kill_after_ms = 0,
                                       .kill_rows_max = 0};
    auto probed = parts.agents.ProbeGate(agent, probe, {});
    if (absl::IsDeadlineExceeded(probed.status()) || absl::IsUnavailable(probed.status())) {
      probed = parts.agents.ProbeGate(agent, probe, {});  // an answer may be lost
    }
    const std::string bars = !probed.ok()               ? std::string(probed.status().message())
                             : probed->blockers.empty() ? ""
                                                        : "in the way is " + probed->blockers;
    return bars.empty() ? absl::OkStatus()
                        : absl::FailedPreconditionError(absl::StrCat(
                              side.keyspace, "/", side.shard,
                              " (the side that takes over) could not be opened: ", bars));
  });
}

}  // namespace sluice::traffic
