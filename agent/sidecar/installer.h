// InstallSidecar: brings the sidecar database of a writable mysqld to this program's version.

#pragma once

#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "agent/sidecar/migrations.h"
#include "common/mysql/connection.h"

namespace sluice::sidecar {

// 0 when there is no sidecar.
absl::StatusOr<int> ReadSidecarVersion(mysql::Connection& connection);

// Creates what is missing: the shard's own database, _sluice with the tables of every migration,
// and the locked reader account that may SELECT from the shard's database. Everything is written to
// the binlog, so that replicas have it when they take over. Repeatable; two agents at once are
// fine. FAILED_PRECONDITION when the sidecar is of a newer version than `migrations` know (both
// named).
absl::Status InstallSidecar(mysql::Connection& connection, const std::string& database,
                            const std::vector<Migration>& migrations);

}  // namespace sluice::sidecar
