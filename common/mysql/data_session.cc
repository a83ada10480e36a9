// ConfigureDataSession: the one place that says how sessions which carry rows are set up.

#include <array>
#include <string>

#include "absl/strings/str_cat.h"
#include "common/base/status.h"
#include "common/base/status_macros.h"
#include "common/mysql/connection.h"

namespace sluice::mysql {
namespace {

// Variables that not every server version has, or not every account may set.
struct OptionalVariable {
  const char* name;
  const char* value;
  bool required;  // where the server has it
};
constexpr std::array<OptionalVariable, 5> kOptional = {{
    // A statement's warnings are all looked at, or the statement is not trusted.
    {"max_error_count", "65535", false},
    // Tables are made from the source's own CREATE statements.
    {"sql_generate_invisible_primary_key", "0", true},
    {"show_gipk_in_create_table_and_information_schema", "1", true},
    // Estimates of a table's size are otherwise up to a day old.
    {"information_schema_stats_expiry", "0", true},
    // Matters only to tables whose foreign keys point at a non-unique key; their CREATE tells.
    {"restrict_fk_on_non_standard_key", "0", false},
}};

constexpr unsigned kUnknownSystemVariable = 1193;
constexpr unsigned kAccessDenied = 1227;

absl::Status SetOptional(Connection& connection, const OptionalVariable& variable) {
  absl::Status set =
      connection.Execute(absl::StrCat("SET SESSION ", variable.name, " = ", variable.value))
          .status();
  if (set.ok() || MysqlErrnoOf(set) == kUnknownSystemVariable) {
    return absl::OkStatus();
  }
  if (MysqlErrnoOf(set) != kAccessDenied) {
    return set;
  }
  SLUICE_ASSIGN_OR_RETURN(const std::string value,
                          connection.QueryScalar(absl::StrCat("SELECT @@SESSION.", variable.name)));
  return value == variable.value || !variable.required ? absl::OkStatus() : set;
}

}  // namespace

absl::Status ConfigureDataSession(Connection& connection) {
  // Strict, so that a value which does not fit is an error, never a changed value; dates of the
  // source pass as they are. A slow peer must not make the server end a session that streams.
  const absl::Status set =
      connection
          .Execute(
              "SET NAMES binary, SESSION time_zone = '+00:00', "
              "sql_mode = 'NO_AUTO_VALUE_ON_ZERO,STRICT_ALL_TABLES,ALLOW_INVALID_DATES', "
              "foreign_key_checks = 0, unique_checks = 1, net_read_timeout = 600, "
              "net_write_timeout = 600, wait_timeout = 28800, "
              // What is warned of is read by its text.
              "lc_messages = 'en_US', "
              "group_concat_max_len = 1073741824, "
              // A key may be the first 3072 bytes of long texts; a sort that looks at less of them
              // puts rows in another order than the key's, and who reads on from the last key then
              // misses rows.
              "max_sort_length = 32768, sort_buffer_size = 4194304")
          .status();
  if (!set.ok()) {
    return Annotate(set, "setting up a data session");
  }
  for (const OptionalVariable& variable : kOptional) {
    const absl::Status optional = SetOptional(connection, variable);
    if (!optional.ok()) {
      return Annotate(optional, "setting up a data session");
    }
  }
  return absl::OkStatus();
}

absl::Status ConfigureDefinitionSession(Connection& connection) {
  SLUICE_RETURN_IF_ERROR(ConfigureDataSession(connection));
  return connection.Execute("SET NAMES utf8mb4, SESSION character_set_results = NULL").status();
}

}  // namespace sluice::mysql
