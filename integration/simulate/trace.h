// Trace: what has happened, as a hash and, where somebody wants to read it, as lines.

#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/string_view.h"
#include "integration/simulate/scheduler.h"

namespace sluice::simulate {

class Trace {
 public:
  using Print = std::function<void(const std::string&)>;

  explicit Trace(const Scheduler& scheduler, Print print = nullptr)
      : scheduler_(scheduler), print_(std::move(print)) {}

  template <typename... Parts>
  void Note(absl::string_view who, absl::string_view what, const Parts&... parts) {
    const std::string rest = absl::StrCat(parts...);
    Mix(static_cast<uint64_t>(scheduler_.now()));
    for (const absl::string_view part : {who, what, absl::string_view(rest)}) {
      for (const char each : part) {
        Mix(static_cast<unsigned char>(each));
      }
    }
    if (print_) {
      print_(absl::StrFormat("%12.6f  %-22s %s%s%s",
                             static_cast<double>(scheduler_.now()) / kSecond, who, what,
                             rest.empty() ? "" : " ", rest));
    }
  }
  [[nodiscard]] uint64_t hash() const { return hash_; }

 private:
  void Mix(uint64_t value) { hash_ = (hash_ ^ value) * 0x100000001B3U; }  // FNV-1a

  const Scheduler& scheduler_;
  const Print print_;
  uint64_t hash_ = 0xCBF29CE484222325U;
};

}  // namespace sluice::simulate
