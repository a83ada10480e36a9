// Errors of libmysqlclient and mysqld as absl::Status.

#pragma once

#include "absl/status/status.h"
#include "absl/strings/string_view.h"

namespace sluice::mysql {

// "1146 (42S02): Table 'a.b' doesn't exist" with the code of the table in error.cc and the number
// as payload (MysqlErrnoOf). An error number 0 is reported as a lost connection (2013).
absl::Status MysqlError(unsigned number, absl::string_view sqlstate, absl::string_view message);

}  // namespace sluice::mysql
