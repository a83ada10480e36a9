// Exact: bytes in a block of memory of just their size, so that a sanitizer sees a read past them.

#pragma once

#include <vector>

#include "absl/strings/string_view.h"

namespace sluice::fuzz {

class Exact {
 public:
  explicit Exact(absl::string_view bytes) : bytes_(bytes.begin(), bytes.end()) {}

  [[nodiscard]] absl::string_view view() const { return {bytes_.data(), bytes_.size()}; }

 private:
  const std::vector<char> bytes_;
};

// Whether a view lies inside of bytes, or is empty.
inline bool Inside(absl::string_view view, absl::string_view bytes) {
  return view.empty() ||
         (view.data() >= bytes.data() && view.data() + view.size() <= bytes.data() + bytes.size());
}

}  // namespace sluice::fuzz
