// EventUnwrapper: the events of a binlog without what they are wrapped in. Pure.

#pragma once

#include <cstddef>
#include <string>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "common/binlog/event.h"

namespace sluice::source {

// Takes off checksums, which it checks, and unpacks compressed transactions. Owned by one thread.
class EventUnwrapper {
 public:
  // Called with each event that is left. The header's length, in its bytes too, may still count a
  // checksum that was taken off.
  using Take =
      absl::FunctionRef<absl::Status(const binlog::EventHeader& header, absl::string_view event)>;

  // `event` is one as mysqld sent it. Those that tell nothing about a transaction (format,
  // rotation, heartbeats, statements as comments) are not handed on. INVALID_ARGUMENT for malformed
  // bytes; what `take` fails with is returned, and the rest of the event is passed over.
  absl::Status Feed(absl::string_view event, Take take);

 private:
  static absl::Status FeedPayload(absl::string_view event, Take take);

  bool checksums_ = false;
};

// Appends an event, or the first piece of one, that is `length` bytes long, and says so in its
// header.
void AppendBare(absl::string_view event, size_t length, std::string& out);

}  // namespace sluice::source
