// ChangeWriter: building and running REPLACE and DELETE statements.

#include "agent/target/change_writer.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "agent/target/keyless_match.h"
#include "common/base/status.h"
#include "common/base/status_macros.h"
#include "common/binlog/row_image.h"

namespace sluice::target {

absl::Status ChangeWriter::Write(const ChangeSet& changes) {
  for (const TableChanges& table : changes.tables()) {
    SLUICE_RETURN_IF_ERROR(Write(ChangeSlice{&table, 0, table.rows.size()}));
  }
  return WriteKeyless(changes);
}

absl::Status ChangeWriter::WriteKeyless(const ChangeSet& changes) {
  for (const KeylessChange& change : changes.keyless()) {
    const absl::Status status = WriteKeylessChange(change);
    if (!status.ok()) {
      const TablePlan& plan = *change.plan;
      return WithSubject(
          Annotate(status, absl::StrCat("writing ", plan.database, ".", plan.physical)),
          plan.table);
    }
  }
  return absl::OkStatus();
}

absl::Status ChangeWriter::WriteKeylessChange(const KeylessChange& change) {
  const TablePlan& plan = *change.plan;
  Clear();
  map_ = nullptr;
  if (!change.before.empty()) {
    sql_.clear();
    SLUICE_RETURN_IF_ERROR(AppendKeylessDelete(plan, *change.map, change.before, sql_));
    SLUICE_ASSIGN_OR_RETURN(const mysql::Connection::Outcome outcome, sender_.Run(sql_, {}));
    if (outcome.affected_rows != 1) {
      return absl::DataLossError(
          "a row that the source has changed is not there; cancel the workflow and create it anew");
    }
  }
  if (change.after.empty()) {
    return absl::OkStatus();
  }
  sql_ = plan.insert_head;
  SLUICE_RETURN_IF_ERROR(AppendRow(plan, plan.written, {change.after, change.map, true}));
  return Run(plan, "");
}

absl::Status ChangeWriter::Write(const ChangeSlice& slice) {
  const absl::Time begun = absl::Now();
  const absl::Duration server = times_.server;
  absl::Status status = WriteRows(slice);
  times_.building += absl::Now() - begun - (times_.server - server);
  return status;
}

absl::Status ChangeWriter::WriteRows(const ChangeSlice& slice) {
  Clear();  // forgets what an error may have left
  absl::Status status = Delete(slice);
  if (status.ok()) {
    status = Replace(slice);
  }
  if (status.ok()) {
    return status;
  }
  const TablePlan& plan = *slice.changes->plan;
  return WithSubject(Annotate(status, absl::StrCat("writing ", plan.database, ".", plan.physical)),
                     plan.table);
}

absl::Status ChangeWriter::UseMap(const TablePlan& plan, const std::vector<size_t>& ordinals,
                                  const binlog::TableMapEvent& map) {
  if (map_ == &map) {
    return absl::OkStatus();
  }
  families_.clear();
  for (const size_t ordinal : ordinals) {
    SLUICE_ASSIGN_OR_RETURN(
        families_.emplace_back(),
        binlog::FittingFamily(map.columns[ordinal], plan.schema.columns[ordinal]));
  }
  map_ = &map;
  return absl::OkStatus();
}

absl::Status ChangeWriter::AppendRow(const TablePlan& plan, const std::vector<size_t>& ordinals,
                                     const Values& values) {
  SLUICE_RETURN_IF_ERROR(UseMap(plan, ordinals, *values.map));
  sql_ += rows_ == 0 ? "(" : ",(";
  ++rows_;
  for (size_t i = 0; i < ordinals.size(); ++i) {
    if (i > 0) {
      sql_ += ',';
    }
    const binlog::ImageCell& cell = values.image[ordinals[i]];
    // In a key it would be compared as bytes, not as the column's collation says.
    if (values.written && !cell.null && RowSender::IsLong(families_[i], cell.bytes)) {
      sql_ += '?';
      long_values_.push_back(cell.bytes);
      long_bytes_ += cell.bytes.size();
      continue;
    }
    SLUICE_RETURN_IF_ERROR(AppendCell(plan, i, ordinals[i], values));
  }
  sql_ += ')';
  return absl::OkStatus();
}

absl::Status ChangeWriter::AppendComparison(const TablePlan& plan, const Values& values) {
  SLUICE_RETURN_IF_ERROR(UseMap(plan, plan.key, *values.map));
  sql_ += rows_ == 0 ? "(" : " OR (";
  ++rows_;
  for (size_t i = 0; i < plan.key.size(); ++i) {
    absl::StrAppend(&sql_, i > 0 ? " AND " : "", plan.key_names[i], " = ");
    SLUICE_RETURN_IF_ERROR(AppendCell(plan, i, plan.key[i], values));
  }
  sql_ += ')';
  return absl::OkStatus();
}

absl::Status ChangeWriter::AppendCell(const TablePlan& plan, size_t family, size_t ordinal,
                                      const Values& values) {
  const binlog::ColumnType& type = values.map->columns[ordinal];
  const binlog::ImageCell& cell = values.image[ordinal];
  error_enums_ += binlog::IsErrorEnum(type, cell) ? 1U : 0U;
  const mysql::ColumnSchema& column = plan.schema.columns[ordinal];
  const size_t begin = sql_.size();
  SLUICE_RETURN_IF_ERROR(
      values.written ? binlog::AppendWrittenLiteral(type, column, families_[family], cell, sql_)
                     : binlog::AppendLiteral(type, column, families_[family], cell, sql_));
  if (plan.times.Converts(ordinal)) {
    plan.times.Wrap(begin, sql_);
  }
  return absl::OkStatus();
}

absl::Status ChangeWriter::Delete(const ChangeSlice& slice) {
  const TablePlan& plan = *slice.changes->plan;
  const absl::string_view tail = plan.key_in_list ? ")" : "";
  map_ = nullptr;
  for (size_t i = slice.first; i < slice.last; ++i) {
    const FinalChange& row = slice.changes->rows[i];
    if (row.present) {
      continue;
    }
    if (rows_ == 0) {
      sql_ = plan.delete_head;
    }
    const Values values{row.image, row.map, false};
    SLUICE_RETURN_IF_ERROR(plan.key_in_list ? AppendRow(plan, plan.key, values)
                                            : AppendComparison(plan, values));
    error_enums_ = 0;  // only a value that is written needs to pass strict mode
    SLUICE_RETURN_IF_ERROR(RunIfFull(
        plan, plan.key_in_list ? limits_.deletes_max : limits_.compared_deletes_max, tail));
  }
  return Run(plan, tail);
}

absl::Status ChangeWriter::Replace(const ChangeSlice& slice) {
  const TablePlan& plan = *slice.changes->plan;
  map_ = nullptr;
  for (size_t i = slice.first; i < slice.last; ++i) {
    const FinalChange& row = slice.changes->rows[i];
    if (!row.present) {
      continue;
    }
    if (rows_ == 0) {
      sql_ = plan.replace_head;
    }
    SLUICE_RETURN_IF_ERROR(AppendRow(plan, plan.written, {row.image, row.map, true}));
    SLUICE_RETURN_IF_ERROR(RunIfFull(plan, limits_.rows_max, ""));
  }
  return Run(plan, "");
}

absl::Status ChangeWriter::RunIfFull(const TablePlan& plan, size_t rows_max,
                                     absl::string_view tail) {
  if (rows_ < rows_max && sql_.size() + long_bytes_ < limits_.bytes_max) {
    return absl::OkStatus();
  }
  return Run(plan, tail);
}

absl::Status ChangeWriter::Run(const TablePlan& plan, absl::string_view tail) {
  if (rows_ == 0) {
    return absl::OkStatus();
  }
  sql_.append(tail.data(), tail.size());
  const absl::Time begun = absl::Now();
  absl::Status status = sender_.Write(plan, sql_, long_values_, error_enums_);
  times_.server += absl::Now() - begun;
  Clear();
  return status;
}

void ChangeWriter::Clear() {
  rows_ = 0;
  error_enums_ = 0;
  long_values_.clear();
  long_bytes_ = 0;
  if (sql_.capacity() > 4 * limits_.bytes_max) {
    sql_ = std::string();  // one large row is no reason to keep its room
  }
}

}  // namespace sluice::target
