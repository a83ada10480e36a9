// Depth-first search with a memory of visited nodes.

#include "tests/coordinator/cutover/explorer.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"

namespace sluice::cutover::testing {
namespace {

// Requests that leave the coordinator's process and may come late; the others die with it.
bool Travels(EffectKind kind) {
  switch (kind) {
    case EffectKind::kAskProxies:
    case EffectKind::kAwaitRelease:
    case EffectKind::kHoldRules:
    case EffectKind::kReleaseRules:
    case EffectKind::kRouteRules:
    case EffectKind::kAwaitProxies:
    case EffectKind::kCommit:
      return false;
    default:
      return true;
  }
}

// Late requests of these change nothing in the model.
bool MayComeLate(EffectKind kind) {
  switch (kind) {
    case EffectKind::kCloseGate:
    case EffectKind::kReopenGate:
    case EffectKind::kOpenGate:
    case EffectKind::kStopStream:
    case EffectKind::kRestartStream:
    case EffectKind::kFreezeForward:
    case EffectKind::kPrepareReverse:
    case EffectKind::kStartReverse:
    case EffectKind::kDeleteReverse:
      return true;
    default:
      return false;
  }
}

void AppendState(const State& state, std::string& key) {
  key.push_back(static_cast<char>(state.phase));
  for (const Slot& slot : state.slots) {
    key.push_back(static_cast<char>(slot.effect.kind));
    key.push_back(static_cast<char>(slot.effect.index));
    key.push_back(static_cast<char>(slot.effect.attempt));
    key.push_back(static_cast<char>(slot.progress));
  }
  for (const std::string& position : state.positions) {
    absl::StrAppend(&key, position, ",");
  }
  key.push_back('|');
}

std::string Label(absl::string_view what, const Effect& effect) {
  return absl::StrCat(what, " ", EffectName(effect.kind), "[", effect.index, "]#", effect.attempt);
}

}  // namespace

Explorer::Explorer(ExplorerOptions options) : options_(std::move(options)) {}

ExplorerResult Explorer::Run() {
  Node root;
  root.memory.plan = WritesPlan(options_.shards);
  root.world.shards.resize(options_.shards);
  root.stored = root.memory;
  Feed(root, Event::Begin());
  Visit(root);
  return result_;
}

void Explorer::Feed(Node& node, const Event& event) const {
  Transition transition = options_.step(std::move(node.memory), event);
  node.memory = std::move(transition.state);
  if (node.memory.finished() || MustStore(node.memory, transition.effects)) {
    node.stored = node.memory;
  }
  for (const Effect& effect : transition.effects) {
    Request request = {.effect = effect,
                       .position = {},
                       .orphan = false,
                       .epoch = static_cast<uint8_t>(options_.epoch_of(node.memory, effect.kind))};
    if (effect.kind == EffectKind::kStartReverse) {
      request.position = node.memory.positions.at(effect.index);
    }
    node.requests.push_back(std::move(request));
  }
}

Answer Explorer::Carry(Node& node, const Request& request) const {
  if (request.effect.kind == EffectKind::kCommit) {
    // One record: the outcome, the state after it, and what it makes of the workflows.
    if (node.stored.phase == Phase::kPreparing) {
      node.stored = options_.step(node.memory, Event::Outcome(request.effect, Result::kOk)).state;
    }
    return {};
  }
  return node.world.Execute(request.effect, request.position, request.epoch, options_.weak);
}

void Explorer::Crash(Node& node) {
  ++node.crashes;
  node.memory = node.stored;
  std::vector<Request> late;
  for (Request& request : node.requests) {
    if (MayComeLate(request.effect.kind)) {
      request.orphan = true;
      late.push_back(std::move(request));
    }
  }
  node.requests = std::move(late);
}

std::string Explorer::Key(const Node& node) {
  std::string key;
  AppendState(node.memory, key);
  AppendState(node.stored, key);
  node.world.AppendTo(key);
  std::vector<std::string> requests;
  for (const Request& request : node.requests) {
    requests.push_back(
        absl::StrCat(Label("", request.effect), request.position, request.orphan, request.epoch));
  }
  std::sort(requests.begin(), requests.end());
  for (const std::string& request : requests) {
    absl::StrAppend(&key, request, ";");
  }
  absl::StrAppend(&key, node.faults, "/", node.crashes);
  return key;
}

std::string Explorer::Judge(const Node& node) const {
  if (std::string broken = node.world.BrokenPromise(); !broken.empty()) {
    return broken;
  }
  if (node.memory.finished()) {
    return node.world.WrongAtTheEnd(node.memory.phase);
  }
  const bool waits = std::any_of(node.requests.begin(), node.requests.end(),
                                 [](const Request& request) { return !request.orphan; });
  return waits ? std::string() : "the cutover stands still";
}

void Explorer::Visit(const Node& node) {
  if (!result_.violation.empty() || !seen_.insert(Key(node)).second) {
    return;
  }
  ++result_.states;
  if (std::string wrong = Judge(node); !wrong.empty()) {
    result_.violation = std::move(wrong);
    result_.trace = path_;
    return;
  }
  if (node.memory.finished()) {
    ++(node.memory.phase == Phase::kDone ? result_.done : result_.rolled_back);
  }
  for (size_t i = 0; i < node.requests.size(); ++i) {
    Expand(node, i);
  }
  if (node.memory.finished() || node.faults >= options_.faults_max) {
    return;
  }
  if (node.memory.phase == Phase::kPreparing) {
    Node next = node;
    ++next.faults;
    Feed(next, Event::Deadline());
    Follow(std::move(next), "deadline");
  }
  if (node.crashes < options_.crashes_max) {
    Node next = node;
    ++next.faults;
    Crash(next);
    Feed(next, Event::Recovered());
    Follow(std::move(next), "crash");
  }
}

void Explorer::Follow(Node next, std::string action) {
  path_.push_back(std::move(action));
  Visit(next);
  path_.pop_back();
}

bool Explorer::IsAsked(const Node& node, const Effect& effect) {
  return std::any_of(node.requests.begin(), node.requests.end(), [&](const Request& request) {
    return !request.orphan && request.effect.kind == effect.kind &&
           request.effect.index == effect.index;
  });
}

// All that can become of one request.
void Explorer::Expand(const Node& node, size_t request) {
  const Request chosen = node.requests.at(request);
  Node base = node;
  base.requests.erase(base.requests.begin() + static_cast<std::ptrdiff_t>(request));

  Node carried = base;
  const Answer answer = Carry(carried, chosen);
  if (chosen.orphan) {
    Follow(std::move(carried), Label("late", chosen.effect));
    return;
  }
  Node answered = carried;
  // What waits goes on waiting as long as anything else can happen.
  const bool others =
      std::any_of(base.requests.begin(), base.requests.end(), [&](const Request& r) {
        World world = node.world;
        return !r.orphan && (r.effect.kind == EffectKind::kCommit ||
                             !world.Execute(r.effect, r.position, r.epoch, options_.weak).waits);
      });
  if (answer.waits && others) {
    return Fail(node, base, chosen);
  }
  // A wait that ends without success is a fault only where the world had a choice.
  Feed(answered, Event::Outcome(chosen.effect, answer.result, "as the world says", answer.value));
  if (answer.result == Result::kOk || node.faults < options_.faults_max) {
    if (answer.result != Result::kOk) {
      ++answered.faults;
    }
    Follow(std::move(answered), Label("carried out", chosen.effect));
  } else if (node.memory.phase == Phase::kPreparing) {
    // Out of faults: the deadline ends what cannot succeed.
    Feed(answered, Event::Deadline());
    Follow(std::move(answered), Label("deadline after", chosen.effect));
  } else if (!others && IsAsked(answered, chosen.effect)) {
    result_.violation = absl::StrCat("nothing else is under way, and refused for ever is ",
                                     Label("", chosen.effect));
    result_.trace = path_;
  }
  if (node.faults < options_.faults_max) {
    Node lost = carried;
    ++lost.faults;
    Feed(lost, Event::Outcome(chosen.effect, Result::kUnknown, "answer lost"));
    Follow(std::move(lost), Label("answer lost", chosen.effect));
  }
  Fail(node, base, chosen);
}

// What else can become of a request that is not carried out now. `base` is `node` without it.
void Explorer::Fail(const Node& node, const Node& base, const Request& chosen) {
  if (node.faults >= options_.faults_max) {
    return;
  }
  if (Travels(chosen.effect.kind)) {
    Node late = base;
    ++late.faults;
    if (MayComeLate(chosen.effect.kind)) {
      late.requests.push_back(chosen);
      late.requests.back().orphan = true;
    }
    Feed(late, Event::Outcome(chosen.effect, Result::kUnknown, "request late"));
    Follow(std::move(late), Label("request late", chosen.effect));
  }
  for (const Result refusal : {Result::kFailed, Result::kRetry}) {
    Node refused = base;
    ++refused.faults;
    Feed(refused, Event::Outcome(chosen.effect, refusal, "refused"));
    Follow(std::move(refused), Label("refused", chosen.effect));
  }
}

}  // namespace sluice::cutover::testing
