// Oracle: what the database must hold after a run, given which writes were acknowledged. Pure.

#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"

namespace sluice::workload {

// Judges one writer's rows. Every row belongs to one writer, which has at most one write under way,
// so the only doubt is about a write whose answer was lost: it may have happened or not.
//
// Thread-compatible.
class Oracle {
 public:
  // The writer is about to make row `key` have `value` (absent: delete it).
  void BeginPut(uint64_t key, const std::string& value);
  void BeginDelete(uint64_t key);
  // Adds one to the counter row `key`.
  void BeginIncrement(uint64_t key);

  // How the write that began ended. Refused: the server said that nothing was done.
  void Acknowledged();
  void Unknown();
  void Refused();

  struct Verdict {
    uint64_t lost = 0;        // an acknowledged write that is not there
    uint64_t duplicated = 0;  // a row, value or increment that nobody may have written (any more)
    std::vector<std::string> findings;  // the first few, in words
  };
  // `found`: all rows of this writer in the database. Counters are rows whose value is a number.
  [[nodiscard]] Verdict Judge(const std::map<uint64_t, std::string>& found) const;

  // True when `value`, read by the writer itself from the primary, is what it may be now.
  [[nodiscard]] bool MayRead(uint64_t key, const std::string* value) const;

  [[nodiscard]] uint64_t acknowledged() const { return acknowledged_; }
  [[nodiscard]] uint64_t unknown() const { return unknown_; }
  // A row exists for certain and can be changed.
  [[nodiscard]] bool Exists(uint64_t key) const;

 private:
  static constexpr char kAbsent[] = "\x01 absent";
  struct RowState {
    std::vector<std::string> may_be;  // kAbsent for no row; more than one after an unknown outcome
    uint64_t increments_acknowledged = 0;
    uint64_t increments_unknown = 0;
    bool counter = false;
  };
  enum class Kind { kNone, kPut, kIncrement };

  std::map<uint64_t, RowState> rows_;
  Kind pending_kind_ = Kind::kNone;
  uint64_t pending_key_ = 0;
  std::string pending_value_;
  uint64_t acknowledged_ = 0;
  uint64_t unknown_ = 0;
};

}  // namespace sluice::workload
