// Dice: the random numbers that a run of the crash loop decides by, the same for the same seed.

#pragma once

#include <cstdint>
#include <random>
#include <vector>

namespace sluice::crashloop {

// Owned by one thread. Numbers do not depend on the library's distributions.
class Dice {
 public:
  // `purpose` keeps the dice of one seed apart.
  Dice(uint64_t seed, uint64_t purpose) : engine_(seed * 0x9E3779B97F4A7C15ULL + purpose) {}

  // 0 … sides - 1
  uint64_t Roll(uint64_t sides) { return engine_() % sides; }
  // first … last
  int64_t Between(int64_t first, int64_t last) {
    return first + static_cast<int64_t>(Roll(static_cast<uint64_t>(last - first + 1)));
  }
  bool OneIn(uint64_t sides) { return Roll(sides) == 0; }
  template <typename T>
  const T& Pick(const std::vector<T>& of) {
    return of[Roll(of.size())];
  }

 private:
  std::mt19937_64 engine_;
};

}  // namespace sluice::crashloop
