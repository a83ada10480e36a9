// Tuning: the values of a workflow that an operator may change by name, and their ranges. Pure.

#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "absl/types/span.h"
#include "common/stream/stream_options.h"

namespace sluice::stream {

// The order is that of AllKnobs().
enum class Knob : uint8_t {
  kCopyWorkers,
  kCopyRowsMax,
  kCopyBytesMax,
  kCopyPartBytes,
  kCopyStatementBytes,
  kCopyCommitBytes,
  kCopyCommitTime,
  kCopyEpoch,
  kApplyChangesMax,
  kApplyBytesMax,
  kApplySessions,
  kApplyBatchTime,
  kThrottleApply,
  kThrottleApplyLagMax,
  kSourceLag,
  kSourceThreads,
  kSourceDisk,
  kSourceQuery,
  kSourceQueryMax,
  kTargetLag,
  kTargetThreads,
  kTargetDisk,
  kTargetQuery,
  kTargetQueryMax,
};
inline constexpr size_t kKnobs = 24;

enum class KnobKind : uint8_t { kCount, kBytes, kDuration, kFlag, kNumber, kQuery };

struct KnobSpec {
  Knob knob;
  absl::string_view name;  // "copy-workers"
  KnobKind kind;
  bool can_be_off;
  // Bytes, counts, and microseconds of a duration; of a query the length of its text.
  uint64_t min;
  uint64_t max;
  absl::string_view fallback;  // as people read it
  absl::string_view help;
};

absl::Span<const KnobSpec> AllKnobs();
// By its name; nullptr when there is none. '_' counts as '-', letters in any case.
const KnobSpec* FindKnob(absl::string_view name);

// Values as they were checked. What is not set counts as the agent has it.
class Tuning {
 public:
  // INVALID_ARGUMENT names the first value that is unknown or out of its range, and what is right.
  static absl::StatusOr<Tuning> Parse(const std::vector<NamedValue>& values);

  [[nodiscard]] bool Has(Knob knob) const { return Of(knob).has_value(); }
  [[nodiscard]] bool IsOff(Knob knob) const;
  // Each is empty where the knob is not set, or off. Flags are 0 and 1.
  [[nodiscard]] std::optional<uint64_t> Count(Knob knob) const;
  [[nodiscard]] std::optional<absl::Duration> Time(Knob knob) const;
  [[nodiscard]] std::optional<double> Number(Knob knob) const;
  [[nodiscard]] std::optional<std::string> Text(Knob knob) const;

 private:
  [[nodiscard]] const std::optional<std::string>& Of(Knob knob) const {
    return values_[static_cast<size_t>(knob)];
  }

  std::array<std::optional<std::string>, kKnobs> values_;  // checked
};

// `now` with `changes` over it, by name; the value "default" takes one away. Sorted by name, each
// once. Fails as Tuning::Parse.
absl::StatusOr<std::vector<NamedValue>> MergeTuning(const std::vector<NamedValue>& now,
                                                    const std::vector<NamedValue>& changes);

// "copy-workers=2,target-lag=1s": a comma ends a value only where the name of a knob and '='
// follow, so that a query may hold commas. INVALID_ARGUMENT for an unknown name, or none.
absl::StatusOr<std::vector<NamedValue>> SplitTuning(absl::string_view text);

}  // namespace sluice::stream
