// ShapeGuess: the last shape, as long as shapes stay.

#include "agent/source/shape_guess.h"

#include <utility>

#include "common/binlog/json_literal.h"

namespace sluice::source {
namespace {

constexpr uint32_t kChangesMax = 8;

}  // namespace

void ShapeGuess::Learn(absl::string_view selected) {
  std::optional<binlog::JsonShape> seen =
      binlog::IsPlainJsonText(selected) ? binlog::ShapeOf(selected) : std::nullopt;
  ++learned_;
  changed_ += seen == last_ ? 0U : 1U;
  last_ = std::move(seen);
}

const std::optional<binlog::JsonShape>& ShapeGuess::shape() const {
  static const std::optional<binlog::JsonShape> kNone;
  // Where every other chunk is of another shape, to ask for one is in vain.
  const bool restless = changed_ > kChangesMax && changed_ > learned_ / 2;
  return restless ? kNone : last_;
}

}  // namespace sluice::source
