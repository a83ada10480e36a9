// Messages of the control plane from and to plain structs.

#include "coordinator/workflow/agents_codec.h"

#include "common/wire/wire.h"

namespace sluice::workflow {

using wire::Fill;
using wire::Size;
using wire::Str;
using wire::Strs;

std::string GateStateName(GateState state) {
  switch (state) {
    case GateState::kOpen:
      return "open";
    case GateState::kClosed:
      return "closed";
    case GateState::kReadable:
      return "readable";
    case GateState::kAbsent:
      return "absent";
    case GateState::kMixed:
      break;
  }
  return "mixed";
}

std::string StreamActionName(StreamAction action) {
  switch (action) {
    case StreamAction::kStart:
      return "start";
    case StreamAction::kStop:
      return "stop";
    case StreamAction::kFreeze:
      return "freeze";
    case StreamAction::kUnfreeze:
      return "unfreeze";
    case StreamAction::kDelete:
      break;
  }
  return "delete";
}

GateState GateOf(schemas::GateState state) {
  switch (state) {
    case schemas::GateState::OPEN:
      return GateState::kOpen;
    case schemas::GateState::CLOSED:
      return GateState::kClosed;
    case schemas::GateState::READABLE:
      return GateState::kReadable;
    case schemas::GateState::ABSENT:
      return GateState::kAbsent;
    case schemas::GateState::MIXED:
      break;
  }
  return GateState::kMixed;  // also a later version's state: nothing is concluded from it
}

schemas::GateState WireGate(GateState state) {
  switch (state) {
    case GateState::kOpen:
      return schemas::GateState::OPEN;
    case GateState::kClosed:
      return schemas::GateState::CLOSED;
    case GateState::kReadable:
      return schemas::GateState::READABLE;
    case GateState::kAbsent:
      return schemas::GateState::ABSENT;
    case GateState::kMixed:
      break;
  }
  return schemas::GateState::MIXED;
}

schemas::StreamAction WireAction(StreamAction action) {
  switch (action) {
    case StreamAction::kStart:
      return schemas::StreamAction::START;
    case StreamAction::kStop:
      return schemas::StreamAction::STOP;
    case StreamAction::kFreeze:
      return schemas::StreamAction::FREEZE;
    case StreamAction::kUnfreeze:
      return schemas::StreamAction::UNFREEZE;
    case StreamAction::kDelete:
      break;
  }
  return schemas::StreamAction::DELETE;
}

schemas::DropMode WireMode(DropMode mode) {
  switch (mode) {
    case DropMode::kDrop:
      return schemas::DropMode::DROP;
    case DropMode::kRenameOld:
      return schemas::DropMode::RENAME_OLD;
    case DropMode::kKeep:
      break;
  }
  return schemas::DropMode::KEEP;
}

TableDescription DecodeTable(schemas::TableDescription::Reader table) {
  TableDescription result;
  result.name = Str(table.getName());
  result.create_statement = Str(table.getCreateStatement());
  result.exists = table.getExists();
  result.is_view = table.getIsView();
  result.rows_estimate = table.getRowsEstimate();
  result.bytes_estimate = table.getBytesEstimate();
  result.has_rows = table.getHasRows();
  result.key_columns = Strs(table.getKeyColumns());
  result.triggers = Strs(table.getTriggers());
  result.foreign_key_parents = Strs(table.getForeignKeyParents());
  result.foreign_key_children = Strs(table.getForeignKeyChildren());
  result.views = Strs(table.getViews());
  result.cascades = Strs(table.getCascades());
  result.cascade_parents = Strs(table.getCascadeParents());
  result.programs = Strs(table.getPrograms());
  result.cascades_logged = table.getCascadesLogged();
  result.gate_state = GateOf(table.getGateState());
  return result;
}

void EncodeTable(const TableDescription& table, schemas::TableDescription::Builder builder) {
  builder.setName(table.name);
  builder.setCreateStatement(table.create_statement);
  builder.setExists(table.exists);
  builder.setIsView(table.is_view);
  builder.setRowsEstimate(table.rows_estimate);
  builder.setBytesEstimate(table.bytes_estimate);
  builder.setHasRows(table.has_rows);
  Fill(builder.initKeyColumns(Size(table.key_columns)), table.key_columns);
  Fill(builder.initTriggers(Size(table.triggers)), table.triggers);
  Fill(builder.initForeignKeyParents(Size(table.foreign_key_parents)), table.foreign_key_parents);
  Fill(builder.initForeignKeyChildren(Size(table.foreign_key_children)),
       table.foreign_key_children);
  Fill(builder.initViews(Size(table.views)), table.views);
  Fill(builder.initCascades(Size(table.cascades)), table.cascades);
  Fill(builder.initCascadeParents(Size(table.cascade_parents)), table.cascade_parents);
  Fill(builder.initPrograms(Size(table.programs)), table.programs);
  builder.setCascadesLogged(table.cascades_logged);
  builder.setGateState(WireGate(table.gate_state));
}

void EncodeSpec(const StreamSpec& spec, schemas::StreamSpec::Builder builder) {
  builder.setId(spec.id);
  builder.setWorkflow(spec.workflow);
  builder.setSourceKeyspace(spec.source_keyspace);
  builder.setSourceShard(spec.source_shard);
  builder.setSourceDatabase(spec.source_database);
  builder.setTargetKeyspace(spec.target_keyspace);
  builder.setTargetShard(spec.target_shard);
  builder.setTargetDatabase(spec.target_database);
  Fill(builder.initTables(Size(spec.tables)), spec.tables);
  Fill(builder.initSourceTypes(Size(spec.source_types)), spec.source_types);
  builder.setStartPosition(spec.start_position);
  builder.setStopAfterCopy(spec.stop_after_copy);
  builder.setWorkflowType(spec.workflow_type);
  builder.setThrottled(spec.throttled);
  builder.setAwaitsPosition(spec.awaits_position);
  stream::WriteStreamOptions(spec.options, builder.initOptions());
}

}  // namespace sluice::workflow
