// RowsReader: the row images of a rows event, one change after the other, into memory that is used
// again for each.

#pragma once

#include <cstddef>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "common/base/byte_reader.h"
#include "common/binlog/event.h"
#include "common/binlog/row_image.h"

namespace sluice::binlog {

// How the cells of a table map's rows are laid out; made once per table map. Immutable.
class TableLayout {
 public:
  // FAILED_PRECONDITION for a type whose rows cannot be read, with the remedy; INVALID_ARGUMENT for
  // metadata that no server writes.
  static absl::StatusOr<TableLayout> Create(const TableMapEvent& table);

  [[nodiscard]] size_t width() const { return cells_.size(); }

 private:
  friend class RowsReader;
  // `fixed` bytes, or a length of `prefix` bytes and the value.
  struct Cell {
    size_t fixed = 0;
    size_t prefix = 0;
  };
  static absl::StatusOr<Cell> LayoutOf(const ColumnType& type);

  std::vector<Cell> cells_;
  std::vector<size_t> json_;  // ordinals of the JSON columns
};

// Start, then Next until it returns false. Every length is checked against the bytes left. Owned by
// one thread.
class RowsReader {
 public:
  // `layout` and the bytes of `rows` outlive the reading. INVALID_ARGUMENT when the event's columns
  // are not those of its table map.
  absl::Status Start(const TableLayout& layout, const RowsEvent& rows);

  // Reads the next change; false behind the last one. Images stay valid until the next call, the
  // bytes that they point to as long as the event.
  absl::StatusOr<bool> Next();

  // nullptr where the kind of change has no such image.
  [[nodiscard]] const RowImage* before() const { return has_before_ ? &before_.image : nullptr; }
  [[nodiscard]] const RowImage* after() const { return has_after_ ? &after_.image : nullptr; }

 private:
  struct Side {
    RowImage image;
    std::vector<size_t> present;  // ordinals of the columns that every image of the event has
  };
  static void Prepare(absl::string_view bits, size_t width, Side& side);
  void Read(Side& side);
  void ReadPartialColumns();

  const TableLayout* layout_ = nullptr;
  bool has_before_ = false;
  bool has_after_ = false;
  bool partial_ = false;  // JSON columns of the image after may be diffs
  Side before_;
  Side after_;
  ByteReader bytes_{absl::string_view()};
};

}  // namespace sluice::binlog
