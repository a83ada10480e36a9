// CheckCanApply: whether a stream that is to be started later could do its work now.

#pragma once

#include "absl/status/status.h"
#include "agent/target/stream_spec.h"
#include "agent/target/stream_task.h"
#include "common/mysql/connection.h"

namespace sluice::target {

// Reads the definitions of the tables here, and opens and closes the source's binlog at its present
// end. FAILED_PRECONDITION names a table that a stream can't write, or what keeps the source from
// being read; UNAVAILABLE when it can't be reached. Writes nothing.
absl::Status CheckCanApply(const StreamEnvironment& environment, const StreamSpec& spec,
                           mysql::Connection& connection);

}  // namespace sluice::target
