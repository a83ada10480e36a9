// HoldTable: the state machine of holds, leases and draining.

#include "proxy/hold_table.h"

#include <algorithm>
#include <utility>

#include "common/base/check.h"

namespace sluice::proxy {

void HoldTable::Install(uint64_t epoch, const std::vector<Hold>& holds, absl::Time now) {
  epoch_ = epoch;
  holds_ = holds;
  lease_begin_ = now;
  held_.clear();
  for (size_t i = 0; i < holds_.size(); ++i) {
    for (const std::string& table : holds_[i].tables) {
      held_.emplace(table, i);
    }
  }
  open_on_held_ = 0;
  for (auto& [number, touch] : open_) {
    touch.on_held = AnyHeld(touch.tables);
    open_on_held_ += touch.on_held ? 1U : 0U;
  }
  NoteDrained();
}

void HoldTable::Heard(absl::Time now) {
  lease_begin_ = now;
}

const Hold* HoldTable::HoldOf(absl::string_view table) const {
  const auto found = held_.find(table);
  return found == held_.end() ? nullptr : &holds_[found->second];
}

bool HoldTable::AnyHeld(const std::vector<std::string>& tables) const {
  return !held_.empty() && std::any_of(tables.begin(), tables.end(), [&](const std::string& table) {
    return HoldOf(table) != nullptr;
  });
}

HoldTable::Verdict HoldTable::Judge(const std::vector<std::string>& tables,
                                    const std::vector<std::string>& already, absl::Time now) const {
  Verdict verdict = Verdict::kPass;
  if (held_.empty()) {
    return verdict;
  }
  for (const std::string& table : tables) {
    const Hold* hold = HoldOf(table);
    if (hold == nullptr) {
      continue;
    }
    if (now >= lease_begin_ + hold->lease) {
      return Verdict::kLeaseOver;
    }
    const bool belongs = std::any_of(already.begin(), already.end(),
                                     [&](const std::string& name) { return HoldOf(name) == hold; });
    if (!belongs) {
      verdict = Verdict::kWait;
    }
  }
  return verdict;
}

absl::Time HoldTable::NextLeaseEnd() const {
  absl::Time end = absl::InfiniteFuture();
  for (const Hold& hold : holds_) {
    end = std::min(end, lease_begin_ + hold.lease);
  }
  return end;
}

uint64_t HoldTable::Open(std::vector<std::string> tables) {
  const uint64_t number = next_number_++;
  const bool on_held = AnyHeld(tables);
  open_on_held_ += on_held ? 1U : 0U;
  open_.emplace(number, Touch{std::move(tables), on_held});
  return number;
}

void HoldTable::Merge(uint64_t into, uint64_t from) {
  const auto source = open_.find(from);
  const auto target = open_.find(into);
  SLUICE_CHECK(source != open_.end() && target != open_.end());
  std::vector<std::string>& tables = target->second.tables;
  for (std::string& table : source->second.tables) {
    if (std::find(tables.begin(), tables.end(), table) == tables.end()) {
      tables.push_back(std::move(table));
    }
  }
  if (source->second.on_held && !target->second.on_held) {
    target->second.on_held = true;
    ++open_on_held_;
  }
  Close(from);
}

void HoldTable::Close(uint64_t number) {
  const auto found = open_.find(number);
  SLUICE_CHECK(found != open_.end());
  open_on_held_ -= found->second.on_held ? 1U : 0U;
  open_.erase(found);
  NoteDrained();
}

const std::vector<std::string>& HoldTable::TablesOf(uint64_t number) const {
  const auto found = open_.find(number);
  SLUICE_CHECK(found != open_.end());
  return found->second.tables;
}

void HoldTable::NoteDrained() {
  if (open_on_held_ == 0) {
    drained_epoch_ = epoch_;
  }
}

bool HoldTable::EnterBuffer(size_t bytes) {
  if (waiting_ >= limits_.statements_max || bytes > limits_.bytes_max - waiting_bytes_) {
    return false;
  }
  ++waiting_;
  waiting_bytes_ += bytes;
  return true;
}

void HoldTable::LeaveBuffer(size_t bytes) {
  SLUICE_CHECK(waiting_ > 0 && waiting_bytes_ >= bytes);
  --waiting_;
  waiting_bytes_ -= bytes;
}

}  // namespace sluice::proxy
