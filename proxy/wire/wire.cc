// The MySQL client/server protocol as bytes.

#include "proxy/wire/wire.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "common/base/byte_reader.h"
#include "common/base/status.h"

namespace sluice::proxy {
namespace {

constexpr uint8_t kUtf8mb4 = 255;  // utf8mb4_0900_ai_ci

// A string up to a NUL byte, which is taken too.
std::string NulString(ByteReader& reader, absl::string_view payload) {
  const absl::string_view rest = payload.substr(std::min(reader.position(), payload.size()));
  const size_t end = rest.find('\0');
  if (end == absl::string_view::npos) {
    reader.Fail();
    return {};
  }
  std::string text(reader.Bytes(end));
  reader.U8();
  return text;
}

std::string PackedString(ByteReader& reader) {
  const uint64_t size = reader.PackedInt();
  return std::string(reader.Bytes(static_cast<size_t>(size)));
}

const char* StateOf(uint16_t code) {
  switch (code) {
    case 1040:
      return "08004";
    case 1043:
      return "08S01";
    case 1045:
    case 1044:
    case 1049:
    case 1064:
    case 1203:
    case 1235:
      return code == 1045 ? "28000" : "42000";
    case 1046:
      return "3D000";
    case 1047:
    case 1053:
    case 1153:
    case 1184:
      return "08S01";
    case 1146:
      return "42S02";
    case 1317:
      return "70100";
    default:
      return "HY000";
  }
}

// Skips one value of the binary protocol.
void SkipBinaryValue(ByteReader& reader, uint8_t type) {
  switch (type) {
    case 0x06:  // NULL
      return;
    case 0x01:  // TINY
      reader.Bytes(1);
      return;
    case 0x02:  // SHORT
    case 0x0D:  // YEAR
      reader.Bytes(2);
      return;
    case 0x03:  // LONG
    case 0x09:  // INT24
    case 0x04:  // FLOAT
      reader.Bytes(4);
      return;
    case 0x08:  // LONGLONG
    case 0x05:  // DOUBLE
      reader.Bytes(8);
      return;
    case 0x07:  // TIMESTAMP
    case 0x0A:  // DATE
    case 0x0B:  // TIME
    case 0x0C:  // DATETIME
      reader.Bytes(reader.U8());
      return;
    default:
      PackedString(reader);
      return;
  }
}

}  // namespace

void AppendUint(std::string& out, uint64_t value, size_t bytes) {
  for (size_t i = 0; i < bytes; ++i) {
    out.push_back(static_cast<char>(value & 0xFFU));
    value >>= 8U;
  }
}

void AppendPacked(std::string& out, uint64_t value) {
  if (value < 251) {
    AppendUint(out, value, 1);
  } else if (value < 0x10000U) {
    AppendUint(out, 252, 1);
    AppendUint(out, value, 2);
  } else if (value < 0x1000000U) {
    AppendUint(out, 253, 1);
    AppendUint(out, value, 3);
  } else {
    AppendUint(out, 254, 1);
    AppendUint(out, value, 8);
  }
}

void AppendPackedString(std::string& out, absl::string_view text) {
  AppendPacked(out, text.size());
  out.append(text.data(), text.size());
}

std::string BuildGreeting(const Greeting& greeting) {
  std::string out;
  AppendUint(out, 10, 1);
  out.append(greeting.server_version);
  out.push_back('\0');
  AppendUint(out, greeting.connection_id, 4);
  out.append(greeting.nonce, 0, 8);
  out.push_back('\0');
  AppendUint(out, greeting.capabilities & 0xFFFFU, 2);
  AppendUint(out, kUtf8mb4, 1);
  AppendUint(out, greeting.status, 2);
  AppendUint(out, greeting.capabilities >> 16U, 2);
  AppendUint(out, greeting.nonce.size() + 1, 1);
  out.append(10, '\0');
  out.append(greeting.nonce, 8, std::string::npos);
  out.push_back('\0');
  out.append("caching_sha2_password");
  out.push_back('\0');
  return out;
}

absl::StatusOr<HandshakeResponse> ParseHandshakeResponse(absl::string_view payload) {
  ByteReader reader(payload);
  HandshakeResponse response;
  response.capabilities = reader.U32();
  if ((response.capabilities & kClientProtocol41) == 0) {
    return absl::UnimplementedError("the client does not speak the protocol of MySQL 4.1");
  }
  reader.U32();  // largest packet
  response.collation = reader.U8();
  reader.Bytes(23);
  if ((response.capabilities & kClientSsl) != 0) {
    return absl::UnimplementedError("TLS is not offered by this proxy");
  }
  response.user = NulString(reader, payload);
  if ((response.capabilities & kClientPluginAuthPacked) != 0) {
    response.auth_response = PackedString(reader);
  } else if ((response.capabilities & kClientSecureConnection) != 0) {
    response.auth_response = std::string(reader.Bytes(reader.U8()));
  } else {
    response.auth_response = NulString(reader, payload);
  }
  if ((response.capabilities & kClientConnectWithDb) != 0 && !reader.done()) {
    response.database = NulString(reader, payload);
  }
  if ((response.capabilities & kClientPluginAuth) != 0 && !reader.done()) {
    response.plugin = NulString(reader, payload);
  }
  if ((response.capabilities & kClientConnectAttributes) != 0 && !reader.done()) {
    const uint64_t size = reader.PackedInt();
    ByteReader attributes(reader.Bytes(static_cast<size_t>(size)));
    while (!attributes.done() && !attributes.failed()) {
      std::string name = PackedString(attributes);
      std::string value = PackedString(attributes);
      response.attributes.emplace_back(std::move(name), std::move(value));
    }
    if (attributes.failed()) {
      reader.Fail();
    }
  }
  if (reader.failed()) {
    return absl::InvalidArgumentError("malformed handshake response");
  }
  return response;
}

std::string BuildAuthSwitch(absl::string_view plugin, absl::string_view nonce) {
  std::string out;
  AppendUint(out, 0xFE, 1);
  out.append(plugin.data(), plugin.size());
  out.push_back('\0');
  out.append(nonce.data(), nonce.size());
  out.push_back('\0');
  return out;
}

absl::StatusOr<OkPacket> ParseOk(absl::string_view payload) {
  ByteReader reader(payload);
  reader.U8();
  OkPacket ok;
  ok.affected_rows = reader.PackedInt();
  ok.last_insert_id = reader.PackedInt();
  ok.status = reader.U16();
  ok.warnings = reader.U16();
  // The manual says "rest of the packet" for peers without session tracking, but servers write a
  // length and clients read one either way. Session state that follows is passed over.
  if (!reader.done()) {
    ok.info = PackedString(reader);
  }
  if (reader.failed()) {
    return absl::InvalidArgumentError("malformed OK packet");
  }
  return ok;
}

std::string BuildOk(const OkPacket& ok, uint8_t header) {
  std::string out;
  AppendUint(out, header, 1);
  AppendPacked(out, ok.affected_rows);
  AppendPacked(out, ok.last_insert_id);
  AppendUint(out, ok.status & ~static_cast<unsigned>(kStatusSessionStateChanged), 2);
  AppendUint(out, ok.warnings, 2);
  if (!ok.info.empty()) {
    AppendPackedString(out, ok.info);
  }
  return out;
}

absl::StatusOr<EofPacket> ParseEof(absl::string_view payload) {
  ByteReader reader(payload);
  reader.U8();
  EofPacket eof;
  eof.warnings = reader.U16();
  eof.status = reader.U16();
  if (reader.failed()) {
    return absl::InvalidArgumentError("malformed EOF packet");
  }
  return eof;
}

std::string BuildEof(const EofPacket& eof) {
  std::string out;
  AppendUint(out, 0xFE, 1);
  AppendUint(out, eof.warnings, 2);
  AppendUint(out, eof.status & ~static_cast<unsigned>(kStatusSessionStateChanged), 2);
  return out;
}

absl::StatusOr<ErrorPacket> ParseError(absl::string_view payload) {
  ByteReader reader(payload);
  reader.U8();
  ErrorPacket error;
  error.code = reader.U16();
  absl::string_view rest = reader.Rest();
  if (reader.failed()) {
    return absl::InvalidArgumentError("malformed error packet");
  }
  if (rest.size() >= 6 && rest[0] == '#') {
    error.sql_state = std::string(rest.substr(1, 5));
    rest = rest.substr(6);
  }
  error.message = std::string(rest);
  return error;
}

std::string BuildError(const ErrorPacket& error) {
  std::string out;
  AppendUint(out, 0xFF, 1);
  AppendUint(out, error.code, 2);
  absl::StrAppend(&out, "#", error.sql_state, error.message);
  return out;
}

ErrorPacket ErrorOf(const absl::Status& status) {
  ErrorPacket error;
  const unsigned code = MysqlErrnoOf(status);
  error.code = code == 0 || code > 0xFFFFU ? 1105 : static_cast<uint16_t>(code);
  error.sql_state = StateOf(error.code);
  error.message = std::string(status.message());
  return error;
}

absl::Status MysqlError(uint16_t code, absl::string_view message) {
  return WithMysqlErrno(absl::FailedPreconditionError(message), code);
}

std::string BuildTextColumn(absl::string_view name) {
  std::string out;
  AppendPackedString(out, "def");
  for (int i = 0; i < 3; ++i) {  // schema, table, original table
    AppendPackedString(out, "");
  }
  AppendPackedString(out, name);
  AppendPackedString(out, "");
  AppendPacked(out, 0x0C);
  AppendUint(out, kUtf8mb4, 2);
  AppendUint(out, 1024, 4);
  AppendUint(out, 0xFD, 1);  // VAR_STRING
  AppendUint(out, 0, 2);
  AppendUint(out, 0, 1);
  AppendUint(out, 0, 2);
  return out;
}

absl::StatusOr<QueryCommand> ParseQuery(absl::string_view payload, uint64_t capabilities) {
  ByteReader reader(payload);
  reader.U8();
  QueryCommand command;
  if ((capabilities & kClientQueryAttributes) == 0) {
    command.sql = reader.Rest();
    return command;
  }
  const size_t begin = reader.position();
  const uint64_t count = reader.PackedInt();
  reader.PackedInt();  // number of parameter sets
  if (count > payload.size()) {
    return absl::InvalidArgumentError("malformed query attributes");
  }
  if (count > 0) {
    const absl::string_view nulls = reader.Bytes(static_cast<size_t>((count + 7) / 8));
    std::vector<uint8_t> types;
    if (reader.U8() != 0) {
      for (uint64_t i = 0; i < count && !reader.failed(); ++i) {
        types.push_back(static_cast<uint8_t>(reader.U16() & 0xFFU));
        PackedString(reader);
      }
    } else {
      reader.Fail();
    }
    for (size_t i = 0; i < types.size() && !reader.failed(); ++i) {
      const bool is_null = (static_cast<uint8_t>(nulls[i / 8]) & (1U << (i % 8))) != 0;
      if (!is_null) {
        SkipBinaryValue(reader, types[i]);
      }
    }
  }
  if (reader.failed()) {
    return absl::InvalidArgumentError("malformed query attributes");
  }
  command.attributes = payload.substr(begin, reader.position() - begin);
  command.sql = reader.Rest();
  return command;
}

std::string BuildQuery(absl::string_view attributes, absl::string_view sql, uint64_t capabilities) {
  std::string out;
  out.reserve(sql.size() + attributes.size() + 3);
  AppendUint(out, kComQuery, 1);
  if ((capabilities & kClientQueryAttributes) != 0) {
    if (attributes.empty()) {
      AppendPacked(out, 0);
      AppendPacked(out, 1);
    } else {
      out.append(attributes.data(), attributes.size());
    }
  }
  out.append(sql.data(), sql.size());
  return out;
}

}  // namespace sluice::proxy
