// TailWindow: places and bytes.

#include "agent/source/tail_window.h"

#include <utility>

#include "common/base/check.h"

namespace sluice::source {

void TailWindow::Append(std::shared_ptr<const TailTransaction> transaction) {
  const size_t bytes = transaction->Bytes();
  entries_.push_back({.transaction = std::move(transaction), .bytes_before = bytes_ever_});
  bytes_ever_ += bytes;
  while (!entries_.empty() && this->bytes() > bytes_max_) {
    floor_.Add(entries_.front().transaction->gtid);
    entries_.pop_front();
    ++begin_;
  }
}

std::optional<uint64_t> TailWindow::PlaceFor(const gtid::GtidSet& held) const {
  if (!held.Contains(floor_)) {
    return std::nullopt;
  }
  uint64_t place = begin_;
  while (place < end() && held.Contains(At(place)->gtid)) {
    ++place;
  }
  return place;
}

const std::shared_ptr<const TailTransaction>& TailWindow::At(uint64_t place) const {
  SLUICE_CHECK(place >= begin_ && place < end());
  return entries_[place - begin_].transaction;
}

size_t TailWindow::BytesFrom(uint64_t place) const {
  SLUICE_CHECK(place >= begin_ && place <= end());
  return place == end() ? 0 : bytes_ever_ - entries_[place - begin_].bytes_before;
}

}  // namespace sluice::source
