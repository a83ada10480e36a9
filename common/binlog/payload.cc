// TRANSACTION_PAYLOAD: a whole transaction, compressed.

#include <zstd.h>

#include <algorithm>
#include <memory>

#include "common/base/byte_reader.h"
#include "common/base/status_macros.h"
#include "common/binlog/event.h"
#include "common/binlog/malformed.h"

namespace sluice::binlog {
namespace {

constexpr absl::string_view kPayload = "TRANSACTION_PAYLOAD event";

struct DStreamFree {
  void operator()(ZSTD_DStream* stream) const { ZSTD_freeDStream(stream); }
};

absl::Status TooLarge(size_t max_bytes) {
  return absl::ResourceExhaustedError(
      absl::StrCat("a compressed transaction is larger than ", max_bytes, " bytes when unpacked"));
}

// The size fields are not trusted: output grows as it comes, up to the bound.
absl::StatusOr<std::string> Decompress(absl::string_view packed, size_t max_bytes) {
  const std::unique_ptr<ZSTD_DStream, DStreamFree> stream(ZSTD_createDStream());
  if (stream == nullptr || ZSTD_isError(ZSTD_initDStream(stream.get())) != 0) {
    return absl::ResourceExhaustedError("no memory to unpack a compressed transaction");
  }
  std::string out;
  ZSTD_inBuffer input{packed.data(), packed.size(), 0};
  bool frame_ended = true;
  while (true) {
    const size_t used = out.size();
    const size_t room = std::min(ZSTD_DStreamOutSize(), max_bytes + 1 - used);
    out.resize(used + room);
    ZSTD_outBuffer output{out.data() + used, room, 0};
    const size_t result = ZSTD_decompressStream(stream.get(), &output, &input);
    out.resize(used + output.pos);
    if (ZSTD_isError(result) != 0) {
      return Malformed(kPayload, ZSTD_getErrorName(result));
    }
    if (out.size() > max_bytes) {
      return TooLarge(max_bytes);
    }
    frame_ended = result == 0;
    if (input.pos == input.size && output.pos < room) {
      break;
    }
  }
  if (!frame_ended) {
    return Malformed(kPayload, "cut short");
  }
  return out;
}

}  // namespace

absl::StatusOr<std::string> UnpackTransactionPayload(absl::string_view event, size_t max_bytes) {
  enum Field : uint64_t { kEnd = 0, kSize = 1, kCompression = 2, kUncompressedSize = 3 };
  constexpr uint64_t kZstd = 0;
  constexpr uint64_t kNone = 255;
  if (event.size() < kHeaderBytes ||
      event[4] != static_cast<char>(EventType::kTransactionPayload)) {
    return Malformed(kPayload, "another type, or cut short");
  }
  ByteReader reader(event.substr(kHeaderBytes));
  uint64_t size = 0;
  uint64_t compression = kZstd;
  for (uint64_t field = reader.PackedInt(); field != kEnd && !reader.failed();
       field = reader.PackedInt()) {
    ByteReader value(reader.Bytes(reader.PackedInt()));
    if (field == kSize) {
      size = value.PackedInt();
    } else if (field == kCompression) {
      compression = value.PackedInt();
    }
    if (value.failed()) {
      return Malformed(kPayload, "a header field is cut short");
    }
  }
  const absl::string_view packed = reader.Bytes(size);
  if (reader.failed() || !reader.done()) {
    return Malformed(kPayload, "size field");
  }
  if (compression == kNone) {
    return packed.size() > max_bytes ? absl::StatusOr<std::string>(TooLarge(max_bytes))
                                     : std::string(packed);
  }
  if (compression != kZstd) {
    return absl::FailedPreconditionError(
        absl::StrCat(kPayload, ": compression type ", compression, " is unknown"));
  }
  return Decompress(packed, max_bytes);
}

absl::StatusOr<std::vector<absl::string_view>> SplitEvents(absl::string_view unpacked) {
  constexpr size_t kLengthOffset = 9;
  std::vector<absl::string_view> events;
  while (!unpacked.empty()) {
    if (unpacked.size() < kHeaderBytes) {
      return Malformed(kPayload, "an event is shorter than a header");
    }
    const uint32_t length = ByteReader(unpacked.substr(kLengthOffset)).U32();
    if (length < kHeaderBytes || length > unpacked.size()) {
      return Malformed(kPayload, absl::StrCat("an event of ", length, " bytes"));
    }
    events.push_back(unpacked.substr(0, length));
    unpacked.remove_prefix(length);
  }
  return events;
}

}  // namespace sluice::binlog
