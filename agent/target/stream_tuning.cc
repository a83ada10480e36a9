// Tuned: which knob sets what.

#include "agent/target/stream_tuning.h"

#include <cstddef>
#include <optional>

namespace sluice::target {
namespace {

using stream::Knob;

template <typename Number>
void Take(const std::optional<uint64_t>& from, Number& to) {
  if (from.has_value()) {
    to = static_cast<Number>(*from);
  }
}

void Take(const std::optional<absl::Duration>& from, absl::Duration& to) {
  to = from.value_or(to);
}

}  // namespace

StreamTuning Tuned(StreamTuning values, const stream::Tuning& tuning) {
  CopierOptions& copier = values.copier;
  Take(tuning.Count(Knob::kCopyWorkers), copier.workers);
  Take(tuning.Count(Knob::kCopyRowsMax), copier.rows_max);
  Take(tuning.Count(Knob::kCopyBytesMax), copier.bytes_max);
  Take(tuning.Count(Knob::kCopyPartBytes), copier.part_bytes);
  Take(tuning.Count(Knob::kCopyStatementBytes), copier.statement_bytes_max);
  Take(tuning.Count(Knob::kCopyCommitBytes), copier.commit_bytes);
  Take(tuning.Time(Knob::kCopyCommitTime), copier.commit_time);
  Take(tuning.Time(Knob::kCopyEpoch), values.copy_epoch);
  ApplierOptions& applier = values.applier;
  Take(tuning.Count(Knob::kApplyChangesMax), applier.changes_max);
  Take(tuning.Count(Knob::kApplyBytesMax), applier.bytes_max);
  Take(tuning.Count(Knob::kApplySessions), applier.slices.sessions);
  Take(tuning.Time(Knob::kApplyBatchTime), applier.batch_time);
  return values;
}

}  // namespace sluice::target
