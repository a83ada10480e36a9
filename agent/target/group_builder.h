// GroupBuilder: filtered binlog events in, groups of merged changes out. Pure.

#pragma once

#include <algorithm>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "agent/target/change_group.h"
#include "agent/target/event_decoder.h"
#include "agent/target/statement_check.h"
#include "agent/target/table_plan.h"

namespace sluice::target {

struct GroupLimits {
  size_t changes_max = 20'000;           // per group, as they come
  size_t bytes_max = size_t{16} << 20U;  // of events and cells per group
};

// Owned by one thread at a time.
class GroupBuilder final : private TransactionSink {
 public:
  // Both outlive it. Of `plans` it uses what TablePlans::Reload keeps.
  GroupBuilder(const WatchedTables& watched, const TablePlans& plans, GroupLimits limits)
      : limits_(limits), changes_max_(limits.changes_max), decoder_(watched, plans, *this) {}

  // Adds an event, which lies in `buffer`. Fails as EventDecoder does; what was added before and is
  // Whole may still be taken.
  absl::Status Add(absl::string_view event, const std::shared_ptr<const std::string>& buffer);

  // Notes an answer of the source, all of whose events were added.
  void Heard(int64_t source_time_us, bool caught_up);

  // No more is to be added before it is taken: the bounds are reached within a transaction, three
  // quarters of them behind one, or the one has ended that the last group was open in.
  [[nodiscard]] bool Full() const;
  // It is full, or whole and an answer was heard or there are changes or markers.
  [[nodiscard]] bool WorthTaking() const;
  // It holds transactions and no part of one that has not ended.
  [[nodiscard]] bool Whole() const { return transaction_rows_ == 0 && !group_.ended.empty(); }

  ChangeGroup Take();

  // From here on groups are no larger, nor than the limits.
  void LimitChanges(size_t changes_max) {
    changes_max_ = std::min(changes_max, limits_.changes_max);
  }

 private:
  absl::Status OnBegin(const binlog::GtidEvent& gtid) override;
  absl::Status OnChange(const TablePlan& plan,
                        const std::shared_ptr<const binlog::TableMapEvent>& map,
                        const binlog::RowImage* before, const binlog::RowImage* after) override;
  void OnMarker(std::string id) override;
  void OnKeep(std::shared_ptr<const std::string> bytes) override;
  void OnDecided(const gtid::Gtid& held) override;
  void OnHeld() override;
  void OnDdl(SourceDdl ddl) override;
  absl::Status OnEnd() override;

  const GroupLimits limits_;
  size_t changes_max_;  // at most that of limits_
  EventDecoder decoder_;
  ChangeGroup group_;
  size_t buffer_bytes_ = 0;
  const std::string* last_buffer_ = nullptr;  // among the group's
  bool heard_ = false;                        // since the last group was taken
  bool at_ddl_ = false;                       // nothing more is to be added, ever
  uint64_t transaction_rows_ = 0;             // of the transaction that has not ended
  bool continued_ = false;                    // the last group was open
  bool continued_ended_ = false;              // the transaction that it was open in has ended
  std::vector<std::string> transaction_markers_;
  std::vector<gtid::Gtid> transaction_decides_;  // held ones that it decides
  binlog::GtidEvent current_;
};

}  // namespace sluice::target
