// TABLE_MAP and the envelope of rows events (libs/mysql/binlog/event/rows_event.h).

#include <utility>

#include "common/base/byte_reader.h"
#include "common/base/status_macros.h"
#include "common/binlog/bits.h"
#include "common/binlog/event.h"
#include "common/binlog/malformed.h"

namespace sluice::binlog {
namespace {

constexpr size_t kTypeOffset = 4;
constexpr uint64_t kColumnsMax = 4096;  // the server's limit
constexpr absl::string_view kTableMap = "TABLE_MAP event";
constexpr absl::string_view kRows = "rows event";

uint8_t RawType(absl::string_view event) {
  return static_cast<uint8_t>(event[kTypeOffset]);
}

absl::StatusOr<ByteReader> Body(absl::string_view event, absl::string_view what) {
  if (event.size() < kHeaderBytes) {
    return Malformed(what, "shorter than a header");
  }
  return ByteReader(event.substr(kHeaderBytes));
}

absl::StatusOr<TableName> ReadName(absl::string_view event, ByteReader& reader) {
  if (RawType(event) != static_cast<uint8_t>(EventType::kTableMap)) {
    return Malformed(kTableMap, absl::StrCat("event type ", RawType(event)));
  }
  TableName name;
  name.table_id = reader.UintLe(6);
  reader.Bytes(2);  // flags
  name.database = reader.Bytes(reader.PackedInt());
  reader.Bytes(1);  // NUL
  name.table = reader.Bytes(reader.PackedInt());
  reader.Bytes(1);
  if (reader.failed()) {
    return Malformed(kTableMap, "cut short");
  }
  return name;
}

// STRING stands for CHAR, BINARY, ENUM and SET: the first byte is the real type, with two bits of a
// length above 255 folded into it, inverted.
absl::Status ReadStringMetadata(ByteReader& reader, ColumnType& column) {
  const uint8_t first = reader.U8();
  const uint8_t second = reader.U8();
  constexpr unsigned kLengthBits = 0x30;
  if ((first & kLengthBits) != kLengthBits) {
    column.type = static_cast<uint8_t>(first | kLengthBits);
    column.metadata = static_cast<uint16_t>(second | (((first & kLengthBits) ^ kLengthBits) << 4U));
  } else {
    column.type = first;
    column.metadata = second;
  }
  if (!reader.failed() && column.type != kTypeString && column.type != kTypeEnum &&
      column.type != kTypeSet) {
    return Malformed(kTableMap, absl::StrCat("a string of type ", column.type));
  }
  return absl::OkStatus();
}

absl::Status ReadMetadata(ByteReader& reader, ColumnType& column) {
  switch (column.type) {
    case kTypeFloat:
    case kTypeDouble:
    case kTypeBlob:
    case kTypeGeometry:
    case kTypeJson:
    case kTypeVector:
    case kTypeTimestamp2:
    case kTypeDatetime2:
    case kTypeTime2:
      column.metadata = reader.U8();
      break;
    case kTypeVarchar:
    case kTypeVarString:
      column.metadata = reader.U16();
      break;
    case kTypeBit: {
      const unsigned bits = reader.U8();
      const unsigned bytes = reader.U8();
      column.metadata = static_cast<uint16_t>(bytes * 8 + bits);
      break;
    }
    case kTypeNewDecimal:
      column.metadata = static_cast<uint16_t>(reader.UintBe(2));
      break;
    case kTypeString:
    case kTypeEnum:
    case kTypeSet:
      return ReadStringMetadata(reader, column);
    case 0:  // DECIMAL before MySQL 5.0
    case kTypeTiny:
    case kTypeShort:
    case kTypeLong:
    case kTypeNull:
    case kTypeTimestampOld:
    case kTypeLongLong:
    case kTypeInt24:
    case kTypeDate:
    case kTypeTimeOld:
    case kTypeDatetimeOld:
    case kTypeYear:
      break;
    default:
      return Malformed(kTableMap, absl::StrCat("column type ", column.type, " is unknown"));
  }
  return absl::OkStatus();
}

bool HasSign(uint8_t type) {
  return type == kTypeTiny || type == kTypeShort || type == kTypeInt24 || type == kTypeLong ||
         type == kTypeLongLong || type == kTypeFloat || type == kTypeDouble ||
         type == kTypeNewDecimal || type == kTypeYear;
}

// One bit per numeric column, the first one in the highest bit.
absl::Status ReadSigns(absl::string_view bits, TableMapEvent& table) {
  size_t index = 0;
  for (ColumnType& column : table.columns) {
    if (!HasSign(column.type)) {
      continue;
    }
    if (index / 8 >= bits.size()) {
      return Malformed(kTableMap, "too few signs");
    }
    column.is_unsigned = TestBit(bits, index ^ 7U);  // the first one highest in its byte
    ++index;
  }
  return absl::OkStatus();
}

absl::Status ReadColumnNames(absl::string_view bytes, TableMapEvent& table) {
  ByteReader reader(bytes);
  for (size_t i = 0; i < table.columns.size(); ++i) {
    table.column_names.emplace_back(reader.Bytes(reader.PackedInt()));
  }
  return reader.failed() ? Malformed(kTableMap, "column names cut short") : absl::OkStatus();
}

absl::Status ReadOptionalMetadata(ByteReader& reader, TableMapEvent& table) {
  constexpr uint8_t kSigns = 1;
  constexpr uint8_t kColumnNames = 4;
  while (!reader.done()) {
    const uint8_t field = reader.U8();
    const absl::string_view value = reader.Bytes(reader.PackedInt());
    if (reader.failed()) {
      break;
    }
    if (field == kSigns) {
      SLUICE_RETURN_IF_ERROR(ReadSigns(value, table));
    } else if (field == kColumnNames && table.column_names.empty()) {
      SLUICE_RETURN_IF_ERROR(ReadColumnNames(value, table));
    }
  }
  return reader.failed() ? Malformed(kTableMap, "optional metadata cut short") : absl::OkStatus();
}

constexpr uint8_t kWriteRowsV1 = 23;
constexpr uint8_t kDeleteRowsV1 = 25;

bool IsVersion1(uint8_t type) {
  return type >= kWriteRowsV1 && type <= kDeleteRowsV1;
}

absl::StatusOr<EventType> RowsType(uint8_t type) {
  constexpr uint8_t kToVersion2 = static_cast<uint8_t>(EventType::kWriteRows) - kWriteRowsV1;
  switch (type) {
    case static_cast<uint8_t>(EventType::kWriteRows):
    case static_cast<uint8_t>(EventType::kUpdateRows):
    case static_cast<uint8_t>(EventType::kDeleteRows):
    case static_cast<uint8_t>(EventType::kPartialUpdateRows):
      return static_cast<EventType>(type);
    case 20:
    case 21:
    case 22:
      return absl::FailedPreconditionError(absl::StrCat(
          EventTypeName(type), " events come from a server before MySQL 5.1, and cannot be read"));
    default:
      return IsVersion1(type)
                 ? absl::StatusOr<EventType>(static_cast<EventType>(type + kToVersion2))
                 : Malformed(kRows, absl::StrCat("event type ", type));
  }
}

// The extra data that version 2 has brought.
absl::Status PassExtraData(ByteReader& reader) {
  const uint16_t extra_bytes = reader.U16();  // its own two bytes included
  if (extra_bytes < 2) {
    return Malformed(kRows, "length of the extra data");
  }
  reader.Bytes(extra_bytes - size_t{2});
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<TableName> PeekTableMap(absl::string_view event) {
  SLUICE_ASSIGN_OR_RETURN(ByteReader reader, Body(event, kTableMap));
  return ReadName(event, reader);
}

absl::StatusOr<TableMapEvent> DecodeTableMap(absl::string_view event) {
  SLUICE_ASSIGN_OR_RETURN(ByteReader reader, Body(event, kTableMap));
  SLUICE_ASSIGN_OR_RETURN(const TableName name, ReadName(event, reader));
  TableMapEvent table;
  table.table_id = name.table_id;
  table.database = std::string(name.database);
  table.table = std::string(name.table);
  const uint64_t width = reader.PackedInt();
  if (width > kColumnsMax) {
    return Malformed(kTableMap, absl::StrCat(width, " columns"));
  }
  for (const char type : reader.Bytes(width)) {
    table.columns.emplace_back().type = static_cast<uint8_t>(type);
  }
  ByteReader metadata(reader.Bytes(reader.PackedInt()));
  const absl::string_view null_bits = reader.Bytes((width + 7) / 8);
  if (reader.failed()) {
    return Malformed(kTableMap, "cut short");
  }
  for (size_t i = 0; i < table.columns.size(); ++i) {
    SLUICE_RETURN_IF_ERROR(ReadMetadata(metadata, table.columns[i]));
    table.columns[i].nullable = TestBit(null_bits, i);
  }
  if (metadata.failed() || !metadata.done()) {
    return Malformed(kTableMap, "metadata does not fit the columns");
  }
  SLUICE_RETURN_IF_ERROR(ReadOptionalMetadata(reader, table));
  return table;
}

absl::StatusOr<uint64_t> PeekRowsTableId(absl::string_view event) {
  SLUICE_ASSIGN_OR_RETURN(ByteReader reader, Body(event, kRows));
  const uint64_t table_id = reader.UintLe(6);
  if (reader.failed()) {
    return Malformed(kRows, "cut short");
  }
  return table_id;
}

absl::StatusOr<RowsEvent> DecodeRows(absl::string_view event) {
  constexpr uint16_t kStatementEnd = 1;
  SLUICE_ASSIGN_OR_RETURN(ByteReader reader, Body(event, kRows));
  RowsEvent rows;
  SLUICE_ASSIGN_OR_RETURN(rows.type, RowsType(RawType(event)));
  rows.table_id = reader.UintLe(6);
  rows.statement_end = (reader.U16() & kStatementEnd) != 0;
  if (!IsVersion1(RawType(event))) {
    SLUICE_RETURN_IF_ERROR(PassExtraData(reader));
  }
  const uint64_t width = reader.PackedInt();
  if (width > kColumnsMax) {
    return Malformed(kRows, absl::StrCat(width, " columns"));
  }
  const size_t bitmap_bytes = (width + 7) / 8;
  const absl::string_view first = reader.Bytes(bitmap_bytes);
  if (rows.type == EventType::kWriteRows) {
    rows.columns_after = first;
  } else {
    rows.columns_before = first;
  }
  if (rows.type == EventType::kUpdateRows || rows.type == EventType::kPartialUpdateRows) {
    rows.columns_after = reader.Bytes(bitmap_bytes);
  }
  if (reader.failed()) {
    return Malformed(kRows, "cut short");
  }
  rows.rows = reader.Rest();
  return rows;
}

}  // namespace sluice::binlog
