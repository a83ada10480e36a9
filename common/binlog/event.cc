// Events: header, checksum, format description, GTID and query. Layouts: libs/mysql/binlog/event.

#include "common/binlog/event.h"

#include <zlib.h>

#include <algorithm>

#include "absl/strings/ascii.h"
#include "common/base/byte_reader.h"
#include "common/base/status_macros.h"
#include "common/binlog/malformed.h"

namespace sluice::binlog {
namespace {

constexpr size_t kTypeOffset = 4;
constexpr size_t kLengthOffset = 9;
constexpr size_t kFlagsOffset = 17;
constexpr size_t kChecksumBytes = 4;
constexpr size_t kUuidBytes = 16;
constexpr uint8_t kBinlogInUse = 0x01;

uint8_t RawType(absl::string_view event) {
  return event.size() > kTypeOffset ? static_cast<uint8_t>(event[kTypeOffset]) : 0;
}

EventType KnownType(uint8_t raw) {
  constexpr uint8_t kFromVersion1 = 30 - 23;
  switch (raw) {
    // Rows events of version 1 (23, 24, 25) differ in their envelope only.
    case 23:
    case 24:
    case 25:
      return static_cast<EventType>(raw + kFromVersion1);
    case 2:
    case 3:
    case 4:
    case 15:
    case 16:
    case 19:
    case 38:
    case 39:
    case 40:
    case 41:
    case 42:
      return static_cast<EventType>(raw);
    default:
      return raw >= 27 && raw <= 35 ? static_cast<EventType>(raw) : EventType::kUnknown;
  }
}

absl::StatusOr<ByteReader> Body(absl::string_view event, absl::string_view what) {
  if (event.size() < kHeaderBytes) {
    return Malformed(what, "shorter than a header");
  }
  return ByteReader(event.substr(kHeaderBytes));
}

absl::StatusOr<GtidEvent> CheckNumber(GtidEvent event) {
  // A position would not take others.
  if (event.gtid.number == 0 || event.gtid.number > gtid::kNumberMax) {
    return Malformed("GTID event", absl::StrCat("transaction number ", event.gtid.number));
  }
  return event;
}

// GTID (33): fixed fields, then commit times of 7 bytes whose top bit says that a second follows.
absl::StatusOr<GtidEvent> DecodeUntagged(ByteReader reader) {
  constexpr uint64_t kSecondTimeFollows = 1ULL << 55U;
  GtidEvent event;
  reader.Bytes(1);  // flags
  const absl::string_view uuid = reader.Bytes(kUuidBytes);
  event.gtid.number = reader.U64();
  if (reader.failed()) {
    return Malformed("GTID event", "cut short");
  }
  event.gtid.uuid = gtid::UuidFromBytes(uuid);
  constexpr size_t kLogicalClockBytes = 17;
  if (reader.remaining() >= kLogicalClockBytes) {
    reader.Bytes(1);  // type of the logical clock
    event.last_committed = static_cast<int64_t>(reader.U64());
    event.sequence_number = static_cast<int64_t>(reader.U64());
  }
  // Servers before 8.0 write no commit times.
  if (reader.remaining() >= 7) {
    const uint64_t time = reader.UintLe(7);
    event.immediate_commit_us = time & ~kSecondTimeFollows;
    event.original_commit_us =
        (time & kSecondTimeFollows) != 0 ? reader.UintLe(7) : event.immediate_commit_us;
  }
  if (reader.failed()) {
    return Malformed("GTID event", "cut short");
  }
  return CheckNumber(std::move(event));
}

// GTID_TAGGED (42): a message of mysql::serialization (libs/mysql/serialization/readme.md):
// version, size, last field that may not be ignored, then fields as id and value, ids ascending.
// Integers have variable lengths; the UUID is an array of 16 of them, the tag a string.
absl::StatusOr<GtidEvent> DecodeTagged(ByteReader reader) {
  constexpr absl::string_view kWhat = "GTID_TAGGED event";
  constexpr uint64_t kLastKnownField = 11;
  const uint64_t version = reader.VarlenUint();
  const uint64_t size = reader.VarlenUint();
  const uint64_t last_required = reader.VarlenUint();
  if (reader.failed() || size < reader.position() ||
      size > reader.position() + reader.remaining()) {
    return Malformed(kWhat, "size field");
  }
  if (version != 1 || last_required > kLastKnownField) {
    return absl::FailedPreconditionError(absl::StrCat(kWhat, ": format version ", version,
                                                      " with required field ", last_required,
                                                      " is newer than this program"));
  }
  GtidEvent event;
  std::string uuid;
  bool has_original_time = false;
  while (!reader.failed() && reader.position() < size) {
    switch (const uint64_t field = reader.VarlenUint(); field) {
      case 0:
        reader.VarlenUint();  // flags
        break;
      case 1:
        uuid.clear();
        for (size_t i = 0; i < kUuidBytes; ++i) {
          const uint64_t byte = reader.VarlenUint();
          if (byte > 0xff) {
            return Malformed(kWhat, "UUID");
          }
          uuid.push_back(static_cast<char>(byte));
        }
        break;
      case 2:
        event.gtid.number = static_cast<uint64_t>(reader.VarlenInt());
        break;
      case 3: {
        const absl::string_view tag = reader.Bytes(reader.VarlenUint());
        if (!tag.empty() && !gtid::IsTag(tag)) {
          return Malformed(kWhat, "tag");
        }
        event.gtid.tag = absl::AsciiStrToLower(tag);
        break;
      }
      case 4:
        event.last_committed = reader.VarlenInt();
        break;
      case 5:
        event.sequence_number = reader.VarlenInt();
        break;
      case 6:
        event.immediate_commit_us = reader.VarlenUint();
        break;
      case 7:
        event.original_commit_us = reader.VarlenUint();
        has_original_time = true;
        break;
      case 8:   // transaction length
      case 9:   // server version
      case 10:  // original server version
      case 11:  // commit group ticket
        reader.VarlenUint();
        break;
      default:
        // Fields carry no length, so nothing behind an unknown one can be found; all that this
        // program knows come before it.
        reader.Rest();
        break;
    }
  }
  if (reader.failed() || uuid.size() != kUuidBytes) {
    return Malformed(kWhat, "cut short");
  }
  event.gtid.uuid = gtid::UuidFromBytes(uuid);
  if (!has_original_time) {
    event.original_commit_us = event.immediate_commit_us;
  }
  return CheckNumber(std::move(event));
}

}  // namespace

absl::StatusOr<EventHeader> DecodeHeader(absl::string_view event) {
  ByteReader reader(event);
  EventHeader header;
  header.timestamp = reader.U32();
  header.raw_type = reader.U8();
  header.type = KnownType(header.raw_type);
  header.server_id = reader.U32();
  header.length = reader.U32();
  header.end_position = reader.U32();
  header.flags = reader.U16();
  if (reader.failed()) {
    return Malformed("event", "shorter than a header");
  }
  if (header.length != event.size()) {
    return Malformed("event", absl::StrCat("length field ", header.length, " of an event of ",
                                           event.size(), " bytes"));
  }
  return header;
}

absl::StatusOr<GtidEvent> DecodeGtid(absl::string_view event) {
  SLUICE_ASSIGN_OR_RETURN(const ByteReader reader, Body(event, "GTID event"));
  switch (KnownType(RawType(event))) {
    case EventType::kGtid:
      return DecodeUntagged(reader);
    case EventType::kGtidTagged:
      return DecodeTagged(reader);
    default:
      return Malformed("GTID event", absl::StrCat("event type ", RawType(event)));
  }
}

absl::StatusOr<QueryEvent> DecodeQuery(absl::string_view event) {
  SLUICE_ASSIGN_OR_RETURN(ByteReader reader, Body(event, "QUERY event"));
  if (KnownType(RawType(event)) != EventType::kQuery) {
    return Malformed("QUERY event", absl::StrCat("event type ", RawType(event)));
  }
  QueryEvent query;
  reader.Bytes(4 + 4);  // thread, execution time
  const size_t database_bytes = reader.U8();
  query.error_code = reader.U16();
  const size_t status_bytes = reader.U16();
  query.status = std::string(reader.Bytes(status_bytes));
  query.database = std::string(reader.Bytes(database_bytes));
  reader.Bytes(1);  // NUL
  if (reader.failed()) {
    return Malformed("QUERY event", "cut short");
  }
  query.sql = std::string(reader.Rest());
  return query;
}

absl::StatusOr<bool> DecodeXaPrepareIsOnePhase(absl::string_view event) {
  SLUICE_ASSIGN_OR_RETURN(ByteReader reader, Body(event, "XA_PREPARE event"));
  const uint8_t one_phase = reader.U8();
  if (reader.failed() || KnownType(RawType(event)) != EventType::kXaPrepare) {
    return Malformed("XA_PREPARE event", "another type, or cut short");
  }
  return one_phase != 0;
}

absl::StatusOr<bool> DecodeFormatDescriptionHasChecksum(absl::string_view event) {
  constexpr absl::string_view kWhat = "FORMAT_DESCRIPTION event";
  constexpr size_t kFixedBytes = 2 + 50 + 4 + 1;
  constexpr uint8_t kOff = 0;
  constexpr uint8_t kCrc32 = 1;
  if (KnownType(RawType(event)) != EventType::kFormatDescription ||
      event.size() < kHeaderBytes + kFixedBytes + 1 + kChecksumBytes) {
    return Malformed(kWhat, "another type, or cut short");
  }
  ByteReader reader(event.substr(kHeaderBytes));
  const uint16_t version = reader.U16();
  reader.Bytes(50 + 4);
  const uint8_t header_bytes = reader.U8();
  if (version != 4 || header_bytes != kHeaderBytes) {
    return Malformed(
        kWhat, absl::StrCat("binlog version ", version, ", header of ", header_bytes, " bytes"));
  }
  const auto algorithm = static_cast<uint8_t>(event[event.size() - kChecksumBytes - 1]);
  if (algorithm != kOff && algorithm != kCrc32) {
    return Malformed(kWhat, absl::StrCat("checksum algorithm ", algorithm));
  }
  return algorithm == kCrc32;
}

absl::StatusOr<absl::string_view> VerifyAndStripChecksum(absl::string_view event) {
  if (event.size() < kHeaderBytes + kChecksumBytes) {
    return Malformed("event", "too short for a checksum");
  }
  const absl::string_view stripped = event.substr(0, event.size() - kChecksumBytes);
  const auto add = [](uLong crc, absl::string_view bytes) {
    return crc32_z(crc, reinterpret_cast<const Bytef*>(bytes.data()), bytes.size());
  };
  uLong crc = 0;
  if (KnownType(RawType(event)) == EventType::kFormatDescription) {
    // The server clears "in use" when it computes this event's checksum.
    const char flags = static_cast<char>(static_cast<uint8_t>(event[kFlagsOffset]) & ~kBinlogInUse);
    crc = add(crc, stripped.substr(0, kFlagsOffset));
    crc = add(crc, absl::string_view(&flags, 1));
    crc = add(crc, stripped.substr(kFlagsOffset + 1));
  } else {
    crc = add(crc, stripped);
  }
  ByteReader reader(event.substr(stripped.size()));
  if (reader.U32() != crc) {
    return absl::InvalidArgumentError(
        absl::StrCat("checksum of an event of type ", RawType(event), " does not fit"));
  }
  return stripped;
}

std::string WithFixedLength(absl::string_view stripped_event) {
  std::string fixed(stripped_event);
  if (fixed.size() >= kHeaderBytes) {
    uint64_t length = fixed.size();
    for (size_t i = 0; i < 4; ++i) {
      fixed[kLengthOffset + i] = static_cast<char>(length & 0xffU);
      length >>= 8U;
    }
  }
  return fixed;
}

}  // namespace sluice::binlog
