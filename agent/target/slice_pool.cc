// SlicePool: cutting, and sessions that take one slice after the other.

#include "agent/target/slice_pool.h"

#include <algorithm>
#include <optional>
#include <utility>

#include "absl/time/clock.h"
#include "agent/target/local_session.h"
#include "agent/target/transaction_retry.h"
#include "common/base/status_macros.h"
#include "common/binlog/column_family.h"

namespace sluice::target {
namespace {

// Whether two values of the column are equal to the server only if the binlog holds the same bytes
// for them. Collations, and the two zeros of floating-point numbers, make others equal.
bool EqualOnlyAsBytes(const mysql::ColumnSchema& column) {
  const absl::StatusOr<binlog::ColumnFamily> family = binlog::FamilyOf(column);
  if (!family.ok()) {
    return false;
  }
  switch (*family) {
    case binlog::ColumnFamily::kInteger:
    case binlog::ColumnFamily::kBit:
    case binlog::ColumnFamily::kYear:
    case binlog::ColumnFamily::kDate:
    case binlog::ColumnFamily::kTime:
    case binlog::ColumnFamily::kDatetime:
    case binlog::ColumnFamily::kTimestamp:
    case binlog::ColumnFamily::kEnum:
    case binlog::ColumnFamily::kSet:
    case binlog::ColumnFamily::kBinary:
      return true;
    default:
      return false;
  }
}

bool RowsAreIndependent(const TablePlan& plan) {
  const std::vector<std::string> key = plan.KeyNames();
  const auto is_other = [&](const mysql::IndexSchema& index) {
    return index.is_unique && (index.columns != key || index.has_prefix_or_expression);
  };
  return std::none_of(plan.schema.indexes.begin(), plan.schema.indexes.end(), is_other) &&
         std::all_of(plan.key.begin(), plan.key.end(), [&](size_t ordinal) {
           return EqualOnlyAsBytes(plan.schema.columns[ordinal]);
         });
}

}  // namespace

std::vector<ChangeSlice> CutIntoSlices(const ChangeSet& changes, size_t slice_rows) {
  std::vector<ChangeSlice> slices;
  for (const TableChanges& table : changes.tables()) {
    const size_t rows = table.rows.size();
    const size_t step = RowsAreIndependent(*table.plan) ? slice_rows : rows;
    for (size_t first = 0; first < rows; first += step) {
      slices.push_back({&table, first, std::min(rows, first + step)});
    }
  }
  return slices;
}

SlicePool::SlicePool(const mysql::ConnectionOptions& local, const absl::Notification& stopping,
                     SlicePoolOptions options)
    : local_(local), stopping_(stopping), options_(options) {}

absl::Status SlicePool::Connect(Session& session) const {
  if (session.connection != nullptr && session.connection->healthy()) {
    return absl::OkStatus();
  }
  SLUICE_ASSIGN_OR_RETURN(session.connection, ConnectLocal(local_));
  session.store = std::make_unique<StreamStore>(*session.connection);
  session.writer = std::make_unique<ChangeWriter>(*session.connection, options_.writer);
  return absl::OkStatus();
}

absl::Status SlicePool::WriteSlice(Session& session, const ChangeSlice& slice,
                                   const PositionRow& row) const {
  const auto write = [&]() -> absl::Status {
    SLUICE_RETURN_IF_ERROR(session.store->Begin());
    SLUICE_RETURN_IF_ERROR(session.writer->Write(slice));
    const absl::Time begun = absl::Now();
    absl::Status status = session.store->FinishPart(row, CommitKind::kApply);
    session.committing += absl::Now() - begun;
    return status;
  };
  for (int attempt = 1;; ++attempt) {
    absl::Status status = write();
    if (status.ok()) {
      return status;
    }
    SLUICE_RETURN_IF_ERROR(RollBackForRetry(*session.store, stopping_, status, attempt));
  }
}

absl::Status SlicePool::TakeAndWrite(Session& session, Work& work) const {
  absl::Status status = Connect(session);
  while (status.ok()) {
    std::optional<ChangeSlice> slice;
    {
      const absl::MutexLock lock(&work.mutex);
      if (!work.failed && work.next < work.slices.size()) {
        slice = work.slices[work.next++];
      }
    }
    if (!slice.has_value()) {
      return status;
    }
    status = WriteSlice(session, *slice, work.row);
  }
  const absl::MutexLock lock(&work.mutex);
  work.failed = true;
  return status;
}

absl::Status SlicePool::Write(const ChangeSet& changes, const PositionRow& row) {
  Work work{.row = row, .slices = CutIntoSlices(changes, options_.slice_rows), .mutex = {}};
  const size_t wanted = std::min(options_.sessions, work.slices.size());
  while (sessions_.size() < wanted) {
    sessions_.push_back(std::make_unique<Session>());
  }
  for (size_t i = 0; i < wanted; ++i) {
    sessions_[i]->call.Start(
        [this, &session = *sessions_[i], &work] { return TakeAndWrite(session, work); });
  }
  absl::Status result;
  for (size_t i = 0; i < wanted; ++i) {
    result.Update(sessions_[i]->call.Take());
  }
  return result;
}

WriteTimes SlicePool::TakeTimes() {
  WriteTimes times;
  for (const auto& session : sessions_) {
    if (session->writer != nullptr) {
      times += session->writer->TakeTimes();
    }
    times.server += std::exchange(session->committing, absl::ZeroDuration());
  }
  return times;
}

}  // namespace sluice::target
