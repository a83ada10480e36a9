// PayloadReader: the events inside a TRANSACTION_PAYLOAD, unpacked as they are read.

#pragma once

#include <cstddef>
#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

struct ZSTD_DCtx_s;

namespace sluice::binlog {

// Holds one event and one block of unpacked bytes at a time, however large the transaction is.
// Owned by one thread.
class PayloadReader {
 public:
  // `event` is without checksum and outlives the reader. INVALID_ARGUMENT when it is no such event;
  // FAILED_PRECONDITION for an unknown compression.
  static absl::StatusOr<PayloadReader> Open(absl::string_view event);

  // The next event, valid until the next call; empty behind the last one. RESOURCE_EXHAUSTED for an
  // event of more than event_bytes_max, INVALID_ARGUMENT for malformed bytes.
  absl::StatusOr<absl::string_view> Next(size_t event_bytes_max);

 private:
  struct Free {
    void operator()(ZSTD_DCtx_s* stream) const;
  };

  PayloadReader() = default;
  // Reads until `size` unread bytes are there, or no more come.
  absl::Status Fill(size_t size);
  absl::Status Unpack();
  [[nodiscard]] absl::string_view Unread() const;

  std::unique_ptr<ZSTD_DCtx_s, Free> stream_;  // nullptr where nothing is compressed
  absl::string_view packed_;                   // not unpacked yet
  bool frame_ended_ = true;
  std::string unpacked_;
  size_t read_ = 0;  // of unpacked_
};

}  // namespace sluice::binlog
