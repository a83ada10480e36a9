// Boundaries: the named places of cutovers and teardowns at which the kill loop strikes, and the
// command that leads to each. Pure.

#pragma once

#include <string>
#include <vector>

namespace sluice::killloop {

// Whose process has the place. From: the side that serves before a switch, and the source of a
// workflow that is taken down. To: the other one.
enum class Owner { kCoordinator, kFromAgent, kToAgent };

// How a cutover's gates close: table by table, or as whole mysqlds.
enum class Gate { kTables, kServer };
const char* GateName(Gate gate);  // as --gate says it

enum class Story {
  kSwitch,       // all traffic, with counters
  kHeld,         // the same, prepared, held and released
  kUndone,       // writes: the marker can't be applied, so the fence is taken back at the time-out
  kReadsUndone,  // reads: the other side can't be made readable
  kReadsLast,    // reads leave a side that writes have left before
  kComplete,
  kCancel,
};

struct Boundary {
  std::string point;
  Owner owner = Owner::kCoordinator;
  Story story = Story::kSwitch;
  int nth = 1;  // the how-manieth time that it is reached

  // "cutover.commit.intent" or, where it is reached several times or by an agent,
  // "gate.after_rename:2@to-agent".
  [[nodiscard]] std::string Name() const;
};

// Every effect of the cutover's machine with its intent and its outcome, every step of complete and
// cancel, and what agents do on behalf of them with gates of that kind.
std::vector<Boundary> Boundaries(Gate gate);

}  // namespace sluice::killloop
