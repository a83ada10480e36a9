// Random ids from the kernel.

#include "common/base/random_id.h"

#include <sys/random.h>

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "common/base/check.h"

namespace sluice {
namespace {

constexpr size_t kTraceDigits = 32;
constexpr size_t kSpanDigits = 16;
constexpr size_t kTraceparentBytes = 2 + 1 + kTraceDigits + 1 + kSpanDigits + 1 + 2;

template <size_t kBytes>
std::string RandomHex() {
  std::array<uint8_t, kBytes> bytes{};
  // Up to 256 bytes are delivered in one piece.
  SLUICE_CHECK(getrandom(bytes.data(), bytes.size(), 0) == static_cast<ssize_t>(bytes.size()));
  return absl::BytesToHexString(std::string(bytes.begin(), bytes.end()));
}

bool IsLowerHex(absl::string_view text) {
  return std::all_of(text.begin(), text.end(),
                     [](char c) { return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f'); });
}

}  // namespace

std::string NewId() {
  return RandomHex<16>();
}

std::string NewTraceparent() {
  return absl::StrCat("00-", RandomHex<kTraceDigits / 2>(), "-", RandomHex<kSpanDigits / 2>(),
                      "-01");
}

bool IsTraceparent(absl::string_view text) {
  if (text.size() != kTraceparentBytes || text.substr(0, 3) != "00-" || text[35] != '-' ||
      text[52] != '-') {
    return false;
  }
  const absl::string_view trace = text.substr(3, kTraceDigits);
  const absl::string_view span = text.substr(36, kSpanDigits);
  return IsLowerHex(trace) && IsLowerHex(span) && IsLowerHex(text.substr(53)) &&
         trace.find_first_not_of('0') != absl::string_view::npos &&
         span.find_first_not_of('0') != absl::string_view::npos;
}

std::string ChildTraceparent(absl::string_view parent) {
  if (!IsTraceparent(parent)) {
    return NewTraceparent();
  }
  return absl::StrCat(parent.substr(0, 36), RandomHex<kSpanDigits / 2>(), parent.substr(52));
}

}  // namespace sluice
