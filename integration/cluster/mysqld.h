// Mysqld: one mysqld 9.x of a local cluster: its data directory, its accounts, its replication.

#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "common/mysql/connection.h"
#include "integration/cluster/process.h"

namespace sluice::cluster {

// $SLUICE_MYSQLD, else bin/mysqld of the prefix that deploy/bootstrap fills. NOT_FOUND says so.
absl::StatusOr<std::string> FindMysqld();

struct MysqldOptions {
  std::string directory;  // holds my.cnf, data/, error.log
  uint32_t server_id = 0;
  uint16_t port = 0;
  bool read_only = false;          // a replica starts with super_read_only
  std::vector<std::string> extra;  // more lines of the [mysqld] group
};

// Accounts of every cluster; passwords are made per cluster.
struct Accounts {
  std::string agent_password;    // user sluice_agent: all but SHOW DATABASES
  std::string proxy_password;    // user sluice_proxy: statements of the applications
  std::string replica_password;  // user sluice_replica: native replication
};

// Fills `directory` with a fresh data directory (copied from a template that is made once per
// mysqld version) and writes my.cnf.
absl::Status PrepareMysqld(const MysqldOptions& options);

// The command line of a prepared mysqld that does not run. Takes away the lock of its socket, which
// one that was killed leaves behind: with its process id in it, mysqld refuses to start as soon as
// any other process has that id.
absl::StatusOr<std::vector<std::string>> MysqldCommand(const MysqldOptions& options);

// root over TCP (no password: the server listens on loopback and is thrown away).
mysql::ConnectionOptions RootOptions(uint16_t port);

// Tries to connect until the server answers.
absl::Status AwaitMysqld(uint16_t port, const ProcessId& id, const std::string& error_log,
                         absl::Duration timeout);

// On a fresh PRIMARY: the accounts, and empty schemas `databases`.
absl::Status CreateAccounts(uint16_t port, const Accounts& accounts,
                            const std::vector<std::string>& databases);

// Gives the agents' account what CreateAccounts leaves out, so that whole mysqlds may be closed.
absl::Status AllowServerGates(uint16_t port);

// Makes the server a replica of another one, by GTID auto position.
absl::Status StartReplication(uint16_t port, uint16_t source_port, const Accounts& accounts);

// A free TCP port on loopback below the range that the kernel hands out by itself, so that a server
// which is started again finds its port free. No other process picks it while this one lives.
absl::StatusOr<uint16_t> PickPort();

}  // namespace sluice::cluster
