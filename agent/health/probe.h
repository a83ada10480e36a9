// Probe: reads a mysqld's facts.

#pragma once

#include "absl/status/statusor.h"
#include "agent/health/checks.h"
#include "common/mysql/connection.h"

namespace sluice::agent {

// Everything but the privileges, which cost more and change less.
absl::StatusOr<MysqldFacts> ReadFacts(mysql::Connection& connection);

// Of the account and its active roles; fills account too.
absl::Status ReadPrivileges(mysql::Connection& connection, MysqldFacts& facts);

}  // namespace sluice::agent
