// Reported streams against the records.

#include "coordinator/traffic/stray_streams.h"

#include <map>
#include <utility>

#include "absl/strings/str_cat.h"

namespace sluice::traffic {
namespace {

using workflow::WorkflowPhase;
using workflow::WorkflowRecord;

}  // namespace

std::vector<StrayStream> FindStrays(const std::vector<topology::StreamInfo>& streams,
                                    const std::set<std::string>& primaries,
                                    const KnownStreams& known) {
  // A reverse stream is created before its record: by the name alone it is of its workflow.
  std::map<std::string, std::string> operations;
  std::map<uint64_t, const WorkflowRecord*> owners;
  for (const WorkflowRecord& record : known.records) {
    const std::string operation = workflow::OperationKey(record);
    operations[workflow::WorkflowKey(record)] = operation;
    operations.emplace(
        workflow::WorkflowKey(record.source_keyspace, workflow::ReverseName(record.name)),
        operation);
    for (const workflow::StreamRecord& stream : record.streams) {
      owners[stream.id] = &record;
    }
  }
  std::vector<StrayStream> strays;
  for (const topology::StreamInfo& info : streams) {
    const auto named = operations.find(info.workflow);
    StrayStream stray = {.info = info,
                         .kind = StrayKind::kUnknown,
                         .operation = named == operations.end() ? info.workflow : named->second};
    if (!primaries.contains(info.tablet) || known.busy.contains(stray.operation)) {
      continue;
    }
    const auto owner = owners.find(info.id);
    if (owner != owners.end()) {
      stray.kind = StrayKind::kNotFrozen;
      if (owner->second->phase != WorkflowPhase::kFrozen || info.frozen) {
        continue;
      }
    }
    strays.push_back(std::move(stray));
  }
  return strays;
}

std::string DescribeStray(const StrayStream& stray) {
  const std::string what =
      absl::StrCat("stream ", stray.info.id, " of workflow ", stray.info.workflow, " is ",
                   topology::StreamStateName(stray.info.state), ", but ");
  if (stray.kind == StrayKind::kNotFrozen) {
    return absl::StrCat(what, "the workflow's record is frozen; it is being frozen");
  }
  return absl::StrCat(
      what, "no workflow's record names it; ",
      stray.active()
          ? "it is being stopped"
          : "it stays as it is and does no harm. Where the store is an older copy, bring "
            "back the newest one; where the workflow exists, \"workflow repair\" deletes "
            "the stream");
}

}  // namespace sluice::traffic
