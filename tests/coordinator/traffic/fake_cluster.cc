// How the scripted agents answer.

#include "tests/coordinator/traffic/fake_cluster.h"

#include <sys/mman.h>

#include <new>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "common/base/check.h"
#include "tests/coordinator/traffic/fake_parts.h"

namespace sluice::traffic::testing {
namespace {

using topology::StreamState;
using workflow::AgentRef;
using workflow::CallBudget;
using workflow::DropMode;
using workflow::GateState;

std::string NameOf(const AgentRef& agent) {
  if (agent.alias.empty()) {
    return agent.keyspace;
  }
  // zone1-1xx are the tablets of commerce.
  return absl::StartsWith(agent.alias, "zone1-1") ? "commerce" : "customer";
}

}  // namespace

FakeCluster::FakeCluster() {
  void* memory =
      mmap(nullptr, sizeof(FakeWorld), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  SLUICE_CHECK(memory != MAP_FAILED);
  world_ = new (memory) FakeWorld;
  Reset();
}

FakeCluster::~FakeCluster() {
  munmap(world_, sizeof(FakeWorld));
}

void FakeCluster::Reset() {
  *world_ = FakeWorld();
  world_->target.gate = Number(GateState::kClosed);
  world_->target.writes = 0;
  FakeStream& stream = world_->target.streams[0];
  stream.id = 1;
  Copy(stream.workflow, "customer.move");
  stream.state = Number(StreamState::kRunning);
  world_->target.stream_count = 1;
}

const FakeStream* FakeCluster::FindStream(const FakeServer& server, uint64_t id) const {
  return Find(const_cast<FakeServer&>(server), id);  // NOLINT
}

int FakeCluster::StreamCount(const FakeServer& server) {
  return server.stream_count;
}

void FakeCluster::SetBefore(Hook hook) {
  const absl::MutexLock lock(&mutex_);
  before_ = std::move(hook);
}

void FakeCluster::SetAfter(Hook hook) {
  const absl::MutexLock lock(&mutex_);
  after_ = std::move(hook);
}

std::vector<std::string> FakeCluster::requests() const {
  const absl::MutexLock lock(&mutex_);
  return requests_;
}

void FakeCluster::ForgetRequests() {
  const absl::MutexLock lock(&mutex_);
  requests_.clear();
}

void FakeCluster::Violation(const std::string& what) {
  if (world_->violation[0] == '\0') {
    Copy(world_->violation, what);
  }
}

void FakeCluster::Judge() {
  const bool source_open = world_->source.gate == Number(GateState::kOpen);
  const bool target_open = world_->target.gate == Number(GateState::kOpen);
  if (source_open && target_open) {
    Violation("both gates are open");
  }
  for (FakeServer* server : {&world_->source, &world_->target}) {
    FakeServer& other = server == &world_->source ? world_->target : world_->source;
    for (int i = 0; i < server->stream_count; ++i) {
      const FakeStream& stream = server->streams[i];
      if (stream.state != Number(StreamState::kRunning)) {
        continue;
      }
      if (server->gate == Number(GateState::kOpen)) {
        Violation(absl::StrCat("stream ", stream.id, " runs into an open side"));
      }
      if (stream.from > server->has_other) {
        Violation(absl::StrCat("stream ", stream.id, " leaves out writes"));
      }
    }
    if (server->gate == Number(GateState::kOpen) && !server->dropped &&
        server->has_other != other.writes) {
      Violation("a side is open without all writes of the other one");
    }
  }
}

absl::Status FakeCluster::Request(
    const std::string& name, const AgentRef& agent,
    const std::function<absl::Status(FakeServer&, FakeServer&)>& work) {
  const std::string where = NameOf(agent);
  Hook before;
  Hook after;
  {
    const absl::MutexLock lock(&mutex_);
    requests_.push_back(absl::StrCat(name, " ", where));
    before = before_;
    after = after_;
  }
  if (before) {
    if (absl::Status refused = before(name, where); !refused.ok()) {
      return refused;
    }
  }
  absl::Status status;
  {
    const absl::MutexLock lock(&mutex_);
    const bool source = where == "commerce";
    status =
        work(source ? world_->source : world_->target, source ? world_->target : world_->source);
    Judge();
  }
  if (after && status.ok()) {
    status = after(name, where);
  }
  return status;
}

absl::StatusOr<std::vector<workflow::TableDescription>> FakeCluster::DescribeTables(
    const AgentRef& agent, const std::string& /*database*/, const std::vector<std::string>& tables,
    const CallBudget& /*budget*/) {
  std::vector<workflow::TableDescription> described;
  const absl::Status status =
      Request("describe_tables", agent, [&](FakeServer& server, FakeServer&) {
        for (const std::string& table : tables) {
          workflow::TableDescription description;
          description.name = table;
          description.exists = server.gate == Number(GateState::kOpen) && !server.dropped;
          described.push_back(description);
        }
        return absl::OkStatus();
      });
  if (!status.ok()) {
    return status;
  }
  return described;
}

absl::Status FakeCluster::CheckTimeZone(const AgentRef& agent, const std::string& /*database*/,
                                        const std::vector<std::string>& /*tables*/,
                                        const std::string& /*zone*/, const CallBudget& /*budget*/) {
  return Request("check_time_zone", agent,
                 [](FakeServer&, FakeServer&) { return absl::OkStatus(); });
}

absl::Status FakeCluster::PrepareTarget(const AgentRef& /*agent*/, const std::string& /*workflow*/,
                                        const std::string& /*database*/,
                                        const std::vector<workflow::TableDescription>& /*tables*/,
                                        const CallBudget& /*budget*/) {
  return absl::UnimplementedError("nothing here prepares a target");
}

absl::StatusOr<workflow::GateResult> FakeCluster::SetGate(const AgentRef& agent,
                                                          const workflow::GateChange& change,
                                                          const CallBudget& /*budget*/) {
  const absl::Status status =
      Request(absl::StrCat("set_gate ", workflow::GateStateName(change.state)), agent,
              [&](FakeServer& server, FakeServer&) -> absl::Status {
                if (change.epoch < server.gate_epoch) {
                  return absl::FailedPreconditionError(absl::StrCat(
                      "gate epoch ", change.epoch, " is older than ", server.gate_epoch));
                }
                if (server.dropped) {
                  return absl::NotFoundError("the tables are gone");
                }
                server.gate_epoch = change.epoch;
                const bool was_open = server.gate == Number(GateState::kOpen);
                const bool opens = change.state == GateState::kOpen;
                server.gate = Number(change.state);
                if (was_open && !opens) {
                  server.closed_as_server = change.server;
                }
                if (was_open != opens) {
                  ++server.writes;
                }
                Copy(server.recorded_gate, workflow::GateStateName(change.state));
                Copy(server.wanted_gate, workflow::GateStateName(change.state));
                if (!change.cutover_id.empty()) {
                  ++server.journals;
                  Copy(server.journal_id, change.cutover_id);
                  Copy(server.journal, change.journal);
                }
                if (!change.marker_id.empty()) {
                  Copy(server.marker, change.marker_id);
                  server.marker_at = server.writes;
                }
                return absl::OkStatus();
              });
  if (!status.ok()) {
    return status;
  }
  return workflow::GateResult{.state = change.state, .position = "", .took_us = 1000};
}

absl::StatusOr<workflow::GateReading> FakeCluster::ReadGate(const AgentRef& agent,
                                                            const workflow::GateQuery& query,
                                                            const CallBudget& /*budget*/) {
  workflow::GateReading reading;
  const absl::Status status = Request("read_gate", agent, [&](FakeServer& server, FakeServer&) {
    reading.state = server.dropped ? GateState::kAbsent : static_cast<GateState>(server.gate);
    reading.epoch = server.gate_epoch;
    reading.server = server.closed_as_server && server.gate != Number(GateState::kOpen);
    if (server.kept_by[0] != '\0') {
      reading.kept_by = {server.kept_by};
    }
    if (query.ask_server && server.obstacle[0] != '\0') {
      reading.server_obstacles = {server.obstacle};
    }
    if (query.ask_end && query.ask_end != DropMode::kKeep && server.end_obstacle[0] != '\0') {
      reading.end_obstacles = {server.end_obstacle};
    }
    return absl::OkStatus();
  });
  if (!status.ok()) {
    return status;
  }
  return reading;
}

absl::StatusOr<workflow::ProbeResult> FakeCluster::ProbeGate(const AgentRef& agent,
                                                             const workflow::GateProbe& /*probe*/,
                                                             const CallBudget& /*budget*/) {
  workflow::ProbeResult result;
  const absl::Status status = Request("probe_gate", agent, [](FakeServer& server, FakeServer&) {
    return server.lacks[0] == '\0' ? absl::OkStatus() : absl::PermissionDeniedError(server.lacks);
  });
  if (!status.ok()) {
    return status;
  }
  return result;
}

absl::StatusOr<std::vector<uint64_t>> FakeCluster::RaiseCounters(
    const AgentRef& agent, const workflow::CounterQuery& query, const CallBudget& /*budget*/) {
  std::vector<uint64_t> counters(query.tables.size(), 0);
  const absl::Status status =
      Request("raise_counters", agent, [&](FakeServer& server, FakeServer&) {
        for (size_t i = 0; i < counters.size(); ++i) {
          server.counter = std::max(server.counter, query.at_least.empty() ? 0 : query.at_least[i]);
          counters[i] = server.counter;
        }
        return absl::OkStatus();
      });
  if (!status.ok()) {
    return status;
  }
  return counters;
}

absl::StatusOr<std::string> FakeCluster::ReadPosition(const AgentRef& agent,
                                                      const CallBudget& /*budget*/) {
  std::string position;
  const absl::Status status = Request("read_position", agent, [&](FakeServer& server, FakeServer&) {
    position = PositionOf(server.writes);
    return absl::OkStatus();
  });
  if (!status.ok()) {
    return status;
  }
  return position;
}

absl::Status FakeCluster::AwaitPosition(const AgentRef& agent, const std::string& /*gtid_set*/,
                                        const CallBudget& /*budget*/) {
  return Request(absl::StrCat("await_position ", agent.alias), agent,
                 [](FakeServer&, FakeServer&) { return absl::OkStatus(); });
}

absl::Status FakeCluster::WriteJournal(const AgentRef& agent, const workflow::JournalWrite& entry,
                                       const CallBudget& /*budget*/) {
  return Request("write_journal", agent, [&](FakeServer& server, FakeServer&) {
    ++server.journals;
    Copy(server.journal_id, entry.cutover_id);
    Copy(server.journal, entry.record);
    return absl::OkStatus();
  });
}

absl::StatusOr<workflow::JournalReading> FakeCluster::ReadJournal(
    const AgentRef& agent, const workflow::GateQuery& /*query*/, const CallBudget& /*budget*/) {
  workflow::JournalReading reading;
  const absl::Status status = Request("read_journal", agent, [&](FakeServer& server, FakeServer&) {
    reading.gate_state = server.recorded_gate;
    reading.gate_wanted = server.wanted_gate;
    if (server.journals > 0) {
      reading.entries.push_back(
          {.cutover_id = server.journal_id, .record = server.journal, .written_us = 1});
    }
    return absl::OkStatus();
  });
  if (!status.ok()) {
    return status;
  }
  return reading;
}

absl::StatusOr<std::vector<std::string>> FakeCluster::DropTables(
    const AgentRef& agent, const workflow::DropRequest& request, const CallBudget& /*budget*/) {
  const absl::Status status = Request(
      "drop_tables", agent,
      [&](FakeServer& server, FakeServer&) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) -> absl::Status {
        if (server.dropped) {
          return absl::OkStatus();
        }
        if (server.gate == Number(GateState::kOpen) && request.mode == DropMode::kKeep) {
          server.released = true;
          return absl::OkStatus();
        }
        if (server.gate == Number(GateState::kOpen)) {
          Violation("an open table was to be dropped");
          return absl::FailedPreconditionError("open; nothing is dropped");
        }
        server.dropped = true;
        server.renamed = request.mode == DropMode::kRenameOld;
        if (request.mode == DropMode::kKeep) {
          server.renamed = false;
          server.gate = Number(GateState::kAbsent);
        }
        return absl::OkStatus();
      });
  if (!status.ok()) {
    return status;
  }
  return request.tables;
}

}  // namespace sluice::traffic::testing
