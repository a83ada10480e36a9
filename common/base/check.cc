// The failure side of SLUICE_CHECK.

#include "common/base/check.h"

#include <cstdio>
#include <cstdlib>
#include <string>

namespace sluice::internal {

void CheckFailed(const char* file, int line, const char* expression) {
  (void)std::fprintf(stderr, "%s:%d: check failed: %s\n", file, line, expression);
  std::abort();
}

void CheckFailed(const char* file, int line, const char* expression, const absl::Status& status) {
  (void)std::fprintf(stderr, "%s:%d: check failed: %s is %s\n", file, line, expression,
                     status.ToString().c_str());
  std::abort();
}

}  // namespace sluice::internal
