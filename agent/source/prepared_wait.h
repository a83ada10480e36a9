// AwaitPrepared: waits until the XA transactions that a server has prepared are decided.

#pragma once

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "common/mysql/connection.h"

namespace sluice::source {

// OK when every XA transaction whose preparation this server's gtid_executed has counted before the
// call is committed or rolled back, and visible so. The binlog holds its rows at the preparation
// only: who begins behind that must find them in a snapshot, which is opened after this call.
// DEADLINE_EXCEEDED names those that are left; PERMISSION_DENIED names the missing privilege.
absl::Status AwaitPrepared(mysql::Connection& connection, absl::Duration wait);

}  // namespace sluice::source
