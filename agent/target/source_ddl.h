// SourceDdl: a statement of the source that changes the definition of a stream's table.

#pragma once

#include <cstdint>

#include "common/binlog/event.h"
#include "common/gtid/gtid_set.h"

namespace sluice::target {

struct SourceDdl {
  gtid::Gtid gtid;  // of the statement, which is a transaction of its own
  binlog::QueryEvent query;
  uint32_t seconds = 0;  // since 1970: when the source ran it
};

}  // namespace sluice::target
