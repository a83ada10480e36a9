// WorkflowRecord: names, keys and the traffic state in words.

#include "coordinator/workflow/record.h"

#include <algorithm>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/strip.h"

namespace sluice::workflow {
namespace {

constexpr char kReverseSuffix[] = "_reverse";
constexpr size_t kNameBytesMax = 64;

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

std::string TrafficStateText(const WorkflowRecord& record) {
  std::vector<std::string> parts;
  if (record.replica_switched && record.rdonly_switched) {
    parts.emplace_back("All Reads Switched");
  } else if (!record.replica_switched && !record.rdonly_switched) {
    parts.emplace_back("Reads Not Switched");
  } else {
    parts.emplace_back("Reads partially switched");
    parts.emplace_back(record.replica_switched ? "All Replica Reads Switched"
                                               : "Replica not switched");
    parts.emplace_back(record.rdonly_switched ? "All Rdonly Reads Switched"
                                              : "Rdonly not switched");
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
  move.replica_switched = record.replica_switched != reverse;
  move.rdonly_switched = record.rdonly_switched != reverse;
  move.writes_switched = record.writes_switched != reverse;
  return move;
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
