// Diagnosis: what of an observed workflow fits together, and what does not. Pure.

#pragma once

#include <string>
#include <vector>

#include "coordinator/traffic/observation.h"

namespace sluice::traffic {

enum class Verdict {
  kAgrees,
  kDisagrees,
  kUnreachable,  // nobody knows
  kBusy,         // a command is at work on it, so it may be anything
};
std::string VerdictName(Verdict verdict);  // "agrees", …

struct Finding {
  std::string place;     // "store", "commerce/0 (zone1-100)", "proxy p1", …
  std::string about;     // "gate", "stream 5", …
  std::string state;     // in words
  std::string expected;  // in words; empty where the state says all
  Verdict verdict = Verdict::kAgrees;
  friend bool operator==(const Finding&, const Finding&) = default;
};

// The store's record decides which side serves: it changes in the commit of a cutover, and nothing
// is opened before that. All else is held against it.
std::vector<Finding> Diagnose(const Observation& seen);
bool Consistent(const std::vector<Finding>& findings);

}  // namespace sluice::traffic
