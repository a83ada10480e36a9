// Cells as SQL literals, from bytes and from the text protocol.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "common/binlog/json_literal.h"
#include "common/binlog/row_image.h"

namespace sluice::binlog {
namespace {

using ::testing::HasSubstr;

mysql::ColumnSchema Column(const std::string& type, const std::string& charset = "") {
  mysql::ColumnSchema column;
  column.name = "c";
  column.data_type = column.column_type = type;
  column.charset = charset;
  return column;
}

ImageCell Cell(absl::string_view bytes) {
  return {.present = true, .null = false, .bytes = bytes};
}

struct LiteralCase {
  std::string name;
  ColumnType type;
  mysql::ColumnSchema column;
  std::string hex;
  std::string sql;
};

class LiteralTest : public ::testing::TestWithParam<LiteralCase> {};

TEST_P(LiteralTest, IsWritten) {
  const LiteralCase& c = GetParam();
  const std::string bytes = absl::HexStringToBytes(c.hex);
  std::string sql;
  const absl::Status status = AppendLiteral(c.type, c.column, Cell(bytes), sql);
  ASSERT_TRUE(status.ok()) << status;
  EXPECT_EQ(sql, c.sql);
}

ColumnType Type(uint8_t type, uint16_t metadata = 0, bool is_unsigned = false) {
  return {.type = type, .metadata = metadata, .nullable = true, .is_unsigned = is_unsigned};
}

INSTANTIATE_TEST_SUITE_P(
    RowImageTest, LiteralTest,
    ::testing::Values(
        LiteralCase{"TinyNegative", Type(kTypeTiny), Column("tinyint"), "80", "-128"},
        LiteralCase{"TinyUnsigned", Type(kTypeTiny, 0, true), Column("tinyint"), "80", "128"},
        LiteralCase{"Int24Negative", Type(kTypeInt24), Column("mediumint"), "ffffff", "-1"},
        LiteralCase{"BigMin", Type(kTypeLongLong), Column("bigint"), "0000000000000080",
                    "-9223372036854775808"},
        LiteralCase{"BigUnsigned", Type(kTypeLongLong, 0, true), Column("bigint"),
                    "ffffffffffffffff", "18446744073709551615"},
        LiteralCase{"FloatIsExactAsDouble", Type(kTypeFloat, 4), Column("float"), "cdcc8c3f",
                    "1.100000023841858e0"},
        LiteralCase{"FloatMinusZero", Type(kTypeFloat, 4), Column("float"), "00000080", "-0.0e0"},
        LiteralCase{"DoubleDenormal", Type(kTypeDouble, 8), Column("double"), "0100000000000000",
                    "5e-324"},
        LiteralCase{"Decimal", Type(kTypeNewDecimal, 10 * 256 + 3), Column("decimal"),
                    "7ffffff3fea6", "-12.345"},
        LiteralCase{"Bit", Type(kTypeBit, 12), Column("bit"), "0aaa", "2730"},
        LiteralCase{"YearZero", Type(kTypeYear), Column("year"), "00", "0"},
        LiteralCase{"Year", Type(kTypeYear), Column("year"), "64", "2000"},
        LiteralCase{"Date", Type(kTypeDate), Column("date"), "21ca0f", "'2021-01-01'"},
        LiteralCase{"TimeNegative", Type(kTypeTime2, 3), Column("time"), "7fef7cffd8",
                    "'-01:02:03.004'"},
        LiteralCase{"TimestampZero", Type(kTypeTimestamp2, 2), Column("timestamp"), "0000000000",
                    "'0000-00-00 00:00:00.00'"},
        LiteralCase{"Timestamp", Type(kTypeTimestamp2, 0), Column("timestamp"), "7fffffff",
                    "'2038-01-19 03:14:07'"},
        LiteralCase{"EnumError", Type(kTypeEnum, 1), Column("enum"), "00", "0"},
        LiteralCase{"Set", Type(kTypeSet, 2), Column("set"), "0102", "513"},
        LiteralCase{"TextAscii", Type(kTypeVarchar, 40), Column("varchar", "utf8mb4"), "6974277300",
                    R"('it\'s\0')"},
        LiteralCase{"TextUtf8", Type(kTypeVarchar, 40), Column("varchar", "utf8mb4"), "c3a4",
                    "_utf8mb4'ä'"},
        LiteralCase{"TextWide", Type(kTypeVarchar, 40), Column("varchar", "utf16"), "0041",
                    "_utf16 0x0041"},
        LiteralCase{"TextMultibyte", Type(kTypeVarchar, 40), Column("varchar", "sjis"), "835c",
                    "_sjis 0x835c"},
        LiteralCase{"BinaryIsPadded", Type(kTypeString, 4), Column("binary"), "6162",
                    R"('ab\0\0')"},
        LiteralCase{"Blob", Type(kTypeBlob, 2), Column("blob"), "80", "_binary'\x80'"},
        LiteralCase{"JsonEmptyIsNull", Type(kTypeJson, 4), Column("json"), "",
                    "CAST(_utf8mb4'null' AS JSON)"}),
    [](const auto& test) { return test.param.name; });

TEST(RowImageTest, NullIsNull) {
  std::string sql;
  ASSERT_TRUE(AppendLiteral(Type(kTypeLong), Column("int"),
                            {.present = true, .null = true, .bytes = {}}, sql)
                  .ok());
  EXPECT_EQ(sql, "NULL");
}

TEST(RowImageTest, ALeftOutColumnIsRefusedWithTheRemedy) {
  std::string sql;
  const absl::Status status = AppendLiteral(Type(kTypeLong), Column("int"), ImageCell(), sql);
  EXPECT_EQ(status.code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_THAT(std::string(status.message()), HasSubstr("binlog_row_image=FULL"));
}

TEST(RowImageTest, AnotherTypeIsRefusedByNameOfTheColumn) {
  std::string sql;
  const absl::Status status =
      AppendLiteral(Type(kTypeVarchar, 40), Column("int"), Cell("abc"), sql);
  EXPECT_EQ(status.code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_THAT(std::string(status.message()), HasSubstr("column c"));
}

TEST(RowImageTest, NumbersThatAreNotFiniteAreRefused) {
  std::string sql;
  const std::string infinity = absl::HexStringToBytes("0000807f");
  EXPECT_FALSE(AppendLiteral(Type(kTypeFloat, 4), Column("float"), Cell(infinity), sql).ok());
}

TEST(TextLiteralTest, NumbersAreCheckedBeforeTheyStandUnquoted) {
  std::string sql;
  EXPECT_TRUE(AppendTextLiteral(Column("int"), mysql::Cell("-12"), sql).ok());
  EXPECT_EQ(sql, "-12");
  for (const char* bad : {"", "1)", "1;DROP", "0x1", "1 "}) {
    EXPECT_FALSE(AppendTextLiteral(Column("int"), mysql::Cell(bad), sql).ok()) << bad;
    EXPECT_FALSE(AppendTextLiteral(Column("double"), mysql::Cell(bad), sql).ok()) << bad;
    EXPECT_FALSE(AppendTextLiteral(Column("decimal"), mysql::Cell(bad), sql).ok()) << bad;
  }
  EXPECT_FALSE(AppendTextLiteral(Column("date"), mysql::Cell("2020-01-01'"), sql).ok());
}

TEST(TextLiteralTest, FloatsKeepTheirKindAndSign) {
  std::string sql;
  EXPECT_TRUE(AppendTextLiteral(Column("float"), mysql::Cell("-0"), sql).ok());
  EXPECT_EQ(sql, "-0e0");
}

// 1e30 is stored as the float above it, which FLOAT(30,0) does not take as it is; to find its row
// it must be.
TEST(TextLiteralTest, TheLargestFixedFloatIsWrittenAsItsColumnTakesIt) {
  mysql::ColumnSchema column = Column("float");
  column.column_type = "float(30,0)";
  std::string text;
  EXPECT_TRUE(AppendTextLiteral(column, mysql::Cell("-1.0000000150474662e30"), text).ok());
  const std::string largest = std::string(30, '9') + ".e0";
  EXPECT_EQ(text, "-" + largest);
  const std::string bytes = absl::HexStringToBytes("caf24971");
  std::string written;
  EXPECT_TRUE(
      AppendWrittenLiteral(Type(kTypeFloat, 4), column, ColumnFamily::kFloat, Cell(bytes), written)
          .ok());
  EXPECT_EQ(written, largest);
  std::string compared;
  EXPECT_TRUE(AppendLiteral(Type(kTypeFloat, 4), column, Cell(bytes), compared).ok());
  EXPECT_EQ(compared, "1.0000000150474662e+30");
}

TEST(TextLiteralTest, NullIsNull) {
  std::string sql;
  EXPECT_TRUE(AppendTextLiteral(Column("json"), mysql::Cell(), sql).ok());
  EXPECT_EQ(sql, "NULL");
}

TEST(TextLiteralTest, AnUnknownTypeIsRefusedByName) {
  EXPECT_EQ(SelectExpression(Column("hologram")).status().code(), absl::StatusCode::kUnimplemented);
}

TEST(TextLiteralTest, TypedJsonBecomesAnExpression) {
  std::string sql;
  const absl::Status status = AppendJsonTextLiteral(
      "\x01"
      "DECIMAL,STRING,NULL,UNSIGNED INTEGER,DATE,DOUBLE\x01"
      R"({"a": [1.50, "it's \"x\" \u0000\n"], "b": null, "cc": [7, "2020-01-01", 1.0]})",
      sql);
  ASSERT_TRUE(status.ok()) << status;
  EXPECT_EQ(sql,
            "JSON_OBJECT(_utf8mb4'a',JSON_ARRAY(1.50,_utf8mb4'it\\'s \\\"x\\\" \\0\\n'),"
            "_utf8mb4'b',null,_utf8mb4'cc',JSON_ARRAY(CAST(7 AS UNSIGNED),"
            "CAST('2020-01-01' AS DATE),1.0e0))");
}

TEST(TextLiteralTest, TypedJsonThatDoesNotFitItsTypesIsRefused) {
  for (const std::string& bad : std::vector<std::string>{
           "\x01", "\x01INTEGER", "\x01INTEGER\x01", "\x01INTEGER\x01[1,2]",
           "\x01INTEGER,INTEGER\x01[1]", "\x01STRING\x01[1]", "\x01INTEGER\x01[\"a\"]",
           "\x01INTEGER\x01[1", "\x01INTEGER\x01[x]", "\x01STRING\x01[\"a]",
           "\x01STRING\x01\"\\q\"", "\x01OPAQUE\x01\"base64:typeX:AA==\"",
           "\x01OPAQUE\x01\"base64:type252:?\"",
           "\x01"
           "DATE\x01\"2020'\"",
           "\x01"
           "DECIMAL\x01"
           "1.5)",
           "\x01INTEGER\x01[1]]", absl::StrCat("\x01INTEGER\x01", std::string(300, '['))}) {
    std::string sql;
    EXPECT_FALSE(AppendJsonTextLiteral(bad, sql).ok()) << absl::CHexEscape(bad);
  }
}

TEST(JsonLiteralTest, IntegersBeyond32BitsKeepTheirSign) {
  const auto literal = [](const std::string& type, const std::string& value) {
    std::string sql;
    EXPECT_TRUE(
        AppendJsonLiteral(absl::HexStringToBytes("0201000f00" + type + "0700" + value), sql).ok());
    return sql;
  };
  // Signed, then unsigned: 2^32-1, 2^32, 2^63-1; the parser makes the last two unsigned.
  EXPECT_EQ(literal("09", "ffffffff00000000"), "CAST(_utf8mb4'[4294967295]' AS JSON)");
  EXPECT_EQ(literal("09", "0000000001000000"), "JSON_ARRAY(4294967296)");
  EXPECT_EQ(literal("09", "ffffffffffffff7f"), "JSON_ARRAY(9223372036854775807)");
  EXPECT_EQ(literal("0a", "ffffffff00000000"), "JSON_ARRAY(CAST(4294967295 AS UNSIGNED))");
  EXPECT_EQ(literal("0a", "0000000001000000"), "CAST(_utf8mb4'[4294967296]' AS JSON)");
  EXPECT_EQ(literal("0a", "ffffffffffffffff"), "CAST(_utf8mb4'[18446744073709551615]' AS JSON)");
}

TEST(JsonLiteralTest, OverlappingValuesDoNotGrowWithoutEnd) {
  // Forty arrays of two elements, each of which is the next array twice.
  std::string document = "\x02";
  const size_t depth = 40;
  const size_t bytes_each = 10;
  for (size_t i = 0; i < depth; ++i) {
    const size_t size = (depth - i) * bytes_each;
    const auto put = [&document](size_t value) {
      document.push_back(static_cast<char>(value & 0xffU));
      document.push_back(static_cast<char>(value >> 8U));
    };
    put(2);
    put(size);
    for (int element = 0; element < 2; ++element) {
      document.push_back(i + 1 == depth ? '\x04' : '\x02');
      put(i + 1 == depth ? 0 : bytes_each);
    }
  }
  std::string sql;
  EXPECT_EQ(AppendJsonLiteral(document, sql).code(), absl::StatusCode::kInvalidArgument);
}

TEST(JsonLiteralTest, TooDeepDocumentsAreRefused) {
  std::string document = "\x02";
  const size_t depth = 200;
  for (size_t i = 0; i < depth; ++i) {
    const size_t size = (depth - i) * 7;
    for (const size_t value : {size_t{1}, size}) {
      document.push_back(static_cast<char>(value & 0xffU));
      document.push_back(static_cast<char>(value >> 8U));
    }
    document.push_back(i + 1 == depth ? '\x04' : '\x02');
    document.push_back(i + 1 == depth ? '\0' : '\x07');
    document.push_back('\0');
  }
  std::string sql;
  EXPECT_EQ(AppendJsonLiteral(document, sql).code(), absl::StatusCode::kInvalidArgument);
}

}  // namespace
}  // namespace sluice::binlog
