// Cell codec: lengths and NULL of the MySQL text protocol.

#include "agent/source/cell_codec.h"

#include <cstdint>
#include <optional>

#include "absl/strings/str_cat.h"

namespace sluice::source {
namespace {

constexpr uint8_t kNull = 0xFB;
constexpr uint8_t kTwoBytes = 0xFC;
constexpr uint8_t kThreeBytes = 0xFD;
constexpr uint8_t kEightBytes = 0xFE;

void AppendLittleEndian(uint64_t value, size_t bytes, std::string& out) {
  for (size_t i = 0; i < bytes; ++i) {
    out.push_back(static_cast<char>(value & 0xFFU));
    value >>= 8U;
  }
}

size_t WidthAfter(uint8_t first) {
  switch (first) {
    case kTwoBytes:
      return 2;
    case kThreeBytes:
      return 3;
    case kEightBytes:
      return 8;
    default:
      return 0;
  }
}

}  // namespace

void AppendCell(const mysql::Cell& cell, std::string& out) {
  if (!cell.has_value()) {
    out.push_back(static_cast<char>(kNull));
    return;
  }
  const uint64_t size = cell->size();
  if (size < kNull) {
    out.push_back(static_cast<char>(size));
  } else if (size < (uint64_t{1} << 16U)) {
    out.push_back(static_cast<char>(kTwoBytes));
    AppendLittleEndian(size, 2, out);
  } else if (size < (uint64_t{1} << 24U)) {
    out.push_back(static_cast<char>(kThreeBytes));
    AppendLittleEndian(size, 3, out);
  } else {
    out.push_back(static_cast<char>(kEightBytes));
    AppendLittleEndian(size, 8, out);
  }
  out.append(cell->data(), cell->size());
}

absl::Status CellReader::ReadRow(size_t columns, std::vector<mysql::Cell>& row) {
  row.clear();
  for (size_t i = 0; i < columns; ++i) {
    if (rest_.empty()) {
      return absl::InvalidArgumentError(
          absl::StrCat("row ends after ", i, " of ", columns, " cells"));
    }
    const auto first = static_cast<uint8_t>(rest_.front());
    rest_.remove_prefix(1);
    if (first == kNull) {
      row.emplace_back(std::nullopt);
      continue;
    }
    uint64_t size = first;
    if (first > kEightBytes) {
      return absl::InvalidArgumentError("a cell's length begins with 0xFF");
    }
    if (first > kNull) {
      const size_t width = WidthAfter(first);
      if (rest_.size() < width) {
        return absl::InvalidArgumentError("a cell's length is cut off");
      }
      size = 0;
      for (size_t byte = width; byte > 0; --byte) {
        size = (size << 8U) | static_cast<uint8_t>(rest_[byte - 1]);
      }
      rest_.remove_prefix(width);
    }
    if (size > rest_.size()) {
      return absl::InvalidArgumentError(
          absl::StrCat("a cell of ", size, " bytes in ", rest_.size(), " bytes"));
    }
    row.emplace_back(rest_.substr(0, size));
    rest_.remove_prefix(size);
  }
  return absl::OkStatus();
}

}  // namespace sluice::source
