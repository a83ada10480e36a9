// SLUICE_CHECK: assertions of invariants, on in every build. Never for input from outside.

#pragma once

#include "absl/status/status.h"

namespace sluice::internal {

// Writes "file:line: check failed: <text>" to stderr and aborts.
[[noreturn]] void CheckFailed(const char* file, int line, const char* expression);
[[noreturn]] void CheckFailed(const char* file, int line, const char* expression,
                              const absl::Status& status);

}  // namespace sluice::internal

#define SLUICE_CHECK(condition)                                        \
  do {                                                                 \
    if (!(condition)) [[unlikely]] {                                   \
      ::sluice::internal::CheckFailed(__FILE__, __LINE__, #condition); \
    }                                                                  \
  } while (false)

#define SLUICE_CHECK_OK(expr)                                                          \
  do {                                                                                 \
    if (const absl::Status sluice_check_ = (expr); !sluice_check_.ok()) [[unlikely]] { \
      ::sluice::internal::CheckFailed(__FILE__, __LINE__, #expr, sluice_check_);       \
    }                                                                                  \
  } while (false)
