// RowWriter: building and running REPLACE and DELETE statements.

#include "agent/target/row_writer.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "agent/source/cell_codec.h"
#include "common/base/status.h"
#include "common/base/status_macros.h"
#include "common/binlog/row_image.h"

namespace sluice::target {

// Forgets what an error may have left.
void RowWriter::Reset() {
  rows_ = 0;
  error_enums_ = 0;
}

void RowWriter::BeginRow(absl::string_view head) {
  if (rows_ == 0) {
    sql_.assign(head.data(), head.size());
  } else {
    sql_ += ',';
  }
  sql_ += '(';
  ++rows_;
}

absl::Status RowWriter::RunIfFull(size_t rows_max, absl::string_view tail) {
  if (rows_ < rows_max && sql_.size() < limits_.bytes_max) {
    return absl::OkStatus();
  }
  return Run(tail);
}

absl::Status RowWriter::Run(absl::string_view tail) {
  if (rows_ == 0) {
    return absl::OkStatus();
  }
  sql_.append(tail.data(), tail.size());
  rows_ = 0;
  return error_enums_ == 0 ? connection_.Execute(sql_).status() : RunLenient();
}

// Strict mode refuses an ENUM's error value even from a source that has it; the number of warnings
// proves that nothing else was let through.
absl::Status RowWriter::RunLenient() {
  constexpr size_t kVerbBytes = sizeof("REPLACE") - 1;
  sql_.insert(kVerbBytes, absl::StrCat(" ", binlog::kLenientHint));
  const uint64_t expected = std::exchange(error_enums_, 0);
  SLUICE_ASSIGN_OR_RETURN(const mysql::QueryResult result, connection_.Query(sql_));
  if (result.warnings != expected) {
    return absl::FailedPreconditionError(
        absl::StrCat("rows with an invalid ENUM value gave ", result.warnings, " warnings where ",
                     expected, " are right, so a value may have been changed"));
  }
  return absl::OkStatus();
}

absl::Status RowWriter::Delete(const TableChanges& changes) {
  const TablePlan& plan = *changes.plan;
  for (const FinalChange& row : changes.rows) {
    if (row.present) {
      continue;
    }
    BeginRow(plan.delete_head);
    bool first = true;
    for (const size_t ordinal : plan.key) {
      if (!first) {
        sql_ += ',';
      }
      first = false;
      SLUICE_RETURN_IF_ERROR(binlog::AppendLiteral(
          row.map->columns[ordinal], plan.schema.columns[ordinal], row.image[ordinal], sql_));
    }
    sql_ += ')';
    SLUICE_RETURN_IF_ERROR(RunIfFull(limits_.deletes_max, ")"));
  }
  return Run(")");
}

absl::Status RowWriter::Replace(const TableChanges& changes) {
  const TablePlan& plan = *changes.plan;
  for (const FinalChange& row : changes.rows) {
    if (!row.present) {
      continue;
    }
    BeginRow(plan.replace_head);
    bool first = true;
    for (const size_t ordinal : plan.written) {
      if (!first) {
        sql_ += ',';
      }
      first = false;
      const binlog::ColumnType& type = row.map->columns[ordinal];
      SLUICE_RETURN_IF_ERROR(
          binlog::AppendLiteral(type, plan.schema.columns[ordinal], row.image[ordinal], sql_));
      error_enums_ += binlog::IsErrorEnum(type, row.image[ordinal]) ? 1U : 0U;
    }
    sql_ += ')';
    SLUICE_RETURN_IF_ERROR(RunIfFull(limits_.rows_max, ""));
  }
  return Run("");
}

absl::Status RowWriter::WriteChanges(const ChangeSet& changes) {
  for (const TableChanges& table : changes.tables()) {
    Reset();
    absl::Status status = Delete(table);
    if (status.ok()) {
      status = Replace(table);
    }
    if (!status.ok()) {
      return WithSubject(Annotate(status, absl::StrCat("writing ", table.plan->database, ".",
                                                       table.plan->physical)),
                         table.plan->table);
    }
  }
  return absl::OkStatus();
}

absl::Status RowWriter::WriteCopied(const TablePlan& plan, absl::string_view rows,
                                    uint64_t row_count) {
  Reset();
  source::CellReader reader(rows);
  std::vector<mysql::Cell> cells;
  for (uint64_t i = 0; i < row_count; ++i) {
    SLUICE_RETURN_IF_ERROR(reader.ReadRow(plan.written.size(), cells));
    BeginRow(plan.replace_head);
    for (size_t column = 0; column < cells.size(); ++column) {
      if (column > 0) {
        sql_ += ',';
      }
      const mysql::ColumnSchema& schema = plan.schema.columns[plan.written[column]];
      SLUICE_RETURN_IF_ERROR(binlog::AppendTextLiteral(schema, cells[column], sql_));
      error_enums_ += binlog::IsErrorEnum(schema, cells[column]) ? 1U : 0U;
    }
    sql_ += ')';
    SLUICE_RETURN_IF_ERROR(RunIfFull(limits_.rows_max, ""));
  }
  if (!reader.done()) {
    return absl::InvalidArgumentError("copied rows are followed by more bytes");
  }
  return Run("");
}

}  // namespace sluice::target
