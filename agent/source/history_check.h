// CheckHistory: whether a server has, or will have, what a stream has applied already.

#pragma once

#include <string>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "common/mysql/connection.h"

namespace sluice::source {

// A stream may have applied transactions that this server does not have: it is a replica that lags,
// or it was promoted without them. Waits for them at most `wait`. Then
// - UNAVAILABLE: it may still get them (it replicates, is read-only, or makes them itself);
// - DATA_LOSS, naming them and what to do: it takes writes, and nobody brings them any more, so
//   that what it has and what the stream has applied have parted.
absl::Status CheckHistory(mysql::Connection& connection, const std::string& position,
                          absl::Duration wait);

}  // namespace sluice::source
