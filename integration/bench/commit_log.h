// Commit log: when each transaction was committed, as the servers' binlogs tell.

#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "common/gtid/gtid_set.h"

namespace sluice::bench {

struct SourceCommit {
  gtid::Gtid gtid;
  uint64_t commit_us = 0;  // since 1970
};

// A commit of the target that moved a stream's position.
struct PositionCommit {
  uint64_t commit_us = 0;
  gtid::GtidSet position;  // all of the source that was applied then
};

// The transactions of a server behind `from`, up to and including all of `to`.
absl::StatusOr<std::vector<SourceCommit>> ReadSourceCommits(uint16_t port, const std::string& from,
                                                            const std::string& to);
// The positions in a target's binlog behind `from`, up to and including all of `to`.
absl::StatusOr<std::vector<PositionCommit>> ReadPositionCommits(uint16_t port,
                                                                const std::string& from,
                                                                const std::string& to);

// Milliseconds from each commit on the source to the first commit on the target whose position has
// it. DATA_LOSS when one is in none.
absl::StatusOr<std::vector<double>> Lags(const std::vector<SourceCommit>& commits,
                                         const std::vector<PositionCommit>& positions);

// The smallest value that at least `percent` of them do not exceed; 0 without any.
double Percentile(std::vector<double> values, double percent);

}  // namespace sluice::bench
