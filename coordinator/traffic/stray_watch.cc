// The loop of StrayWatch.

#include "coordinator/traffic/stray_watch.h"

#include <algorithm>
#include <map>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "common/base/log.h"
#include "common/base/status_macros.h"

namespace sluice::traffic {
namespace {

constexpr absl::Duration kCallTimeout = absl::Seconds(3);

}  // namespace

StrayWatch::StrayWatch(const Dependencies& parts, absl::Duration interval)
    : parts_(parts), interval_(interval), thread_([this] { Watch(); }) {}

StrayWatch::~StrayWatch() {
  Stop();
}

void StrayWatch::Stop() {
  {
    const absl::MutexLock lock(&mutex_);
    stopping_ = true;
  }
  if (thread_.joinable()) {
    thread_.join();
  }
}

void StrayWatch::Watch() {
  while (true) {
    {
      const absl::MutexLock lock(&mutex_);
      if (mutex_.AwaitWithTimeout(absl::Condition(&stopping_), interval_)) {
        return;
      }
    }
    if (const absl::Status looked = Look(); !looked.ok()) {
      SLUICE_LOG(kWarning, "streams that nothing wants are not all stopped", {{"reason", looked}});
    }
  }
}

// The reports first: what they show was in the store before it was created.
absl::StatusOr<std::vector<StrayStream>> StrayWatch::Find() const {
  const std::vector<topology::StreamInfo> streams = parts_.topology.Streams();
  std::set<std::string> primaries;
  for (const topology::TabletInfo& tablet : parts_.topology.Tablets()) {
    if (tablet.serving && tablet.type == routing::TabletType::kPrimary) {
      primaries.insert(tablet.alias);
    }
  }
  KnownStreams known;
  // A command that ends between the two looks has written what it has done before the second.
  std::set<std::string> names;
  for (const topology::StreamInfo& stream : streams) {
    names.insert(stream.workflow);
  }
  const auto note_busy = [&](const std::string& key) {
    if (!parts_.locks.HolderOf(key).empty()) {
      known.busy.insert(key);
    }
  };
  std::for_each(names.begin(), names.end(), note_busy);
  SLUICE_ASSIGN_OR_RETURN(const std::vector<workflow::WorkflowRecord> before,
                          store::ListWorkflows(parts_.store));
  for (const workflow::WorkflowRecord& record : before) {
    note_busy(workflow::OperationKey(record));
  }
  SLUICE_ASSIGN_OR_RETURN(known.records, store::ListWorkflows(parts_.store));
  return FindStrays(streams, primaries, known);
}

absl::Status StrayWatch::Look() {
  SLUICE_ASSIGN_OR_RETURN(const std::vector<StrayStream> strays, Find());
  std::map<std::string, std::vector<std::string>> remarks;
  std::set<uint64_t> suspects;
  absl::Status status;
  for (const StrayStream& stray : strays) {
    suspects.insert(stray.info.id);
    if (!suspects_.contains(stray.info.id)) {
      continue;
    }
    remarks[stray.info.tablet].push_back(DescribeStray(stray));
    if (stray.active() || stray.kind == StrayKind::kNotFrozen) {
      status.Update(End(stray));
    }
  }
  suspects_ = std::move(suspects);
  parts_.topology.SetRemarks(remarks);
  return status;
}

// No command on the workflow comes in between, and the store is asked once more behind the lock. A
// stream that is gone by now is none.
absl::Status StrayWatch::End(const StrayStream& stray) {
  const absl::StatusOr<Exclusion> exclusion =
      Exclude(parts_.locks, stray.operation, "stopping a stream that nothing wants");
  if (!exclusion.ok()) {
    return absl::OkStatus();
  }
  KnownStreams known;
  SLUICE_ASSIGN_OR_RETURN(known.records, store::ListWorkflows(parts_.store));
  const std::vector<StrayStream> again = FindStrays({stray.info}, {stray.info.tablet}, known);
  if (again.empty() || again.front().kind != stray.kind) {
    return absl::OkStatus();
  }
  SLUICE_LOG(kWarning, "stopping a stream", {{"reason", DescribeStray(stray)}});
  SLUICE_ASSIGN_OR_RETURN(const uint64_t epoch,
                          store::NextId(parts_.store, workflow::kCommandEpochCounter));
  const absl::Status ended =
      parts_.agents
          .ControlStream(workflow::AgentRef::Tablet(stray.info.tablet), stray.info.id,
                         stray.kind == StrayKind::kNotFrozen ? workflow::StreamAction::kFreeze
                                                             : workflow::StreamAction::kStop,
                         epoch, {.timeout = kCallTimeout, .idempotency_id = {}})
          .status();
  return absl::IsNotFound(ended) ? absl::OkStatus() : ended;
}

}  // namespace sluice::traffic
