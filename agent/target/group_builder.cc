// GroupBuilder: what belongs to the group, and when it is full.

#include "agent/target/group_builder.h"

#include <utility>

namespace sluice::target {

absl::Status GroupBuilder::Add(absl::string_view event,
                               const std::shared_ptr<const std::string>& buffer) {
  if (last_buffer_ != buffer.get()) {
    last_buffer_ = buffer.get();
    group_.buffers.push_back(buffer);
    buffer_bytes_ += buffer->size();
  }
  return decoder_.Feed(event);
}

void GroupBuilder::Heard(int64_t source_time_us, bool caught_up) {
  group_.source_time_us = source_time_us;
  group_.caught_up = caught_up;
  heard_ = true;
}

// A change fills a group, never the end of its transaction. Were the bound the same for both, and
// did a group go on behind the transaction whose first part came with the last one, all groups of a
// backlog could be open ones, and it would be committed at its end only.
bool GroupBuilder::Full() const {
  const size_t quarters = transaction_rows_ > 0 ? 4 : 3;
  return at_ddl_ || continued_ended_ || 4 * group_.changes.changes() >= quarters * changes_max_ ||
         4 * (group_.changes.bytes() + buffer_bytes_) >= quarters * limits_.bytes_max;
}

bool GroupBuilder::WorthTaking() const {
  if (at_ddl_) {
    return group_.ddl.has_value();
  }
  const bool something = heard_ || !group_.changes.empty() || !group_.markers.empty();
  return Full() || (something && transaction_rows_ == 0);
}

ChangeGroup GroupBuilder::Take() {
  ChangeGroup group = std::exchange(group_, ChangeGroup());
  group.open = transaction_rows_ > 0;
  continued_ = group.open;
  continued_ended_ = false;
  buffer_bytes_ = 0;
  last_buffer_ = nullptr;
  heard_ = false;
  return group;
}

absl::Status GroupBuilder::OnBegin(const binlog::GtidEvent& gtid) {
  current_ = gtid;
  return absl::OkStatus();
}

absl::Status GroupBuilder::OnChange(const TablePlan& plan,
                                    const std::shared_ptr<const binlog::TableMapEvent>& map,
                                    const binlog::RowImage* before, const binlog::RowImage* after) {
  if (!plan.HasKey() && (plan.awaits_copy || plan.copied_at.Contains(current_.gtid))) {
    return absl::OkStatus();
  }
  group_.changes.Add(plan, map, before, after);
  ++group_.rows;
  ++transaction_rows_;
  return absl::OkStatus();
}

void GroupBuilder::OnMarker(std::string id) {
  transaction_markers_.push_back(std::move(id));
}

void GroupBuilder::OnKeep(std::shared_ptr<const std::string> bytes) {
  buffer_bytes_ += bytes->size();
  group_.buffers.push_back(std::move(bytes));
}

void GroupBuilder::OnDecided(const gtid::Gtid& held) {
  transaction_decides_.push_back(held);
}

void GroupBuilder::OnHeld() {
  transaction_markers_.clear();
}

void GroupBuilder::OnDdl(SourceDdl ddl) {
  group_.ddl = std::move(ddl);
  at_ddl_ = true;
}

absl::Status GroupBuilder::OnEnd() {
  group_.ended.Add(current_.gtid);
  for (const gtid::Gtid& held : transaction_decides_) {
    group_.ended.Add(held);
  }
  transaction_decides_.clear();
  group_.transaction_us = static_cast<int64_t>(current_.immediate_commit_us);
  group_.transactions += transaction_rows_ > 0 ? 1 : 0;
  for (std::string& id : transaction_markers_) {
    group_.markers.push_back(std::move(id));
  }
  transaction_markers_.clear();
  transaction_rows_ = 0;
  continued_ended_ = continued_;
  return absl::OkStatus();
}

}  // namespace sluice::target
