// GateModel: one gate of two tables in its mysqld, as far as the explorer must know it. What a
// request may do and how names change is asked of the agent's own code; the order of the steps is
// that of GateKeeper.

#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

namespace sluice::explore {

inline constexpr uint8_t kTables = 2;
inline constexpr uint8_t kAllTables = (1U << kTables) - 1;

// The durable state.
struct Gate {
  uint8_t open = 0;        // a bit for each table that stands under its name
  uint8_t epoch = 0;       // of the row in _sluice.gate; 0: of an earlier cutover, or none
  uint8_t wants_open = 0;  // what the row wants
  friend bool operator==(const Gate&, const Gate&) = default;
};

struct GateRequest {
  uint8_t epoch = 1;  // 1 up to the commit, 2 behind it and for undoing
  bool open = false;
};

// How far a request gets when its agent or mysqld dies.
enum class GateStop : uint8_t { kNowhere, kBehindIntent, kBehindRename };

struct GateAnswer {
  bool refused = false;
  bool settled = false;  // got as far as the marker and the outcome
};

// Immutable. Asks the agent's code all there is to ask when it is made.
class GateModel {
 public:
  // `obey_any_epoch` is wrong on purpose, to prove that it would be noticed.
  explicit GateModel(bool obey_any_epoch);

  GateAnswer Apply(Gate& gate, GateRequest request, GateStop stop) const;

 private:
  static constexpr size_t kEpochs = 3;
  struct Change {
    bool possible = false;
    bool renames = false;
    uint8_t open = 0;  // afterwards
  };
  static Change Plan(uint8_t open, bool wanted_open);
  static bool Allows(uint8_t row_epoch, bool row_open, GateRequest request);

  // By the names' state and what is wanted.
  std::array<std::array<Change, 2>, kAllTables + 1> changes_;
  // By the row's epoch and wish and the request's.
  std::array<std::array<std::array<std::array<bool, 2>, kEpochs>, 2>, kEpochs> allowed_ = {};
};

}  // namespace sluice::explore
