// EventJoiner: runs of binlog bytes in, whole events out, though an event may go on in the next
// runs. Pure.

#pragma once

#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace sluice::source {

// Owned by one thread.
class EventJoiner {
 public:
  struct Event {
    absl::string_view bytes;                    // empty: the run is used up
    std::shared_ptr<const std::string> buffer;  // that it lies in
  };

  // Adds a run when the last one is used up. Events that lie in it as a whole are not copied.
  void Add(std::shared_ptr<const std::string> run);

  // The next event. INVALID_ARGUMENT when its header is malformed, or says that it is larger than
  // mysqld makes one.
  absl::StatusOr<Event> Next();

  // The size of the event whose rest has not come yet; 0 when none is waited for, or when not even
  // its header is there.
  [[nodiscard]] size_t waited_for() const { return wanted_; }

 private:
  absl::Status Begin(absl::string_view part);

  std::shared_ptr<const std::string> run_;
  size_t used_ = 0;      // of run_
  std::string partial_;  // the beginning of an event that goes on in the next run
  size_t wanted_ = 0;    // its size, when its header is there
};

}  // namespace sluice::source
