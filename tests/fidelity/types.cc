// Types: what tests/common/binlog has, and more that only a whole stream shows.

#include "tests/fidelity/types.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_replace.h"

namespace sluice::testing {
namespace {

using binlog::ColumnCase;

constexpr size_t kColumnsMax = 40;

std::string Members(int count) {
  std::vector<std::string> members;
  for (int i = 1; i <= count; ++i) {
    members.push_back(absl::StrCat("'m", i, "'"));
  }
  return absl::StrJoin(members, ",");
}

std::vector<ColumnCase> MorePlain() {
  return {
      {"BOOLEAN", {"TRUE", "FALSE", "-128"}},
      {"BIT(9)", {"511", "256", "0"}},
      {"DECIMAL(65,0)", {absl::StrCat("-", std::string(65, '9')), "0", "-1"}},
      {"DECIMAL(30,30)", {"0.999999999999999999999999999999", "-0.000000000000000000000000000001"}},
      {"DECIMAL(65,30) UNSIGNED ZEROFILL", {"0", "1.5"}},
      {"FLOAT",
       {"16777217", "-0e0", "1.17549421e-38", "123456.789", "1e-45", "8388608.5", "9.999999e37"}},
      // The float that is stored for the largest value is larger than that.
      {"FLOAT(30,0)", {"1e30", "-1e30", "12345678"}},
      {"FLOAT(10,2)", {"99999999.99", "0.01"}},
      {"DOUBLE",
       {"9007199254740993e0", "4.4501477170144023e-308", "1e22", "1e23", "-1e-7", "123456789.123"}},
      {"DATE", {"'0000-01-01'", "'0001-00-01'", "'9999-00-00'"}},
      {"TIME", {"'-00:59:59'", "'100:00:00'"}},
      {"DATETIME", {"'0000-00-01 23:59:59'", "'2026-03-29 02:30:00'", "'1969-12-31 23:59:59'"}},
      {"DATETIME(1) DEFAULT CURRENT_TIMESTAMP(1) ON UPDATE CURRENT_TIMESTAMP(1)",
       {"'2000-01-01 00:00:00.9'"}},
      {"TIMESTAMP(2) NOT NULL DEFAULT CURRENT_TIMESTAMP(2) ON UPDATE CURRENT_TIMESTAMP(2)",
       {"'2000-01-01 00:00:00.99'", "'2026-10-25 01:30:00'"}},
      {"VARCHAR(80) DEFAULT (UUID())", {"'given'", "UUID()"}},
      {"INT DEFAULT (RAND() * 1000000)", {"5", "RAND() * 1000000"}},
      {"INT INVISIBLE DEFAULT 77", {"1", "-1"}},
      {"INT AS (n * 2) VIRTUAL", {"DEFAULT"}},
      {"VARCHAR(30) AS (CONCAT('é', n)) STORED", {"DEFAULT"}},
      {"JSON AS (JSON_ARRAY(n, 1.50)) STORED INVISIBLE", {"DEFAULT"}},
      {absl::StrCat("ENUM(", Members(300), ")"), {"1", "255", "256", "300", "0"}},
      {"ENUM('','a','A ') COLLATE utf8mb4_bin", {"0", "1", "2", "3"}},
      {"ENUM('ä','€','😀') CHARACTER SET utf8mb4 DEFAULT '😀'", {"1", "2", "3"}},
      {absl::StrCat("SET(", Members(64), ")"),
       {"0", "18446744073709551615", "9223372036854775808", "1"}},
      {"SET('','x') CHARACTER SET utf8mb4", {"0", "1", "3"}},
      {"BINARY(0)", {"''"}},
      {"CHAR(0)", {"''"}},
      {"BINARY(3)", {"'a'", "x'612000'", "x'200000'", "''"}},
      {"VARBINARY(20)", {"x'c328'", "x'eda080'", "x'ff'", "'a  '", "x'00'"}},
      {"VARBINARY(10000)", {"REPEAT(x'c3', 9999)", "''"}},
      {"CHAR(10) CHARACTER SET utf8mb4 COLLATE utf8mb4_0900_ai_ci", {"'a  '", "' '", "'\\t '"}},
      {"CHAR(10) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin", {"'a  '", "' '", "'\\0'"}},
      {"CHAR(10) CHARACTER SET binary", {"'a'", "x'ff'", "'a  '"}},
      {"VARCHAR(10) CHARACTER SET binary", {"'a  '", "x'ff00'"}},
      {"TEXT CHARACTER SET binary", {"x'c328'"}},
      {"LONGTEXT CHARACTER SET utf8mb4", {"REPEAT('😀 ', 30000)", "'  '", "''"}},
      {"MEDIUMBLOB", {"REPEAT(UNHEX('0027225c0a0d1a80ff'), 30000)"}},
      {"VECTOR(16)", {"REPEAT(x'0000803f', 16)", "REPEAT(x'00000080ffff7f7f', 8)"}},
      {"VECTOR(2048)", {"REPEAT(x'000000bf', 2048)"}},
  };
}

std::string Shape(const char* text, int srid = 0) {
  return srid == 0 ? absl::StrCat("ST_GeomFromText('", text, "')")
                   : absl::StrCat("ST_GeomFromText('", text, "', ", srid, ")");
}

std::vector<ColumnCase> Shapes() {
  return {
      {"GEOMETRY",
       {Shape("POINT(0.1 -0)"), Shape("POINT(48.1 11.5)", 4326), Shape("POINT(1 2)", 3857),
        Shape("GEOMETRYCOLLECTION(GEOMETRYCOLLECTION(POINT(1 1)), POINT(2 2))", 4326),
        Shape("GEOMETRYCOLLECTION EMPTY", 4326)}},
      {"GEOMETRY SRID 0", {Shape("LINESTRING(0 0, 5e-324 1)")}},
      {"POINT", {Shape("POINT(1.7976931348623157e308 -1)"), Shape("POINT(1 1)", 4326)}},
      {"POINT SRID 4326", {Shape("POINT(90 -179.999)", 4326)}},
      {"LINESTRING", {Shape("LINESTRING(0 0, 1 1, 2 0)"), Shape("LINESTRING(0 0, 1 1)", 4326)}},
      {"POLYGON",
       {Shape("POLYGON((0 0, 10 0, 10 10, 0 10, 0 0), (1 1, 2 1, 2 2, 1 2, 1 1))"),
        Shape("POLYGON((0 0, 0 1, 1 1, 0 0))", 4326)}},
      {"MULTIPOINT", {Shape("MULTIPOINT((0 0), (1 1))"), Shape("MULTIPOINT((0 0))", 4326)}},
      {"MULTILINESTRING", {Shape("MULTILINESTRING((0 0, 1 1), (2 2, 3 3))")}},
      {"MULTIPOLYGON", {Shape("MULTIPOLYGON(((0 0, 1 0, 1 1, 0 0)))")}},
      {"GEOMETRYCOLLECTION", {Shape("GEOMETRYCOLLECTION(POINT(1 1), MULTIPOINT((2 2)))", 4326)}},
  };
}

std::vector<ColumnCase> MoreJson() {
  return {
      {"JSON",
       {"'[9007199254740993, -9007199254740993, 9007199254740992.0, 1.0, 1, 1e0]'",
        "JSON_ARRAY(18446744073709551615, -9223372036854775808, 9007199254740993)",
        "JSON_ARRAY(9223372036854775807, 4294967296, 4294967295, 2147483648)",
        "JSON_OBJECT('a', CAST(9223372036854775808 AS UNSIGNED), 'b', CAST(4294967296 AS "
        "UNSIGNED), 'c', CAST(4294967295 AS UNSIGNED), 'd', CAST(7 AS UNSIGNED))",
        "CAST(9007199254740993 AS JSON)",
        "CAST(CAST(9007199254740993 AS UNSIGNED) AS JSON)",
        "'[4294967295, 4294967296, 9223372036854775807, 9223372036854775808]'",
        "JSON_ARRAY(0.1, 12345678901234567890123456789012345.123456789012345678901234567890)",
        "JSON_ARRAY(-0.0e0, 1e0, 1e100, -5e-324)",
        "JSON_OBJECT('é', 'ü', '', '', 'a.b', 1, '$', 2, '\"', 3, '\\\\', 4)",
        "CAST(CONCAT(REPEAT('{\"a\":', 99), '[1]', REPEAT('}', 99)) AS JSON)",
        "(SELECT JSON_OBJECT('deep', JSON_ARRAY(JSON_ARRAY(JSON_ARRAY(ts, yr, dc)))) FROM "
        "inner_types)",
        "JSON_ARRAY(CAST('23:59:59.999999' AS TIME(6)), CAST('-00:00:00.5' AS TIME(1)))",
        "JSON_ARRAY(CAST('9999-12-31 23:59:59.999999' AS DATETIME(6)), DATE'0001-01-01')",
        "JSON_ARRAY(ST_GeomFromText('POINT(1 2)'))",
        "CAST(ST_GeomFromText('POINT(1 2)', 4326) AS JSON)",
        "CAST(1.10 AS JSON)",
        "CAST(TIMESTAMP'2020-01-01 00:00:00.5' AS JSON)",
        "CAST(_utf8mb4'\"\\\\u0001\\\\u001f\\\\u007f\\\\ud83d\\\\ude00\"' AS JSON)",
        "CAST(_utf8mb4'\"a\\\\u0000b\"' AS JSON)",
        "JSON_ARRAY(TRUE, FALSE, NULL, 'true', 'null', '1', '')"}},
      {"JSON NOT NULL DEFAULT (JSON_ARRAY(1.5))", {"'{\"a\": [1, {\"b\": 2}]}'"}},
      {"JSON CHECK (1 = 1)", {"'\"text\"'"}},
  };
}

// Long repetitions become short ones.
std::string Shortened(const std::string& value) {
  return absl::StrReplaceAll(value, {{", 100000)", ", 100)"},
                                     {", 70000)", ", 70)"},
                                     {", 65535)", ", 655)"},
                                     {", 30000)", ", 30)"},
                                     {", 20000)", ", 20)"},
                                     {", 9999)", ", 99)"},
                                     {", 9000)", ", 90)"}});
}

// `columns` in groups of at most kColumnsMax.
void AddGroups(const std::string& name, const std::vector<ColumnCase>& columns,
               std::vector<ColumnGroup>& groups) {
  size_t number = 0;
  for (size_t begin = 0; begin < columns.size(); begin += kColumnsMax) {
    const size_t end = std::min(begin + kColumnsMax, columns.size());
    groups.push_back({.name = absl::StrCat(name, ++number),
                      .columns = {columns.begin() + static_cast<std::ptrdiff_t>(begin),
                                  columns.begin() + static_cast<std::ptrdiff_t>(end)}});
  }
}

}  // namespace

bool IsGenerated(const ColumnCase& column) {
  return column.values[0] == "DEFAULT";
}

std::string ValueAt(const ColumnCase& column, size_t i) {
  const size_t index = i % (column.values.size() + 1);
  if (index < column.values.size()) {
    return column.values[index];
  }
  return column.definition.find("NOT NULL") == std::string::npos ? "NULL" : "DEFAULT";
}

size_t ColumnGroup::values() const {
  size_t values = 0;
  for (const ColumnCase& column : columns) {
    values += IsGenerated(column) ? 1 : column.values.size() + 1;
  }
  return values;
}

size_t ColumnGroup::rows_max() const {
  size_t rows = 0;
  for (const ColumnCase& column : columns) {
    rows = std::max(rows, column.values.size() + 1);
  }
  return rows;
}

std::vector<ColumnGroup> ColumnGroups(bool large) {
  std::vector<ColumnGroup> groups;
  AddGroups("plain", binlog::PlainCases(), groups);
  AddGroups("more", MorePlain(), groups);
  AddGroups("text", binlog::TextCases(), groups);
  AddGroups("shape", Shapes(), groups);
  std::vector<ColumnCase> json = binlog::JsonCases();
  for (ColumnCase& column : MoreJson()) {
    json.push_back(std::move(column));
  }
  AddGroups("json", json, groups);
  for (ColumnGroup& group : groups) {
    for (ColumnCase& column : group.columns) {
      for (std::string& value : column.values) {
        value = large ? value : Shortened(value);
      }
    }
  }
  return groups;
}

std::vector<std::string> InnerTypes() {
  return {
      "CREATE TABLE inner_types (ts TIMESTAMP(3), bi BIT(12), bl BLOB, tb TINYBLOB, "
      "mb MEDIUMBLOB, lb LONGBLOB, fb BINARY(3), dc DECIMAL(20,5), yr YEAR)",
      "INSERT INTO inner_types VALUES ('2020-01-01 00:00:01.125', 2748, x'00ff27', x'80', "
      "REPEAT(x'ff', 300), x'5c', 'b', 1.5, 2000)"};
}

}  // namespace sluice::testing
