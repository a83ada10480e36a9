// The MySQL client/server protocol as bytes: packets built and parsed. Pure.
//
// Layouts: the server manual's protocol chapter and router/src/mysql_protocol of the MySQL source.

#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace sluice::proxy {

// Capability flags.
inline constexpr uint64_t kClientLongPassword = 1;
inline constexpr uint64_t kClientFoundRows = 1U << 1U;
inline constexpr uint64_t kClientLongFlag = 1U << 2U;
inline constexpr uint64_t kClientConnectWithDb = 1U << 3U;
inline constexpr uint64_t kClientProtocol41 = 1U << 9U;
inline constexpr uint64_t kClientInteractive = 1U << 10U;
inline constexpr uint64_t kClientSsl = 1U << 11U;
inline constexpr uint64_t kClientTransactions = 1U << 13U;
inline constexpr uint64_t kClientSecureConnection = 1U << 15U;
inline constexpr uint64_t kClientMultiStatements = 1U << 16U;
inline constexpr uint64_t kClientMultiResults = 1U << 17U;
inline constexpr uint64_t kClientPluginAuth = 1U << 19U;
inline constexpr uint64_t kClientConnectAttributes = 1U << 20U;
inline constexpr uint64_t kClientPluginAuthPacked = 1U << 21U;
inline constexpr uint64_t kClientSessionTrack = 1U << 23U;
inline constexpr uint64_t kClientDeprecateEof = 1U << 24U;
inline constexpr uint64_t kClientQueryAttributes = 1U << 27U;

// Server status flags.
inline constexpr uint16_t kStatusInTransaction = 0x0001;
inline constexpr uint16_t kStatusAutocommit = 0x0002;
inline constexpr uint16_t kStatusMoreResults = 0x0008;
inline constexpr uint16_t kStatusNoBackslashEscapes = 0x0200;
inline constexpr uint16_t kStatusSessionStateChanged = 0x4000;

inline constexpr size_t kPacketPayloadMax = 0xFFFFFF;

enum Command : uint8_t {
  kComQuit = 0x01,
  kComInitDb = 0x02,
  kComQuery = 0x03,
  kComFieldList = 0x04,
  kComStatistics = 0x09,
  kComPing = 0x0E,
  kComChangeUser = 0x11,
  kComStmtPrepare = 0x16,
  kComStmtExecute = 0x17,
  kComStmtSendLongData = 0x18,
  kComStmtClose = 0x19,
  kComStmtReset = 0x1A,
  kComSetOption = 0x1B,
  kComStmtFetch = 0x1C,
  kComResetConnection = 0x1F,
};

void AppendUint(std::string& out, uint64_t value, size_t bytes);
void AppendPacked(std::string& out, uint64_t value);
void AppendPackedString(std::string& out, absl::string_view text);

struct Greeting {
  std::string server_version;
  uint32_t connection_id = 0;
  std::string nonce;  // 20 bytes, none of them zero
  uint64_t capabilities = 0;
  uint16_t status = kStatusAutocommit;
};
std::string BuildGreeting(const Greeting& greeting);

struct HandshakeResponse {
  uint64_t capabilities = 0;
  uint8_t collation = 0;
  std::string user;
  std::string auth_response;
  std::string database;
  std::string plugin;  // empty when not named
  std::vector<std::pair<std::string, std::string>> attributes;
};
// INVALID_ARGUMENT says what is wrong; UNIMPLEMENTED for a request of TLS or a protocol before 4.1.
absl::StatusOr<HandshakeResponse> ParseHandshakeResponse(absl::string_view payload);

std::string BuildAuthSwitch(absl::string_view plugin, absl::string_view nonce);

struct OkPacket {
  uint64_t affected_rows = 0;
  uint64_t last_insert_id = 0;
  uint16_t status = kStatusAutocommit;
  uint16_t warnings = 0;
  std::string info;
};
// Reads an OK packet of either header (0x00, or 0xFE at the end of rows).
absl::StatusOr<OkPacket> ParseOk(absl::string_view payload);
// For a peer without CLIENT_SESSION_TRACK.
std::string BuildOk(const OkPacket& ok, uint8_t header = 0x00);

struct EofPacket {
  uint16_t warnings = 0;
  uint16_t status = 0;
};
absl::StatusOr<EofPacket> ParseEof(absl::string_view payload);
std::string BuildEof(const EofPacket& eof);

struct ErrorPacket {
  uint16_t code = 0;
  std::string sql_state = "HY000";
  std::string message;
};
absl::StatusOr<ErrorPacket> ParseError(absl::string_view payload);
std::string BuildError(const ErrorPacket& error);
// The error of a status: its MySQL number (1105 when it has none), its state, its message.
ErrorPacket ErrorOf(const absl::Status& status);
// A status that carries a MySQL error number for the client.
absl::Status MysqlError(uint16_t code, absl::string_view message);

// Definition of a text column, for results that the proxy itself gives.
std::string BuildTextColumn(absl::string_view name);

struct QueryCommand {
  absl::string_view attributes;  // as on the wire, counts included; empty when not negotiated
  absl::string_view sql;
};
// Of a COM_QUERY payload with its command byte. Views point into the payload.
absl::StatusOr<QueryCommand> ParseQuery(absl::string_view payload, uint64_t capabilities);
// The counterpart, for a server with these capabilities.
std::string BuildQuery(absl::string_view attributes, absl::string_view sql, uint64_t capabilities);

}  // namespace sluice::proxy
