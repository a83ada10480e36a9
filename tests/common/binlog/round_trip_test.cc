// Every column type, through the copy and through the binlog, against a real mysqld: the row images
// of the written rows are the bytes of the source's row images.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "common/binlog/event.h"
#include "common/binlog/json_literal.h"
#include "common/binlog/row_image.h"
#include "common/mysql/binlog_stream.h"
#include "common/mysql/connection.h"
#include "common/mysql/table_schema.h"
#include "tests/common/binlog/round_trip_values.h"
#include "tests/testing/mysqld_fixture.h"

namespace sluice::binlog {
namespace {

// Cells of a row by column, "NULL" or hexadecimal.
using Cells = std::vector<std::string>;
using Images = std::map<std::string, Cells>;  // by the first column, the key

Cells CellsOf(const RowImage& image) {
  Cells cells;
  for (const ImageCell& cell : image) {
    cells.push_back(cell.null ? "NULL" : absl::BytesToHexString(cell.bytes));
  }
  return cells;
}

class RoundTripTest : public ::testing::Test {
 protected:
  static void SetUpTestSuite() {
    auto started = testing::Mysqld::Start({"--binlog-row-metadata=FULL"});
    ASSERT_TRUE(started.ok()) << started.status();
    server_ = std::move(*started).release();
  }
  static void TearDownTestSuite() {
    delete server_;
    server_ = nullptr;
  }

  void SetUp() override {
    ASSERT_NE(server_, nullptr);
    user_ = Connect();
    data_ = Connect();
    const absl::Status configured = mysql::ConfigureDataSession(*data_);
    ASSERT_TRUE(configured.ok()) << configured;
    Run("SET time_zone = '+00:00', sql_mode = 'NO_AUTO_VALUE_ON_ZERO,ALLOW_INVALID_DATES'");
    Run("DROP DATABASE IF EXISTS d");
    Run("CREATE DATABASE d CHARACTER SET utf8mb4");
    Run("USE d");
    Run("CREATE TABLE inner_types (ts TIMESTAMP(3), bi BIT(12), bl BLOB, tb TINYBLOB, "
        "mb MEDIUMBLOB, lb LONGBLOB, fb BINARY(3), dc DECIMAL(20,5), yr YEAR)");
    Run("INSERT INTO inner_types VALUES ('2020-01-01 00:00:01.125', 2748, x'00ff27', x'80', "
        "REPEAT(x'ff', 300), x'5c', 'b', 1.5, 2000)");
  }

  static std::unique_ptr<mysql::Connection> Connect() {
    auto connection = mysql::Connection::Connect(server_->Root());
    EXPECT_TRUE(connection.ok()) << connection.status();
    return connection.ok() ? std::move(*connection) : nullptr;
  }

  void Run(const std::string& sql) {
    auto result = user_->Execute(sql);
    ASSERT_TRUE(result.ok()) << result.status() << "\n" << sql.substr(0, 500);
  }

  // Tables `source`, `copied` and `applied` with a key and one column per case, and rows in the
  // first.
  void CreateAndFill(const std::vector<ColumnCase>& cases) {
    std::vector<std::string> columns = {"id INT PRIMARY KEY"};
    std::vector<std::string> names = {"id"};
    size_t rows = 1;
    for (size_t i = 0; i < cases.size(); ++i) {
      columns.push_back(absl::StrCat("c", i, " ", cases[i].definition));
      names.push_back(absl::StrCat("c", i));
      rows = std::max(rows, cases[i].values.size() + 1);
    }
    for (const char* table : {"source", "copied", "applied"}) {
      Run(absl::StrCat("CREATE TABLE ", table, " (", absl::StrJoin(columns, ", "), ")"));
    }
    auto position = user_->QueryScalar("SELECT @@GLOBAL.gtid_executed");
    ASSERT_TRUE(position.ok());
    position_ = *position;
    for (size_t row = 0; row < rows; ++row) {
      std::vector<std::string> values = {absl::StrCat(row)};
      for (const ColumnCase& c : cases) {
        const size_t index = row % (c.values.size() + 1);
        const bool null = index == c.values.size() && c.values[0] != "DEFAULT";
        values.push_back(null ? "NULL" : c.values[index % c.values.size()]);
      }
      Run(absl::StrCat("INSERT INTO source (", absl::StrJoin(names, ", "), ") VALUES (",
                       absl::StrJoin(values, ", "), ")"));
    }
  }

  mysql::TableSchema Schema(const char* table) {
    auto schema = mysql::ReadTableSchema(*data_, "d", table);
    EXPECT_TRUE(schema.ok()) << schema.status();
    return schema.ok() ? *schema : mysql::TableSchema();
  }

  void Write(const std::string& table, const std::string& names, const std::string& values,
             uint64_t error_enums) {
    const std::string hint = error_enums == 0 ? "" : std::string(kLenientHint);
    auto written = data_->Query(
        absl::StrCat("INSERT ", hint, " INTO d.", table, " (", names, ") VALUES (", values, ")"));
    ASSERT_TRUE(written.ok()) << written.status() << "\n" << values.substr(0, 3000);
    EXPECT_EQ(written->warnings, error_enums) << values.substr(0, 3000);
  }

  // The way of the copy: SELECT, then literals from the text protocol.
  void Copy() {
    const mysql::TableSchema schema = Schema("source");
    std::vector<std::string> names;
    std::vector<std::string> expressions;
    std::vector<const mysql::ColumnSchema*> columns;
    for (const mysql::ColumnSchema& column : schema.columns) {
      if (column.is_generated) {
        continue;
      }
      auto expression = SelectExpression(column);
      ASSERT_TRUE(expression.ok()) << expression.status();
      names.push_back(mysql::QuoteName(column.name));
      expressions.push_back(*expression);
      columns.push_back(&column);
    }
    auto reader = Connect();
    ASSERT_TRUE(mysql::ConfigureDataSession(*reader).ok());
    const absl::Status copied = reader->QueryStream(
        absl::StrCat("SELECT ", absl::StrJoin(expressions, ", "), " FROM d.source"),
        [&](const std::vector<mysql::Cell>& row) {
          std::string values;
          uint64_t error_enums = 0;
          for (size_t i = 0; i < row.size(); ++i) {
            absl::StrAppend(&values, i == 0 ? "" : ", ");
            error_enums += IsErrorEnum(*columns[i], row[i]) ? 1U : 0U;
            const absl::Status status = AppendTextLiteral(*columns[i], row[i], values);
            EXPECT_TRUE(status.ok()) << status;
          }
          Write("copied", absl::StrJoin(names, ", "), values, error_enums);
          return absl::OkStatus();
        });
    EXPECT_TRUE(copied.ok()) << copied;
  }

  // Reads the binlog from the position on until the `done` table has as many rows as the source;
  // rows of the source are applied by literals on the way.
  void Follow() {
    mysql::BinlogStreamOptions options;
    options.connection = server_->Root();
    options.server_id = 4711;
    auto position = gtid::GtidSet::Parse(position_);
    ASSERT_TRUE(position.ok()) << position.status();
    options.position = *position;
    auto stream = mysql::BinlogStream::Open(options);
    ASSERT_TRUE(stream.ok()) << stream.status();
    const mysql::TableSchema schema = Schema("applied");
    std::map<uint64_t, TableMapEvent> maps;
    const auto count = user_->QueryScalar("SELECT COUNT(*) FROM source");
    const auto rows = static_cast<size_t>(std::stoul(count.value_or("0")));
    bool checksums = false;
    while (images_["applied"].size() < rows || images_["copied"].size() < rows) {
      auto raw = (*stream)->Next();
      ASSERT_TRUE(raw.ok()) << raw.status();
      auto header = DecodeHeader(*raw);
      ASSERT_TRUE(header.ok()) << header.status();
      absl::string_view event = *raw;
      if (header->type == EventType::kFormatDescription) {
        auto has = DecodeFormatDescriptionHasChecksum(event);
        ASSERT_TRUE(has.ok()) << has.status();
        checksums = *has;
      }
      if (checksums) {
        auto stripped = VerifyAndStripChecksum(event);
        ASSERT_TRUE(stripped.ok()) << stripped.status();
        event = *stripped;
      }
      if (header->type == EventType::kGtid || header->type == EventType::kGtidTagged) {
        auto gtid = DecodeGtid(event);
        ASSERT_TRUE(gtid.ok()) << gtid.status();
      } else if (header->type == EventType::kTableMap) {
        auto map = DecodeTableMap(event);
        ASSERT_TRUE(map.ok()) << map.status();
        maps[map->table_id] = *map;
      } else if (header->type == EventType::kWriteRows) {
        auto written = DecodeRows(event);
        ASSERT_TRUE(written.ok()) << written.status();
        const TableMapEvent& map = maps[written->table_id];
        auto changes = DecodeRowChanges(map, *written);
        ASSERT_TRUE(changes.ok()) << changes.status();
        for (const RowChange& change : *changes) {
          ASSERT_NO_FATAL_FAILURE(Take(map, schema, *change.after));
        }
      }
    }
  }

  void Take(const TableMapEvent& map, const mysql::TableSchema& schema, const RowImage& image) {
    const Cells cells = CellsOf(image);
    images_[map.table][cells[0]] = cells;
    if (map.table != "source") {
      return;
    }
    ASSERT_EQ(image.size(), schema.columns.size());
    ASSERT_EQ(map.column_names.size(), schema.columns.size());
    std::vector<std::string> names;
    std::vector<std::string> values;
    uint64_t error_enums = 0;
    for (size_t i = 0; i < image.size(); ++i) {
      EXPECT_EQ(map.column_names[i], schema.columns[i].name);
      if (map.columns[i].type != kTypeYear) {
        EXPECT_EQ(map.columns[i].is_unsigned, schema.columns[i].is_unsigned)
            << schema.columns[i].column_type;
      }
      if (schema.columns[i].is_generated) {
        continue;
      }
      error_enums += IsErrorEnum(map.columns[i], image[i]) ? 1U : 0U;
      names.push_back(mysql::QuoteName(schema.columns[i].name));
      const absl::Status status =
          AppendLiteral(map.columns[i], schema.columns[i], image[i], values.emplace_back());
      ASSERT_TRUE(status.ok()) << status;
    }
    Write("applied", absl::StrJoin(names, ", "), absl::StrJoin(values, ", "), error_enums);
    ExpectFoundBy(schema, names, values);
  }

  // A row is found again by comparison with its own literals, as a DELETE by key would.
  void ExpectFoundBy(const mysql::TableSchema& schema, const std::vector<std::string>& names,
                     const std::vector<std::string>& values) {
    std::vector<std::string> terms;
    for (size_t i = 0; i < values.size(); ++i) {
      const mysql::ColumnSchema* column =
          schema.FindColumn(names[i].substr(1, names[i].size() - 2));
      ASSERT_NE(column, nullptr);
      // JSON is compared as JSON, and vectors not at all.
      if (column->data_type != "json" && column->data_type != "vector" && values[i].size() < 2000) {
        terms.push_back(absl::StrCat(names[i], " <=> ", values[i]));
      }
    }
    for (const std::string& term : terms) {
      auto found = data_->QueryScalar(absl::StrCat("SELECT COUNT(*) FROM d.applied WHERE ",
                                                   names[0], " = ", values[0], " AND ", term));
      ASSERT_TRUE(found.ok()) << found.status() << "\n" << term;
      EXPECT_EQ(*found, "1") << term;
    }
  }

  void ExpectSameImages(const char* table, const std::vector<ColumnCase>& cases) {
    ASSERT_FALSE(images_["source"].empty());
    for (const auto& [id, source] : images_["source"]) {
      const Cells& other = images_[table][id];
      ASSERT_EQ(source.size(), other.size());
      for (size_t i = 0; i < source.size(); ++i) {
        EXPECT_TRUE(source[i] == other[i])
            << table << " row " << id << ": " << (i == 0 ? "id" : cases[i - 1].definition) << "\n"
            << source[i].substr(0, 2000) << "\n"
            << other[i].substr(0, 2000);
      }
    }
  }

  void RoundTrip(const std::vector<ColumnCase>& cases) {
    ASSERT_NO_FATAL_FAILURE(CreateAndFill(cases));
    ASSERT_NO_FATAL_FAILURE(Copy());
    ASSERT_NO_FATAL_FAILURE(Follow());
    ExpectSameImages("applied", cases);
  }

  static testing::Mysqld* server_;
  std::unique_ptr<mysql::Connection> user_;
  std::unique_ptr<mysql::Connection> data_;
  std::string position_;
  std::map<std::string, Images> images_;
};

testing::Mysqld* RoundTripTest::server_ = nullptr;

TEST_F(RoundTripTest, NumbersDatesBytesAndShapesArriveExactly) {
  const std::vector<ColumnCase> cases = PlainCases();
  RoundTrip(cases);
  ExpectSameImages("copied", cases);
}

TEST_F(RoundTripTest, TextOfEveryCharacterSetArrivesExactly) {
  const std::vector<ColumnCase> cases = TextCases();
  RoundTrip(cases);
  ExpectSameImages("copied", cases);
}

// The width that a decimal inside a document was made with is stored but never shown, so the copy
// is held to types and text of the scalars instead of to bytes.
TEST_F(RoundTripTest, JsonArrivesWithItsInnerTypes) {
  RoundTrip(JsonCases());
  auto expression = SelectExpression(*Schema("source").FindColumn("c0"));
  ASSERT_TRUE(expression.ok());
  const auto read = [&](const char* table) {
    return data_->Query(absl::StrCat("SELECT id, ", *expression, " FROM d.", table));
  };
  const auto source = read("source");
  const auto copied = read("copied");
  ASSERT_TRUE(source.ok() && copied.ok());
  ASSERT_EQ(source->rows.size(), copied->rows.size());
  for (size_t i = 0; i < source->rows.size(); ++i) {
    EXPECT_EQ(source->rows[i], copied->rows[i]);
  }
}

// Every document with the shape of every other one, and some that look like another and are not.
TEST_F(RoundTripTest, AShapeNeverChangesWhatIsSelectedOfADocument) {
  std::vector<std::string> documents = JsonCases().front().values;
  for (const char* document :
       {"'{\"a\": 1.5, \"b\": \"2020-01-01\"}'",
        "JSON_OBJECT('a', CAST(1.5 AS DECIMAL(2,1)), 'b', '2020-01-01')",
        "JSON_OBJECT('a', 1.5e0, 'b', CAST('2020-01-01' AS DATE))",
        "'{\"a\": [{\"x\": 1}]}'",
        "'{\"a\": {\"x\": 1}}'",
        "JSON_OBJECT('a', JSON_OBJECT('x', CAST(1 AS UNSIGNED)))",
        "JSON_OBJECT('a', JSON_ARRAY(JSON_OBJECT('x', CAST(1 AS UNSIGNED))))",
        "'[1]'",
        "'1'",
        "JSON_ARRAY(CAST(1 AS UNSIGNED))",
        "'[[1]]'",
        "'[1, 2]'",
        "'[1, 4294967295]'",
        "'[1, 4294967296]'",
        "JSON_ARRAY(1, CAST(4294967296 AS SIGNED))",
        "'[[], {}]'",
        "JSON_ARRAY(JSON_ARRAY(), JSON_OBJECT('d', 0.1))",
        "'{\"a\": null, \"b c\": true}'",
        "'{\"a\": 1, \"a.b\": [0.5, -0.0, \"x\\\\\\\"y\"]}'",
        "JSON_OBJECT('a', 1, 'a.b', JSON_ARRAY(CAST(0.5 AS DECIMAL(2,1)), 0e0, 'x'))",
        "JSON_OBJECT('a', 1, 'a.b', JSON_ARRAY(0.5e0, 0e0, 'x', CAST(NOW() AS JSON)))"}) {
    documents.emplace_back(document);
  }
  Run("CREATE TABLE shaped (id INT PRIMARY KEY AUTO_INCREMENT, c0 JSON)");
  for (const std::string& document : documents) {
    Run(absl::StrCat("INSERT INTO shaped (c0) VALUES (", document, ")"));
  }
  Run("INSERT INTO shaped (c0) VALUES (NULL)");
  auto reader = Connect();
  ASSERT_TRUE(mysql::ConfigureDataSession(*reader).ok());
  const auto read = [&](const JsonShape* shape) {
    auto rows = reader->Query(absl::StrCat("SELECT id, ", JsonSelectExpression("c0", shape),
                                           " FROM d.shaped ORDER BY id"));
    EXPECT_TRUE(rows.ok()) << rows.status();
    return rows.ok() ? std::move(rows->rows) : std::vector<mysql::Row>();
  };
  const std::vector<mysql::Row> expected = read(nullptr);
  ASSERT_GT(expected.size(), 20U);
  size_t shapes = 0;
  for (const mysql::Row& row : expected) {
    const std::string text = row[1].value_or("");
    const auto shape = IsPlainJsonText(text) ? ShapeOf(text) : std::nullopt;
    if (!shape.has_value()) {
      continue;
    }
    ++shapes;
    EXPECT_EQ(read(&*shape), expected) << text;
    // The condition holds for the document that it was taken from.
    auto own = reader->Query(absl::StrCat("SELECT ", ShapeCondition(*shape, "c0"),
                                          " FROM d.shaped WHERE id = ", *row[0]));
    ASSERT_TRUE(own.ok()) << own.status();
    EXPECT_EQ(own->rows[0][0].value_or("NULL"), "1") << text;
  }
  EXPECT_GT(shapes, 10U);
}

TEST_F(RoundTripTest, GeneratedInvisibleAndFunctionallyIndexedColumnsAreInTheirPlaces) {
  const std::vector<ColumnCase> cases = {
      {"INT INVISIBLE", {"1"}},
      {"INT AS (id + 1) VIRTUAL", {"DEFAULT"}},
      {"INT UNSIGNED AS (id * 2) STORED NOT NULL", {"DEFAULT"}},
      {"JSON, INDEX ((CAST(c3 AS UNSIGNED ARRAY))), INDEX ((c0 + 5))", {"'[1, 2]'"}},
      {"BIGINT UNSIGNED", {"18446744073709551615"}}};
  RoundTrip(cases);
  ExpectSameImages("copied", cases);
}

}  // namespace
}  // namespace sluice::binlog
