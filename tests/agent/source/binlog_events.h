// Builders of binlog events, byte by byte, for tests.

#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "common/binlog/event.h"

namespace sluice::testing {

inline void AppendUint(uint64_t value, size_t bytes, std::string& out) {
  for (size_t i = 0; i < bytes; ++i) {
    out.push_back(static_cast<char>(value & 0xFFU));
    value >>= 8U;
  }
}

// A whole event without checksum.
inline std::string MakeEvent(uint8_t type, absl::string_view body, uint16_t flags = 0) {
  std::string event;
  AppendUint(1'700'000'000, 4, event);
  event.push_back(static_cast<char>(type));
  AppendUint(1, 4, event);
  AppendUint(binlog::kHeaderBytes + body.size(), 4, event);
  AppendUint(0, 4, event);
  AppendUint(flags, 2, event);
  return event + std::string(body);
}

inline std::string MakeEvent(binlog::EventType type, absl::string_view body, uint16_t flags = 0) {
  return MakeEvent(static_cast<uint8_t>(type), body, flags);
}

// Of the source 01010101-0101-0101-0101-010101010101.
inline std::string MakeGtid(uint64_t number, uint64_t commit_us = 1'700'000'000'000'000) {
  std::string body(1, '\0');
  body.append(16, '\x01');
  AppendUint(number, 8, body);
  body.push_back(2);  // logical timestamps follow
  AppendUint(number - 1, 8, body);
  AppendUint(number, 8, body);
  AppendUint(commit_us, 7, body);
  body.push_back(static_cast<char>(100));  // length of the transaction
  AppendUint(90700, 4, body);
  return MakeEvent(binlog::EventType::kGtid, body);
}

inline std::string MakeQuery(absl::string_view database, absl::string_view sql) {
  std::string body;
  AppendUint(7, 4, body);
  AppendUint(0, 4, body);
  body.push_back(static_cast<char>(database.size()));
  AppendUint(0, 2, body);
  AppendUint(0, 2, body);
  body.append(database.data(), database.size());
  body.push_back('\0');
  body.append(sql.data(), sql.size());
  return MakeEvent(binlog::EventType::kQuery, body);
}

inline std::string MakeXid() {
  std::string body;
  AppendUint(42, 8, body);
  return MakeEvent(binlog::EventType::kXid, body);
}

// `columns` columns of type INT.
inline std::string MakeTableMap(uint64_t id, absl::string_view database, absl::string_view table,
                                uint8_t columns) {
  std::string body;
  AppendUint(id, 6, body);
  AppendUint(1, 2, body);
  for (const absl::string_view name : {database, table}) {
    body.push_back(static_cast<char>(name.size()));
    body.append(name.data(), name.size());
    body.push_back('\0');
  }
  body.push_back(static_cast<char>(columns));
  body.append(columns, static_cast<char>(binlog::kTypeLong));
  body.push_back('\0');  // no metadata
  body.append((columns + 7U) / 8U, '\0');
  return MakeEvent(binlog::EventType::kTableMap, body);
}

// Rows of INT columns: for an update, before and after follow each other.
inline std::string MakeRows(binlog::EventType type, uint64_t id, uint8_t columns,
                            const std::vector<std::vector<int32_t>>& rows, uint8_t present = 0xFF) {
  std::string body;
  AppendUint(id, 6, body);
  AppendUint(1, 2, body);
  AppendUint(2, 2, body);
  body.push_back(static_cast<char>(columns));
  const int bitmaps = type == binlog::EventType::kUpdateRows ? 2 : 1;
  for (int i = 0; i < bitmaps; ++i) {
    body.push_back(static_cast<char>(present));
  }
  for (const std::vector<int32_t>& row : rows) {
    body.push_back('\0');
    for (const int32_t value : row) {
      AppendUint(static_cast<uint32_t>(value), 4, body);
    }
  }
  return MakeEvent(type, body);
}

}  // namespace sluice::testing
