// Copied rows: cells of the text protocol as one agent hands them to another, and their literals.
//
// Input: number of columns and the first one's type (1 byte each), then the rows.

#include <optional>

#include "agent/source/cell_codec.h"
#include "common/base/byte_reader.h"
#include "common/base/check.h"
#include "common/binlog/row_image.h"
#include "tests/fuzz/exact.h"
#include "tests/fuzz/literal_check.h"
#include "tests/fuzz/target.h"

namespace sluice::fuzz {
namespace {

using binlog::ColumnFamily;

std::vector<mysql::ColumnSchema> MakeColumns() {
  std::vector<mysql::ColumnSchema> columns;
  for (const char* type : {"json", "int", "bit", "enum", "decimal", "float", "double", "date",
                           "time", "varchar", "blob", "geometry", "vector"}) {
    mysql::ColumnSchema& column = columns.emplace_back();
    column.name = type;
    column.data_type = type;
    column.column_type = type;
    column.charset = column.data_type == "varchar" ? "utf8mb4" : "";
  }
  return columns;
}

void CheckLiteral(const mysql::ColumnSchema& column, const mysql::Cell& cell) {
  std::string literal;
  if (!binlog::AppendTextLiteral(column, cell, literal).ok()) {
    return;
  }
  CheckExpression(literal);
  if (!cell.has_value()) {
    SLUICE_CHECK(literal == "NULL");
    return;
  }
  const auto family = binlog::FamilyOf(column);
  SLUICE_CHECK_OK(family.status());
  switch (*family) {
    case ColumnFamily::kInteger:
    case ColumnFamily::kBit:
    case ColumnFamily::kEnum:
    case ColumnFamily::kDecimal:
    case ColumnFamily::kFloat:
    case ColumnFamily::kDouble:
      return CheckNumber(literal);
    case ColumnFamily::kJson:
      return;
    default:
      SLUICE_CHECK(StringValue(literal) == *cell);
  }
}

void CheckAgain(const std::vector<mysql::Cell>& row) {
  std::string bytes;
  for (const mysql::Cell& cell : row) {
    source::AppendCell(cell, bytes);
  }
  const Exact exact(bytes);
  source::CellReader reader(exact.view());
  std::vector<mysql::Cell> again;
  SLUICE_CHECK_OK(reader.ReadRow(row.size(), again));
  SLUICE_CHECK(again == row && reader.done());
}

void Run(absl::string_view input) {
  static const std::vector<mysql::ColumnSchema>& columns =
      *new std::vector<mysql::ColumnSchema>(MakeColumns());
  ByteReader head(input);
  const size_t width = head.U8() % 16U + 1U;
  const size_t first = head.U8();
  const Exact rows(head.Rest());
  source::CellReader reader(rows.view());
  std::vector<mysql::Cell> row;
  while (!reader.done() && reader.ReadRow(width, row).ok()) {
    SLUICE_CHECK(row.size() == width);
    for (size_t i = 0; i < width; ++i) {
      SLUICE_CHECK(!row[i].has_value() || Inside(*row[i], rows.view()));
      CheckLiteral(columns[(first + i) % columns.size()], row[i]);
    }
    CheckAgain(row);
  }
}

// A row of one column of the type with this number above.
std::string Seed(size_t type, const mysql::Cell& cell) {
  std::string seed(1, '\0');
  seed.push_back(static_cast<char>(type));
  source::AppendCell(cell, seed);
  return seed;
}

std::vector<std::string> Seeds() {
  std::vector<std::string> seeds = {
      Seed(0, std::nullopt),
      Seed(0, "{\"a\": [1, 2.5, \"it's\"]}"),
      Seed(0,
           "\x01UNSIGNED INTEGER,DECIMAL,DOUBLE,INTEGER,NULL,BOOLEAN,STRING\x01[5, -1.50, 1e300, "
           "-7, null, true, \"q\\\" \\u000a\"]"),
      Seed(0,
           "\x01"
           "DATE,TIME,DATETIME,TIMESTAMP\x01{\"d\": \"2020-02-29\", \"t\": "
           "\"-838:59:59.000000\", \"dt\": \"2020-01-01 00:00:00.000001\", \"ts\": \"2020-01-01 "
           "00:00:00.000000\"}"),
      Seed(0,
           "\x01"
           "BLOB,BIT,OPAQUE\x01[\"base64:type252:AP8=\", \"base64:type16:BQ==\", "
           "\"base64:type13:fw==\"]"),
      Seed(0,
           "\x01"
           "DECIMAL\x01"
           "1.5"),
      Seed(1, "-9223372036854775808"),
      Seed(2, "18446744073709551615"),
      Seed(3, "0"),
      Seed(4, "-12.345"),
      Seed(5, "-3.4028234663852886e38"),
      Seed(6, "5e-324"),
      Seed(7, "0000-00-00"),
      Seed(8, "-838:59:59.000000"),
      Seed(9, "it's h\xc3\xa4\xc3\x9f \\ \""),
      Seed(10, std::string(70'000, '\0')),
      Seed(11, std::string("\0\0\0\0\1\1\0\0\0", 9)),
  };
  std::string wide("\x0c\x00", 2);
  for (const mysql::Cell cell : {mysql::Cell("[]"), mysql::Cell("1"), mysql::Cell()}) {
    for (int i = 0; i < 13; ++i) {
      source::AppendCell(i == 0 && cell.has_value() ? cell : mysql::Cell(), wide);
    }
  }
  seeds.push_back(wide);
  return seeds;
}

}  // namespace

const Target kRowText = {.run = Run, .seeds = Seeds, .memory_per_byte = 4096};

}  // namespace sluice::fuzz
