// Raw rows: deleting, reading the binlog back, comparing.

#include "tests/fidelity/raw_rows.h"

#include <algorithm>
#include <utility>

#include "absl/strings/escaping.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "common/base/byte_reader.h"
#include "common/base/status.h"
#include "common/base/status_macros.h"
#include "common/binlog/decimal.h"
#include "common/binlog/event.h"
#include "common/binlog/json_binary.h"
#include "common/binlog/row_image.h"
#include "common/mysql/binlog_stream.h"
#include "common/mysql/connection.h"

namespace sluice::testing {
namespace {

constexpr char kEnd[] = "_fidelity_end";
constexpr size_t kDifferencesMax = 40;
constexpr size_t kShownBytes = 160;
constexpr uint32_t kServerId = 987654;

absl::Status DeleteAll(mysql::Connection& connection, const std::string& database,
                       const std::vector<std::string>& tables) {
  SLUICE_RETURN_IF_ERROR(mysql::ConfigureDataSession(connection));
  // Strict mode would refuse to delete rows whose generated columns have been cut short.
  SLUICE_RETURN_IF_ERROR(
      connection
          .Execute("SET SESSION sql_mode = '', binlog_row_image = 'FULL', binlog_row_value_options "
                   "= '', "
                   "binlog_transaction_compression = OFF, binlog_format = 'ROW', "
                   "GLOBAL binlog_row_metadata = 'FULL'")
          .status());
  for (const std::string& table : tables) {
    const auto deleted =
        connection.Execute(absl::StrCat("DELETE FROM ", mysql::QuoteTable(database, table)));
    SLUICE_RETURN_IF_ERROR(deleted.status());
  }
  return connection
      .Execute(absl::StrCat("DROP TABLE IF EXISTS ", mysql::QuoteTable(database, kEnd)))
      .status();
}

// What stands behind the names in a table map: columns and their metadata.
std::string ColumnsOf(absl::string_view event, const binlog::TableName& name) {
  const auto names_end = static_cast<size_t>(name.table.data() + name.table.size() - event.data());
  return std::string(event.substr(names_end + 1));
}

class Collector {
 public:
  Collector(std::string database, RawTables& tables)
      : database_(std::move(database)), tables_(tables) {}

  // True when the last statement has come.
  absl::StatusOr<bool> Take(absl::string_view raw) {
    SLUICE_ASSIGN_OR_RETURN(const binlog::EventHeader header, binlog::DecodeHeader(raw));
    if (header.type == binlog::EventType::kFormatDescription) {
      SLUICE_ASSIGN_OR_RETURN(checksums_, binlog::DecodeFormatDescriptionHasChecksum(raw));
      return false;
    }
    absl::string_view event = raw;
    if (checksums_ && header.type != binlog::EventType::kRotate) {
      SLUICE_ASSIGN_OR_RETURN(event, binlog::VerifyAndStripChecksum(raw));
    }
    switch (header.type) {
      case binlog::EventType::kQuery: {
        SLUICE_ASSIGN_OR_RETURN(const binlog::QueryEvent query, binlog::DecodeQuery(event));
        return absl::StrContains(query.sql, kEnd);
      }
      case binlog::EventType::kTableMap: {
        SLUICE_ASSIGN_OR_RETURN(map_, binlog::DecodeTableMap(event));
        SLUICE_ASSIGN_OR_RETURN(const binlog::TableName name, binlog::PeekTableMap(event));
        columns_ = ColumnsOf(event, name);
        return false;
      }
      case binlog::EventType::kDeleteRows:
        SLUICE_RETURN_IF_ERROR(TakeRows(event));
        return false;
      default:
        return false;
    }
  }

 private:
  absl::Status TakeRows(absl::string_view event) {
    SLUICE_ASSIGN_OR_RETURN(const binlog::RowsEvent rows, binlog::DecodeRows(event));
    SLUICE_ASSIGN_OR_RETURN(const std::vector<binlog::RowChange> changes,
                            binlog::DecodeRowChanges(map_, rows));
    if (map_.database != database_) {
      return absl::OkStatus();
    }
    RawTable& table = tables_[map_.table];
    table.columns = columns_;
    table.types.clear();
    for (const binlog::ColumnType& column : map_.columns) {
      table.types.push_back(column.type);
    }
    table.names = map_.column_names;
    for (const binlog::RowChange& change : changes) {
      RawRow& row = table.rows.emplace_back();
      for (const binlog::ImageCell& cell : *change.before) {
        if (!cell.present) {
          return absl::InternalError("an image that is not whole");
        }
        row.push_back({.null = cell.null, .bytes = std::string(cell.bytes)});
      }
    }
    return absl::OkStatus();
  }

  const std::string database_;
  RawTables& tables_;
  bool checksums_ = false;
  binlog::TableMapEvent map_;
  std::string columns_;
};

absl::Status AppendMeaning(const binlog::JsonValue& value, binlog::JsonBudget& budget,
                           std::string& out) {
  using Kind = binlog::JsonValue::Kind;
  switch (value.kind) {
    case Kind::kObject:
    case Kind::kArray: {
      out += value.kind == Kind::kObject ? '{' : '[';
      SLUICE_RETURN_IF_ERROR(binlog::ForEachMember(
          value, budget, [&](absl::string_view key, const binlog::JsonValue& member) {
            absl::StrAppend(&out, absl::BytesToHexString(key), ":");
            const absl::Status status = AppendMeaning(member, budget, out);
            out += ',';
            return status;
          }));
      out += value.kind == Kind::kObject ? '}' : ']';
      return absl::OkStatus();
    }
    case Kind::kInt:
    case Kind::kUint:
      absl::StrAppend(&out, value.kind == Kind::kInt ? "int " : "uint ", value.integer);
      return absl::OkStatus();
    case Kind::kDouble: {
      const absl::string_view bits(reinterpret_cast<const char*>(&value.floating),
                                   sizeof value.floating);
      absl::StrAppend(&out, "double ", absl::BytesToHexString(bits));
      return absl::OkStatus();
    }
    case Kind::kOpaque:
      absl::StrAppend(&out, "type ", value.opaque_type, " ");
      if (value.opaque_type == binlog::kTypeNewDecimal) {
        ByteReader reader(value.bytes);
        const uint8_t precision = reader.U8();
        const uint8_t scale = reader.U8();
        absl::StrAppend(&out, scale, " ");
        return binlog::AppendDecimal(reader.Rest(), precision, scale, out);
      }
      out += absl::BytesToHexString(value.bytes);
      return absl::OkStatus();
    default:
      absl::StrAppend(&out, "kind ", static_cast<int>(value.kind), " ",
                      absl::BytesToHexString(value.bytes));
      return absl::OkStatus();
  }
}

std::string Shown(const RawCell& cell) {
  return cell.null ? "NULL"
                   : absl::StrCat(cell.bytes.size(), " bytes ",
                                  absl::BytesToHexString(cell.bytes.substr(0, kShownBytes)));
}

uint64_t NumberOf(const RawTable& table, const RawRow& row) {
  for (size_t i = 0; i < std::min(table.names.size(), row.size()); ++i) {
    if (table.names[i] == kRowNumber && row[i].bytes.size() == sizeof(uint32_t)) {
      return ByteReader(row[i].bytes).U32();
    }
  }
  return 0;
}

class Comparison {
 public:
  explicit Comparison(const std::function<bool(uint64_t)>& json_may_differ)
      : json_may_differ_(json_may_differ) {}

  void CompareTable(const std::string& name, const RawTable& source, const RawTable& target) {
    if (source.columns != target.columns) {
      Differ(absl::StrCat(name, ": columns ", absl::BytesToHexString(source.columns), " / ",
                          absl::BytesToHexString(target.columns)));
    }
    if (source.rows.size() != target.rows.size()) {
      Differ(absl::StrCat(name, ": ", source.rows.size(), " / ", target.rows.size(), " rows"));
      return;
    }
    for (size_t i = 0; i < source.rows.size(); ++i) {
      ++found_.rows;
      CompareRow(absl::StrCat(name, " row ", NumberOf(source, source.rows[i])), source,
                 source.rows[i], target.rows[i]);
    }
  }

  void Differ(std::string text) {
    if (found_.differences.size() < kDifferencesMax) {
      found_.differences.push_back(std::move(text));
    }
  }

  [[nodiscard]] RawDifferences found() { return std::move(found_); }

 private:
  void CompareRow(const std::string& where, const RawTable& table, const RawRow& source,
                  const RawRow& target) {
    for (size_t i = 0; i < std::min(source.size(), target.size()); ++i) {
      ++found_.cells;
      if (source[i] == target[i]) {
        continue;
      }
      if (table.types[i] == binlog::kTypeJson && !source[i].null && !target[i].null &&
          json_may_differ_(NumberOf(table, source)) &&
          JsonMeaning(source[i].bytes) == JsonMeaning(target[i].bytes)) {
        ++found_.json_by_meaning;
        continue;
      }
      const std::string column = i < table.names.size() ? table.names[i] : absl::StrCat(i);
      Differ(
          absl::StrCat(where, " column ", column, ": ", Shown(source[i]), " / ", Shown(target[i])));
    }
  }

  const std::function<bool(uint64_t)>& json_may_differ_;
  RawDifferences found_;
};

}  // namespace

absl::StatusOr<RawTables> TakeRows(const Mysqld& server, const std::string& database,
                                   const std::vector<std::string>& tables) {
  mysql::ConnectionOptions options = server.Root();
  options.read_timeout = absl::Minutes(5);
  SLUICE_ASSIGN_OR_RETURN(const auto connection, mysql::Connection::Connect(options));
  SLUICE_ASSIGN_OR_RETURN(const std::string position,
                          connection->QueryScalar("SELECT @@GLOBAL.gtid_executed"));
  SLUICE_RETURN_IF_ERROR(DeleteAll(*connection, database, tables));
  mysql::BinlogStreamOptions stream_options;
  stream_options.connection = options;
  stream_options.server_id = kServerId;
  SLUICE_ASSIGN_OR_RETURN(stream_options.position, gtid::GtidSet::Parse(position));
  SLUICE_ASSIGN_OR_RETURN(const auto stream, mysql::BinlogStream::Open(stream_options));
  RawTables found;
  Collector collector(database, found);
  for (bool ended = false; !ended;) {
    SLUICE_ASSIGN_OR_RETURN(const absl::string_view event, stream->Next());
    SLUICE_ASSIGN_OR_RETURN(ended, collector.Take(event));
  }
  for (auto& [name, table] : found) {
    std::sort(table.rows.begin(), table.rows.end());
  }
  return found;
}

std::string JsonMeaning(absl::string_view document) {
  const auto root = binlog::ParseJson(document);
  std::string meaning;
  binlog::JsonBudget budget(document.size());
  const absl::Status status =
      root.ok() ? AppendMeaning(*root, budget, meaning) : absl::Status(root.status());
  return status.ok() ? meaning : absl::StrCat(status.ToString(), absl::BytesToHexString(document));
}

RawDifferences Compare(const RawTables& source, const RawTables& target,
                       const std::function<bool(uint64_t)>& json_may_differ) {
  Comparison comparison(json_may_differ);
  for (const auto& [name, table] : source) {
    const auto other = target.find(name);
    if (other == target.end()) {
      comparison.Differ(absl::StrCat(name, ": no row has arrived"));
    } else {
      comparison.CompareTable(name, table, other->second);
    }
  }
  for (const auto& [name, table] : target) {
    if (!source.contains(name)) {
      comparison.Differ(absl::StrCat(name, ": rows that the source does not have"));
    }
  }
  return comparison.found();
}

}  // namespace sluice::testing
