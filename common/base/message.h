// What error messages have in common.

#pragma once

#include <string>

#include "absl/strings/string_view.h"

namespace sluice {

// Without digits and the points between them: "not heard for 4.25s" and "not heard for 17s" are the
// same to a reader.
std::string WithoutNumbers(absl::string_view message);

}  // namespace sluice
