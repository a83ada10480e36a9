// RowsReader: cutting the bytes of a rows event into cells.

#include "common/binlog/rows_reader.h"

#include "absl/strings/str_cat.h"
#include "common/base/status_macros.h"
#include "common/binlog/bits.h"
#include "common/binlog/decimal.h"
#include "common/binlog/malformed.h"

namespace sluice::binlog {
namespace {

constexpr absl::string_view kImage = "row image";

}  // namespace

// Of neither kind where the metadata is none that a server writes.
absl::StatusOr<TableLayout::Cell> TableLayout::LayoutOf(const ColumnType& type) {
  const size_t fraction_bytes = (size_t{type.metadata} + 1) / 2;
  constexpr size_t kIntegerBytesMax = 8;
  switch (type.type) {
    case kTypeTiny:
    case kTypeYear:
      return Cell{.fixed = 1};
    case kTypeShort:
      return Cell{.fixed = 2};
    case kTypeInt24:
    case kTypeDate:
      return Cell{.fixed = 3};
    case kTypeLong:
    case kTypeFloat:
      return Cell{.fixed = 4};
    case kTypeLongLong:
    case kTypeDouble:
      return Cell{.fixed = 8};
    case kTypeTime2:
      return Cell{.fixed = 3 + fraction_bytes};
    case kTypeTimestamp2:
      return Cell{.fixed = 4 + fraction_bytes};
    case kTypeDatetime2:
      return Cell{.fixed = 5 + fraction_bytes};
    case kTypeNewDecimal:
      return Cell{.fixed = DecimalBytes(type.metadata >> 8U, type.metadata & 0xffU)};
    case kTypeBit:
      return type.metadata > 8 * kIntegerBytesMax ? Cell{}
                                                  : Cell{.fixed = (size_t{type.metadata} + 7) / 8};
    case kTypeEnum:
    case kTypeSet:
      return type.metadata > kIntegerBytesMax ? Cell{} : Cell{.fixed = type.metadata};
    case kTypeVarchar:
    case kTypeVarString:
    case kTypeString:
      return Cell{.prefix = type.metadata > 255 ? size_t{2} : size_t{1}};
    case kTypeBlob:
    case kTypeJson:
    case kTypeGeometry:
    case kTypeVector:
      return Cell{.prefix = type.metadata};
    case kTypeTimestampOld:
    case kTypeTimeOld:
    case kTypeDatetimeOld:
      return absl::FailedPreconditionError(
          "a column has a date or time type from before MySQL 5.6; run ALTER TABLE … FORCE on the "
          "source");
    default:
      return absl::FailedPreconditionError(
          absl::StrCat("a column has the binlog type ", type.type, ", which has no row image"));
  }
}

absl::StatusOr<TableLayout> TableLayout::Create(const TableMapEvent& table) {
  TableLayout layout;
  layout.cells_.reserve(table.columns.size());
  for (const ColumnType& column : table.columns) {
    SLUICE_ASSIGN_OR_RETURN(const Cell cell, LayoutOf(column));
    if ((cell.fixed == 0 && cell.prefix == 0) || cell.fixed > 32 || cell.prefix > 4) {
      return Malformed("TABLE_MAP event", absl::StrCat("metadata of column type ", column.type));
    }
    if (column.type == kTypeJson) {
      layout.json_.push_back(layout.cells_.size());
    }
    layout.cells_.push_back(cell);
  }
  return layout;
}

void RowsReader::Prepare(absl::string_view bits, size_t width, Side& side) {
  side.image.assign(width, ImageCell{});
  side.present.clear();
  for (size_t i = 0; i < width; ++i) {
    if (TestBit(bits, i)) {
      side.image[i].present = true;
      side.present.push_back(i);
    }
  }
}

absl::Status RowsReader::Start(const TableLayout& layout, const RowsEvent& rows) {
  has_before_ = rows.type != EventType::kWriteRows;
  has_after_ = rows.type != EventType::kDeleteRows;
  partial_ = rows.type == EventType::kPartialUpdateRows;
  const size_t bitmap_bytes = (layout.width() + 7) / 8;
  if ((has_before_ && rows.columns_before.size() != bitmap_bytes) ||
      (has_after_ && rows.columns_after.size() != bitmap_bytes)) {
    return Malformed("rows event", "its columns are not those of its table map");
  }
  layout_ = &layout;
  bytes_ = ByteReader(rows.rows);
  if (has_before_) {
    Prepare(rows.columns_before, layout.width(), before_);
  }
  if (has_after_) {
    Prepare(rows.columns_after, layout.width(), after_);
  }
  return absl::OkStatus();
}

void RowsReader::Read(Side& side) {
  const absl::string_view nulls = bytes_.Bytes((side.present.size() + 7) / 8);
  for (size_t index = 0; index < side.present.size() && !bytes_.failed(); ++index) {
    ImageCell& cell = side.image[side.present[index]];
    cell.null = TestBit(nulls, index);
    if (cell.null) {
      cell.bytes = {};
      continue;
    }
    const TableLayout::Cell& layout = layout_->cells_[side.present[index]];
    cell.bytes = bytes_.Bytes(layout.prefix == 0 ? layout.fixed : bytes_.UintLe(layout.prefix));
  }
}

// In front of an image after: options, and with the first of them one bit per JSON column of the
// table.
void RowsReader::ReadPartialColumns() {
  constexpr uint64_t kPartialJson = 1;
  const uint64_t options = bytes_.PackedInt();
  if (options > kPartialJson) {
    bytes_.Fail();
    return;
  }
  const absl::string_view bits =
      options == kPartialJson ? bytes_.Bytes((layout_->json_.size() + 7) / 8) : absl::string_view();
  if (bytes_.failed()) {
    return;
  }
  for (size_t i = 0; i < layout_->json_.size(); ++i) {
    after_.image[layout_->json_[i]].partial = !bits.empty() && TestBit(bits, i);
  }
}

absl::StatusOr<bool> RowsReader::Next() {
  if (bytes_.failed() || bytes_.done()) {
    return false;
  }
  const size_t start = bytes_.position();
  if (has_before_) {
    Read(before_);
  }
  if (partial_ && !bytes_.failed()) {
    ReadPartialColumns();
  }
  if (has_after_) {
    Read(after_);
  }
  if (bytes_.failed()) {
    return Malformed(kImage, "cut short");
  }
  if (bytes_.position() == start) {
    return Malformed(kImage, "it has no columns");  // or reading would have no end
  }
  return true;
}

}  // namespace sluice::binlog
