// Values of flags.

#include "coordinator/cli/values.h"

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "coordinator/cli/failure.h"

namespace sluice::cli {
namespace {

// Far below what the wire's 32 bits of milliseconds hold.
constexpr absl::Duration kDurationMax = absl::Hours(24);

}  // namespace

absl::StatusOr<absl::Duration> ParseDurationFlag(absl::string_view flag, absl::string_view text,
                                                 absl::Duration min) {
  absl::Duration duration;
  if (!absl::ParseDuration(absl::StripAsciiWhitespace(text), &duration) ||
      duration == absl::InfiniteDuration() || duration == -absl::InfiniteDuration()) {
    return UsageError(
        absl::StrCat("--", flag, ": \"", text, "\" is not a duration; write 30s, 500ms or 1m"));
  }
  if (duration < min) {
    return Refusal(absl::StrCat("--", flag, " ", text, " is too short: the least is ",
                                absl::FormatDuration(min)));
  }
  if (duration > kDurationMax) {
    return Refusal(absl::StrCat("--", flag, " ", text, " is too long: the most is ",
                                absl::FormatDuration(kDurationMax)));
  }
  return duration;
}

absl::StatusOr<uint32_t> ParseNumberFlag(absl::string_view flag, absl::string_view text,
                                         uint32_t max) {
  int64_t number = 0;
  if (!absl::SimpleAtoi(text, &number)) {
    return UsageError(absl::StrCat("--", flag, ": \"", text, "\" is not a whole number"));
  }
  if (number < 1 || number > max) {
    return Refusal(absl::StrCat("--", flag, " ", number, " is out of bounds: from 1 to ", max));
  }
  return static_cast<uint32_t>(number);
}

std::vector<std::string> ParseList(absl::string_view text) {
  std::vector<std::string> list;
  for (const absl::string_view item : absl::StrSplit(text, ',')) {
    const absl::string_view stripped = absl::StripAsciiWhitespace(item);
    if (!stripped.empty()) {
      list.emplace_back(stripped);
    }
  }
  return list;
}

absl::StatusOr<std::vector<routing::TabletType>> ParseTabletTypes(absl::string_view text) {
  text = absl::StripAsciiWhitespace(text);
  constexpr absl::string_view kInOrder = "in_order:";
  if (absl::StartsWithIgnoreCase(text, kInOrder)) {
    text.remove_prefix(kInOrder.size());
  }
  std::vector<routing::TabletType> types;
  for (const std::string& name : ParseList(text)) {
    const absl::StatusOr<routing::TabletType> type = routing::ParseTabletType(name);
    if (!type.ok()) {
      return Refusal(absl::StrCat("unknown tablet type \"", name,
                                  "\"; the types are PRIMARY, REPLICA and RDONLY"));
    }
    types.push_back(*type);
  }
  if (types.empty()) {
    return Refusal("--tablet-types names no type; the types are PRIMARY, REPLICA and RDONLY");
  }
  return types;
}

std::optional<bool> ParseBool(absl::string_view text) {
  const std::string lower = absl::AsciiStrToLower(text);
  if (lower == "true" || lower == "t" || lower == "1") {
    return true;
  }
  if (lower == "false" || lower == "f" || lower == "0") {
    return false;
  }
  return std::nullopt;
}

std::optional<WorkflowName> SplitWorkflow(absl::string_view text) {
  const size_t dot = text.find('.');
  if (dot == absl::string_view::npos || dot == 0 || dot + 1 == text.size()) {
    return std::nullopt;
  }
  return WorkflowName{.keyspace = std::string(text.substr(0, dot)),
                      .workflow = std::string(text.substr(dot + 1))};
}

}  // namespace sluice::cli
