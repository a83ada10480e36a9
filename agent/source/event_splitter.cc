// NextEvent: bounds of the event at the front.

#include "agent/source/event_splitter.h"

#include "absl/strings/str_cat.h"
#include "common/base/byte_reader.h"
#include "common/binlog/event.h"

namespace sluice::source {

absl::StatusOr<absl::string_view> NextEvent(absl::string_view events) {
  constexpr size_t kLengthOffset = 9;
  ByteReader reader(events);
  reader.Bytes(kLengthOffset);
  const uint32_t length = reader.U32();
  if (reader.failed() || length < binlog::kHeaderBytes || length > events.size()) {
    return absl::InvalidArgumentError(
        absl::StrCat("a binlog event of ", length, " bytes in a run of ", events.size(), " bytes"));
  }
  return events.substr(0, length);
}

}  // namespace sluice::source
