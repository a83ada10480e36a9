// Stored bytes: Cap'n Proto messages of schemas/store.capnp.

#include "coordinator/store/codec.h"

#include <capnp/message.h>

#include <utility>

#include "common/wire/message_bytes.h"
#include "common/wire/wire.h"
#include "schemas/store.capnp.h"

namespace sluice::store {
namespace {

using wire::Fill;
using wire::Size;
using wire::Str;
using wire::Strs;

schemas::WorkflowPhase ToStored(workflow::WorkflowPhase phase) {
  switch (phase) {
    case workflow::WorkflowPhase::kCreating:
      return schemas::WorkflowPhase::CREATING;
    case workflow::WorkflowPhase::kActive:
      return schemas::WorkflowPhase::ACTIVE;
    case workflow::WorkflowPhase::kFrozen:
      return schemas::WorkflowPhase::FROZEN;
    case workflow::WorkflowPhase::kCompleting:
      return schemas::WorkflowPhase::COMPLETING;
    case workflow::WorkflowPhase::kCancelling:
      return schemas::WorkflowPhase::CANCELLING;
  }
  return schemas::WorkflowPhase::CREATING;
}

workflow::WorkflowPhase FromStored(schemas::WorkflowPhase phase) {
  switch (phase) {
    case schemas::WorkflowPhase::CREATING:
      return workflow::WorkflowPhase::kCreating;
    case schemas::WorkflowPhase::ACTIVE:
      return workflow::WorkflowPhase::kActive;
    case schemas::WorkflowPhase::FROZEN:
      return workflow::WorkflowPhase::kFrozen;
    case schemas::WorkflowPhase::COMPLETING:
      return workflow::WorkflowPhase::kCompleting;
    case schemas::WorkflowPhase::CANCELLING:
      return workflow::WorkflowPhase::kCancelling;
  }
  // A later version's phase: no code of this one may take it for its own.
  kj::throwFatalException(KJ_EXCEPTION(FAILED, "unknown workflow phase"));
}

workflow::WorkflowRecord ReadWorkflow(schemas::StoredWorkflow::Reader stored) {
  workflow::WorkflowRecord record;
  record.keyspace = Str(stored.getKeyspace());
  record.name = Str(stored.getName());
  record.type = Str(stored.getType());
  record.sub_type = Str(stored.getSubType());
  record.source_keyspace = Str(stored.getSourceKeyspace());
  record.target_keyspace = Str(stored.getTargetKeyspace());
  record.tables = Strs(stored.getTables());
  record.source_shards = Strs(stored.getSourceShards());
  record.target_shards = Strs(stored.getTargetShards());
  for (const auto stream : stored.getStreams()) {
    record.streams.push_back({stream.getId(), Str(stream.getSourceShard()),
                              Str(stream.getTargetShard()), Str(stream.getSourceDatabase()),
                              Str(stream.getTargetDatabase())});
  }
  record.phase = FromStored(stored.getPhase());
  record.replica_switched = stored.getReplicaSwitched();
  record.rdonly_switched = stored.getRdonlySwitched();
  record.replica_exceptions = wire::Strs(stored.getReplicaExceptions());
  record.rdonly_exceptions = wire::Strs(stored.getRdonlyExceptions());
  record.writes_switched = stored.getWritesSwitched();
  record.options.source_types = wire::TypesOf(stored.getSourceTypes());
  record.options.stop_after_copy = stored.getStopAfterCopy();
  record.options.auto_start = stored.getAutoStart();
  record.options.stream = stream::ReadStreamOptions(stored.getOptions());
  record.reverse_of = Str(stored.getReverseOf());
  record.created_at_ms = stored.getCreatedAtMs();
  record.undoing = stored.getUndoing();
  record.start_pending = stored.getStartPending();
  record.message = Str(stored.getMessage());
  record.throttled = Str(stored.getThrottled());
  record.update_pending = stored.getUpdatePending();
  return record;
}

RuleState ReadRules(schemas::StoredRules::Reader stored) {
  RuleState rules;
  for (const auto rule : stored.getTableRules()) {
    rules.table_rules.push_back({Str(rule.getFromTable()), Str(rule.getToTable())});
  }
  for (const auto rule : stored.getShardRules()) {
    rules.shard_rules.push_back(
        {Str(rule.getFromKeyspace()), Str(rule.getShard()), Str(rule.getToKeyspace())});
  }
  for (const auto hold : stored.getHolds()) {
    rules.holds.push_back({Str(hold.getCutoverId()), Strs(hold.getTables()), hold.getLeaseMs(),
                           Strs(hold.getShards())});
  }
  for (const auto home : stored.getHomes()) {
    rules.homes.push_back({Str(home.getTable()), Str(home.getKeyspace())});
  }
  return rules;
}

}  // namespace

std::string EncodeWorkflow(const workflow::WorkflowRecord& record) {
  capnp::MallocMessageBuilder message;
  auto stored = message.initRoot<schemas::StoredWorkflow>();
  stored.setKeyspace(record.keyspace);
  stored.setName(record.name);
  stored.setType(record.type);
  stored.setSubType(record.sub_type);
  stored.setSourceKeyspace(record.source_keyspace);
  stored.setTargetKeyspace(record.target_keyspace);
  Fill(stored.initTables(Size(record.tables)), record.tables);
  Fill(stored.initSourceShards(Size(record.source_shards)), record.source_shards);
  Fill(stored.initTargetShards(Size(record.target_shards)), record.target_shards);
  auto streams = stored.initStreams(Size(record.streams));
  for (unsigned i = 0; i < streams.size(); ++i) {
    const workflow::StreamRecord& stream = record.streams[i];
    streams[i].setId(stream.id);
    streams[i].setSourceShard(stream.source_shard);
    streams[i].setTargetShard(stream.target_shard);
    streams[i].setSourceDatabase(stream.source_database);
    streams[i].setTargetDatabase(stream.target_database);
  }
  stored.setPhase(ToStored(record.phase));
  stored.setReplicaSwitched(record.replica_switched);
  stored.setRdonlySwitched(record.rdonly_switched);
  wire::Fill(stored.initReplicaExceptions(wire::Size(record.replica_exceptions)),
             record.replica_exceptions);
  wire::Fill(stored.initRdonlyExceptions(wire::Size(record.rdonly_exceptions)),
             record.rdonly_exceptions);
  stored.setWritesSwitched(record.writes_switched);
  Fill(stored.initSourceTypes(Size(record.options.source_types)), record.options.source_types);
  stored.setStopAfterCopy(record.options.stop_after_copy);
  stored.setAutoStart(record.options.auto_start);
  stream::WriteStreamOptions(record.options.stream, stored.initOptions());
  stored.setReverseOf(record.reverse_of);
  stored.setCreatedAtMs(record.created_at_ms);
  stored.setUndoing(record.undoing);
  stored.setStartPending(record.start_pending);
  stored.setMessage(record.message);
  stored.setThrottled(record.throttled);
  stored.setUpdatePending(record.update_pending);
  return wire::Serialize(message);
}

absl::StatusOr<workflow::WorkflowRecord> DecodeWorkflow(absl::string_view bytes) {
  return wire::ReadStored<schemas::StoredWorkflow>("a stored workflow", bytes, &ReadWorkflow);
}

std::string EncodeRules(const RuleState& rules) {
  capnp::MallocMessageBuilder message;
  auto stored = message.initRoot<schemas::StoredRules>();
  auto table_rules = stored.initTableRules(Size(rules.table_rules));
  for (unsigned i = 0; i < table_rules.size(); ++i) {
    table_rules[i].setFromTable(rules.table_rules[i].from_table);
    table_rules[i].setToTable(rules.table_rules[i].to_table);
  }
  auto shard_rules = stored.initShardRules(Size(rules.shard_rules));
  for (unsigned i = 0; i < shard_rules.size(); ++i) {
    shard_rules[i].setFromKeyspace(rules.shard_rules[i].from_keyspace);
    shard_rules[i].setShard(rules.shard_rules[i].shard);
    shard_rules[i].setToKeyspace(rules.shard_rules[i].to_keyspace);
  }
  auto holds = stored.initHolds(Size(rules.holds));
  for (unsigned i = 0; i < holds.size(); ++i) {
    holds[i].setCutoverId(rules.holds[i].cutover_id);
    Fill(holds[i].initTables(Size(rules.holds[i].tables)), rules.holds[i].tables);
    holds[i].setLeaseMs(rules.holds[i].lease_ms);
    Fill(holds[i].initShards(Size(rules.holds[i].shards)), rules.holds[i].shards);
  }
  auto homes = stored.initHomes(Size(rules.homes));
  for (unsigned i = 0; i < homes.size(); ++i) {
    homes[i].setTable(rules.homes[i].table);
    homes[i].setKeyspace(rules.homes[i].keyspace);
  }
  return wire::Serialize(message);
}

absl::StatusOr<RuleState> DecodeRules(absl::string_view bytes) {
  return wire::ReadStored<schemas::StoredRules>("the stored rules", bytes, &ReadRules);
}

}  // namespace sluice::store
