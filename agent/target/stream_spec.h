// StreamSpec: what a stream is for, as given by the coordinator, which may change its options.

#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "common/stream/stream_options.h"
#include "schemas/control.capnp.h"

namespace sluice::target {

// The fields of control.capnp StreamSpec.
struct StreamSpec {
  uint64_t id = 0;
  std::string workflow;
  std::string source_keyspace;
  std::string source_shard;
  std::string source_database;
  std::string target_keyspace;
  std::string target_shard;
  std::string target_database;
  std::vector<std::string> tables;
  std::vector<schemas::TabletType> source_types;
  std::string start_position;
  bool stop_after_copy = false;
  std::string workflow_type;
  stream::StreamOptions options;
  std::string throttled;         // by hand, for this reason; empty: not
  bool awaits_position = false;  // no copy: the command that starts it says where to begin
  friend bool operator==(const StreamSpec&, const StreamSpec&) = default;
};

// INVALID_ARGUMENT, naming the field, when it has no id, tables or databases, names a table twice
// or one of ours, has one time zone of two, or its start position is not a GTID set.
absl::Status CheckStreamSpec(const StreamSpec& spec);

StreamSpec ReadStreamSpec(schemas::StreamSpec::Reader reader);
void WriteStreamSpec(const StreamSpec& spec, schemas::StreamSpec::Builder builder);

// The stored form: a Cap'n Proto message.
std::string EncodeStreamSpec(const StreamSpec& spec);
absl::StatusOr<StreamSpec> DecodeStreamSpec(absl::string_view bytes);

}  // namespace sluice::target
