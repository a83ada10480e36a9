// StreamSpec: its checks, its wire form and its stored form.

#include "agent/target/stream_spec.h"

#include <capnp/message.h>

#include <algorithm>
#include <set>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "common/base/status.h"
#include "common/base/status_macros.h"
#include "common/gtid/gtid_set.h"
#include "common/tuning/tuning.h"
#include "common/wire/message_bytes.h"
#include "common/wire/wire.h"

namespace sluice::target {

absl::Status CheckStreamSpec(const StreamSpec& spec) {
  if (spec.id == 0) {
    return absl::InvalidArgumentError("a stream needs an id");
  }
  if (spec.workflow.empty() || spec.source_database.empty() || spec.target_database.empty()) {
    return absl::InvalidArgumentError(
        absl::StrCat("stream ", spec.id, " needs a workflow, a source and a target database"));
  }
  if (spec.tables.empty()) {
    return absl::InvalidArgumentError(absl::StrCat("stream ", spec.id, " has no tables"));
  }
  std::set<std::string> seen;
  for (const std::string& table : spec.tables) {
    if (table.empty() || absl::StartsWith(table, "_sluice_") || !seen.insert(table).second) {
      return absl::InvalidArgumentError(absl::StrCat("stream ", spec.id, ": table '", table,
                                                     "' cannot be moved, or is named twice"));
    }
  }
  if (spec.options.source_time_zone.empty() != spec.options.target_time_zone.empty()) {
    return absl::InvalidArgumentError(
        absl::StrCat("stream ", spec.id, " needs both time zones, or neither"));
  }
  if (spec.awaits_position && !spec.start_position.empty()) {
    return absl::InvalidArgumentError(
        absl::StrCat("stream ", spec.id, " awaits its position and has one"));
  }
  SLUICE_RETURN_IF_ERROR(stream::Tuning::Parse(spec.options.tuning).status());
  return Annotate(gtid::GtidSet::Parse(spec.start_position).status(),
                  absl::StrCat("start position of stream ", spec.id));
}

StreamSpec ReadStreamSpec(schemas::StreamSpec::Reader reader) {
  StreamSpec spec;
  spec.id = reader.getId();
  spec.workflow = wire::Str(reader.getWorkflow());
  spec.source_keyspace = wire::Str(reader.getSourceKeyspace());
  spec.source_shard = wire::Str(reader.getSourceShard());
  spec.source_database = wire::Str(reader.getSourceDatabase());
  spec.target_keyspace = wire::Str(reader.getTargetKeyspace());
  spec.target_shard = wire::Str(reader.getTargetShard());
  spec.target_database = wire::Str(reader.getTargetDatabase());
  spec.tables = wire::Strs(reader.getTables());
  for (const schemas::TabletType type : reader.getSourceTypes()) {
    spec.source_types.push_back(type);
  }
  spec.start_position = wire::Str(reader.getStartPosition());
  spec.stop_after_copy = reader.getStopAfterCopy();
  spec.workflow_type = wire::Str(reader.getWorkflowType());
  spec.throttled = wire::Str(reader.getThrottled());
  spec.awaits_position = reader.getAwaitsPosition();
  spec.options = stream::ReadStreamOptions(reader.getOptions());
  return spec;
}

void WriteStreamSpec(const StreamSpec& spec, schemas::StreamSpec::Builder builder) {
  builder.setId(spec.id);
  builder.setWorkflow(spec.workflow);
  builder.setSourceKeyspace(spec.source_keyspace);
  builder.setSourceShard(spec.source_shard);
  builder.setSourceDatabase(spec.source_database);
  builder.setTargetKeyspace(spec.target_keyspace);
  builder.setTargetShard(spec.target_shard);
  builder.setTargetDatabase(spec.target_database);
  wire::Fill(builder.initTables(wire::Size(spec.tables)), spec.tables);
  auto types = builder.initSourceTypes(static_cast<unsigned>(spec.source_types.size()));
  for (unsigned i = 0; i < types.size(); ++i) {
    types.set(i, spec.source_types[i]);
  }
  builder.setStartPosition(spec.start_position);
  builder.setStopAfterCopy(spec.stop_after_copy);
  builder.setWorkflowType(spec.workflow_type);
  builder.setThrottled(spec.throttled);
  builder.setAwaitsPosition(spec.awaits_position);
  stream::WriteStreamOptions(spec.options, builder.initOptions());
}

std::string EncodeStreamSpec(const StreamSpec& spec) {
  capnp::MallocMessageBuilder message;
  WriteStreamSpec(spec, message.initRoot<schemas::StreamSpec>());
  return wire::Serialize(message);
}

absl::StatusOr<StreamSpec> DecodeStreamSpec(absl::string_view bytes) {
  return wire::ReadStored<schemas::StreamSpec>("a stored stream specification", bytes,
                                               &ReadStreamSpec);
}

}  // namespace sluice::target
