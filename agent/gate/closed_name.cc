// ClosedName: the names under which a gate keeps a table and its view aside.

#include "agent/gate/closed_name.h"

#include <cstddef>
#include <cstdint>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"

namespace sluice::gate {
namespace {

constexpr absl::string_view kClosedPrefix = "_sluice_closed_";
constexpr absl::string_view kViewPrefix = "_sluice_view_";
constexpr size_t kWholeBytesMax = 39;
constexpr size_t kCutBytes = 30;

// FNV-1a. The value is part of names on disk, so it must be the same in every build and release.
uint32_t StableHash(absl::string_view text) {
  uint32_t hash = 2166136261U;
  for (const char c : text) {
    hash ^= static_cast<unsigned char>(c);
    hash *= 16777619U;
  }
  return hash;
}

// The longest prefix of at most kCutBytes that ends between two UTF-8 characters.
absl::string_view CutAtCharacter(absl::string_view text) {
  size_t end = kCutBytes;
  while (end > 0 && (static_cast<unsigned char>(text[end]) & 0xC0U) == 0x80U) {
    --end;
  }
  return text.substr(0, end);
}

std::string Prefixed(absl::string_view prefix, absl::string_view table) {
  if (table.size() <= kWholeBytesMax) {
    return absl::StrCat(prefix, table);
  }
  return absl::StrCat(prefix, CutAtCharacter(table), "_",
                      absl::Hex(StableHash(table), absl::kZeroPad8));
}

}  // namespace

std::string ClosedName(absl::string_view table) {
  return Prefixed(kClosedPrefix, table);
}

std::string ViewName(absl::string_view table) {
  return Prefixed(kViewPrefix, table);
}

bool IsClosedName(absl::string_view table) {
  return absl::StartsWith(table, kClosedPrefix);
}

}  // namespace sluice::gate
