// Columns of every type with values at the edges of each.

#include "tests/common/binlog/round_trip_values.h"

#include "absl/strings/str_cat.h"

namespace sluice::binlog {

std::vector<ColumnCase> PlainCases() {
  return {
      {"TINYINT", {"-128", "127", "0", "-1"}},
      {"TINYINT UNSIGNED", {"0", "255", "128"}},
      {"SMALLINT", {"-32768", "32767", "-1"}},
      {"SMALLINT UNSIGNED", {"0", "65535", "32768"}},
      {"MEDIUMINT", {"-8388608", "8388607", "-1"}},
      {"MEDIUMINT UNSIGNED", {"0", "16777215", "8388608"}},
      {"INT", {"-2147483648", "2147483647", "-1"}},
      {"INT UNSIGNED ZEROFILL", {"0", "4294967295", "2147483648"}},
      {"BIGINT", {"-9223372036854775808", "9223372036854775807", "-1"}},
      {"BIGINT UNSIGNED", {"0", "18446744073709551615", "9223372036854775808"}},
      {"YEAR", {"0", "1901", "2155", "2000"}},
      {"FLOAT",
       {"0", "-0e0", "1.1", "-3.4028234663852886e38", "1.401298464324817e-45", "16777216",
        "0.3333333333333333", "1.17549435e-38"}},
      {"FLOAT(7,3)", {"1234.567", "-9999.999", "0.001"}},
      {"FLOAT UNSIGNED", {"0.1", "3.4028234663852886e38"}},
      {"DOUBLE",
       {"0", "-0e0", "0.1", "1.7976931348623157e308", "-4.9406564584124654e-324",
        "2.2250738585072014e-308", "0.3333333333333333", "9007199254740993"}},
      {"DOUBLE(12,4)", {"12345678.1234", "-0.0001"}},
      {"DECIMAL(65,30)",
       {"99999999999999999999999999999999999.999999999999999999999999999999",
        "-99999999999999999999999999999999999.999999999999999999999999999999",
        "0.000000000000000000000000000001", "0", "-1"}},
      {"DECIMAL(10,0)", {"-1", "9999999999", "0"}},
      {"DECIMAL(9,9)", {"0.123456789", "-0.000000001"}},
      {"DECIMAL(20,7) UNSIGNED", {"1234567890123.7654321", "0.0000001"}},
      {"BIT(1)", {"0", "1"}},
      {"BIT(12)", {"b'101010101010'", "1", "4095"}},
      {"BIT(64)", {"18446744073709551615", "0", "9223372036854775808"}},
      {"DATE", {"'0000-00-00'", "'1000-01-01'", "'9999-12-31'", "'2020-00-00'", "'2021-02-31'"}},
      {"TIME", {"'-838:59:59'", "'838:59:59'", "'00:00:00'", "'-00:00:01'"}},
      {"TIME(1)", {"'-838:59:58.9'", "'-00:00:00.1'", "'12:34:56.7'", "'-01:00:00'"}},
      {"TIME(3)", {"'-00:00:00.001'", "'00:00:00.999'", "'-12:00:00.500'"}},
      {"TIME(6)", {"'-00:00:00.000001'", "'-838:59:58.999999'", "'01:02:03.040506'"}},
      {"DATETIME", {"'0000-00-00 00:00:00'", "'1000-01-01 00:00:00'", "'9999-12-31 23:59:59'"}},
      {"DATETIME(2)", {"'2020-02-29 12:34:56.78'", "'0000-00-00 00:00:00'"}},
      {"DATETIME(5)", {"'2020-02-29 12:34:56.00001'", "'2021-02-31 00:00:00.99999'"}},
      {"DATETIME(6)", {"'9999-12-31 23:59:59.999999'", "'2020-00-00 00:00:00.000001'"}},
      {"TIMESTAMP NULL",
       {"'0000-00-00 00:00:00'", "'1970-01-01 00:00:01'", "'2038-01-19 03:14:07'"}},
      {"TIMESTAMP(4) NULL", {"'2000-01-01 00:00:00.0001'", "'2026-03-29 02:30:00.9999'"}},
      {"TIMESTAMP(6) NULL", {"'2038-01-19 03:14:07.999999'", "'0000-00-00 00:00:00'"}},
      {"ENUM('a','b','ü')", {"1", "3", "'b'", "0"}},
      {"SET('a','b','c')", {"0", "7", "'a,c'"}},
      {"BINARY(8)", {"'abc'", "x'0000000000000000'", "x'ff00ff0000000000'", "x'275c22001a0a0d80'"}},
      {"BINARY(255)", {"x'80'", "''"}},
      {"VARBINARY(300)", {"''", "x'00'", "x'6100'", "x'275c22001a0a0dff'", "REPEAT(x'fe', 300)"}},
      {"TINYBLOB", {"''", "REPEAT(x'00', 255)", "x'27'"}},
      {"BLOB", {"REPEAT(x'5c', 65535)", "x'00ff'"}},
      {"MEDIUMBLOB", {"REPEAT('x', 70000)", "''"}},
      {"LONGBLOB", {"x'deadbeef'", "REPEAT(x'80', 100000)"}},
      {"GEOMETRY",
       {"ST_GeomFromText('POINT(1 2)')", "ST_GeomFromText('POINT(52 13)', 4326)",
        "ST_GeomFromText('GEOMETRYCOLLECTION(POINT(1 1), LINESTRING(0 0, 1 1))')",
        "ST_GeomFromText('GEOMETRYCOLLECTION EMPTY')"}},
      {"POINT SRID 4326", {"ST_GeomFromText('POINT(-90 180)', 4326)"}},
      {"POLYGON", {"ST_GeomFromText('POLYGON((0 0, 0 1e-300, 1e300 1, 0 0))')"}},
      {"MULTIPOINT", {"ST_GeomFromText('MULTIPOINT((0 0), (1 1))')"}},
      {"VECTOR(3)", {"STRING_TO_VECTOR('[1,-2.5,3e-38]')", "STRING_TO_VECTOR('[0,0,0]')"}},
      {"VECTOR", {"STRING_TO_VECTOR('[1]')", "STRING_TO_VECTOR('[1,2,3,4]')"}},
  };
}

std::vector<ColumnCase> TextCases() {
  std::vector<ColumnCase> cases;
  const std::string escapes = "'it''s \\\\ \\\"\\0\\n\\r\\Z%_'";
  for (const char* charset :
       {"utf8mb4", "utf8mb3",  "latin1", "ascii", "cp1251",  "koi8r", "gbk",    "gb2312", "gb18030",
        "big5",    "sjis",     "cp932",  "ujis",  "eucjpms", "euckr", "tis620", "hebrew", "swe7",
        "cp850",   "macroman", "ucs2",   "utf16", "utf16le", "utf32", "geostd8"}) {
    for (const char* type : {"CHAR(20)", "VARCHAR(300)", "TEXT"}) {
      cases.push_back({absl::StrCat(type, " CHARACTER SET ", charset),
                       {"''", "'plain'", "' lead and trail  '", escapes}});
    }
  }
  const auto add = [&cases](const char* charset, std::vector<std::string> values) {
    cases.push_back({absl::StrCat("VARCHAR(100) CHARACTER SET ", charset), values});
    cases.push_back({absl::StrCat("CHAR(100) CHARACTER SET ", charset), values});
  };
  add("utf8mb4", {"'äöü€😀'", "REPEAT('😀', 50)", "CHAR(0x7f USING utf8mb4)"});
  add("utf8mb4 COLLATE utf8mb4_bin", {"'ÄÖÜ'", "'a'"});
  add("utf8mb3", {"'äöü€'"});
  add("latin1", {"'äöü'", "CHAR(0xff USING latin1)", "CHAR(0x80, 0x9f USING latin1)"});
  add("cp1251", {"'Привет'"});
  add("koi8r", {"'Привет'"});
  add("hebrew", {"'שלום'"});
  add("tis620", {"'สวัสดี'"});
  // Characters whose second byte is a backslash.
  add("sjis", {"_sjis 0x835C", "_sjis 0x955C5C"});
  add("cp932", {"_cp932 0x835C", "'表ソ能'"});
  add("gbk", {"_gbk 0xD55C", "'中文'"});
  add("big5", {"_big5 0xA55C", "'功能'"});
  add("gb18030", {"_gb18030 0x8139EE39", "'中文😀'"});
  add("ucs2", {"'€'", "_ucs2 0x005C0027"});
  add("utf16", {"'€😀'", "_utf16 0x005C0027"});
  add("utf16le", {"'€😀'"});
  add("utf32", {"'€😀'"});
  cases.push_back({"VARCHAR(255) CHARACTER SET ascii", {"REPEAT('x', 255)"}});
  cases.push_back({"VARCHAR(256) CHARACTER SET ascii", {"REPEAT('x', 256)"}});
  cases.push_back({"CHAR(255) CHARACTER SET utf8mb4", {"REPEAT('😀', 255)", "'ü'"}});
  cases.push_back({"TINYTEXT", {"REPEAT('x', 255)"}});
  cases.push_back({"MEDIUMTEXT", {"REPEAT('ü', 70000)"}});
  cases.push_back({"LONGTEXT", {"'ü'"}});
  return cases;
}

std::vector<ColumnCase> JsonCases() {
  return {
      {"JSON",
       {"'null'",
        "'true'",
        "'[]'",
        "'{}'",
        "'0'",
        "'-1'",
        "'\"\"'",
        "'[[[]]]'",
        "'{\"a\": {\"b\": [1, 2.5, \"x\", null, true, false]}, \"\": 1}'",
        R"('"quote \\" backslash \\\\ slash / tab \\t nul \\u0000 euro € smile 😀 it''s"')",
        "'[-32768, 32767, -32769, 32768, 65535, 65536, 2147483648, -2147483649, "
        "9223372036854775807, -9223372036854775808, 9223372036854775808, 18446744073709551615]'",
        "'[0.0, -0.0, 1.0, 0.1, 1e300, 5e-324, 1.7976931348623157e308, 123456789012345680000]'",
        "JSON_ARRAY(CAST(5 AS UNSIGNED), CAST(70000 AS UNSIGNED), CAST(5000000000 AS UNSIGNED))",
        "JSON_ARRAY(1.50, CAST(1 AS DECIMAL(65,30)), -0.000000001, "
        "12345678901234567890.1234567890, CAST(0 AS DECIMAL(5,0)))",
        "JSON_OBJECT('d', DATE'2020-02-29', 't', TIME'-838:59:59', 'dt', "
        "TIMESTAMP'2020-01-01 00:00:00.000001', 'z', CAST('0000-00-00' AS DATE))",
        "JSON_ARRAY(x'00ff', x'', CAST('abc' AS BINARY(5)), b'101')",
        "CAST(1.5 AS JSON)",
        "CAST(DATE'2020-02-29' AS JSON)",
        "CAST(CAST(7 AS UNSIGNED) AS JSON)",
        "CAST(x'ff' AS JSON)",
        "(SELECT JSON_ARRAY(ts, bi, bl, tb, mb, lb, fb, dc, yr) FROM inner_types)",
        "(SELECT JSON_OBJECT('ts', ts, 'nested', JSON_ARRAY(bi, JSON_OBJECT('bl', bl)), 'text', "
        "'it''s', 'n', NULL, 't', TRUE, 'u', CAST(1 AS UNSIGNED), 'f', 1.5e0) FROM inner_types)",
        "(SELECT CAST(JSON_EXTRACT(JSON_ARRAY(ts), '$[0]') AS JSON) FROM inner_types)",
        "JSON_ARRAY(REPEAT('long ', 20000), 1.5)",
        "CAST(CONCAT('\"', REPEAT('x', 70000), '\"') AS JSON)",
        "CAST(CONCAT('[', REPEAT('12345678901,', 9000), '1]') AS JSON)",
        "CAST(CONCAT(REPEAT('[', 100), REPEAT(']', 100)) AS JSON)",
        "JSON_OBJECT('b', 1, 'aa', 2, 'a', 3, 'ü', 4, '\\n', 1.5)",
        "JSON_ARRAY('\\b\\t\\n\\f\\r\\Z\\0', 1.5)"}},
  };
}

}  // namespace sluice::binlog
