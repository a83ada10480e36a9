// Normal form and edit distance of names.

#include "coordinator/cli/spelling.h"

#include <algorithm>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"

namespace sluice::cli {

std::string Normalize(absl::string_view name) {
  std::string normal;
  for (const char c : name) {
    if (c != '-' && c != '_') {
      normal.push_back(absl::ascii_tolower(static_cast<unsigned char>(c)));
    }
  }
  return normal;
}

size_t Mistakes(absl::string_view a, absl::string_view b) {
  // Three rows of the matrix: a swap looks two rows back.
  std::vector<size_t> before(b.size() + 1);
  std::vector<size_t> above(b.size() + 1);
  std::vector<size_t> row(b.size() + 1);
  for (size_t j = 0; j <= b.size(); ++j) {
    row[j] = j;
  }
  for (size_t i = 1; i <= a.size(); ++i) {
    std::swap(before, above);
    std::swap(above, row);
    row[0] = i;
    for (size_t j = 1; j <= b.size(); ++j) {
      const size_t changed = above[j - 1] + (a[i - 1] == b[j - 1] ? 0 : 1);
      row[j] = std::min({above[j] + 1, row[j - 1] + 1, changed});
      if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1]) {
        row[j] = std::min(row[j], before[j - 2] + 1);
      }
    }
  }
  return row[b.size()];
}

std::string Nearest(absl::string_view word, const std::vector<std::string>& candidates) {
  const std::string normal = Normalize(word).substr(0, 64);
  std::string nearest;
  size_t fewest = std::max<size_t>(1, (normal.size() + 1) / 3) + 1;
  for (const std::string& candidate : candidates) {
    const std::string other = Normalize(candidate);
    size_t mistakes = Mistakes(normal, other);
    // A beginning of at least three letters counts as one mistake.
    if (normal.size() >= 3 && absl::StartsWith(other, normal)) {
      mistakes = std::min<size_t>(mistakes, 1);
    }
    if (mistakes < fewest) {
      fewest = mistakes;
      nearest = candidate;
    }
  }
  return nearest;
}

}  // namespace sluice::cli
