// Users of the proxy.

#include "proxy/server/auth.h"

#include <openssl/crypto.h>
#include <openssl/rand.h>
#include <openssl/sha.h>

#include <algorithm>
#include <array>
#include <fstream>
#include <sstream>
#include <utility>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "common/base/status_macros.h"

namespace sluice::proxy {
namespace {

constexpr size_t kHashBytes = SHA256_DIGEST_LENGTH;
constexpr size_t kNonceBytes = 20;

std::string Sha256(absl::string_view text) {
  std::array<unsigned char, kHashBytes> digest{};
  // NOLINTNEXTLINE(cppcoreguidelines-pro-type-reinterpret-cast)
  SHA256(reinterpret_cast<const unsigned char*>(text.data()), text.size(), digest.data());
  return std::string(digest.begin(), digest.end());
}

std::string Xor(std::string a, absl::string_view b) {
  for (size_t i = 0; i < a.size() && i < b.size(); ++i) {
    a[i] = static_cast<char>(static_cast<unsigned char>(a[i]) ^ static_cast<unsigned char>(b[i]));
  }
  return a;
}

}  // namespace

std::string DoubleHash(absl::string_view password) {
  return Sha256(Sha256(password));
}

std::string StoredPassword(absl::string_view password) {
  return absl::BytesToHexString(DoubleHash(password));
}

absl::StatusOr<std::string> NewNonce() {
  std::array<unsigned char, kNonceBytes> bytes{};
  if (RAND_bytes(bytes.data(), static_cast<int>(bytes.size())) != 1) {
    return absl::InternalError("no random bytes for the handshake");
  }
  for (unsigned char& byte : bytes) {
    byte = static_cast<unsigned char>(byte % 127U + 1U);
  }
  return std::string(bytes.begin(), bytes.end());
}

std::string Scramble(absl::string_view password, absl::string_view nonce) {
  return Xor(Sha256(password), Sha256(absl::StrCat(DoubleHash(password), nonce)));
}

absl::StatusOr<UserTable> UserTable::Load(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  if (!file) {
    return absl::NotFoundError(absl::StrCat("users file ", path, ": can't be read"));
  }
  std::ostringstream text;
  text << file.rdbuf();
  return Parse(text.str(), path);
}

absl::StatusOr<UserTable> UserTable::Parse(absl::string_view text, absl::string_view name) {
  UserTable table;
  size_t number = 0;
  for (absl::string_view line : absl::StrSplit(text, '\n')) {
    ++number;
    line = absl::StripAsciiWhitespace(line);
    if (line.empty() || line[0] == '#') {
      continue;
    }
    const size_t colon = line.rfind(':');
    const absl::string_view hash = colon == absl::string_view::npos ? "" : line.substr(colon + 1);
    const bool is_hash =
        hash.size() == 2 * kHashBytes && std::all_of(hash.begin(), hash.end(), [](char c) {
          return absl::ascii_isxdigit(static_cast<unsigned char>(c));
        });
    if (!is_hash || colon == 0) {
      return absl::InvalidArgumentError(
          absl::StrCat(name, " line ", number,
                       ": expected user:hash with a hash of 64 hex digits, as `sluice-proxy "
                       "hash-password` prints it"));
    }
    const auto [position, is_new] =
        table.hashes_.emplace(std::string(line.substr(0, colon)), absl::HexStringToBytes(hash));
    if (!is_new) {
      return absl::InvalidArgumentError(
          absl::StrCat(name, " line ", number, ": user '", position->first, "' is there twice"));
    }
  }
  return table;
}

bool UserTable::Verify(absl::string_view user, absl::string_view nonce,
                       absl::string_view answer) const {
  static const std::string kNobody(kHashBytes, '\x5A');
  const auto found = hashes_.find(user);
  const bool known = found != hashes_.end();
  const std::string& stored = known ? found->second : kNobody;
  const bool complete = answer.size() == kHashBytes;
  const std::string padded = complete ? std::string(answer) : std::string(kHashBytes, '\0');
  const std::string once = Xor(padded, Sha256(absl::StrCat(stored, nonce)));
  const std::string twice = Sha256(once);
  const bool equal = CRYPTO_memcmp(twice.data(), stored.data(), kHashBytes) == 0;
  return equal && known && complete;
}

}  // namespace sluice::proxy
