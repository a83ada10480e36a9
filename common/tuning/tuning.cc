// Tuning: the table of knobs, and the reading of their values.

#include "common/tuning/tuning.h"

#include <algorithm>
#include <limits>
#include <map>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_replace.h"
#include "absl/strings/strip.h"
#include "common/base/status_macros.h"

namespace sluice::stream {
namespace {

constexpr uint64_t kKiB = 1024;
constexpr uint64_t kMiB = 1024 * kKiB;
constexpr uint64_t kGiB = 1024 * kMiB;
constexpr uint64_t kMilli = 1000;  // microseconds
constexpr uint64_t kSecond = 1000 * kMilli;
constexpr uint64_t kHour = 3600 * kSecond;
constexpr uint64_t kQueryBytesMax = 2000;
constexpr absl::string_view kOff = "off";
constexpr absl::string_view kDefault = "default";

constexpr auto kTable = std::to_array<KnobSpec>({
    {Knob::kCopyWorkers, "copy-workers", KnobKind::kCount, false, 0, 16, "0",
     "sessions that copy on either side; 0: as many as cores, 2 to 8"},
    {Knob::kCopyRowsMax, "copy-rows-max", KnobKind::kCount, false, 1, 100'000, "20000",
     "rows of one read, and about of one commit"},
    {Knob::kCopyBytesMax, "copy-bytes-max", KnobKind::kBytes, false, 16 * kKiB, 16 * kMiB, "1MiB",
     "bytes of one read"},
    {Knob::kCopyPartBytes, "copy-part-bytes", KnobKind::kBytes, false, kMiB, kGiB, "16MiB",
     "a larger table is copied in parts of this size"},
    {Knob::kCopyStatementBytes, "copy-statement-bytes", KnobKind::kBytes, false, 16 * kKiB,
     16 * kMiB, "2MiB", "the longest INSERT; slower servers get shorter ones"},
    {Knob::kCopyCommitBytes, "copy-commit-bytes", KnobKind::kBytes, false, 16 * kKiB, 64 * kMiB,
     "4MiB", "bytes of rows of one commit"},
    {Knob::kCopyCommitTime, "copy-commit-time", KnobKind::kDuration, false, 10 * kMilli,
     60 * kSecond, "500ms", "server time of one commit"},
    {Knob::kCopyEpoch, "copy-epoch", KnobKind::kDuration, false, kSecond, kHour, "5m",
     "how long a snapshot is held before the binlog is applied"},
    {Knob::kApplyChangesMax, "apply-changes-max", KnobKind::kCount, false, 1, 500'000, "20000",
     "changes of one group"},
    {Knob::kApplyBytesMax, "apply-bytes-max", KnobKind::kBytes, false, 64 * kKiB, 256 * kMiB,
     "16MiB", "bytes of one group"},
    {Knob::kApplySessions, "apply-sessions", KnobKind::kCount, false, 1, 16, "3",
     "sessions that write a large group while nobody reads the tables"},
    {Knob::kApplyBatchTime, "apply-batch-time", KnobKind::kDuration, false, 10 * kMilli,
     60 * kSecond, "1s", "server time of a group; slower servers get smaller groups"},
    {Knob::kThrottleApply, "throttle-apply", KnobKind::kFlag, false, 0, 1, "off",
     "whether applying waits too, not the copy alone"},
    {Knob::kThrottleApplyLagMax, "throttle-apply-lag-max", KnobKind::kDuration, false, kSecond,
     kHour, "30s", "a stream that lags so much applies although it is throttled"},
    {Knob::kSourceLag, "source-lag", KnobKind::kDuration, true, kMilli, 24 * kHour, "10s",
     "replica lag on the source above which the copy waits"},
    {Knob::kSourceThreads, "source-threads", KnobKind::kCount, true, 1, 100'000, "off",
     "statements of others running on the source above which the copy waits"},
    {Knob::kSourceDisk, "source-disk-latency", KnobKind::kDuration, true, 10, 60 * kSecond, "off",
     "mean time of a read or a sync of mysqld on the source above which the copy waits"},
    {Knob::kSourceQuery, "source-query", KnobKind::kQuery, true, 1, kQueryBytesMax, "off",
     "a SELECT of one number that is run on the source"},
    {Knob::kSourceQueryMax, "source-query-max", KnobKind::kNumber, false, 0, 0, "0",
     "the copy waits while source-query gives more"},
    {Knob::kTargetLag, "target-lag", KnobKind::kDuration, true, kMilli, 24 * kHour, "10s",
     "replica lag on the target above which the copy waits"},
    {Knob::kTargetThreads, "target-threads", KnobKind::kCount, true, 1, 100'000, "off",
     "statements of others running on the target above which the copy waits"},
    {Knob::kTargetDisk, "target-disk-latency", KnobKind::kDuration, true, 10, 60 * kSecond, "off",
     "mean time of a read or a sync of mysqld on the target above which the copy waits"},
    {Knob::kTargetQuery, "target-query", KnobKind::kQuery, true, 1, kQueryBytesMax, "off",
     "a SELECT of one number that is run on the target"},
    {Knob::kTargetQueryMax, "target-query-max", KnobKind::kNumber, false, 0, 0, "0",
     "the copy waits while target-query gives more"},
});

constexpr bool TableIsInOrder() {
  for (size_t i = 0; i < kTable.size(); ++i) {
    if (static_cast<size_t>(kTable[i].knob) != i) {
      return false;
    }
  }
  return kTable.size() == kKnobs;
}
static_assert(TableIsInOrder());

std::string NormalName(absl::string_view name) {
  return absl::StrReplaceAll(absl::AsciiStrToLower(absl::StripAsciiWhitespace(name)), {{"_", "-"}});
}

// "500ms" as microseconds.
std::optional<uint64_t> ReadMicros(absl::string_view text) {
  absl::Duration duration;
  if (!absl::ParseDuration(text, &duration) || duration < absl::ZeroDuration() ||
      duration > absl::Hours(1'000'000)) {
    return std::nullopt;
  }
  return static_cast<uint64_t>(absl::ToInt64Microseconds(duration));
}

// "65536", "64KiB", "4M", "1GiB".
std::optional<uint64_t> ReadBytes(absl::string_view text) {
  std::string lower = absl::AsciiStrToLower(text);
  absl::string_view number = lower;
  for (const absl::string_view ending : {"ib", "b"}) {
    if (absl::ConsumeSuffix(&number, ending)) {
      break;
    }
  }
  uint64_t unit = 1;
  for (const auto& [letter, factor] :
       {std::pair<absl::string_view, uint64_t>{"k", kKiB}, {"m", kMiB}, {"g", kGiB}}) {
    if (absl::ConsumeSuffix(&number, letter)) {
      unit = factor;
      break;
    }
  }
  uint64_t value = 0;
  if (!absl::SimpleAtoi(number, &value) || value > std::numeric_limits<uint64_t>::max() / unit) {
    return std::nullopt;
  }
  return value * unit;
}

std::optional<uint64_t> ReadFlag(absl::string_view text) {
  for (const absl::string_view yes : {"on", "true", "1", "yes"}) {
    if (absl::EqualsIgnoreCase(text, yes)) {
      return 1;
    }
  }
  for (const absl::string_view no : {"off", "false", "0", "no"}) {
    if (absl::EqualsIgnoreCase(text, no)) {
      return 0;
    }
  }
  return std::nullopt;
}

std::optional<uint64_t> ReadCount(absl::string_view text) {
  uint64_t value = 0;
  return absl::SimpleAtoi(text, &value) ? std::optional<uint64_t>(value) : std::nullopt;
}

// What is compared with the knob's range; nothing when the text is no such value.
std::optional<uint64_t> Measure(KnobKind kind, absl::string_view text) {
  switch (kind) {
    case KnobKind::kCount:
      return ReadCount(text);
    case KnobKind::kBytes:
      return ReadBytes(text);
    case KnobKind::kDuration:
      return ReadMicros(text);
    case KnobKind::kFlag:
      return ReadFlag(text);
    case KnobKind::kNumber: {
      double value = 0;
      return absl::SimpleAtod(text, &value) && value == value ? std::optional<uint64_t>(0)
                                                              : std::nullopt;
    }
    case KnobKind::kQuery:
      return absl::StartsWithIgnoreCase(text, "select") ? std::optional<uint64_t>(text.size())
                                                        : std::nullopt;
  }
  return std::nullopt;
}

std::string BytesText(uint64_t bytes) {
  for (const auto& [unit, name] :
       {std::pair<uint64_t, absl::string_view>{kGiB, "GiB"}, {kMiB, "MiB"}, {kKiB, "KiB"}}) {
    if (bytes >= unit && bytes % unit == 0) {
      return absl::StrCat(bytes / unit, name);
    }
  }
  return absl::StrCat(bytes);
}

std::string RangeText(const KnobSpec& spec) {
  const auto micros = [](uint64_t value) {
    return absl::FormatDuration(absl::Microseconds(static_cast<int64_t>(value)));
  };
  std::string text;
  switch (spec.kind) {
    case KnobKind::kCount:
      text = absl::StrCat("a number from ", spec.min, " to ", spec.max);
      break;
    case KnobKind::kBytes:
      text = absl::StrCat("bytes from ", BytesText(spec.min), " to ", BytesText(spec.max));
      break;
    case KnobKind::kDuration:
      text = absl::StrCat("a duration from ", micros(spec.min), " to ", micros(spec.max));
      break;
    case KnobKind::kFlag:
      return "on or off";
    case KnobKind::kNumber:
      text = "a number";
      break;
    case KnobKind::kQuery:
      text = absl::StrCat("a SELECT of at most ", spec.max, " bytes");
      break;
  }
  return spec.can_be_off ? absl::StrCat(text, ", or off") : text;
}

absl::Status Unknown(absl::string_view name) {
  return absl::InvalidArgumentError(
      absl::StrCat("no value \"", name, "\" can be set; there are ",
                   absl::StrJoin(kTable, ", ", [](std::string* out, const KnobSpec& spec) {
                     absl::StrAppend(out, spec.name);
                   })));
}

// The value without blanks around it, "off" in small letters.
absl::StatusOr<std::string> Checked(const KnobSpec& spec, absl::string_view text) {
  text = absl::StripAsciiWhitespace(text);
  if (spec.can_be_off && absl::EqualsIgnoreCase(text, kOff)) {
    return std::string(kOff);
  }
  const std::optional<uint64_t> measure = Measure(spec.kind, text);
  if (!measure.has_value() || *measure < spec.min || *measure > spec.max) {
    return absl::InvalidArgumentError(
        absl::StrCat(spec.name, ": \"", text, "\" is not ", RangeText(spec)));
  }
  return std::string(text);
}

}  // namespace

absl::Span<const KnobSpec> AllKnobs() {
  return kTable;
}

const KnobSpec* FindKnob(absl::string_view name) {
  const std::string normal = NormalName(name);
  const auto* const found = std::find_if(kTable.begin(), kTable.end(),
                                         [&](const KnobSpec& spec) { return spec.name == normal; });
  return found == kTable.end() ? nullptr : found;
}

absl::StatusOr<Tuning> Tuning::Parse(const std::vector<NamedValue>& values) {
  Tuning tuning;
  for (const NamedValue& item : values) {
    const KnobSpec* const spec = FindKnob(item.name);
    if (spec == nullptr) {
      return Unknown(item.name);
    }
    SLUICE_ASSIGN_OR_RETURN(tuning.values_[static_cast<size_t>(spec->knob)],
                            Checked(*spec, item.value));
  }
  return tuning;
}

bool Tuning::IsOff(Knob knob) const {
  const std::optional<std::string>& value = Of(knob);
  return value.has_value() && kTable[static_cast<size_t>(knob)].can_be_off && *value == kOff;
}

std::optional<uint64_t> Tuning::Count(Knob knob) const {
  const std::optional<std::string>& value = Of(knob);
  return value.has_value() && !IsOff(knob) ? Measure(kTable[static_cast<size_t>(knob)].kind, *value)
                                           : std::nullopt;
}

std::optional<absl::Duration> Tuning::Time(Knob knob) const {
  const std::optional<uint64_t> micros = Count(knob);
  return micros.has_value()
             ? std::optional<absl::Duration>(absl::Microseconds(static_cast<int64_t>(*micros)))
             : std::nullopt;
}

std::optional<double> Tuning::Number(Knob knob) const {
  const std::optional<std::string>& value = Of(knob);
  double number = 0;
  return value.has_value() && absl::SimpleAtod(*value, &number) ? std::optional<double>(number)
                                                                : std::nullopt;
}

std::optional<std::string> Tuning::Text(Knob knob) const {
  return IsOff(knob) ? std::nullopt : Of(knob);
}

absl::StatusOr<std::vector<NamedValue>> MergeTuning(const std::vector<NamedValue>& now,
                                                    const std::vector<NamedValue>& changes) {
  std::map<std::string, std::string> merged;
  for (const NamedValue& item : now) {
    merged[item.name] = item.value;
  }
  for (const NamedValue& item : changes) {
    const KnobSpec* const spec = FindKnob(item.name);
    if (spec == nullptr) {
      return Unknown(item.name);
    }
    const std::string name(spec->name);
    if (absl::EqualsIgnoreCase(absl::StripAsciiWhitespace(item.value), kDefault)) {
      merged.erase(name);
    } else {
      SLUICE_ASSIGN_OR_RETURN(merged[name], Checked(*spec, item.value));
    }
  }
  std::vector<NamedValue> result;
  result.reserve(merged.size());
  for (const auto& [name, value] : merged) {
    result.push_back({.name = name, .value = value});
  }
  return result;
}

absl::StatusOr<std::vector<NamedValue>> SplitTuning(absl::string_view text) {
  std::vector<NamedValue> values;
  while (!absl::StripAsciiWhitespace(text).empty()) {
    const size_t equals = text.find('=');
    const absl::string_view name =
        absl::StripAsciiWhitespace(text.substr(0, std::min(equals, text.size())));
    if (equals == absl::string_view::npos) {
      return absl::InvalidArgumentError(
          absl::StrCat("\"", name, "\" is not of the form name=value"));
    }
    if (FindKnob(name) == nullptr) {
      return Unknown(name);
    }
    text.remove_prefix(equals + 1);
    size_t end = text.size();
    for (size_t comma = text.find(','); comma < text.size(); comma = text.find(',', comma + 1)) {
      const absl::string_view rest = text.substr(comma + 1);
      const size_t next = rest.find('=');
      if (next < rest.size() && FindKnob(rest.substr(0, next)) != nullptr) {
        end = comma;
        break;
      }
    }
    values.push_back({.name = std::string(name), .value = std::string(text.substr(0, end))});
    text.remove_prefix(std::min(end + 1, text.size()));
  }
  return values;
}

}  // namespace sluice::stream
