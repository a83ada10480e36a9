// Names of keyspaces and shards, and whether shards cover a keyspace.

#include "coordinator/topology/shard_names.h"

#include <algorithm>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "common/base/status_macros.h"

namespace sluice::topology {
namespace {

constexpr size_t kNameBytesMax = 64;
constexpr size_t kRangeDigitsMax = 16;  // keyspace ids are compared by their first bytes

bool IsPlain(absl::string_view name) {
  return !name.empty() && name.size() <= kNameBytesMax &&
         std::all_of(name.begin(), name.end(), [](char c) {
           return absl::ascii_isalnum(static_cast<unsigned char>(c)) || c == '_';
         });
}

bool IsRangeEnd(absl::string_view text) {
  return text.size() % 2 == 0 && text.size() <= kRangeDigitsMax &&
         std::all_of(text.begin(), text.end(), [](char c) {
           return absl::ascii_isdigit(static_cast<unsigned char>(c)) || (c >= 'a' && c <= 'f');
         });
}

struct KeyRange {
  std::string name;
  std::string begin;  // hex digits; empty: from the start
  std::string end;    // empty: to the end
};

absl::StatusOr<KeyRange> ParseRange(const std::string& shard) {
  const size_t dash = shard.find('-');
  if (dash == std::string::npos) {
    return absl::InvalidArgumentError(absl::StrCat(
        "shard '", shard, "' is not a key range; several shards are named like -80 and 80-"));
  }
  KeyRange range{shard, shard.substr(0, dash), shard.substr(dash + 1)};
  if (!IsRangeEnd(range.begin) || !IsRangeEnd(range.end) ||
      (!range.end.empty() && range.end <= range.begin)) {
    return absl::InvalidArgumentError(
        absl::StrCat("shard '", shard,
                     "' is not a key range; expected lower-case hex digits in "
                     "pairs around one '-', the smaller first, like -80, 80-c0 or c0-"));
  }
  return range;
}

}  // namespace

absl::Status ValidateKeyspaceName(absl::string_view name) {
  const bool good =
      !name.empty() && name.size() <= kNameBytesMax && name.front() != '_' &&
      std::all_of(name.begin(), name.end(), [](char c) {
        return absl::ascii_isalnum(static_cast<unsigned char>(c)) || c == '_' || c == '-';
      });
  if (!good) {
    return absl::InvalidArgumentError(
        absl::StrCat("keyspace name '", name,
                     "' is not valid: 1 to 64 letters, digits, '_' and "
                     "'-' are allowed, and no '_' in front"));
  }
  return absl::OkStatus();
}

absl::StatusOr<std::vector<std::string>> ValidateShards(std::vector<std::string> shards) {
  if (shards.empty()) {
    return std::vector<std::string>{"0"};
  }
  if (shards.size() == 1 && IsPlain(shards.front())) {
    return shards;
  }
  std::vector<KeyRange> ranges;
  ranges.reserve(shards.size());
  for (const std::string& shard : shards) {
    SLUICE_ASSIGN_OR_RETURN(KeyRange range, ParseRange(shard));
    ranges.push_back(std::move(range));
  }
  std::sort(ranges.begin(), ranges.end(),
            [](const KeyRange& a, const KeyRange& b) { return a.begin < b.begin; });
  std::string expected;
  for (size_t i = 0; i < ranges.size(); ++i) {
    const bool past_the_end = i > 0 && expected.empty();
    if (past_the_end || ranges[i].begin < expected) {
      return absl::InvalidArgumentError(
          absl::StrCat("shards '", ranges[i - 1].name, "' and '", ranges[i].name, "' overlap"));
    }
    if (ranges[i].begin > expected) {
      return absl::InvalidArgumentError(
          absl::StrCat("no shard covers the key range '", expected, "-", ranges[i].begin, "'"));
    }
    expected = ranges[i].end;
  }
  if (!expected.empty()) {
    return absl::InvalidArgumentError(
        absl::StrCat("no shard covers the key range '", expected, "-'"));
  }
  std::vector<std::string> names;
  names.reserve(ranges.size());
  for (KeyRange& range : ranges) {
    names.push_back(std::move(range.name));
  }
  return names;
}

}  // namespace sluice::topology
