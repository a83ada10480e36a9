// Target: parsing of keyspace[:shard][@type].

#include "common/routing/target.h"

#include <algorithm>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "common/base/status_macros.h"

namespace sluice::routing {
namespace {

bool IsKeyspaceCharacter(char c) {
  return absl::ascii_isalnum(static_cast<unsigned char>(c)) || c == '_' || c == '-' || c == '$' ||
         (static_cast<unsigned char>(c) & 0x80U) != 0;
}

bool IsShardCharacter(char c) {
  return absl::ascii_isalnum(static_cast<unsigned char>(c)) || c == '-' || c == '_';
}

bool Consists(absl::string_view text, bool (*predicate)(char)) {
  return std::all_of(text.begin(), text.end(), predicate);
}

absl::Status Malformed(absl::string_view text, absl::string_view why) {
  return absl::InvalidArgumentError(absl::StrCat(
      "target '", text, "': ", why, "; expected keyspace, keyspace@type or keyspace:shard@type"));
}

}  // namespace

absl::StatusOr<TabletType> ParseTabletType(absl::string_view text) {
  if (absl::EqualsIgnoreCase(text, "primary") || absl::EqualsIgnoreCase(text, "master")) {
    return TabletType::kPrimary;
  }
  if (absl::EqualsIgnoreCase(text, "replica")) {
    return TabletType::kReplica;
  }
  if (absl::EqualsIgnoreCase(text, "rdonly")) {
    return TabletType::kRdonly;
  }
  return absl::InvalidArgumentError(
      absl::StrCat("unknown tablet type '", text, "'; expected PRIMARY, REPLICA or RDONLY"));
}

std::string TabletTypeName(TabletType type) {
  switch (type) {
    case TabletType::kPrimary:
      return "PRIMARY";
    case TabletType::kReplica:
      return "REPLICA";
    case TabletType::kRdonly:
      return "RDONLY";
    case TabletType::kUnknown:
      break;
  }
  return "UNKNOWN";
}

absl::StatusOr<Target> ParseTarget(absl::string_view text) {
  Target target;
  absl::string_view rest = text;
  if (const size_t at = rest.find('@'); at != absl::string_view::npos) {
    absl::StatusOr<TabletType> type = ParseTabletType(rest.substr(at + 1));
    if (!type.ok()) {
      return Malformed(text, absl::StrCat("unknown tablet type '", rest.substr(at + 1), "'"));
    }
    target.type = *type;
    rest = rest.substr(0, at);
  }
  if (const size_t separator = rest.find_first_of(":/"); separator != absl::string_view::npos) {
    const absl::string_view shard = rest.substr(separator + 1);
    rest = rest.substr(0, separator);
    if (shard.empty() || !Consists(shard, IsShardCharacter)) {
      return Malformed(text, "the shard's name is empty or malformed");
    }
    if (rest.empty()) {
      return Malformed(text, "a shard needs its keyspace");
    }
    target.shard = std::string(shard);
  }
  if (!Consists(rest, IsKeyspaceCharacter)) {
    return Malformed(text, "malformed keyspace name");
  }
  target.keyspace = std::string(rest);
  return target;
}

}  // namespace sluice::routing
