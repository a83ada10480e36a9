// Messages of the control plane from and to the structs of workflow/agents.h.

#pragma once

#include "coordinator/workflow/agents.h"
#include "schemas/control.capnp.h"

namespace sluice::workflow {

GateState GateOf(schemas::GateState state);
schemas::GateState WireGate(GateState state);
schemas::StreamAction WireAction(StreamAction action);
schemas::DropMode WireMode(DropMode mode);

TableDescription DecodeTable(schemas::TableDescription::Reader table);
void EncodeTable(const TableDescription& table, schemas::TableDescription::Builder builder);
void EncodeSpec(const StreamSpec& spec, schemas::StreamSpec::Builder builder);

}  // namespace sluice::workflow
