// Login: handshake v10 and caching_sha2_password.

#include "proxy/server/login.h"

#include <algorithm>
#include <array>

#include "absl/strings/str_cat.h"
#include "common/base/status_macros.h"

namespace sluice::proxy {
namespace {

constexpr absl::string_view kPlugin = "caching_sha2_password";
constexpr size_t kLoginBytesMax = size_t{256} * 1024;

constexpr uint64_t kOffered =
    kClientLongPassword | kClientFoundRows | kClientLongFlag | kClientConnectWithDb |
    kClientProtocol41 | kClientInteractive | kClientTransactions | kClientSecureConnection |
    kClientMultiStatements | kClientMultiResults | kClientPluginAuth | kClientConnectAttributes |
    kClientPluginAuthPacked | kClientDeprecateEof | kClientQueryAttributes;

absl::Status Refuse(Channel& client, uint16_t code, absl::string_view message, const Wait& wait) {
  absl::Status status = MysqlError(code, message);
  SLUICE_RETURN_IF_ERROR(client.WritePacket(BuildError(ErrorOf(status)), wait));
  SLUICE_RETURN_IF_ERROR(client.Flush(wait));
  return status;
}

}  // namespace

absl::StatusOr<ClientLogin> Login(Channel& client, const UserTable& users, uint64_t connection_id,
                                  const Wait& wait) {
  Greeting greeting;
  greeting.server_version = kServerVersion;
  greeting.connection_id = static_cast<uint32_t>(connection_id);
  greeting.capabilities = kOffered;
  SLUICE_ASSIGN_OR_RETURN(greeting.nonce, NewNonce());
  SLUICE_RETURN_IF_ERROR(client.WritePacket(BuildGreeting(greeting), wait));
  SLUICE_RETURN_IF_ERROR(client.Flush(wait));
  SLUICE_ASSIGN_OR_RETURN(const std::string payload, client.ReadPacket(kLoginBytesMax, wait));
  const auto response = ParseHandshakeResponse(payload);
  if (!response.ok()) {
    return Refuse(client, 1043, absl::StrCat("Bad handshake: ", response.status().message()), wait);
  }
  if (IsUnsafeCollation(response->collation)) {
    return Refuse(client, 1115,
                  "big5, cp932, gb18030, gbk and sjis are not supported by this proxy", wait);
  }
  std::string answer = response->auth_response;
  if (response->plugin != kPlugin) {
    SLUICE_RETURN_IF_ERROR(client.WritePacket(BuildAuthSwitch(kPlugin, greeting.nonce), wait));
    SLUICE_RETURN_IF_ERROR(client.Flush(wait));
    SLUICE_ASSIGN_OR_RETURN(answer, client.ReadPacket(kLoginBytesMax, wait));
  }
  if (!users.Verify(response->user, greeting.nonce, answer)) {
    return Refuse(client, 1045,
                  absl::StrCat("Access denied for user '", response->user,
                               "' (using password: ", answer.size() > 1 ? "YES" : "NO", ")"),
                  wait);
  }
  // Extra data, "the fast proof is good".
  SLUICE_RETURN_IF_ERROR(client.WritePacket(absl::string_view("\x01\x03", 2), wait));
  ClientLogin login;
  login.user = response->user;
  login.database = response->database;
  login.capabilities = response->capabilities & kOffered;
  login.collation = response->collation;
  return login;
}

bool IsUnsafeCollation(uint8_t collation) {
  static constexpr std::array<uint8_t, 11> kUnsafe = {1, 84, 13, 88, 28, 87, 95, 96, 248, 249, 250};
  return std::find(kUnsafe.begin(), kUnsafe.end(), collation) != kUnsafe.end();
}

bool IsUnsafeCharset(absl::string_view charset) {
  return charset == "big5" || charset == "cp932" || charset == "gb18030" || charset == "gbk" ||
         charset == "sjis";
}

}  // namespace sluice::proxy
