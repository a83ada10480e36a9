// Row images: a table map and rows that claim to be of its table, and the literals of their cells.
//
// Input: length of the table map's body (2 bytes), that body, the type of the rows event, its body.

#include <array>

#include "absl/strings/escaping.h"
#include "common/base/byte_reader.h"
#include "common/base/check.h"
#include "common/binlog/event.h"
#include "common/binlog/row_image.h"
#include "common/binlog/rows_reader.h"
#include "tests/agent/source/binlog_events.h"
#include "tests/common/binlog/captured_events.h"
#include "tests/fuzz/exact.h"
#include "tests/fuzz/literal_check.h"
#include "tests/fuzz/target.h"

namespace sluice::fuzz {
namespace {

using binlog::ColumnFamily;
using binlog::ImageCell;
using binlog::RowImage;
using sluice::testing::AppendUint;

// A type of each family, and some character sets.
std::vector<mysql::ColumnSchema> MakeColumns() {
  std::vector<mysql::ColumnSchema> columns;
  for (const char* type :
       {"bigint", "float", "double", "decimal", "bit", "year", "date", "time", "datetime",
        "timestamp", "enum", "set", "varbinary", "json", "geometry", "vector"}) {
    mysql::ColumnSchema& column = columns.emplace_back();
    column.name = type;
    column.data_type = type;
    column.column_type = type;
  }
  for (const char* charset : {"utf8mb4", "utf8mb3", "latin1", "gbk", "utf16"}) {
    mysql::ColumnSchema& column = columns.emplace_back();
    column.name = charset;
    column.data_type = "varchar";
    column.column_type = "varchar";
    column.charset = charset;
  }
  return columns;
}

void CheckLiteral(const binlog::ColumnType& type, const mysql::ColumnSchema& column,
                  ColumnFamily family, const ImageCell& cell) {
  std::string literal;
  if (!binlog::AppendLiteral(type, column, family, cell, literal).ok()) {
    return;
  }
  CheckExpression(literal);
  switch (cell.null ? ColumnFamily::kGeometry : family) {
    case ColumnFamily::kInteger:
    case ColumnFamily::kFloat:
    case ColumnFamily::kDouble:
    case ColumnFamily::kDecimal:
    case ColumnFamily::kBit:
    case ColumnFamily::kYear:
    case ColumnFamily::kEnum:
    case ColumnFamily::kSet:
      return CheckNumber(literal);
    case ColumnFamily::kText:
      SLUICE_CHECK(StringValue(literal) == cell.bytes);
      return;
    case ColumnFamily::kBinary:
      SLUICE_CHECK(StringValue(literal).substr(0, cell.bytes.size()) == cell.bytes);
      return;
    default:
      return;
  }
}

void CheckImage(const binlog::TableMapEvent& table, const RowImage& image, absl::string_view rows) {
  static const std::vector<mysql::ColumnSchema>& columns =
      *new std::vector<mysql::ColumnSchema>(MakeColumns());
  SLUICE_CHECK(image.size() == table.columns.size());
  for (size_t i = 0; i < image.size(); ++i) {
    const ImageCell& cell = image[i];
    SLUICE_CHECK(Inside(cell.bytes, rows));
    if (!cell.present) {
      SLUICE_CHECK(cell.bytes.empty() && !cell.null);
      continue;
    }
    SLUICE_CHECK(!cell.null || cell.bytes.empty());
    for (const mysql::ColumnSchema& column : columns) {
      const auto family = binlog::FittingFamily(table.columns[i], column);
      if (family.ok()) {
        CheckLiteral(table.columns[i], column, *family, cell);
      }
    }
    (void)binlog::IsErrorEnum(table.columns[i], cell);
  }
}

size_t PrefixBytes(const binlog::ColumnType& type) {
  switch (type.type) {
    case binlog::kTypeVarchar:
    case binlog::kTypeVarString:
    case binlog::kTypeString:
      return type.metadata > 255 ? 2 : 1;
    case binlog::kTypeBlob:
    case binlog::kTypeJson:
    case binlog::kTypeGeometry:
    case binlog::kTypeVector:
      return type.metadata;
    default:
      return 0;
  }
}

void AppendImage(const binlog::TableMapEvent& table, const RowImage& image, std::string& out) {
  std::string nulls;
  std::string cells;
  size_t index = 0;
  for (size_t i = 0; i < image.size(); ++i) {
    const ImageCell& cell = image[i];
    if (!cell.present) {
      continue;
    }
    if (index % 8 == 0) {
      nulls.push_back('\0');
    }
    if (cell.null) {
      nulls.back() = static_cast<char>(static_cast<uint8_t>(nulls.back()) | (1U << (index % 8)));
    } else {
      AppendUint(cell.bytes.size(), PrefixBytes(table.columns[i]), cells);
      cells.append(cell.bytes.data(), cell.bytes.size());
    }
    ++index;
  }
  out += nulls + cells;
}

bool Same(const RowImage& a, const RowImage& b) {
  if (a.size() != b.size()) {
    return false;
  }
  for (size_t i = 0; i < a.size(); ++i) {
    if (a[i].present != b[i].present || a[i].null != b[i].null || a[i].bytes != b[i].bytes) {
      return false;
    }
  }
  return true;
}

// The cells of a change, written again, are read as the same change.
void CheckAgain(const binlog::TableMapEvent& table, const binlog::RowsEvent& rows,
                const binlog::RowChange& change) {
  std::string bytes;
  for (const auto& image : {change.before, change.after}) {
    if (image.has_value()) {
      AppendImage(table, *image, bytes);
    }
  }
  const Exact exact(bytes);
  binlog::RowsEvent again = rows;
  again.rows = exact.view();
  const auto changes = binlog::DecodeRowChanges(table, again);
  SLUICE_CHECK_OK(changes.status());
  SLUICE_CHECK(changes->size() == 1);
  const binlog::RowChange& same = changes->front();
  SLUICE_CHECK(same.before.has_value() == change.before.has_value() &&
               same.after.has_value() == change.after.has_value());
  SLUICE_CHECK(!same.before.has_value() || Same(*same.before, *change.before));
  SLUICE_CHECK(!same.after.has_value() || Same(*same.after, *change.after));
}

void Run(absl::string_view input) {
  ByteReader reader(input);
  const size_t map_bytes = reader.U16();
  const Exact map_event(
      sluice::testing::MakeEvent(binlog::EventType::kTableMap, reader.Bytes(map_bytes)));
  const uint8_t type = reader.U8();
  const Exact rows_event(sluice::testing::MakeEvent(type, reader.Rest()));
  const auto table = binlog::DecodeTableMap(map_event.view());
  if (!table.ok()) {
    return;
  }
  auto rows = binlog::DecodeRows(rows_event.view());
  if (!rows.ok()) {
    return;
  }
  rows->table_id = table->table_id;
  const auto layout = binlog::TableLayout::Create(*table);
  if (!layout.ok()) {
    return;
  }
  SLUICE_CHECK(layout->width() == table->columns.size());
  binlog::RowsReader changes;
  if (!changes.Start(*layout, *rows).ok()) {
    return;
  }
  while (true) {
    const auto more = changes.Next();
    if (!more.ok() || !*more) {
      return;
    }
    binlog::RowChange change;
    for (const bool before : {true, false}) {
      const RowImage* image = before ? changes.before() : changes.after();
      if (image != nullptr) {
        CheckImage(*table, *image, rows_event.view());
        (before ? change.before : change.after) = *image;
      }
    }
    if (rows->type != binlog::EventType::kPartialUpdateRows) {
      CheckAgain(*table, *rows, change);
    }
  }
}

std::string Seed(absl::string_view map_body, binlog::EventType type, absl::string_view rows_body) {
  std::string seed;
  AppendUint(map_body.size(), 2, seed);
  seed.append(map_body.data(), map_body.size());
  seed.push_back(static_cast<char>(type));
  seed.append(rows_body.data(), rows_body.size());
  return seed;
}

// Of a captured event with its checksum.
std::string Body(const char* hex) {
  const std::string event = absl::HexStringToBytes(hex);
  return event.substr(binlog::kHeaderBytes, event.size() - binlog::kHeaderBytes - 4);
}

// A table of one column, nullable, and two rows written: this value, and NULL.
std::string OneColumn(uint8_t type, const std::string& metadata, const std::string& cell) {
  std::string map;
  AppendUint(7, 6, map);
  AppendUint(1, 2, map);
  map += std::string("\x01s\0\x01t\0", 6);
  map.push_back('\x01');
  map.push_back(static_cast<char>(type));
  map.push_back(static_cast<char>(metadata.size()));
  map += metadata + '\x01';
  std::string rows;
  AppendUint(7, 6, rows);
  AppendUint(1, 2, rows);
  AppendUint(2, 2, rows);
  rows += std::string("\x01\xff\x00", 3) + cell + '\x01';
  return Seed(map, binlog::EventType::kWriteRows, rows);
}

std::vector<std::string> Seeds() {
  const std::string map = Body(binlog::kTableMapHex);
  std::vector<std::string> seeds = {
      Seed(map, binlog::EventType::kWriteRows, Body(binlog::kWriteRowsHex)),
      Seed(map, binlog::EventType::kUpdateRows, Body(binlog::kUpdateRowsHex)),
      Seed(map, binlog::EventType::kDeleteRows, Body(binlog::kDeleteRowsHex)),
      OneColumn(binlog::kTypeTiny, "", "\x80"),
      OneColumn(binlog::kTypeShort, "", "\xff\x7f"),
      OneColumn(binlog::kTypeInt24, "", "\xff\xff\xff"),
      OneColumn(binlog::kTypeLongLong, "", "\x01\x02\x03\x04\x05\x06\x07\x88"),
      OneColumn(binlog::kTypeFloat, "\x04", std::string("\x00\x00\x80\xbf", 4)),
      OneColumn(binlog::kTypeDouble, "\x08", std::string("\x00\x00\x00\x00\x00\x00\xf0\x3f", 8)),
      OneColumn(binlog::kTypeYear, "", "\x7b"),
      OneColumn(binlog::kTypeDate, "", "\x5d\xc8\x0f"),
      OneColumn(binlog::kTypeTime2, "\x06", std::string("\x80\x10\x83\x00\x00\x01", 6)),
      OneColumn(binlog::kTypeDatetime2, "\x02", std::string("\x99\xa5\x7a\xc8\xb8\x38", 6)),
      OneColumn(binlog::kTypeTimestamp2, std::string(1, '\0'), "\x5e\x0b\xe1\x00"),
      OneColumn(binlog::kTypeNewDecimal, "\x0a\x03", std::string("\x80\x00\x00\x0c\x01\x59", 6)),
      OneColumn(binlog::kTypeBit, "\x04\x01", std::string("\x0a\xbc", 2)),
      OneColumn(binlog::kTypeString, std::string("\xf7\x02", 2),
                std::string("\x01\x01", 2)),  // ENUM
      OneColumn(binlog::kTypeString, std::string("\xf8\x03", 2),
                std::string("\x01\x02\x80", 3)),  // SET
      OneColumn(binlog::kTypeString, std::string("\xfe\x08", 2), std::string("\x03\xff\0a", 4)),
      OneColumn(binlog::kTypeString, std::string("\xee\xe0", 2), std::string("\x02\x00it", 4)),
      OneColumn(binlog::kTypeVarchar, std::string("\x2c\x01", 2),
                std::string("\x02\x00\xc3\xa4", 4)),
      OneColumn(binlog::kTypeBlob, "\x04", std::string("\x02\x00\x00\x00'\\", 6)),
      OneColumn(binlog::kTypeJson, "\x04", std::string("\x05\x00\x00\x00\x0c\x03{\"'", 9)),
      OneColumn(binlog::kTypeGeometry, "\x04", std::string("\x01\x00\x00\x00\x01", 5)),
      OneColumn(binlog::kTypeVector, "\x04", std::string("\x04\x00\x00\x00\x00\x00\x80\x3f", 8)),
  };
  return seeds;
}

}  // namespace

const Target kRowImage = {.run = Run, .seeds = Seeds};

}  // namespace sluice::fuzz
