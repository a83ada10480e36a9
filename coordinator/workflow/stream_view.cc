// StreamView: a stream of a record together with what is reported of it.

#include "coordinator/workflow/stream_view.h"

#include <algorithm>
#include <utility>

namespace sluice::workflow {
namespace {

// Reports come each second; a lag that is older than this is added to.
constexpr absl::Duration kReportFresh = absl::Seconds(2);

int64_t LagOf(const topology::StreamInfo& info, absl::Time now) {
  if (info.lag_ms < 0) {
    return -1;
  }
  const absl::Duration silent = now - info.heard;
  return silent > kReportFresh ? info.lag_ms + absl::ToInt64Milliseconds(silent) : info.lag_ms;
}

const topology::CopyProgress* FindCopy(const topology::StreamInfo& info, const std::string& table) {
  const auto found =
      std::find_if(info.copy.begin(), info.copy.end(),
                   [&](const topology::CopyProgress& copy) { return copy.table == table; });
  return found == info.copy.end() ? nullptr : &*found;
}

}  // namespace

std::vector<StreamView> ViewStreams(const WorkflowRecord& record,
                                    const topology::Topology& topology) {
  const absl::Time now = topology.options().now();
  std::vector<StreamView> views;
  for (const StreamRecord& stream : record.streams) {
    StreamView view;
    view.record = stream;
    view.info = topology.FindStream(stream.id);
    view.frozen = record.phase == WorkflowPhase::kFrozen;
    absl::StatusOr<topology::TabletInfo> tablet =
        view.info.has_value() ? topology.FindTablet(view.info->tablet)
                              : topology.PrimaryOf(record.target_keyspace, stream.target_shard);
    if (tablet.ok()) {
      view.tablet = *std::move(tablet);
    }
    view.state = view.info.has_value() ? topology::StreamStateName(view.info->state) : "Unknown";
    if (view.info.has_value()) {
      view.frozen = view.frozen || view.info->frozen;
      view.message = view.info->message;
      view.lag_ms = LagOf(*view.info, now);
    }
    if (view.frozen) {
      view.message = "FROZEN";
    }
    views.push_back(std::move(view));
  }
  return views;
}

TableProgress ProgressOf(const std::string& table, const std::vector<StreamView>& streams) {
  TableProgress total;
  size_t known = 0;
  size_t done = 0;
  size_t started = 0;
  for (const StreamView& stream : streams) {
    const topology::CopyProgress* copy =
        stream.info.has_value() ? FindCopy(*stream.info, table) : nullptr;
    if (copy == nullptr) {
      // Traffic came back by it: it began behind a switch, with all rows there.
      const bool copies_nothing = stream.info.has_value() && stream.info->copy.empty() &&
                                  !stream.info->position.empty() &&
                                  (stream.info->state == topology::StreamState::kRunning ||
                                   stream.info->state == topology::StreamState::kStopped);
      known += copies_nothing ? 1 : 0;
      done += copies_nothing ? 1 : 0;
      continue;
    }
    ++known;
    total.rows_copied += copy->rows_copied;
    total.bytes_copied += copy->bytes_copied;
    // Estimates are far off at times; what is copied is known.
    total.rows_total +=
        copy->done ? copy->rows_copied : std::max(copy->rows_estimate, copy->rows_copied);
    total.bytes_total +=
        copy->done ? copy->bytes_copied : std::max(copy->bytes_estimate, copy->bytes_copied);
    done += copy->done ? 1 : 0;
    started += copy->started || copy->done ? 1 : 0;
  }
  if (known < streams.size() || streams.empty()) {
    total.phase = "UNKNOWN";
  } else if (done == known) {
    total.phase = "COMPLETE";
  } else {
    total.phase = started > 0 ? "IN_PROGRESS" : "NOT_STARTED";
  }
  return total;
}

}  // namespace sluice::workflow
