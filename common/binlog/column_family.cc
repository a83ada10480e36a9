// ColumnFamily: names of types, and the binlog types that fit.

#include "common/binlog/column_family.h"

#include "absl/container/flat_hash_map.h"
#include "absl/strings/str_cat.h"

namespace sluice::binlog {

absl::StatusOr<ColumnFamily> FamilyOf(const mysql::ColumnSchema& column) {
  using Map = absl::flat_hash_map<absl::string_view, ColumnFamily>;
  static const Map& families = *new Map({
      {"tinyint", ColumnFamily::kInteger},
      {"smallint", ColumnFamily::kInteger},
      {"mediumint", ColumnFamily::kInteger},
      {"int", ColumnFamily::kInteger},
      {"bigint", ColumnFamily::kInteger},
      {"float", ColumnFamily::kFloat},
      {"double", ColumnFamily::kDouble},
      {"decimal", ColumnFamily::kDecimal},
      {"bit", ColumnFamily::kBit},
      {"year", ColumnFamily::kYear},
      {"date", ColumnFamily::kDate},
      {"time", ColumnFamily::kTime},
      {"datetime", ColumnFamily::kDatetime},
      {"timestamp", ColumnFamily::kTimestamp},
      {"enum", ColumnFamily::kEnum},
      {"set", ColumnFamily::kSet},
      {"char", ColumnFamily::kText},
      {"varchar", ColumnFamily::kText},
      {"tinytext", ColumnFamily::kText},
      {"text", ColumnFamily::kText},
      {"mediumtext", ColumnFamily::kText},
      {"longtext", ColumnFamily::kText},
      {"binary", ColumnFamily::kBinary},
      {"varbinary", ColumnFamily::kBinary},
      {"tinyblob", ColumnFamily::kBinary},
      {"blob", ColumnFamily::kBinary},
      {"mediumblob", ColumnFamily::kBinary},
      {"longblob", ColumnFamily::kBinary},
      {"json", ColumnFamily::kJson},
      {"geometry", ColumnFamily::kGeometry},
      {"point", ColumnFamily::kGeometry},
      {"linestring", ColumnFamily::kGeometry},
      {"polygon", ColumnFamily::kGeometry},
      {"multipoint", ColumnFamily::kGeometry},
      {"multilinestring", ColumnFamily::kGeometry},
      {"multipolygon", ColumnFamily::kGeometry},
      {"geomcollection", ColumnFamily::kGeometry},
      {"geometrycollection", ColumnFamily::kGeometry},
      {"vector", ColumnFamily::kVector},
  });
  const auto found = families.find(column.data_type);
  if (found == families.end()) {
    return absl::UnimplementedError(
        absl::StrCat("column ", column.name, " has the unknown type ", column.column_type));
  }
  return found->second;
}

bool Fits(uint8_t binlog_type, ColumnFamily family) {
  switch (binlog_type) {
    case kTypeTiny:
    case kTypeShort:
    case kTypeInt24:
    case kTypeLong:
    case kTypeLongLong:
      return family == ColumnFamily::kInteger;
    case kTypeFloat:
      return family == ColumnFamily::kFloat;
    case kTypeDouble:
      return family == ColumnFamily::kDouble;
    case kTypeNewDecimal:
      return family == ColumnFamily::kDecimal;
    case kTypeBit:
      return family == ColumnFamily::kBit;
    case kTypeYear:
      return family == ColumnFamily::kYear;
    case kTypeDate:
      return family == ColumnFamily::kDate;
    case kTypeTime2:
      return family == ColumnFamily::kTime;
    case kTypeDatetime2:
      return family == ColumnFamily::kDatetime;
    case kTypeTimestamp2:
      return family == ColumnFamily::kTimestamp;
    case kTypeEnum:
      return family == ColumnFamily::kEnum;
    case kTypeSet:
      return family == ColumnFamily::kSet;
    case kTypeVarchar:
    case kTypeVarString:
    case kTypeString:
    case kTypeBlob:
      return family == ColumnFamily::kText || family == ColumnFamily::kBinary;
    case kTypeJson:
      return family == ColumnFamily::kJson;
    case kTypeGeometry:
      return family == ColumnFamily::kGeometry;
    case kTypeVector:
      return family == ColumnFamily::kVector;
    default:
      return false;
  }
}

}  // namespace sluice::binlog
