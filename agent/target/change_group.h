// ChangeGroup: what is applied in one go: consecutive transactions of the source, merged.

#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/time/time.h"
#include "agent/target/change_set.h"
#include "agent/target/source_ddl.h"
#include "common/gtid/gtid_set.h"

namespace sluice::target {

// Received, not applied.
struct ChangeGroup {
  ChangeSet changes;
  std::vector<std::shared_ptr<const std::string>> buffers;  // what its images point into

  gtid::GtidSet ended;         // the transactions that ended in it, those without changes too
  int64_t transaction_us = 0;  // commit time on the source of the last one; 0 when there is none
  uint64_t transactions = 0;   // with changes for us
  uint64_t rows = 0;
  std::vector<std::string> markers;
  // The last transaction is not whole: it goes on in the next group, and nothing may become visible
  // before its end.
  bool open = false;
  // Behind all of the above a statement follows that is to be carried out on the target; no further
  // group does.
  std::optional<SourceDdl> ddl;

  int64_t source_time_us = 0;  // the source's clock at the last answer; 0 when there was none
  bool caught_up = false;      // at that answer there was nothing behind this group

  absl::Duration waiting;   // of the applier for it
  absl::Duration hand_off;  // it lay ready until it was taken
};

}  // namespace sluice::target
