// EventJoiner: bounds of events, and the pieces of large ones.

#include "agent/source/event_joiner.h"

#include <algorithm>
#include <cstdint>
#include <utility>

#include "absl/strings/str_cat.h"
#include "common/base/byte_reader.h"
#include "common/base/status_macros.h"
#include "common/binlog/event.h"

namespace sluice::source {
namespace {

constexpr size_t kLengthOffset = 9;
// mysqld's largest packet, and room for what stands around it.
constexpr uint32_t kEventBytesMax = (1U << 30U) + (1U << 20U);

// 0 when the header is not whole yet.
absl::StatusOr<size_t> LengthOf(absl::string_view event) {
  if (event.size() < binlog::kHeaderBytes) {
    return 0;
  }
  ByteReader reader(event);
  reader.Bytes(kLengthOffset);
  const uint32_t length = reader.U32();
  if (length < binlog::kHeaderBytes || length > kEventBytesMax) {
    return absl::InvalidArgumentError(absl::StrCat("a binlog event of ", length, " bytes"));
  }
  return length;
}

}  // namespace

void EventJoiner::Add(std::shared_ptr<const std::string> run) {
  run_ = std::move(run);
  used_ = 0;
}

absl::StatusOr<EventJoiner::Event> EventJoiner::Next() {
  absl::string_view rest = run_ == nullptr ? absl::string_view() : *run_;
  rest.remove_prefix(used_);
  if (partial_.empty()) {
    SLUICE_ASSIGN_OR_RETURN(const size_t length, LengthOf(rest));
    if (length != 0 && length <= rest.size()) {
      used_ += length;
      return Event{.bytes = rest.substr(0, length), .buffer = run_};
    }
  }
  SLUICE_RETURN_IF_ERROR(Begin(rest));
  if (wanted_ == 0 || partial_.size() < wanted_) {
    return Event{};
  }
  auto whole = std::make_shared<const std::string>(std::exchange(partial_, std::string()));
  wanted_ = 0;
  return Event{.bytes = *whole, .buffer = whole};
}

// Moves the bytes of one event from the run to partial_, as many as are there.
absl::Status EventJoiner::Begin(absl::string_view part) {
  while (!part.empty() && (wanted_ == 0 || partial_.size() < wanted_)) {
    const size_t missing = (wanted_ == 0 ? binlog::kHeaderBytes : wanted_) - partial_.size();
    const size_t taken = std::min(missing, part.size());
    partial_.append(part.data(), taken);
    part.remove_prefix(taken);
    used_ += taken;
    if (wanted_ == 0) {
      SLUICE_ASSIGN_OR_RETURN(wanted_, LengthOf(partial_));
      partial_.reserve(wanted_);
    }
  }
  return absl::OkStatus();
}

}  // namespace sluice::source
