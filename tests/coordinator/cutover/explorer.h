// Explorer: every interleaving of a cutover with lost answers, late requests, refusals, time-outs
// and crashes of the coordinator, against the World.

#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "absl/container/flat_hash_set.h"
#include "coordinator/cutover/machine.h"
#include "tests/coordinator/cutover/world.h"

namespace sluice::cutover::testing {

struct ExplorerOptions {
  uint32_t shards = 1;
  int faults_max = 2;  // of any kind, crashes included
  int crashes_max = 2;
  Weaknesses weak = {};
  // The machine; a test may put a broken one here.
  std::function<Transition(State, const Event&)> step = Step;
  std::function<uint64_t(const State&, EffectKind)> epoch_of = EpochOf;
};

struct ExplorerResult {
  uint64_t states = 0;
  uint64_t done = 0;
  uint64_t rolled_back = 0;
  std::string violation;           // empty: none
  std::vector<std::string> trace;  // how it came to it
};

class Explorer {
 public:
  explicit Explorer(ExplorerOptions options);
  ExplorerResult Run();

 private:
  // A request on its way. An orphan has nobody who waits for its answer.
  struct Request {
    Effect effect;
    std::string position;
    bool orphan = false;
    uint8_t epoch = 0;
  };
  struct Node {
    State memory;
    State stored;
    World world;
    std::vector<Request> requests;
    int faults = 0;
    int crashes = 0;
  };

  void Visit(const Node& node);
  void Expand(const Node& node, size_t request);
  void Fail(const Node& node, const Node& base, const Request& chosen);
  void Follow(Node next, std::string action);
  void Feed(Node& node, const Event& event) const;
  Answer Carry(Node& node, const Request& request) const;
  static void Crash(Node& node);
  // Whether an effect waits to be carried out.
  static bool IsAsked(const Node& node, const Effect& effect);
  static std::string Key(const Node& node);
  [[nodiscard]] std::string Judge(const Node& node) const;

  const ExplorerOptions options_;
  ExplorerResult result_;
  absl::flat_hash_set<std::string> seen_;
  std::vector<std::string> path_;
};

}  // namespace sluice::cutover::testing
