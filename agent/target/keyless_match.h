// KeylessMatch: finding one row of a table without a key by the whole of its image. Pure.

#pragma once

#include <span>
#include <string>

#include "absl/status/status.h"
#include "agent/target/table_plan.h"
#include "common/binlog/event.h"
#include "common/binlog/row_image.h"

namespace sluice::target {

// Appends "DELETE FROM … WHERE … LIMIT 1", which takes away one row all of whose written columns
// have the bytes of the image. Rows that are equal to the last byte are one as good as another; the
// server's own idea of equal values ('a' and 'A', 0 and -0) does not count. Two JSON documents that
// print alike are taken for equal.
absl::Status AppendKeylessDelete(const TablePlan& plan, const binlog::TableMapEvent& map,
                                 std::span<const binlog::ImageCell> image, std::string& sql);

}  // namespace sluice::target
