// Users of the proxy: names with doubly hashed passwords, and the proof of caching_sha2_password.

#pragma once

#include <string>

#include "absl/container/flat_hash_map.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace sluice::proxy {

// SHA256(SHA256(password)), 32 bytes: what the server side keeps.
std::string DoubleHash(absl::string_view password);
// The same as 64 hex digits: the form in the users' file.
std::string StoredPassword(absl::string_view password);

// 20 random bytes, none of them NUL. INTERNAL when the random source fails.
absl::StatusOr<std::string> NewNonce();

// What a client answers to `nonce`: SHA256(p) xor SHA256(SHA256(SHA256(p)) + nonce).
std::string Scramble(absl::string_view password, absl::string_view nonce);

// Immutable, thread-safe.
class UserTable {
 public:
  // Lines "user:hash"; blank lines and those that begin with # are passed over. INVALID_ARGUMENT
  // names the file and line.
  static absl::StatusOr<UserTable> Load(const std::string& path);
  static absl::StatusOr<UserTable> Parse(absl::string_view text, absl::string_view name);

  // Whether `answer` proves that the user's password is known. Takes the same time for an unknown
  // user as for a wrong password.
  [[nodiscard]] bool Verify(absl::string_view user, absl::string_view nonce,
                            absl::string_view answer) const;

 private:
  absl::flat_hash_map<std::string, std::string> hashes_;
};

}  // namespace sluice::proxy
