// PayloadReader: the header of a TRANSACTION_PAYLOAD, zstd, and the bounds of the events inside.

#include "common/binlog/payload_reader.h"

#include <zstd.h>

#include <cstdint>

#include "absl/strings/str_cat.h"
#include "common/base/byte_reader.h"
#include "common/base/status_macros.h"
#include "common/binlog/event.h"
#include "common/binlog/malformed.h"

namespace sluice::binlog {
namespace {

constexpr absl::string_view kPayload = "TRANSACTION_PAYLOAD event";
constexpr size_t kLengthOffset = 9;

struct Header {
  uint64_t compression = 0;
  absl::string_view packed;
};

constexpr uint64_t kZstd = 0;
constexpr uint64_t kNone = 255;

absl::StatusOr<Header> ReadHeader(absl::string_view event) {
  enum Field : uint64_t { kEnd = 0, kSize = 1, kCompression = 2, kUncompressedSize = 3 };
  if (event.size() < kHeaderBytes ||
      event[4] != static_cast<char>(EventType::kTransactionPayload)) {
    return Malformed(kPayload, "another type, or cut short");
  }
  ByteReader reader(event.substr(kHeaderBytes));
  uint64_t size = 0;
  Header header{.compression = kZstd, .packed = {}};
  for (uint64_t field = reader.PackedInt(); field != kEnd && !reader.failed();
       field = reader.PackedInt()) {
    ByteReader value(reader.Bytes(reader.PackedInt()));
    if (field == kSize) {
      size = value.PackedInt();
    } else if (field == kCompression) {
      header.compression = value.PackedInt();
    }
    if (value.failed()) {
      return Malformed(kPayload, "a header field is cut short");
    }
  }
  header.packed = reader.Bytes(size);
  if (reader.failed() || !reader.done()) {
    return Malformed(kPayload, "size field");
  }
  return header;
}

}  // namespace

void PayloadReader::Free::operator()(ZSTD_DCtx_s* stream) const {
  ZSTD_freeDStream(stream);
}

absl::StatusOr<PayloadReader> PayloadReader::Open(absl::string_view event) {
  SLUICE_ASSIGN_OR_RETURN(const Header header, ReadHeader(event));
  if (header.compression != kZstd && header.compression != kNone) {
    return absl::FailedPreconditionError(
        absl::StrCat(kPayload, ": compression type ", header.compression, " is unknown"));
  }
  PayloadReader reader;
  reader.packed_ = header.packed;
  if (header.compression == kZstd) {
    reader.stream_.reset(ZSTD_createDStream());
    if (reader.stream_ == nullptr || ZSTD_isError(ZSTD_initDStream(reader.stream_.get())) != 0) {
      return absl::ResourceExhaustedError("no memory to unpack a compressed transaction");
    }
  }
  return reader;
}

absl::string_view PayloadReader::Unread() const {
  return absl::string_view(unpacked_).substr(read_);
}

// One block more.
absl::Status PayloadReader::Unpack() {
  unpacked_.erase(0, read_);
  read_ = 0;
  const size_t used = unpacked_.size();
  const size_t room = ZSTD_DStreamOutSize();
  if (stream_ == nullptr) {
    const absl::string_view plain = packed_.substr(0, room);
    unpacked_.append(plain.data(), plain.size());
    packed_.remove_prefix(plain.size());
    return absl::OkStatus();
  }
  unpacked_.resize(used + room);
  ZSTD_inBuffer input{packed_.data(), packed_.size(), 0};
  ZSTD_outBuffer output{unpacked_.data() + used, room, 0};
  const size_t result = ZSTD_decompressStream(stream_.get(), &output, &input);
  unpacked_.resize(used + output.pos);
  packed_.remove_prefix(input.pos);
  if (ZSTD_isError(result) != 0) {
    return Malformed(kPayload, ZSTD_getErrorName(result));
  }
  frame_ended_ = result == 0;
  if (packed_.empty() && output.pos < room && !frame_ended_) {
    return Malformed(kPayload, "cut short");
  }
  return absl::OkStatus();
}

absl::Status PayloadReader::Fill(size_t size) {
  // With nothing left to unpack, the stream may still hold back unpacked bytes of its last frame.
  while (Unread().size() < size && (!packed_.empty() || !frame_ended_)) {
    SLUICE_RETURN_IF_ERROR(Unpack());
  }
  return absl::OkStatus();
}

absl::StatusOr<absl::string_view> PayloadReader::Next(size_t event_bytes_max) {
  SLUICE_RETURN_IF_ERROR(Fill(kHeaderBytes));
  if (Unread().empty()) {
    return absl::string_view();
  }
  if (Unread().size() < kHeaderBytes) {
    return Malformed(kPayload, "an event is shorter than a header");
  }
  const uint32_t length = ByteReader(Unread().substr(kLengthOffset)).U32();
  if (length < kHeaderBytes) {
    return Malformed(kPayload, absl::StrCat("an event of ", length, " bytes"));
  }
  if (length > event_bytes_max) {
    return absl::ResourceExhaustedError(absl::StrCat("a compressed transaction holds an event of ",
                                                     length, " bytes; the limit is ",
                                                     event_bytes_max, " bytes"));
  }
  SLUICE_RETURN_IF_ERROR(Fill(length));
  if (Unread().size() < length) {
    return Malformed(kPayload, absl::StrCat("an event of ", length, " bytes is cut short"));
  }
  const absl::string_view event = Unread().substr(0, length);
  read_ += length;
  return event;
}

}  // namespace sluice::binlog
