// FindStrays: streams that agents run, or would run, though nothing that the store knows wants them
// to. Pure.

#pragma once

#include <cstdint>
#include <set>
#include <string>
#include <vector>

#include "coordinator/topology/tablet.h"
#include "coordinator/workflow/record.h"

namespace sluice::traffic {

// How the rows came to be there: a failover that has lost their deletion, a creation that came late
// and was never deleted, a store that is older than the databases.
enum class StrayKind {
  kUnknown,    // no record names it
  kNotFrozen,  // its record is frozen: it would write into the side that serves
};

struct StrayStream {
  topology::StreamInfo info;
  StrayKind kind = StrayKind::kUnknown;
  // Workflow under whose key commands on it exclude each other.
  std::string operation;
  // It reads or writes, or will when its agent starts again.
  [[nodiscard]] bool active() const {
    return info.state == topology::StreamState::kInit ||
           info.state == topology::StreamState::kCopying ||
           info.state == topology::StreamState::kRunning;
  }
};

// What the store and the commands that run know of streams, read behind the reports that it is held
// against: what a report shows was in the store before it was created.
struct KnownStreams {
  std::vector<workflow::WorkflowRecord> records;
  // Keys (OperationKey) on which a command runs: its streams come and go.
  std::set<std::string> busy;
};

// Only those of tablets that are in `primaries` (aliases): others run nothing.
std::vector<StrayStream> FindStrays(const std::vector<topology::StreamInfo>& streams,
                                    const std::set<std::string>& primaries,
                                    const KnownStreams& known);

// For people, with what they may do.
std::string DescribeStray(const StrayStream& stray);

}  // namespace sluice::traffic
