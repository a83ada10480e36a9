// TestBit: the binlog's bitmaps. Private to common/binlog.

#pragma once

#include <cstddef>
#include <cstdint>

#include "absl/strings/string_view.h"

namespace sluice::binlog {

// Bit `index`, the first one lowest in the first byte. REQUIRES: it is inside the bytes.
inline bool TestBit(absl::string_view bits, size_t index) {
  const unsigned byte = static_cast<uint8_t>(bits[index / 8]);
  return ((byte >> (index % 8)) & 1U) != 0;
}

}  // namespace sluice::binlog
