// Crash point names, made once from the names of the effects.

#include "coordinator/cutover/crash_points.h"

#include <array>

#include "absl/strings/str_cat.h"

namespace sluice::cutover {
namespace {

using Names = std::array<std::array<std::string, 2>, kEffectKinds>;

const Names& AllNames() {
  static const auto* names = [] {
    auto* made = new Names;  // never destroyed: threads may still pass crash points at exit
    for (uint16_t kind = 0; kind < kEffectKinds; ++kind) {
      const absl::string_view effect = EffectName(static_cast<EffectKind>(kind));
      made->at(kind) = {absl::StrCat("cutover.", effect, ".intent"),
                        absl::StrCat("cutover.", effect, ".done")};
    }
    return made;
  }();
  return *names;
}

}  // namespace

const char* CrashPointName(EffectKind kind, Boundary boundary) {
  return AllNames().at(static_cast<size_t>(kind)).at(boundary == Boundary::kIntent ? 0 : 1).c_str();
}

std::vector<std::string> CutoverCrashPoints() {
  std::vector<std::string> points;
  for (const auto& pair : AllNames()) {
    points.insert(points.end(), pair.begin(), pair.end());
  }
  return points;
}

std::vector<std::string> TeardownCrashPoints() {
  return {"complete.begin",
          "complete.delete_reverse",
          "complete.drop_tables",
          "complete.remove_rules",
          "complete.delete_forward",
          "complete.release_gates",
          "complete.forget",
          "cancel.begin",
          "cancel.delete_streams",
          "cancel.drop_tables",
          "cancel.remove_rules",
          "cancel.release_gates",
          "cancel.forget"};
}

}  // namespace sluice::cutover
