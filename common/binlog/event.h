// Binlog events: bytes in, typed events out. Pure; no I/O.

#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "common/gtid/gtid_set.h"

namespace sluice::binlog {

// Event types (binlog_event.h, Log_event_type).
enum class EventType : uint8_t {
  kUnknown = 0,
  kQuery = 2,
  kStop = 3,
  kRotate = 4,
  kFormatDescription = 15,
  kXid = 16,
  kTableMap = 19,
  kHeartbeatV1 = 27,
  kIgnorable = 28,
  kRowsQuery = 29,
  kWriteRows = 30,
  kUpdateRows = 31,
  kDeleteRows = 32,
  kGtid = 33,
  kAnonymousGtid = 34,
  kPreviousGtids = 35,
  kXaPrepare = 38,
  kPartialUpdateRows = 39,
  kTransactionPayload = 40,
  kHeartbeatV2 = 41,
  kGtidTagged = 42,
};

inline constexpr size_t kHeaderBytes = 19;

struct EventHeader {
  uint32_t timestamp = 0;                // seconds
  EventType type = EventType::kUnknown;  // of rows events the one of version 2
  uint8_t raw_type = 0;
  uint32_t server_id = 0;
  uint32_t length = 0;  // of the whole event
  uint32_t end_position = 0;
  uint16_t flags = 0;

  [[nodiscard]] bool artificial() const { return (flags & 0x20U) != 0; }
  [[nodiscard]] bool ignorable() const { return (flags & 0x80U) != 0; }
};

// "PARTIAL_UPDATE_ROWS (39)", also for types that only other servers write; "type 99" when no
// server is known that does.
std::string EventTypeName(uint8_t raw_type);

// INVALID_ARGUMENT when shorter than a header, or the length field is not the size of the bytes.
// The other functions here take events whose checksum has been taken off, and look at no length
// field.
absl::StatusOr<EventHeader> DecodeHeader(absl::string_view event);

struct GtidEvent {
  gtid::Gtid gtid;
  int64_t last_committed = 0;
  int64_t sequence_number = 0;
  uint64_t immediate_commit_us = 0;  // microseconds since 1970
  uint64_t original_commit_us = 0;
};

struct QueryEvent {
  std::string database;  // the session's current one
  std::string sql;
  uint16_t error_code = 0;
  std::string status;  // for DecodeQuerySession
};

// enum_field_types of the binlog (field_types.h).
inline constexpr uint8_t kTypeTiny = 1;
inline constexpr uint8_t kTypeShort = 2;
inline constexpr uint8_t kTypeLong = 3;
inline constexpr uint8_t kTypeFloat = 4;
inline constexpr uint8_t kTypeDouble = 5;
inline constexpr uint8_t kTypeNull = 6;
inline constexpr uint8_t kTypeTimestampOld = 7;
inline constexpr uint8_t kTypeLongLong = 8;
inline constexpr uint8_t kTypeInt24 = 9;
inline constexpr uint8_t kTypeDate = 10;
inline constexpr uint8_t kTypeTimeOld = 11;
inline constexpr uint8_t kTypeDatetimeOld = 12;
inline constexpr uint8_t kTypeYear = 13;
inline constexpr uint8_t kTypeVarchar = 15;
inline constexpr uint8_t kTypeBit = 16;
inline constexpr uint8_t kTypeTimestamp2 = 17;
inline constexpr uint8_t kTypeDatetime2 = 18;
inline constexpr uint8_t kTypeTime2 = 19;
inline constexpr uint8_t kTypeTypedArray = 20;
inline constexpr uint8_t kTypeVector = 242;
inline constexpr uint8_t kTypeJson = 245;
inline constexpr uint8_t kTypeNewDecimal = 246;
inline constexpr uint8_t kTypeEnum = 247;
inline constexpr uint8_t kTypeSet = 248;
inline constexpr uint8_t kTypeBlob = 252;
inline constexpr uint8_t kTypeVarString = 253;
inline constexpr uint8_t kTypeString = 254;
inline constexpr uint8_t kTypeGeometry = 255;

struct ColumnType {
  uint8_t type = 0;  // enum_field_types, ENUM and SET resolved from the STRING metadata
  // VARCHAR, STRING: greatest length in bytes; BLOB, JSON, GEOMETRY, VECTOR, ENUM, SET, FLOAT,
  // DOUBLE: bytes of the length or value; TIME2, DATETIME2, TIMESTAMP2: digits of the fraction;
  // NEWDECIMAL: precision * 256 + scale; BIT: bits; others 0.
  uint16_t metadata = 0;
  bool nullable = false;
  bool is_unsigned = false;
};

struct TableMapEvent {
  uint64_t table_id = 0;
  std::string database;
  std::string table;
  std::vector<ColumnType> columns;
  std::vector<std::string> column_names;  // only with binlog_row_metadata=FULL
};

// The envelope of a rows event. Views point into the event's bytes.
struct RowsEvent {
  uint64_t table_id = 0;
  EventType type = EventType::kUnknown;  // kWriteRows, kUpdateRows, kDeleteRows, partial update
  bool statement_end = false;
  absl::string_view columns_before;  // bitmaps of present columns
  absl::string_view columns_after;
  absl::string_view rows;  // the undecoded images
};

// GTID (33) and GTID_TAGGED (42).
absl::StatusOr<GtidEvent> DecodeGtid(absl::string_view event);
absl::StatusOr<QueryEvent> DecodeQuery(absl::string_view event);
absl::StatusOr<TableMapEvent> DecodeTableMap(absl::string_view event);
// Only database and table of a TABLE_MAP, cheap: for filtering.
struct TableName {
  uint64_t table_id = 0;
  absl::string_view database;
  absl::string_view table;
};
absl::StatusOr<TableName> PeekTableMap(absl::string_view event);
absl::StatusOr<uint64_t> PeekRowsTableId(absl::string_view event);
// Write, update, delete, of version 1 or 2, and PARTIAL_UPDATE_ROWS. Those of servers before MySQL
// 5.1 are refused with FAILED_PRECONDITION.
absl::StatusOr<RowsEvent> DecodeRows(absl::string_view event);
// XA_PREPARE: true when it also commits (XA COMMIT … ONE PHASE).
absl::StatusOr<bool> DecodeXaPrepareIsOnePhase(absl::string_view event);
// True when events that follow this format description end in a CRC-32.
absl::StatusOr<bool> DecodeFormatDescriptionHasChecksum(absl::string_view event);
// INVALID_ARGUMENT when the CRC-32 does not fit. Returns the event without it, as a view; note that
// the header's length field still counts the checksum.
absl::StatusOr<absl::string_view> VerifyAndStripChecksum(absl::string_view event);
// A copy of an event without checksum whose header length is its size.
std::string WithFixedLength(absl::string_view stripped_event);

}  // namespace sluice::binlog
