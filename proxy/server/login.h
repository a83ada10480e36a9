// Login: the handshake with a client, up to its last packet.

#pragma once

#include <cstdint>
#include <string>

#include "absl/status/statusor.h"
#include "proxy/server/auth.h"
#include "proxy/wire/channel.h"
#include "proxy/wire/wire.h"

namespace sluice::proxy {

// What the proxy tells clients that it is.
inline constexpr const char* kServerVersion = "9.7.0-sluice";

struct ClientLogin {
  std::string user;
  std::string database;
  uint64_t capabilities = 0;  // what both sides can do
  uint8_t collation = 0;
};

// Greets and authenticates (caching_sha2_password, fast proof only). A refused client has been told
// why. The closing OK or error packet is the caller's.
absl::StatusOr<ClientLogin> Login(Channel& client, const UserTable& users, uint64_t connection_id,
                                  const Wait& wait);

// Whether backslash and quotes may be the second byte of a character of this collation: such
// statements can't be cut into tokens byte by byte.
bool IsUnsafeCollation(uint8_t collation);
// The same of a character set by name.
bool IsUnsafeCharset(absl::string_view charset);

}  // namespace sluice::proxy
