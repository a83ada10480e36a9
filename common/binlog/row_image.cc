// Row images: all changes of a rows event at once.

#include "common/binlog/row_image.h"

#include "absl/strings/str_cat.h"
#include "common/base/status_macros.h"
#include "common/binlog/malformed.h"
#include "common/binlog/rows_reader.h"

namespace sluice::binlog {

absl::StatusOr<std::vector<RowChange>> DecodeRowChanges(const TableMapEvent& table,
                                                        const RowsEvent& rows) {
  if (rows.table_id != table.table_id) {
    return Malformed("rows event",
                     absl::StrCat("table id ", rows.table_id, " instead of ", table.table_id));
  }
  SLUICE_ASSIGN_OR_RETURN(const TableLayout layout, TableLayout::Create(table));
  RowsReader reader;
  SLUICE_RETURN_IF_ERROR(reader.Start(layout, rows));
  std::vector<RowChange> changes;
  while (true) {
    SLUICE_ASSIGN_OR_RETURN(const bool found, reader.Next());
    if (!found) {
      return changes;
    }
    RowChange& change = changes.emplace_back();
    if (reader.before() != nullptr) {
      change.before = *reader.before();
    }
    if (reader.after() != nullptr) {
      change.after = *reader.after();
    }
  }
}

}  // namespace sluice::binlog
