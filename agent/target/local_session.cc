// ConnectLocal: settings of a session that writes rows.

#include "agent/target/local_session.h"

#include "common/base/status.h"
#include "common/base/status_macros.h"

namespace sluice::target {

absl::StatusOr<std::unique_ptr<mysql::Connection>> ConnectLocal(
    const mysql::ConnectionOptions& options) {
  absl::StatusOr<std::unique_ptr<mysql::Connection>> connection =
      mysql::Connection::Connect(options);
  if (!connection.ok()) {
    return Annotate(connection.status(), "target mysqld");
  }
  SLUICE_RETURN_IF_ERROR(mysql::ConfigureDataSession(**connection));
  SLUICE_RETURN_IF_ERROR((*connection)
                             ->Execute("SET SESSION transaction_isolation = 'READ-COMMITTED', "
                                       "innodb_lock_wait_timeout = 5, lock_wait_timeout = 5")
                             .status());
  return connection;
}

}  // namespace sluice::target
