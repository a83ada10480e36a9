// JsonValue: MySQL's binary JSON, read in place (grammar: sql-common/json_binary.h).

#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace sluice::binlog {

// Limits of one walk over a document. A document cannot hold more values or string bytes than it
// has bytes, unless its offsets overlap; the walk of such a forgery ends here instead of growing
// without end.
struct JsonBudget {
  explicit JsonBudget(size_t document_bytes) : left(2 * document_bytes + 1) {}
  // False when more is spent than there is.
  bool Spend(size_t bytes) {
    if (bytes > left) {
      left = 0;
      return false;
    }
    left -= bytes;
    return true;
  }
  size_t left;
};

// A value inside a document; views point into its bytes.
struct JsonValue {
  enum class Kind : uint8_t {
    kObject,
    kArray,
    kNull,
    kTrue,
    kFalse,
    kInt,
    kUint,
    kDouble,
    kString,
    kOpaque,
  };
  Kind kind = Kind::kNull;
  bool large = false;       // object, array: offsets of 4 bytes
  uint8_t opaque_type = 0;  // enum_field_types
  int64_t integer = 0;      // kInt; kUint as its bits
  double floating = 0;
  absl::string_view bytes;  // string, opaque: the data; object, array: the whole container
};

inline constexpr int kJsonDepthMax = 100;  // the server's limit

// The document's root. Empty bytes, which old servers stored in places, mean null.
absl::StatusOr<JsonValue> ParseJson(absl::string_view document);

// Calls `each` with the key (empty for arrays) and value of every member of a container, in order.
// INVALID_ARGUMENT when the bytes are no container, or the budget is spent.
absl::Status ForEachMember(
    const JsonValue& container, JsonBudget& budget,
    absl::FunctionRef<absl::Status(absl::string_view key, const JsonValue& value)> each);

}  // namespace sluice::binlog
