// DdlIntent: that a stream is about to run a statement on the target, noted before it does.

#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "common/mysql/connection.h"

namespace sluice::target {

// A row of _sluice.stream_ddl. mysqld runs DDL in a transaction of its own, so it cannot be
// committed together with the position. After a crash the definition tells whether it has run.
struct DdlIntent {
  std::string gtid;        // of the statement on the source
  std::string statement;   // as run here
  std::string definition;  // of the table before it
};

// The stream's; nullopt when it has none.
absl::StatusOr<std::optional<DdlIntent>> LoadDdlIntent(mysql::Connection& connection,
                                                       uint64_t stream_id);
// Both within the transaction that is open on the connection.
absl::Status WriteDdlIntent(mysql::Connection& connection, uint64_t stream_id,
                            const DdlIntent& intent);
absl::Status DeleteDdlIntent(mysql::Connection& connection, uint64_t stream_id);

}  // namespace sluice::target
