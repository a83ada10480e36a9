// The journal of cutovers in the sidecar database.

#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "common/mysql/connection.h"

namespace sluice::sidecar {

// Commits the record. OK when the same record stands there already; ALREADY_EXISTS when another one
// stands under the same id.
absl::Status WriteJournal(mysql::Connection& connection, const std::string& cutover_id,
                          const std::string& workflow, const std::string& record);

struct JournalEntry {
  std::string cutover_id;
  std::string record;
  int64_t written_us = 0;  // since 1970
};

// The last entries of a workflow, the newest first.
absl::StatusOr<std::vector<JournalEntry>> ReadJournal(mysql::Connection& connection,
                                                      const std::string& workflow, uint32_t limit);

}  // namespace sluice::sidecar
