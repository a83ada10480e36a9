// Driver: what a cutover under way is to store, to begin and to wait for. Pure: what the time is,
// and what became of an effect or a write, come from outside, so that the coordinator's threads and
// the simulator drive the machine in the same way.

#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "coordinator/cutover/codec.h"
#include "coordinator/cutover/machine.h"

namespace sluice::cutover {

struct DriverOptions {
  // Between two attempts of one effect; doubled from the first to the second.
  absl::Duration retry_min = absl::Milliseconds(20);
  absl::Duration retry_max = absl::Seconds(1);
};

// Its owner tells what happened, then stores while MustSave, then begins what TakeDue gives, and
// looks again at NextWake. Owned by one thread.
class Driver {
 public:
  // `issued`: effects of a cutover whose first state is stored already. None: it was read back by a
  // new coordinator, and the machine finds them.
  Driver(StoredCutover cutover, const std::vector<Effect>& issued, DriverOptions options,
         absl::Time now);

  [[nodiscard]] const StoredCutover& cutover() const { return cutover_; }
  [[nodiscard]] const State& state() const { return cutover_.state; }
  // Greater with every event that the machine was fed.
  [[nodiscard]] uint64_t version() const { return version_; }

  // An outcome of what TakeDue gave, or a person's word.
  void Take(const Event& event, absl::Time now);
  // Of no effect before the deadline, and after the first time.
  void PassDeadline(absl::Time now);

  // Whether the state must be durable before anything else is begun.
  [[nodiscard]] bool MustSave() const;
  // What became of the attempt. NotSaved: true when that made another one necessary.
  void Saved();
  bool NotSaved(absl::string_view why, absl::Time now);
  // A new coordinator would go on with what is being taken back, so nothing is done until the store
  // can be written.
  [[nodiscard]] bool UndoesUnknown() const;

  struct Due {
    std::vector<Effect> effects;   // for EffectsDeadline()
    std::optional<Effect> commit;  // its record is the state after it; after the others
  };
  // What may be begun now; each effect is given once. What is still to be begun when undoing begins
  // never is.
  Due TakeDue(absl::Time now);
  // Up to the commit the end of the time for it, InfiniteFuture afterwards.
  [[nodiscard]] absl::Time EffectsDeadline() const;
  // When there is something to be done if nothing happens before.
  [[nodiscard]] absl::Time NextWake() const;

 private:
  struct Ready {
    Effect effect;
    absl::Time due;
  };

  void Feed(const Event& event, absl::Time now);
  void Queue(const Effect& effect, absl::Time now);
  void StartClock(absl::Time now);
  [[nodiscard]] bool MustWait(const Effect& effect) const;

  const DriverOptions options_;
  StoredCutover cutover_;
  std::vector<Ready> ready_;
  std::vector<Ready> waves_;    // due, but so many of their kind are at work already
  uint32_t early_at_work_ = 0;  // effects on shards before anybody is held
  bool dirty_ = false;          // the stored state is older
  bool stored_undoes_;          // a new coordinator would undo what is stored
  absl::Time deadline_ = absl::InfiniteFuture();
  absl::Time store_again_ = absl::InfiniteFuture();  // what it must know could not be written
  uint64_t version_ = 0;
};

}  // namespace sluice::cutover
