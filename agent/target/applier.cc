// Applier: grouping of transactions, commits, and pieces of large transactions.

#include "agent/target/applier.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "agent/source/event_splitter.h"
#include "common/base/status.h"
#include "common/base/status_macros.h"

namespace sluice::target {
namespace {

constexpr size_t kMarkersKept = 16;

size_t ImageBytes(const std::optional<binlog::RowImage>& image) {
  size_t bytes = 0;
  if (image.has_value()) {
    for (const binlog::ImageCell& cell : *image) {
      bytes += cell.bytes.size() + 1;
    }
  }
  return bytes;
}

}  // namespace

Applier::Applier(const ApplierContext& context, ApplierOptions options)
    : context_(context),
      options_(options),
      writer_(context.retry.connection, options.writer),
      decoder_(context.watched, context.retry.plans, *this),
      last_save_(absl::Now()) {
  if (context_.row.position.has_value()) {
    seen_.set = context_.row.position->set;
  }
  seen_.transaction_us = context_.row.transaction_us;
}

absl::Status Applier::Apply(std::shared_ptr<const std::string> events) {
  absl::string_view rest = *events;
  if (!rest.empty()) {
    buffers_.push_back(std::move(events));
  }
  while (!rest.empty()) {
    SLUICE_ASSIGN_OR_RETURN(const absl::string_view event, source::NextEvent(rest));
    SLUICE_RETURN_IF_ERROR(decoder_.Feed(event));
    rest.remove_prefix(event.size());
  }
  SLUICE_RETURN_IF_ERROR(CommitGroup());
  if (pending_.empty()) {
    buffers_.clear();
  }
  return absl::OkStatus();
}

absl::Status Applier::OnBegin(const binlog::GtidEvent& gtid) {
  current_ = gtid;
  return absl::OkStatus();
}

absl::Status Applier::OnChange(const TablePlan& plan,
                               const std::shared_ptr<const binlog::TableMapEvent>& map,
                               binlog::RowChange change) {
  pending_bytes_ += ImageBytes(change.before) + ImageBytes(change.after);
  pending_.push_back(PendingChange{&plan, map, std::move(change)});
  if (pending_.size() < options_.changes_max && pending_bytes_ < options_.bytes_max) {
    return absl::OkStatus();
  }
  return WritePiece();
}

void Applier::OnMarker(std::string id) {
  markers_in_transaction_.push_back(std::move(id));
}

absl::Status Applier::OnEnd() {
  rows_in_transaction_ += pending_.size();
  for (PendingChange& pending : pending_) {
    group_.Add(*pending.plan, pending.map, std::move(pending.change));
  }
  pending_.clear();
  pending_bytes_ = 0;
  seen_.set.Add(current_.gtid);
  seen_.transaction_us = static_cast<int64_t>(current_.immediate_commit_us);
  seen_.dirty = true;
  seen_.rows += rows_in_transaction_;
  seen_.transactions += rows_in_transaction_ > 0 ? 1 : 0;
  rows_in_transaction_ = 0;
  const bool marker = !markers_in_transaction_.empty();
  for (std::string& id : markers_in_transaction_) {
    seen_.markers.push_back(std::move(id));
  }
  markers_in_transaction_.clear();
  const bool full =
      group_.changes() >= options_.changes_max || group_.bytes() >= options_.bytes_max;
  return marker || piece_open_ || full ? Commit() : absl::OkStatus();
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
  group_.Clear();
  piece_open_ = false;
  last_save_ = absl::Now();
  context_.on_commit(with_marker);
}

absl::Status Applier::TryCommit() {
  if (!piece_open_) {
    SLUICE_RETURN_IF_ERROR(context_.retry.store.Begin());
  }
  SLUICE_RETURN_IF_ERROR(writer_.WriteChanges(group_));
  PositionRow row = NextRow();
  SLUICE_RETURN_IF_ERROR(context_.retry.store.Finish(row, CommitKind::kApply));
  Committed(row);
  return absl::OkStatus();
}

absl::Status Applier::Commit() {
  if (piece_open_) {
    // With a rollback the earlier pieces would be gone, so there is no second attempt here.
    absl::Status status = TryCommit();
    if (!status.ok()) {
      context_.retry.store.Rollback();
    }
    return status;
  }
  return RunWithRetries(context_.retry, [this] { return TryCommit(); });
}

absl::Status Applier::CommitGroup() {
  // While a piece is open its transaction has not ended: OnEnd commits it.
  if (piece_open_ || (group_.empty() && seen_.markers.empty())) {
    return absl::OkStatus();
  }
  return Commit();
}

absl::Status Applier::WritePiece() {
  if (!piece_open_) {
    // The whole transactions before this one are a commit of their own.
    SLUICE_RETURN_IF_ERROR(CommitGroup());
    SLUICE_RETURN_IF_ERROR(context_.retry.store.Begin());
    piece_open_ = true;
  }
  rows_in_transaction_ += pending_.size();
  ChangeSet piece;
  for (PendingChange& pending : pending_) {
    piece.Add(*pending.plan, pending.map, std::move(pending.change));
  }
  pending_.clear();
  pending_bytes_ = 0;
  absl::Status status = writer_.WriteChanges(piece);
  if (!status.ok()) {
    context_.retry.store.Rollback();
    return status;
  }
  // Nothing points into earlier buffers any more.
  buffers_.erase(buffers_.begin(), buffers_.end() - 1);
  return absl::OkStatus();
}

absl::Status Applier::SavePosition(bool force) {
  if (!seen_.dirty || piece_open_ || (!force && absl::Now() - last_save_ < options_.idle_save)) {
    return absl::OkStatus();
  }
  return Commit();
}

}  // namespace sluice::target
