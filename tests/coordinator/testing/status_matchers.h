// Matchers for absl::Status and absl::StatusOr.

#pragma once

#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "gmock/gmock.h"

namespace sluice::testing {

inline const absl::Status& StatusOf(const absl::Status& status) {
  return status;
}
template <typename T>
const absl::Status& StatusOf(const absl::StatusOr<T>& value) {
  return value.status();
}

MATCHER(IsOk, "is OK") {
  *result_listener << StatusOf(arg).ToString();
  return StatusOf(arg).ok();
}

// EXPECT_THAT(F(), StatusIs(absl::StatusCode::kNotFound, "keyspace x"));
MATCHER_P2(StatusIs, code, part,
           "has code " + absl::StatusCodeToString(code) + " and says '" + std::string(part) + "'") {
  const absl::Status& status = StatusOf(arg);
  *result_listener << status.ToString();
  return status.code() == code &&
         std::string(status.message()).find(std::string(part)) != std::string::npos;
}

}  // namespace sluice::testing
