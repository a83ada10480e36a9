// Row images: cutting the bytes of a rows event into cells.

#include "common/binlog/row_image.h"

#include <utility>

#include "common/base/byte_reader.h"
#include "common/base/status_macros.h"
#include "common/binlog/bits.h"
#include "common/binlog/decimal.h"
#include "common/binlog/malformed.h"

namespace sluice::binlog {
namespace {

constexpr absl::string_view kImage = "row image";

size_t CountPresent(absl::string_view bits, size_t width) {
  size_t count = 0;
  for (size_t i = 0; i < width; ++i) {
    count += TestBit(bits, i) ? 1U : 0U;
  }
  return count;
}

// How a cell of the type is laid out: `fixed` bytes, or a length of `prefix` bytes and the value.
struct Layout {
  size_t fixed = 0;
  size_t prefix = 0;
};

absl::StatusOr<Layout> LayoutOf(const ColumnType& type) {
  const size_t fraction_bytes = (size_t{type.metadata} + 1) / 2;
  switch (type.type) {
    case kTypeTiny:
    case kTypeYear:
      return Layout{.fixed = 1};
    case kTypeShort:
      return Layout{.fixed = 2};
    case kTypeInt24:
    case kTypeDate:
      return Layout{.fixed = 3};
    case kTypeLong:
    case kTypeFloat:
      return Layout{.fixed = 4};
    case kTypeLongLong:
    case kTypeDouble:
      return Layout{.fixed = 8};
    case kTypeTime2:
      return Layout{.fixed = 3 + fraction_bytes};
    case kTypeTimestamp2:
      return Layout{.fixed = 4 + fraction_bytes};
    case kTypeDatetime2:
      return Layout{.fixed = 5 + fraction_bytes};
    case kTypeNewDecimal:
      return Layout{.fixed = DecimalBytes(type.metadata >> 8U, type.metadata & 0xffU)};
    case kTypeBit:
      return Layout{.fixed = (size_t{type.metadata} + 7) / 8};
    case kTypeEnum:
    case kTypeSet:
      return Layout{.fixed = type.metadata};
    case kTypeVarchar:
    case kTypeVarString:
    case kTypeString:
      return Layout{.prefix = type.metadata > 255 ? size_t{2} : size_t{1}};
    case kTypeBlob:
    case kTypeJson:
    case kTypeGeometry:
    case kTypeVector:
      return Layout{.prefix = type.metadata};
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

class ImageReader {
 public:
  static absl::StatusOr<ImageReader> Create(const TableMapEvent& table) {
    ImageReader reader;
    for (const ColumnType& column : table.columns) {
      SLUICE_ASSIGN_OR_RETURN(const Layout layout, LayoutOf(column));
      if ((layout.fixed == 0 && layout.prefix == 0) || layout.fixed > 32 || layout.prefix > 4) {
        return Malformed("TABLE_MAP event", absl::StrCat("metadata of column type ", column.type));
      }
      reader.layouts_.push_back(layout);
    }
    return reader;
  }

  [[nodiscard]] size_t width() const { return layouts_.size(); }

  absl::StatusOr<RowImage> Read(absl::string_view present, ByteReader& bytes) const {
    const absl::string_view nulls = bytes.Bytes((CountPresent(present, width()) + 7) / 8);
    RowImage image(width());
    size_t index = 0;
    for (size_t i = 0; i < width() && !bytes.failed(); ++i) {
      if (!TestBit(present, i)) {
        continue;
      }
      ImageCell& cell = image[i];
      cell.present = true;
      cell.null = TestBit(nulls, index++);
      if (!cell.null) {
        const Layout& layout = layouts_[i];
        cell.bytes = bytes.Bytes(layout.prefix == 0 ? layout.fixed : bytes.UintLe(layout.prefix));
      }
    }
    if (bytes.failed()) {
      return Malformed(kImage, "cut short");
    }
    return image;
  }

 private:
  ImageReader() = default;
  std::vector<Layout> layouts_;
};

}  // namespace

absl::StatusOr<std::vector<RowChange>> DecodeRowChanges(const TableMapEvent& table,
                                                        const RowsEvent& rows) {
  if (rows.table_id != table.table_id) {
    return Malformed("rows event",
                     absl::StrCat("table id ", rows.table_id, " instead of ", table.table_id));
  }
  SLUICE_ASSIGN_OR_RETURN(const ImageReader reader, ImageReader::Create(table));
  const bool has_before = rows.type != EventType::kWriteRows;
  const bool has_after = rows.type != EventType::kDeleteRows;
  const size_t bitmap_bytes = (reader.width() + 7) / 8;
  if ((has_before && rows.columns_before.size() != bitmap_bytes) ||
      (has_after && rows.columns_after.size() != bitmap_bytes)) {
    return Malformed("rows event", "its columns are not those of its table map");
  }
  std::vector<RowChange> changes;
  ByteReader bytes(rows.rows);
  while (!bytes.done()) {
    const size_t start = bytes.position();
    RowChange& change = changes.emplace_back();
    if (has_before) {
      SLUICE_ASSIGN_OR_RETURN(change.before, reader.Read(rows.columns_before, bytes));
    }
    if (has_after) {
      SLUICE_ASSIGN_OR_RETURN(change.after, reader.Read(rows.columns_after, bytes));
    }
    if (bytes.position() == start) {
      return Malformed(kImage, "it has no columns");  // or this loop would have no end
    }
  }
  return changes;
}

}  // namespace sluice::binlog
