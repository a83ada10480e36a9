// WorkflowRecord: names, keys and the traffic state in words.

#include "coordinator/workflow/record.h"

#include <algorithm>
#include <set>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/strip.h"

namespace sluice::workflow {
namespace {

constexpr char kReverseSuffix[] = "_reverse";
constexpr size_t kNameBytesMax = 64;

void MoveReads(bool to_target, const std::vector<std::string>& cells, bool& switched,
               std::vector<std::string>& exceptions) {
  if (cells.empty()) {
    switched = to_target;
    exceptions.clear();
    return;
  }
  std::set<std::string> others(exceptions.begin(), exceptions.end());
  for (const std::string& cell : cells) {
    if (switched == to_target) {
      others.erase(cell);
    } else {
      others.insert(cell);
    }
  }
  exceptions.assign(others.begin(), others.end());
}

bool AllReadsAre(bool at_target, const std::vector<std::string>& cells, bool switched,
                 const std::vector<std::string>& exceptions) {
  if (cells.empty()) {
    return switched == at_target && exceptions.empty();
  }
  return std::all_of(cells.begin(), cells.end(), [&](const std::string& cell) {
    const bool excepted = std::find(exceptions.begin(), exceptions.end(), cell) != exceptions.end();
    return (switched != excepted) == at_target;
  });
}

// Of one type of reads; `name` is "Replica" or "Rdonly".
std::string ReadsText(absl::string_view name, bool switched,
                      const std::vector<std::string>& exceptions) {
  if (!exceptions.empty()) {
    return absl::StrCat(name, switched ? " switched in all cells but: " : " switched in cells: ",
                        absl::StrJoin(exceptions, ","));
  }
  return switched ? absl::StrCat("All ", name, " Reads Switched")
                  : absl::StrCat(name, " not switched");
}

// Its reads follow its writes.
std::string PartialTrafficText(const WorkflowRecord& record, bool whole_keyspace) {
  if (!record.writes_switched) {
    return "Reads Not Switched. Writes Not Switched";
  }
  if (whole_keyspace) {
    return "All Reads Switched. All Writes Switched";
  }
  const std::string shards = absl::StrJoin(record.source_shards, ",");
  return absl::StrCat("Reads partially switched, for shards: ", shards,
                      ". Writes partially switched, for shards: ", shards);
}

}  // namespace

std::string WorkflowPhaseName(WorkflowPhase phase) {
  switch (phase) {
    case WorkflowPhase::kCreating:
      return "creating";
    case WorkflowPhase::kActive:
      return "active";
    case WorkflowPhase::kFrozen:
      return "frozen";
    case WorkflowPhase::kCompleting:
      return "completing";
    case WorkflowPhase::kCancelling:
      return "cancelling";
  }
  return "unknown";
}

std::string WorkflowKey(absl::string_view keyspace, absl::string_view name) {
  return absl::StrCat(keyspace, ".", name);
}

std::string WorkflowKey(const WorkflowRecord& record) {
  return WorkflowKey(record.keyspace, record.name);
}

std::string OperationKey(const WorkflowRecord& record) {
  return record.reverse_of.empty() ? WorkflowKey(record) : record.reverse_of;
}

std::string ReverseName(absl::string_view name) {
  if (absl::ConsumeSuffix(&name, kReverseSuffix)) {
    return std::string(name);
  }
  return absl::StrCat(name, kReverseSuffix);
}

void MoveReplicaReads(bool to_target, const std::vector<std::string>& cells,
                      WorkflowRecord& record) {
  MoveReads(to_target, cells, record.replica_switched, record.replica_exceptions);
}

void MoveRdonlyReads(bool to_target, const std::vector<std::string>& cells,
                     WorkflowRecord& record) {
  MoveReads(to_target, cells, record.rdonly_switched, record.rdonly_exceptions);
}

bool AllReplicaReadsAre(bool at_target, const std::vector<std::string>& cells,
                        const WorkflowRecord& record) {
  return AllReadsAre(at_target, cells, record.replica_switched, record.replica_exceptions);
}

bool AllRdonlyReadsAre(bool at_target, const std::vector<std::string>& cells,
                       const WorkflowRecord& record) {
  return AllReadsAre(at_target, cells, record.rdonly_switched, record.rdonly_exceptions);
}

bool IsPartial(const WorkflowRecord& record) {
  return record.sub_type == kPartial;
}

std::string TrafficStateText(const WorkflowRecord& record, bool whole_keyspace) {
  if (IsPartial(record)) {
    return PartialTrafficText(record, whole_keyspace);
  }
  std::vector<std::string> parts;
  const auto all_reads_are = [&](bool at_target) {
    return AllReplicaReadsAre(at_target, {}, record) && AllRdonlyReadsAre(at_target, {}, record);
  };
  if (all_reads_are(true)) {
    parts.emplace_back("All Reads Switched");
  } else if (all_reads_are(false)) {
    parts.emplace_back("Reads Not Switched");
  } else {
    parts.emplace_back("Reads partially switched");
    parts.push_back(ReadsText("Replica", record.replica_switched, record.replica_exceptions));
    parts.push_back(ReadsText("Rdonly", record.rdonly_switched, record.rdonly_exceptions));
  }
  parts.emplace_back(record.writes_switched ? "Writes Switched" : "Writes Not Switched");
  return absl::StrJoin(parts, ". ");
}

routing::MoveRules MoveRulesOf(const WorkflowRecord& record) {
  const bool reverse = !record.reverse_of.empty();
  routing::MoveRules move;
  move.source_keyspace = reverse ? record.target_keyspace : record.source_keyspace;
  move.target_keyspace = reverse ? record.source_keyspace : record.target_keyspace;
  move.tables = record.tables;
  if (IsPartial(record)) {
    return move;
  }
  move.replica_switched = record.replica_switched != reverse;
  move.rdonly_switched = record.rdonly_switched != reverse;
  move.writes_switched = record.writes_switched != reverse;
  move.replica_exceptions = record.replica_exceptions;
  move.rdonly_exceptions = record.rdonly_exceptions;
  return move;
}

routing::ShardMove ShardMoveOf(const WorkflowRecord& record) {
  const bool reverse = !record.reverse_of.empty();
  return {.source_keyspace = reverse ? record.target_keyspace : record.source_keyspace,
          .target_keyspace = reverse ? record.source_keyspace : record.target_keyspace};
}

absl::Status KeepStreamsOf(const std::vector<std::string>& shards, WorkflowRecord& record) {
  if (shards.empty()) {
    return absl::OkStatus();
  }
  for (const std::string& shard : shards) {
    const std::vector<std::string>& known = record.target_shards;
    if (std::find(known.begin(), known.end(), shard) == known.end()) {
      return absl::NotFoundError(absl::StrCat("workflow ", WorkflowKey(record), " has no shard ",
                                              shard, "; it has ", absl::StrJoin(known, ", ")));
    }
  }
  std::erase_if(record.streams, [&](const StreamRecord& stream) {
    return std::find(shards.begin(), shards.end(), stream.target_shard) == shards.end();
  });
  return absl::OkStatus();
}

absl::Status ValidateWorkflowName(absl::string_view name) {
  const bool good =
      !name.empty() && name.size() <= kNameBytesMax &&
      std::all_of(name.begin(), name.end(), [](char c) {
        return absl::ascii_isalnum(static_cast<unsigned char>(c)) || c == '_' || c == '-';
      });
  if (!good) {
    return absl::InvalidArgumentError(
        absl::StrCat("workflow name '", name,
                     "' is not valid: 1 to 64 letters, digits, '_' and '-' are allowed"));
  }
  return absl::OkStatus();
}

}  // namespace sluice::workflow
