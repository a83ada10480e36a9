// Search: breadth-first over all states that a model reaches with a bounded number of faults, and
// from each of them the way to an end.

#pragma once

#include <cstdint>
#include <deque>
#include <string>
#include <utility>
#include <vector>

namespace sluice::explore {

struct SearchOptions {
  uint32_t faults_max = 1;
  uint64_t states_max = 2'000'000'000;
};

struct SearchResult {
  uint64_t states = 0;
  uint64_t transitions = 0;
  uint64_t ends = 0;
  std::vector<uint64_t> states_by_faults;  // first reached with so many faults
  std::string violation;                   // empty: none
  std::vector<std::string> trace;          // how it came to it, in words
};

// One way out of a state. Its node is in canonical form; `exchanged`: its two like parts (shards,
// proxies) changed places on the way there, which only matters to whoever tells the story.
template <typename Node>
struct Edge {
  uint32_t action = 0;  // the model's own code
  bool exchanged = false;
  Node node;
};

// Open addressing over nodes that live elsewhere. A slot is the upper half of a hash beside the
// node's number plus one.
class NodeIndex {
 public:
  static constexpr uint32_t kNone = 0xFFFFFFFFU;

  // The number of the node for which `same(number)`, or kNone after noting `number` for it.
  template <typename Same, typename HashOfNumber>
  uint32_t FindOrAdd(uint64_t hash, uint32_t number, Same same, HashOfNumber hash_of) {
    if ((count_ + 1) * 5 > slots_.size() * 3) {
      Grow(hash_of);
    }
    const uint64_t tag = hash & kTagMask;
    for (uint64_t place = hash & mask();; place = (place + 1) & mask()) {
      uint64_t& slot = slots_[place];
      if (slot == 0) {
        slot = tag | (uint64_t{number} + 1);
        ++count_;
        return kNone;
      }
      const auto found = static_cast<uint32_t>((slot & ~kTagMask) - 1);
      if ((slot & kTagMask) == tag && same(found)) {
        return found;
      }
    }
  }

 private:
  static constexpr uint64_t kTagMask = 0xFFFFFFFF00000000U;

  [[nodiscard]] uint64_t mask() const { return slots_.size() - 1; }

  template <typename HashOfNumber>
  void Grow(HashOfNumber hash_of) {
    const std::vector<uint64_t> old =
        std::exchange(slots_, std::vector<uint64_t>(slots_.empty() ? 1024 : slots_.size() * 2));
    for (const uint64_t slot : old) {
      if (slot == 0) {
        continue;
      }
      uint64_t place = hash_of(static_cast<uint32_t>((slot & ~kTagMask) - 1)) & mask();
      while (slots_[place] != 0) {
        place = (place + 1) & mask();
      }
      slots_[place] = slot;
    }
  }

  std::vector<uint64_t> slots_;
  uint64_t count_ = 0;
};

// A Model has:
//   using Node: a value with == and Hash(), always in canonical form.
//   Node Root();
//   int Free(const Node&, std::vector<Edge<Node>>&): all that can happen without a fault; returns
//     which of the edges leads towards an end when faults have stopped, or -1 when none does.
//   void Faults(const Node&, std::vector<Edge<Node>>&): all single faults that can happen now.
//   bool Ended(const Node&); std::string Judge(const Node&): the broken promise, or empty.
//   std::string Describe(const Node& from, uint32_t action, bool exchanged): for people.
//
// States are visited by layers: all that are reached without a fault, then those that one fault
// more leads to, and so on. So each state is visited with the fewest faults that lead to it, which
// leave the most for what follows, and the number of faults is no part of the state.
template <typename Model>
class Search {
 public:
  using Node = typename Model::Node;

  Search(Model& model, SearchOptions options) : model_(model), options_(options) {}

  SearchResult Run() {
    Add(model_.Root(), kNone, 0);
    for (size_t layer = 0;;) {
      while (good() && visited_ < nodes_.size()) {
        Visit(static_cast<uint32_t>(visited_++));
      }
      result_.states_by_faults.push_back(nodes_.size() - layer);
      if (!good() || result_.states_by_faults.size() > options_.faults_max) {
        break;
      }
      const size_t end = nodes_.size();
      for (; good() && layer < end; ++layer) {
        edges_.clear();
        model_.Faults(nodes_[layer], edges_);
        Follow(static_cast<uint32_t>(layer));
      }
      if (nodes_.size() == end) {
        break;  // one more fault leads nowhere new
      }
    }
    if (good()) {
      CheckEveryStateEnds();
    }
    result_.states = nodes_.size();
    return std::move(result_);
  }

  // The way to the state that is being visited, for whoever must end in the middle of it.
  [[nodiscard]] std::vector<std::string> TraceToHere() { return TraceTo(here_); }

 private:
  static constexpr uint32_t kNone = NodeIndex::kNone;
  static constexpr uint32_t kEnd = kNone - 1;

  [[nodiscard]] bool good() const { return result_.violation.empty(); }

  uint32_t Add(const Node& node, uint32_t parent, uint32_t action) {
    const auto number = static_cast<uint32_t>(nodes_.size());
    const uint32_t found = index_.FindOrAdd(
        node.Hash(), number, [&](uint32_t other) { return nodes_[other] == node; },
        [&](uint32_t other) { return nodes_[other].Hash(); });
    if (found != kNone) {
      return found;
    }
    nodes_.push_back(node);
    from_.push_back({parent, action});
    progress_.push_back(kNone);
    if (nodes_.size() >= options_.states_max) {
      Break("more states than allowed; nothing is proven", number);
    }
    return number;
  }

  void Visit(uint32_t number) {
    here_ = number;
    const Node node = nodes_[number];
    if (std::string wrong = model_.Judge(node); !wrong.empty()) {
      return Break(std::move(wrong), number);
    }
    edges_.clear();
    const int progress = model_.Free(node, edges_);
    if (model_.Ended(node)) {
      ++result_.ends;
      progress_[number] = kEnd;
    } else if (progress < 0) {
      return Break("stands still: nothing more happens by itself", number);
    }
    const std::vector<uint32_t> numbers = Follow(number);
    if (progress_[number] == kNone) {
      progress_[number] = numbers[static_cast<size_t>(progress)];
    }
  }

  std::vector<uint32_t> Follow(uint32_t number) {
    here_ = number;
    std::vector<uint32_t> numbers;
    numbers.reserve(edges_.size());
    for (const Edge<Node>& edge : edges_) {
      numbers.push_back(Add(edge.node, number, edge.action));
    }
    result_.transitions += edges_.size();
    return numbers;
  }

  // Following the model's choice leads from every state to an end, never in a circle. So an end can
  // be reached from each without a fault, and in a finite graph every fair run then reaches one.
  void CheckEveryStateEnds() {
    std::vector<bool> ends(nodes_.size());
    std::vector<bool> on_path(nodes_.size());
    std::vector<uint32_t> path;
    for (uint32_t start = 0; start < nodes_.size(); ++start) {
      path.clear();
      uint32_t at = start;
      while (at != kEnd && !ends[at]) {
        if (on_path[at]) {
          return Break("goes round in circles, though no fault happens any more", at);
        }
        on_path[at] = true;
        path.push_back(at);
        at = progress_[at];
      }
      for (const uint32_t each : path) {
        ends[each] = true;
      }
    }
  }

  void Break(std::string violation, uint32_t number) {
    if (good()) {
      result_.violation = std::move(violation);
      result_.trace = TraceTo(number);
    }
  }

  std::vector<std::string> TraceTo(uint32_t number) {
    std::vector<uint32_t> path;
    for (uint32_t at = number; at != kNone; at = from_[at].node) {
      path.push_back(at);
    }
    std::vector<std::string> trace;
    bool exchanged = false;
    for (size_t i = path.size(); i-- > 1;) {
      const Node from = nodes_[path[i]];
      const uint32_t action = from_[path[i - 1]].action;
      trace.push_back(model_.Describe(from, action, exchanged));
      exchanged = exchanged != Exchanges(from, action, nodes_[path[i - 1]]);
    }
    return trace;
  }

  // Whether the edge between the two exchanges their like parts.
  bool Exchanges(const Node& from, uint32_t action, const Node& to) {
    std::vector<Edge<Node>> edges;
    for (const bool faults : {false, true}) {
      faults ? model_.Faults(from, edges) : static_cast<void>(model_.Free(from, edges));
      for (const Edge<Node>& edge : edges) {
        if (edge.action == action && edge.node == to) {
          return edge.exchanged;
        }
      }
    }
    return false;
  }

  struct Origin {
    uint32_t node;
    uint32_t action;
  };

  Model& model_;
  const SearchOptions options_;
  SearchResult result_;
  NodeIndex index_;
  std::deque<Node> nodes_;  // never moved, so that memory does not double while it grows
  std::deque<Origin> from_;
  std::deque<uint32_t> progress_;
  size_t visited_ = 0;
  uint32_t here_ = 0;
  std::vector<Edge<Node>> edges_;
};

}  // namespace sluice::explore
