// Spelling: when two names are the same, and which name was probably meant. Pure.

#pragma once

#include <string>
#include <vector>

#include "absl/strings/string_view.h"

namespace sluice::cli {

// Lower case, without '-' and '_': "Switch-Traffic" and "switch_traffic" become "switchtraffic".
std::string Normalize(absl::string_view name);

// Typing mistakes between two words: letters missing, added, changed, or two neighbours swapped.
size_t Mistakes(absl::string_view a, absl::string_view b);

// The candidate that `word` is most probably meant to be; empty when none is near.
std::string Nearest(absl::string_view word, const std::vector<std::string>& candidates);

}  // namespace sluice::cli
