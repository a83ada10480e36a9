// InstallSidecar: brings the sidecar database of a writable mysqld to this program's version.

#include "agent/sidecar/installer.h"

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "agent/gate/planner.h"
#include "common/base/check.h"
#include "common/base/log.h"
#include "common/base/status.h"
#include "common/base/status_macros.h"

namespace sluice::sidecar {
namespace {

constexpr absl::string_view kLock = "'_sluice.install'";
constexpr int kLockWaitSeconds = 10;

absl::StatusOr<bool> Exists(mysql::Connection& connection, const std::string& query) {
  SLUICE_ASSIGN_OR_RETURN(const mysql::QueryResult result, connection.Query(query));
  return !result.rows.empty();
}

// CREATE … IF NOT EXISTS is written to the binlog even when there is nothing to do, so look first.
absl::Status EnsureDatabase(mysql::Connection& connection, const std::string& database) {
  SLUICE_ASSIGN_OR_RETURN(
      const bool exists, Exists(connection, absl::StrCat("SELECT 1 FROM information_schema.SCHEMATA"
                                                         " WHERE SCHEMA_NAME = ",
                                                         mysql::QuoteString(database))));
  if (exists) {
    return absl::OkStatus();
  }
  SLUICE_LOG(kInfo, "creating database", {{"database", database}});
  return Annotate(
      connection.Execute(absl::StrCat("CREATE DATABASE IF NOT EXISTS ", mysql::QuoteName(database)))
          .status(),
      absl::StrCat("creating database ", database));
}

absl::Status Upgrade(mysql::Connection& connection, const std::vector<Migration>& migrations) {
  SLUICE_RETURN_IF_ERROR(EnsureDatabase(connection, "_sluice"));
  SLUICE_ASSIGN_OR_RETURN(const int version, ReadSidecarVersion(connection));
  SLUICE_CHECK(!migrations.empty());
  const int known = migrations.back().version;
  if (version > known) {
    return absl::FailedPreconditionError(
        absl::StrCat("sidecar database _sluice has version ", version, ", this agent knows ", known,
                     " at most; run an agent as new as the one that upgraded it"));
  }
  if (version == 0) {
    SLUICE_RETURN_IF_ERROR(connection
                               .Execute("CREATE TABLE IF NOT EXISTS _sluice.schema_version ("
                                        "version INT NOT NULL PRIMARY KEY,"
                                        " installed_at TIMESTAMP(6) NOT NULL) ENGINE=InnoDB")
                               .status());
  }
  for (const Migration& migration : migrations) {
    if (migration.version <= version) {
      continue;
    }
    for (const std::string& statement : migration.statements) {
      SLUICE_RETURN_IF_ERROR(
          Annotate(connection.Execute(statement).status(),
                   absl::StrCat("sidecar database, version ", migration.version)));
    }
    SLUICE_RETURN_IF_ERROR(
        connection
            .Execute(absl::StrCat("INSERT IGNORE INTO _sluice.schema_version VALUES (",
                                  migration.version, ", UTC_TIMESTAMP(6))"))
            .status());
    SLUICE_LOG(kInfo, "sidecar database upgraded", {{"version", migration.version}});
  }
  return absl::OkStatus();
}

// In GRANT the database's name is a pattern, unless partial_revokes takes patterns away.
absl::StatusOr<std::string> GrantName(mysql::Connection& connection, const std::string& database) {
  SLUICE_ASSIGN_OR_RETURN(const std::string partial_revokes,
                          connection.QueryScalar("SELECT @@GLOBAL.partial_revokes"));
  std::string name;
  for (const char c : database) {
    if (partial_revokes != "1" && (c == '_' || c == '%' || c == '\\')) {
      name.push_back('\\');
    }
    name.push_back(c);
  }
  return mysql::QuoteName(name);
}

absl::Status EnsureReader(mysql::Connection& connection, const std::string& database) {
  const std::string account = absl::StrCat(mysql::QuoteString(gate::kReaderUser), "@",
                                           mysql::QuoteString(gate::kReaderHost));
  // CREATE USER is refused for whoever is the definer of a view, IF NOT EXISTS or not.
  SLUICE_ASSIGN_OR_RETURN(
      const bool exists,
      Exists(connection, absl::StrCat("SELECT 1 FROM information_schema.USER_ATTRIBUTES WHERE USER"
                                      " = ",
                                      mysql::QuoteString(gate::kReaderUser),
                                      " AND HOST = ", mysql::QuoteString(gate::kReaderHost))));
  if (!exists) {
    SLUICE_RETURN_IF_ERROR(
        Annotate(connection
                     .Query(absl::StrCat("CREATE USER IF NOT EXISTS ", account,
                                         " IDENTIFIED BY RANDOM PASSWORD ACCOUNT LOCK"))
                     .status(),
                 absl::StrCat("creating account ", account)));
  }
  SLUICE_ASSIGN_OR_RETURN(const std::string name, GrantName(connection, database));
  return Annotate(
      connection.Execute(absl::StrCat("GRANT SELECT ON ", name, ".* TO ", account)).status(),
      absl::StrCat("letting ", account, " read ", database));
}

}  // namespace

absl::StatusOr<int> ReadSidecarVersion(mysql::Connection& connection) {
  SLUICE_ASSIGN_OR_RETURN(
      const bool exists,
      Exists(connection,
             "SELECT 1 FROM information_schema.TABLES WHERE TABLE_SCHEMA = '_sluice'"
             " AND TABLE_NAME = 'schema_version'"));
  if (!exists) {
    return 0;
  }
  SLUICE_ASSIGN_OR_RETURN(
      const std::string text,
      connection.QueryScalar("SELECT COALESCE(MAX(version), 0) FROM _sluice.schema_version"));
  int version = 0;
  if (!absl::SimpleAtoi(text, &version)) {
    return absl::DataLossError(absl::StrCat("_sluice.schema_version holds \"", text, "\""));
  }
  return version;
}

absl::Status InstallSidecar(mysql::Connection& connection, const std::string& database,
                            const std::vector<Migration>& migrations) {
  SLUICE_ASSIGN_OR_RETURN(
      const std::string locked,
      connection.QueryScalar(absl::StrCat("SELECT GET_LOCK(", kLock, ", ", kLockWaitSeconds, ")")));
  if (locked != "1") {
    return absl::AbortedError("another agent is installing the sidecar database");
  }
  const absl::Status status = [&]() -> absl::Status {
    SLUICE_RETURN_IF_ERROR(EnsureDatabase(connection, database));
    SLUICE_RETURN_IF_ERROR(Upgrade(connection, migrations));
    return EnsureReader(connection, database);
  }();
  const absl::Status released =
      connection.Execute(absl::StrCat("DO RELEASE_LOCK(", kLock, ")")).status();
  return status.ok() ? released : status;
}

}  // namespace sluice::sidecar
