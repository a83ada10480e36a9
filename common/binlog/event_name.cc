// EventTypeName: names of event types, for messages (binlog_event.h; MariaDB's log_event.h).

#include <algorithm>
#include <array>

#include "absl/strings/str_cat.h"
#include "common/binlog/event.h"

namespace sluice::binlog {
namespace {

struct Name {
  uint8_t type;
  absl::string_view name;
};

constexpr std::array kNames = {
    Name{1, "START_V3"},
    Name{2, "QUERY"},
    Name{3, "STOP"},
    Name{4, "ROTATE"},
    Name{5, "INTVAR"},
    Name{6, "LOAD"},
    Name{7, "SLAVE"},
    Name{8, "CREATE_FILE"},
    Name{9, "APPEND_BLOCK"},
    Name{10, "EXEC_LOAD"},
    Name{11, "DELETE_FILE"},
    Name{12, "NEW_LOAD"},
    Name{13, "RAND"},
    Name{14, "USER_VAR"},
    Name{15, "FORMAT_DESCRIPTION"},
    Name{16, "XID"},
    Name{17, "BEGIN_LOAD_QUERY"},
    Name{18, "EXECUTE_LOAD_QUERY"},
    Name{19, "TABLE_MAP"},
    Name{20, "PRE_GA_WRITE_ROWS"},
    Name{21, "PRE_GA_UPDATE_ROWS"},
    Name{22, "PRE_GA_DELETE_ROWS"},
    Name{23, "WRITE_ROWS_V1"},
    Name{24, "UPDATE_ROWS_V1"},
    Name{25, "DELETE_ROWS_V1"},
    Name{26, "INCIDENT"},
    Name{27, "HEARTBEAT"},
    Name{28, "IGNORABLE"},
    Name{29, "ROWS_QUERY"},
    Name{30, "WRITE_ROWS"},
    Name{31, "UPDATE_ROWS"},
    Name{32, "DELETE_ROWS"},
    Name{33, "GTID"},
    Name{34, "ANONYMOUS_GTID"},
    Name{35, "PREVIOUS_GTIDS"},
    Name{36, "TRANSACTION_CONTEXT"},
    Name{37, "VIEW_CHANGE"},
    Name{38, "XA_PREPARE"},
    Name{39, "PARTIAL_UPDATE_ROWS"},
    Name{40, "TRANSACTION_PAYLOAD"},
    Name{41, "HEARTBEAT_V2"},
    Name{42, "GTID_TAGGED"},
    Name{160, "ANNOTATE_ROWS of MariaDB"},
    Name{161, "BINLOG_CHECKPOINT of MariaDB"},
    Name{162, "GTID of MariaDB"},
    Name{163, "GTID_LIST of MariaDB"},
    Name{164, "START_ENCRYPTION of MariaDB"},
    Name{165, "QUERY_COMPRESSED of MariaDB"},
    Name{166, "WRITE_ROWS_COMPRESSED_V1 of MariaDB"},
    Name{167, "UPDATE_ROWS_COMPRESSED_V1 of MariaDB"},
    Name{168, "DELETE_ROWS_COMPRESSED_V1 of MariaDB"},
    Name{169, "WRITE_ROWS_COMPRESSED of MariaDB"},
    Name{170, "UPDATE_ROWS_COMPRESSED of MariaDB"},
    Name{171, "DELETE_ROWS_COMPRESSED of MariaDB"},
};

}  // namespace

std::string EventTypeName(uint8_t raw_type) {
  const auto* const found = std::find_if(
      kNames.begin(), kNames.end(), [raw_type](const Name& name) { return name.type == raw_type; });
  return found == kNames.end() ? absl::StrCat("type ", raw_type)
                               : absl::StrCat(found->name, " (", raw_type, ")");
}

}  // namespace sluice::binlog
