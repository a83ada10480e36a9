// Cell codec: rows of text-protocol cells as bytes, as FetchRows carries them. Pure.

#pragma once

#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "common/mysql/connection.h"

namespace sluice::source {

// Appends one cell: 0xFB for NULL, else its length as a packed integer of the MySQL protocol and
// its bytes.
void AppendCell(const mysql::Cell& cell, std::string& out);

// Reads cells back in order. Views point into the bytes given. Owned by one thread.
class CellReader {
 public:
  explicit CellReader(absl::string_view bytes) : rest_(bytes) {}

  [[nodiscard]] bool done() const { return rest_.empty(); }

  // Replaces `row` by the next `columns` cells. INVALID_ARGUMENT when the bytes end before that, or
  // are not cells.
  absl::Status ReadRow(size_t columns, std::vector<mysql::Cell>& row);

 private:
  absl::string_view rest_;
};

}  // namespace sluice::source
