// Applier: commits of groups, and of transactions that are larger than a group.

#include "agent/target/applier.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "common/base/crash_point.h"
#include "common/base/status.h"
#include "common/base/status_macros.h"

namespace sluice::target {
namespace {

constexpr size_t kMarkersKept = 16;
constexpr unsigned kNoSuchTable = 1146;
// Changes; a group of so few is hardly slow for its size.
constexpr size_t kGroupMin = 100;

}  // namespace

Applier::Applier(const ApplierContext& context, const ApplierOptions& options)
    : context_(context),
      options_(options),
      writer_(context.retry.connection, options.writer),
      slices_(context.local, context.retry.stopping, options.slices),
      group_size_(kGroupMin, options.changes_max, options.batch_time),
      last_save_(absl::Now()) {
  if (context_.row.position.has_value()) {
    seen_.set = context_.row.position->set;
  }
  seen_.transaction_us = context_.row.transaction_us;
}

void Applier::See(const ChangeGroup& group) {
  seen_.rows += group.rows;
  seen_.transactions += group.transactions;
  seen_.markers.insert(seen_.markers.end(), group.markers.begin(), group.markers.end());
  if (!group.ended.empty()) {
    seen_.set.Union(group.ended);
    seen_.transaction_us = group.transaction_us;
    seen_.dirty = true;
  }
}

absl::Status Applier::Apply(const ChangeGroup& group) {
  const absl::Time begun = absl::Now();
  times_.waiting += group.waiting;
  times_.hand_off += group.hand_off;
  absl::Status status = ApplyGroup(group);
  group_size_.Took(group.changes.changes(), absl::Now() - begun);
  return status;
}

absl::Status Applier::ApplyGroup(const ChangeGroup& group) {
  See(group);
  if (group.open) {
    return WritePart(group);
  }
  if (open_ == Open::kNo && group.changes.empty() && seen_.markers.empty()) {
    return absl::OkStatus();
  }
  return Commit(group);
}

PositionRow Applier::NextRow() const {
  PositionRow row = context_.row;
  row.position = AppliedPosition{seen_.set};
  row.transaction_us = seen_.transaction_us;
  row.transactions_applied += seen_.transactions;
  row.rows_applied += seen_.rows;
  for (const std::string& marker : seen_.markers) {
    row.markers.erase(std::remove(row.markers.begin(), row.markers.end(), marker),
                      row.markers.end());
    row.markers.push_back(marker);
  }
  if (row.markers.size() > kMarkersKept) {
    row.markers.erase(row.markers.begin(),
                      row.markers.end() - static_cast<std::ptrdiff_t>(kMarkersKept));
  }
  return row;
}

void Applier::Committed(const PositionRow& row) {
  const bool with_marker = !seen_.markers.empty();
  context_.row = row;
  seen_.transactions = 0;
  seen_.rows = 0;
  seen_.markers.clear();
  seen_.dirty = false;
  open_ = Open::kNo;
  last_save_ = absl::Now();
  context_.on_commit(with_marker);
  if (context_.on_times) {
    times_ += writer_.TakeTimes();
    times_ += slices_.TakeTimes();
    times_.writes = 1;
    context_.on_times(std::exchange(times_, WriteTimes()));
  }
}

// Whoever opens the gate, or makes the tables readable, writes this row first, and so waits for the
// commit of the position.
absl::StatusOr<bool> Applier::LockClosedGate() {
  const absl::StatusOr<mysql::QueryResult> gate = context_.retry.connection.Query(absl::StrCat(
      "SELECT state FROM _sluice.gate WHERE workflow = ", mysql::QuoteString(context_.workflow),
      " AND database_name = ", mysql::QuoteString(context_.database), " FOR SHARE"));
  if (!gate.ok()) {
    // Without the table there is no gate, and the tables may be in use.
    return MysqlErrnoOf(gate.status()) == kNoSuchTable ? absl::StatusOr<bool>(false)
                                                       : gate.status();
  }
  return gate->rows.size() == 1 && gate->rows.front().front() == "closed";
}

absl::Status Applier::Begin(const ChangeGroup& group) {
  SLUICE_RETURN_IF_ERROR(context_.retry.store.Begin());
  bool parallel = false;
  if (options_.slices.sessions > 1 && group.changes.changes() >= options_.parallel_rows) {
    SLUICE_ASSIGN_OR_RETURN(parallel, LockClosedGate());
  }
  open_ = parallel ? Open::kParallel : Open::kSerial;
  return absl::OkStatus();
}

absl::Status Applier::Write(const ChangeGroup& group) {
  if (open_ == Open::kSerial) {
    return writer_.Write(group.changes);
  }
  SLUICE_RETURN_IF_ERROR(slices_.Write(group.changes, context_.row));
  return writer_.WriteKeyless(group.changes);
}

absl::Status Applier::TryCommit(const ChangeGroup& group) {
  if (open_ == Open::kNo) {
    SLUICE_RETURN_IF_ERROR(Begin(group));
  }
  SLUICE_RETURN_IF_ERROR(Write(group));
  if (open_ == Open::kParallel) {
    SLUICE_CRASH_POINT("apply.slices_committed");
  }
  PositionRow row = NextRow();
  const absl::Time begun = absl::Now();
  SLUICE_RETURN_IF_ERROR(context_.retry.store.Finish(row, CommitKind::kApply));
  times_.server += absl::Now() - begun;
  Committed(row);
  return absl::OkStatus();
}

absl::Status Applier::Commit(const ChangeGroup& group) {
  if (open_ != Open::kNo) {
    // With a rollback the earlier parts would be gone, so there is no second attempt here.
    absl::Status status = TryCommit(group);
    if (!status.ok()) {
      context_.retry.store.Rollback();
    }
    return status;
  }
  return RunWithRetries(context_.retry, [&] {
    open_ = Open::kNo;
    return TryCommit(group);
  });
}

absl::Status Applier::WritePart(const ChangeGroup& group) {
  absl::Status status;
  if (open_ == Open::kNo) {
    status = Begin(group);
  }
  if (status.ok()) {
    status = Write(group);
  }
  if (!status.ok()) {
    context_.retry.store.Rollback();
  }
  SLUICE_CRASH_POINT("apply.part_written");
  return status;
}

absl::Status Applier::SavePosition(bool force) {
  if (!seen_.dirty || open_ != Open::kNo ||
      (!force && absl::Now() - last_save_ < options_.idle_save)) {
    return absl::OkStatus();
  }
  return Commit(ChangeGroup());
}

}  // namespace sluice::target
