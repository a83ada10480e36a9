// Reading of documents whose optional fields may be missing or of another type. Pure.

#pragma once

#include <nlohmann/json_fwd.hpp>

#include <cstdint>
#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace sluice::cli {

using Json = nlohmann::ordered_json;

// DATA_LOSS when it is no JSON.
absl::StatusOr<Json> ParseJson(absl::string_view text);

// The member, or a null value where the value is no object or has no such member.
const Json& Member(const Json& value, absl::string_view key);

// The member as text: strings as they are, other scalars as in JSON, nothing for null.
std::string TextOf(const Json& value, absl::string_view key);
std::string AsText(const Json& value);
// The member as a number, also from text; `fallback` where it is none.
int64_t IntOf(const Json& value, absl::string_view key, int64_t fallback = 0);
double NumberOf(const Json& value, absl::string_view key, double fallback = 0);
bool BoolOf(const Json& value, absl::string_view key);

// The values of a member that is a list (or an object), joined; a scalar as it is.
std::string JoinOf(const Json& value, absl::string_view key, absl::string_view separator);

}  // namespace sluice::cli
