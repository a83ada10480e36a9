// MarkerName: under which name the marker of a closed gate stands in _sluice.marker.

#include "agent/gate/marker_name.h"

#include "absl/strings/str_cat.h"

namespace sluice::gate {
namespace {

constexpr char kSeparator = '@';

}  // namespace

std::string MarkerName(absl::string_view id, absl::string_view database) {
  return absl::StrCat(id, absl::string_view(&kSeparator, 1), database);
}

std::optional<std::string> MarkerIdFor(absl::string_view name, absl::string_view database) {
  const size_t at = name.find(kSeparator);
  if (at == absl::string_view::npos) {
    return std::string(name);
  }
  if (name.substr(at + 1) != database) {
    return std::nullopt;
  }
  return std::string(name.substr(0, at));
}

}  // namespace sluice::gate
