// Messages as text.

#include "common/base/message.h"

#include <algorithm>

#include "absl/strings/ascii.h"

namespace sluice {

std::string WithoutNumbers(absl::string_view message) {
  std::string text(message);
  text.erase(std::remove_if(text.begin(), text.end(),
                            [](unsigned char c) { return absl::ascii_isdigit(c) || c == '.'; }),
             text.end());
  return text;
}

}  // namespace sluice
