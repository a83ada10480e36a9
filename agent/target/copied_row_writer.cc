// CopiedRowWriter: building and running INSERT and REPLACE statements.

#include "agent/target/copied_row_writer.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "agent/source/cell_codec.h"
#include "agent/target/load_text.h"
#include "common/base/status.h"
#include "common/base/status_macros.h"
#include "common/binlog/row_image.h"

namespace sluice::target {
namespace {

// Of both verbs: insert_head and replace_head have the same length.
constexpr absl::string_view kReplace = "REPLACE";

}  // namespace

absl::Status CopiedRowWriter::FindFamilies(const TablePlan& plan) {
  families_.clear();
  for (const size_t ordinal : plan.written) {
    SLUICE_ASSIGN_OR_RETURN(const binlog::ColumnFamily family,
                            binlog::FamilyOf(plan.schema.columns[ordinal]));
    families_.push_back(family);
  }
  return absl::OkStatus();
}

bool CopiedRowWriter::CanLoad() {
  if (!can_load_.has_value()) {
    const auto allowed = connection_.QueryScalar("SELECT @@GLOBAL.local_infile");
    can_load_ = allowed.ok() && *allowed == "1";
  }
  return *can_load_;
}

// False when there is a value that only a statement can carry.
absl::StatusOr<bool> CopiedRowWriter::BuildLoadText(const TablePlan& plan, absl::string_view rows,
                                                    uint64_t row_count) {
  load_text_.clear();
  source::CellReader reader(rows);
  for (uint64_t row = 0; row < row_count; ++row) {
    SLUICE_RETURN_IF_ERROR(reader.ReadRow(plan.written.size(), cells_));
    for (size_t i = 0; i < cells_.size(); ++i) {
      if (i > 0) {
        load_text_ += kLoadCellEnd;
      }
      const mysql::ColumnSchema& column = plan.schema.columns[plan.written[i]];
      if (!AppendLoadCell(families_[i], column, cells_[i], load_text_)) {
        return false;
      }
    }
    load_text_ += kLoadRowEnd;
  }
  if (!reader.done()) {
    return absl::InvalidArgumentError("copied rows are followed by more bytes");
  }
  return true;
}

// False when the rows are not written, and must be written by statements.
absl::StatusOr<bool> CopiedRowWriter::Load(const TablePlan& plan, absl::string_view rows,
                                           uint64_t row_count) {
  if (row_count < options_.load_rows_min || never_loaded_.contains(plan.table) || !CanLoad()) {
    return false;
  }
  const std::optional<std::string> sql = LoadStatement(plan, families_);
  if (!sql.has_value()) {
    return false;
  }
  const absl::Time begun = absl::Now();
  absl::StatusOr<bool> built = BuildLoadText(plan, rows, row_count);
  const absl::Time ready = absl::Now();
  times_.building += ready - begun;
  if (!built.ok() || !*built) {
    return built;
  }
  const auto outcome = connection_.LoadRows(*sql, load_text_);
  times_.server += absl::Now() - ready;
  if (!outcome.ok()) {
    // Of anything else the statements tell.
    const bool lost = absl::IsUnavailable(outcome.status()) || absl::IsAborted(outcome.status());
    return lost ? absl::StatusOr<bool>(outcome.status()) : false;
  }
  if (outcome->records == row_count && outcome->skipped == 0 && outcome->warnings == 0) {
    return true;
  }
  never_loaded_.insert(plan.table);
  took_back_ = true;
  return absl::AbortedError(absl::StrCat("LOAD DATA of ", row_count, " rows into ", plan.database,
                                         ".", plan.physical, " read ", outcome->records,
                                         ", skipped ", outcome->skipped, " and gave ",
                                         outcome->warnings, " warnings"));
}

absl::Status CopiedRowWriter::AppendRow(const TablePlan& plan) {
  sql_ += rows_ == 0 ? '(' : ',';
  if (rows_ > 0) {
    sql_ += '(';
  }
  ++rows_;
  for (size_t i = 0; i < cells_.size(); ++i) {
    if (i > 0) {
      sql_ += ',';
    }
    if (cells_[i].has_value() && RowSender::IsLong(families_[i], *cells_[i])) {
      sql_ += '?';
      long_values_.push_back(*cells_[i]);
      long_bytes_ += cells_[i]->size();
      continue;
    }
    const mysql::ColumnSchema& column = plan.schema.columns[plan.written[i]];
    const size_t begin = sql_.size();
    SLUICE_RETURN_IF_ERROR(binlog::AppendTextLiteral(families_[i], column, cells_[i], sql_));
    if (plan.times.Converts(plan.written[i])) {
      plan.times.Wrap(begin, sql_);
    }
    if (families_[i] == binlog::ColumnFamily::kEnum && binlog::IsErrorEnum(column, cells_[i])) {
      ++error_enums_;
    }
  }
  sql_ += ')';
  return absl::OkStatus();
}

absl::Status CopiedRowWriter::Write(const TablePlan& plan, absl::string_view rows,
                                    uint64_t row_count, CopyVerb& verb) {
  Clear();
  SLUICE_RETURN_IF_ERROR(FindFamilies(plan));
  SLUICE_ASSIGN_OR_RETURN(const bool loaded, Load(plan, rows, row_count));
  if (loaded) {
    return absl::OkStatus();
  }
  source::CellReader reader(rows);
  absl::Time begun = absl::Now();
  for (uint64_t i = 0; i < row_count; ++i) {
    SLUICE_RETURN_IF_ERROR(reader.ReadRow(plan.written.size(), cells_));
    if (rows_ == 0) {
      sql_ = verb == CopyVerb::kInsert ? plan.insert_head : plan.replace_head;
    }
    SLUICE_RETURN_IF_ERROR(AppendRow(plan));
    if (sql_.size() + long_bytes_ >= statement_size_.size()) {
      times_.building += absl::Now() - begun;
      SLUICE_RETURN_IF_ERROR(Run(plan, verb));
      begun = absl::Now();
    }
  }
  if (!reader.done()) {
    return absl::InvalidArgumentError("copied rows are followed by more bytes");
  }
  times_.building += absl::Now() - begun;
  return rows_ == 0 ? absl::OkStatus() : Run(plan, verb);
}

absl::Status CopiedRowWriter::Run(const TablePlan& plan, CopyVerb& verb) {
  const absl::Time begun = absl::Now();
  absl::Status status = sender_.Write(plan, sql_, long_values_, error_enums_);
  if (absl::IsAlreadyExists(status) && verb == CopyVerb::kInsert && plan.HasKey()) {
    verb = CopyVerb::kReplace;
    sql_.replace(0, kReplace.size(), kReplace.data(), kReplace.size());
    status = sender_.Write(plan, sql_, long_values_, error_enums_);
  }
  const absl::Duration took = absl::Now() - begun;
  times_.server += took;
  statement_size_.Took(sql_.size() + long_bytes_, took);
  Clear();
  return status.ok()
             ? status
             : WithSubject(
                   Annotate(status, absl::StrCat("writing ", plan.database, ".", plan.physical)),
                   plan.table);
}

void CopiedRowWriter::Clear() {
  rows_ = 0;
  error_enums_ = 0;
  long_values_.clear();
  long_bytes_ = 0;
  if (sql_.capacity() > 4 * options_.statement_bytes_max) {
    sql_ = std::string();  // one large row is no reason to keep its room
  }
}

CopiedRowWriter::Times CopiedRowWriter::TakeTimes() {
  return std::exchange(times_, Times());
}

}  // namespace sluice::target
