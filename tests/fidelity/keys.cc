// Keys: numbers, dates, text under many collations, bytes, several columns, and keys that are no
// primary key.

#include "tests/fidelity/keys.h"

#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"

namespace sluice::testing {
namespace {

using Edges = std::vector<std::vector<std::string>>;

Edges Singles(const std::vector<std::string>& values) {
  Edges edges;
  for (const std::string& value : values) {
    edges.push_back({value});
  }
  return edges;
}

// A primary key of one column.
KeyCase Single(const std::string& name, const std::string& type,
               const std::vector<std::string>& edges, const std::string& pattern,
               const std::string& part = "k") {
  return {.name = name,
          .columns = absl::StrCat("k ", type, " NOT NULL, "),
          .clause = absl::StrCat("PRIMARY KEY (", part, ")"),
          .written = {"k"},
          .edges = Singles(edges),
          .pattern = {pattern}};
}

void AddNumbers(std::vector<KeyCase>& keys) {
  keys.push_back(
      Single("integer", "INT AUTO_INCREMENT", {"0", "-2147483648", "2147483647", "-1"}, "$n"));
  keys.push_back(
      Single("negative", "BIGINT",
             {"-9223372036854775808", "-9223372036854775807", "9223372036854775807", "0"}, "-$n"));
  keys.push_back(Single("unsigned64", "BIGINT UNSIGNED",
                        {"18446744073709551615", "18446744073709551614", "9223372036854775808",
                         "9223372036854775807", "0"},
                        "18446744073709550000 + $n"));
  keys.push_back(Single("zerofill", "MEDIUMINT UNSIGNED ZEROFILL", {"0", "16777215", "1"}, "$n"));
  keys.push_back(Single("decimal", "DECIMAL(65,30)",
                        {"-99999999999999999999999999999999999.999999999999999999999999999999",
                         "0.000000000000000000000000000001", "0",
                         "99999999999999999999999999999999999.999999999999999999999999999999"},
                        "-$n.5"));
  keys.push_back(Single("double_number", "DOUBLE",
                        {"-1.7976931348623157e308", "5e-324", "-0e0", "1.7976931348623157e308",
                         "0.1e0", "9007199254740993e0"},
                        "$n / 3e0"));
  keys.push_back(Single("float_number", "FLOAT",
                        {"-3.4028234663852886e38", "1.401298464324817e-45", "0", "0.1", "16777216"},
                        "$n / 3e0"));
  keys.push_back(Single("bits", "BIT(64)",
                        {"18446744073709551615", "0", "9223372036854775808", "255"}, "$n * 1000"));
  keys.push_back(Single("year_of", "YEAR", {"0", "1901", "2155", "1902"}, "1905 + $n"));
}

void AddTimes(std::vector<KeyCase>& keys) {
  keys.push_back(
      Single("date_of", "DATE",
             {"'0000-00-00'", "'9999-12-31'", "'2020-00-00'", "'2021-02-31'", "'1000-01-01'"},
             "DATE'2001-01-01' + INTERVAL $n DAY"));
  keys.push_back(Single("time_of", "TIME(3)",
                        {"'-838:59:59'", "'838:59:59'", "'-00:00:00.001'", "'00:00:00'"},
                        "SEC_TO_TIME(-$n - 0.125)"));
  keys.push_back(Single("datetime_of", "DATETIME(6)",
                        {"'0000-00-00 00:00:00'", "'9999-12-31 23:59:59.999999'",
                         "'2020-00-00 00:00:00.000001'", "'1000-01-01 00:00:00'"},
                        "TIMESTAMP'2001-01-01 00:00:00.5' + INTERVAL $n MICROSECOND"));
  // An hour that the clocks of many zones skip, and one that they repeat.
  keys.push_back(
      Single("timestamp_of", "TIMESTAMP(6)",
             {"'0000-00-00 00:00:00'", "'1970-01-02 00:00:01'", "'2038-01-18 03:14:07.999999'",
              "'2026-03-29 02:30:00'", "'2026-10-25 02:30:00.5'"},
             "TIMESTAMP'2001-01-01 00:00:00.5' + INTERVAL $n MICROSECOND"));
}

void AddTexts(std::vector<KeyCase>& keys) {
  // NO PAD: a space at the end makes another key. Accents and case make none.
  keys.push_back(Single("text_ai_ci",
                        "VARCHAR(60) CHARACTER SET utf8mb4 COLLATE utf8mb4_0900_ai_ci",
                        {"'a'", "'a '", "'A  '", "''", "' '", "'ÄÖ'", "'😀'", "'ß'", "'ss '"},
                        "IF($n % 2, 'Key$n', 'kéy$n')"));
  keys.push_back(Single(
      "text_as_cs", "VARCHAR(60) CHARACTER SET utf8mb4 COLLATE utf8mb4_0900_as_cs",
      {"'a'", "'A'", "'á'", "'Á'", "'a '", "''", "'😀'"}, "CONCAT(IF($n % 2, 'K', 'k'), $n DIV 2)"));
  // PAD SPACE.
  keys.push_back(Single("text_general_ci",
                        "VARCHAR(60) CHARACTER SET utf8mb4 COLLATE utf8mb4_general_ci",
                        {"'a '", "''", "'B'", "'ü  '", "'😀'", "'a\\t'"}, "'Key$n  '"));
  keys.push_back(Single("text_bin_pad", "VARCHAR(60) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin",
                        {"'a '", "'A'", "'á'", "''", "'a\\0'"}, "'Key$n '"));
  keys.push_back(Single("text_0900_bin",
                        "VARCHAR(60) CHARACTER SET utf8mb4 COLLATE utf8mb4_0900_bin",
                        {"'a '", "'a'", "'A'", "''", "'a\\0'"}, "'Key$n '"));
  keys.push_back(Single("text_ja",
                        "VARCHAR(60) CHARACTER SET utf8mb4 COLLATE utf8mb4_ja_0900_as_cs_ks",
                        {"'はは'", "'ハハ'", "'ぱ'", "'は'", "''"}, "'かな$n'"));
  keys.push_back(Single("text_latin1", "VARCHAR(60) CHARACTER SET latin1 COLLATE latin1_german2_ci",
                        {"'ä'", "'b'", "'ß'", "''", "CHAR(0xff USING latin1)"}, "'Schlüssel $n'"));
  keys.push_back(Single("char_padded", "CHAR(30) CHARACTER SET utf8mb4 COLLATE utf8mb4_0900_ai_ci",
                        {"'a'", "''", "'ü'", "'x\\t'"}, "'Key$n'"));
  keys.push_back(Single("text_sjis", "VARCHAR(60) CHARACTER SET sjis",
                        {"_sjis 0x835C", "_sjis 0x955C5C", "''", "'a\\''"},
                        "CONCAT(_sjis 0x835C, $n)"));
  keys.push_back(Single("text_gbk", "VARCHAR(60) CHARACTER SET gbk",
                        {"_gbk 0xD55C", "''", "'中文'"}, "CONCAT(_gbk 0xD55C, $n)"));
  keys.push_back(Single("text_utf16", "VARCHAR(60) CHARACTER SET utf16",
                        {"'€😀'", "_utf16 0x005C0027", "''"}, "'Key$n'"));
  keys.push_back(Single("text_utf32", "CHAR(20) CHARACTER SET utf32", {"'€😀'", "''"}, "'Key$n'"));
  keys.push_back(Single("text_part", "TEXT CHARACTER SET utf8mb4", {"''", "'ä'"},
                        "CONCAT('Key$n ', REPEAT('x', 500))", "k(20)"));
  // The values differ behind the bytes that a sort looks at by default.
  keys.push_back(Single("long_text_part", "TEXT CHARACTER SET latin1", {"''"},
                        "CONCAT(REPEAT('x', 1500), $n)", "k(1600)"));
}

void AddBytes(std::vector<KeyCase>& keys) {
  keys.push_back(
      Single("binary_fixed", "BINARY(8)",
             {"x'0000000000000000'", "x'ff00ff0000000000'", "x'275c22001a0a0d80'", "'a'"},
             "UNHEX(LPAD(HEX($n * 256), 16, '0'))"));
  keys.push_back(Single(
      "binary_variable", "VARBINARY(100)",
      {"''", "x'00'", "x'0000'", "' '", "'a'", "'A'", "'a '", "x'c328'", "x'275c22001a0a0dff'"},
      "CONCAT(x'fe27', $n)"));
  keys.push_back(Single("blob_part", "BLOB", {"''", "x'00'", "x'275c'"},
                        "CONCAT($n, REPEAT(x'00ff', 300))", "k(30)"));
  std::string members;
  for (int i = 1; i <= 300; ++i) {
    absl::StrAppend(&members, i == 1 ? "" : ",", "'member ", i, "'");
  }
  keys.push_back(
      Single("enum_of", absl::StrCat("ENUM(", members, ")"), {"300", "255", "256"}, "1 + $n"));
  keys.push_back(
      Single("set_of", "SET('a','b','c','d','e','f','g','h','i','j')", {"0", "1023", "512"}, "$n"));
}

void AddComposites(std::vector<KeyCase>& keys) {
  keys.push_back({.name = "composite",
                  .columns = "a SMALLINT NOT NULL, b VARCHAR(40) CHARACTER SET utf8mb4 COLLATE "
                             "utf8mb4_0900_ai_ci NOT NULL, c DATETIME(3) NOT NULL, ",
                  .clause = "PRIMARY KEY (b, a DESC, c)",
                  .written = {"a", "b", "c"},
                  .edges = {{"-32768", "''", "'0000-00-00 00:00:00'"},
                            {"-32768", "''", "'0000-00-00 00:00:00.001'"},
                            {"32767", "''", "'0000-00-00 00:00:00'"},
                            {"0", "' '", "'2000-01-01 00:00:00'"}},
                  .pattern = {"$n DIV 7", "CONCAT('ä', $n % 3)",
                              "TIMESTAMP'2001-01-01 00:00:00' + INTERVAL $n SECOND"}});
  keys.push_back({.name = "mixed",
                  .columns =
                      "a ENUM('x','y','z') NOT NULL, b VARBINARY(20) NOT NULL, c DECIMAL(9,4) "
                      "NOT NULL, d BIT(9) NOT NULL, ",
                  .clause = "PRIMARY KEY (a, b, c, d)",
                  .written = {"a", "b", "c", "d"},
                  .edges = {{"1", "''", "-0.0001", "0"}, {"3", "x'00'", "0", "511"}},
                  .pattern = {"1 + $n % 3", "CONCAT(x'00', $n % 5)", "$n DIV 15", "$n % 2"}});
}

void AddOthers(std::vector<KeyCase>& keys) {
  KeyCase unique =
      Single("unique_key", "VARCHAR(60) CHARACTER SET utf8mb4", {"''", "'Ä'", "'a '"}, "'Key$n'");
  unique.clause = "UNIQUE KEY best (k), UNIQUE KEY other (n, k), KEY plain (n)";
  keys.push_back(unique);
  keys.push_back({.name = "invisible",
                  .columns = "",
                  .clause = "",
                  .written = {},
                  .edges = {},
                  .pattern = {}});
  keys.push_back({.name = "stored_key",
                  .columns = "k BIGINT GENERATED ALWAYS AS (n * -7) STORED NOT NULL, ",
                  .clause = "PRIMARY KEY (k)",
                  .written = {},
                  .edges = {},
                  .pattern = {}});
  keys.push_back(
      {.name = "virtual_key",
       .columns = "k VARCHAR(40) GENERATED ALWAYS AS (CONCAT('key ', n)) VIRTUAL NOT NULL, ",
       .clause = "UNIQUE KEY (k)",
       .written = {},
       .edges = {},
       .pattern = {}});
  KeyCase hidden = Single("invisible_column", "INT INVISIBLE", {"-1", "0"}, "$n");
  hidden.columns = "k INT NOT NULL INVISIBLE, ";
  keys.push_back(hidden);
}

}  // namespace

std::vector<std::string> KeyCase::Tuple(size_t i) const {
  if (i < edges.size()) {
    return edges[i];
  }
  std::vector<std::string> tuple;
  for (const std::string& value : pattern) {
    tuple.push_back(absl::StrReplaceAll(value, {{"$n", absl::StrCat(i + 1)}}));
  }
  return tuple;
}

std::vector<KeyCase> KeyCases() {
  std::vector<KeyCase> keys;
  AddNumbers(keys);
  AddTimes(keys);
  AddTexts(keys);
  AddBytes(keys);
  AddComposites(keys);
  AddOthers(keys);
  return keys;
}

}  // namespace sluice::testing
