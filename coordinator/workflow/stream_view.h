// StreamView: a stream of a record together with what is reported of it. For the documents.

#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/time/time.h"
#include "coordinator/topology/topology.h"
#include "coordinator/workflow/record.h"

namespace sluice::workflow {

struct StreamView {
  StreamRecord record;
  std::optional<topology::StreamInfo> info;    // nullopt: no tablet reports it
  std::optional<topology::TabletInfo> tablet;  // that runs it, or the primary that should
  bool frozen = false;
  std::string state;    // "Running", …, "Unknown" when nobody reports it
  std::string message;  // "FROZEN", or why it stands
  int64_t lag_ms = -1;  // grows while its agent is silent; -1 unknown
};

std::vector<StreamView> ViewStreams(const WorkflowRecord& record,
                                    const topology::Topology& topology);

// A table's copy over all streams.
struct TableProgress {
  uint64_t rows_copied = 0;
  uint64_t rows_total = 0;
  uint64_t bytes_copied = 0;
  uint64_t bytes_total = 0;
  std::string phase;  // UNKNOWN, NOT_STARTED, IN_PROGRESS, COMPLETE
};

TableProgress ProgressOf(const std::string& table, const std::vector<StreamView>& streams);

}  // namespace sluice::workflow
