// EventUnwrapper: checksums and compressed payloads.

#include "agent/source/event_unwrapper.h"

#include "common/base/status_macros.h"
#include "common/binlog/payload_reader.h"

namespace sluice::source {
namespace {

using binlog::EventType;

constexpr size_t kLengthOffset = 9;
constexpr size_t kInnerEventBytesMax = size_t{1} << 30U;

}  // namespace

void AppendBare(absl::string_view event, size_t length, std::string& out) {
  const size_t at = out.size();
  out.append(event.data(), event.size());
  for (size_t i = 0; i < 4; ++i) {
    out[at + kLengthOffset + i] = static_cast<char>(length & 0xFFU);
    length >>= 8U;
  }
}

absl::Status EventUnwrapper::Feed(absl::string_view event, Take take) {
  SLUICE_ASSIGN_OR_RETURN(const binlog::EventHeader header, binlog::DecodeHeader(event));
  switch (header.type) {
    case EventType::kFormatDescription: {
      SLUICE_ASSIGN_OR_RETURN(checksums_, binlog::DecodeFormatDescriptionHasChecksum(event));
      return absl::OkStatus();
    }
    // The first ROTATE comes before the format description, so whether it has a checksum is
    // unknown.
    case EventType::kRotate:
    case EventType::kHeartbeatV1:
    case EventType::kHeartbeatV2:
    case EventType::kStop:
    case EventType::kPreviousGtids:
    case EventType::kIgnorable:
    case EventType::kRowsQuery:
      return absl::OkStatus();
    default:
      break;
  }
  absl::string_view body = event;
  if (checksums_) {
    SLUICE_ASSIGN_OR_RETURN(body, binlog::VerifyAndStripChecksum(event));
  }
  return header.type == EventType::kTransactionPayload ? FeedPayload(body, take)
                                                       : take(header, body);
}

absl::Status EventUnwrapper::FeedPayload(absl::string_view event, Take take) {
  SLUICE_ASSIGN_OR_RETURN(binlog::PayloadReader reader, binlog::PayloadReader::Open(event));
  while (true) {
    SLUICE_ASSIGN_OR_RETURN(const absl::string_view inner, reader.Next(kInnerEventBytesMax));
    if (inner.empty()) {
      return absl::OkStatus();
    }
    SLUICE_ASSIGN_OR_RETURN(const binlog::EventHeader header, binlog::DecodeHeader(inner));
    SLUICE_RETURN_IF_ERROR(take(header, inner));
  }
}

}  // namespace sluice::source
