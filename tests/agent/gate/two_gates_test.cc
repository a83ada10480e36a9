// Two gates that close the same server: every interleaving of two requests with a few changes of
// turn, and every way of breaking them off, against a model of the database.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "agent/gate/gate_machine.h"
#include "tests/agent/gate/gate_model.h"

namespace sluice::gate {
namespace {

using ::testing::IsEmpty;

constexpr std::array kFaults = {Fault::kCrashBefore, Fault::kCrashAfter, Fault::kLostBefore,
                                Fault::kLostAfter,   Fault::kRefused,    Fault::kNoLocks};

GateModel ModelOf(bool closed) {
  GateModel model;
  model.tables = {"a"};
  TableNames names;
  names.table = "a";
  names.name = Object::kTable;
  model.schema = SchemaModel({names});
  model.row = GateRow{.state = closed ? "readable" : "open",
                      .wanted = closed ? "closed" : "open",
                      .epoch = kStartEpoch,
                      .connection_id = 0,
                      .tables = model.tables,
                      .kind = closed ? GateKind::kServer : GateKind::kTables};
  return model;
}

GateChange To(size_t gate, State wanted, uint64_t epoch) {
  GateChange change;
  change.id = {.workflow = "k.w", .database = absl::StrCat("d", gate)};
  change.tables = {"a"};
  change.wanted = wanted;
  change.epoch = epoch;
  change.kind = GateKind::kServer;
  if (wanted == State::kOpen) {
    change.cutover_id = absl::StrCat("c", epoch);
    change.journal = "{}";
  } else {
    change.marker_id = absl::StrCat("m", epoch);
  }
  return change;
}

// One request under way, or what has become of it.
struct Request {
  GateChange change;
  GateTransition now;
  size_t effects = 0;
  bool crashed = false;
  [[nodiscard]] bool over() const { return crashed || !now.effect.has_value(); }
  [[nodiscard]] bool done() const { return over() && now.state.phase == GatePhase::kDone; }
};

// One server, two gates, a request for each. A value.
struct World {
  std::array<GateModel, 2> gates;
  std::array<Request, 2> requests;
  std::vector<std::string> broken;

  World(bool first_closed, bool second_closed)
      : gates{ModelOf(first_closed), ModelOf(second_closed)} {
    for (GateModel& gate : gates) {
      gate.read_only = gate.read_only_persisted = first_closed || second_closed;
    }
    gates[0].sibling = gates[1].row;
    gates[1].sibling = gates[0].row;
  }

  void Begin(size_t which, const GateChange& change) {
    gates.at(which).holds_server = false;  // the session of an earlier request is ended
    requests.at(which) = {.change = change, .now = sluice::gate::Begin(change)};
  }

  [[nodiscard]] bool Waits(size_t which) const {
    return requests.at(which).now.effect->kind == GateEffectKind::kLockServer &&
           gates.at(1 - which).holds_server;
  }

  // The next effect of a request that is not over and does not wait.
  void Advance(size_t which, Fault fault) {
    GateModel& gate = gates.at(which);
    Request& request = requests.at(which);
    const GateEvent event = gate.Answer(request.change, *request.now.effect, fault);
    ++request.effects;
    if (fault == Fault::kCrashBefore || fault == Fault::kCrashAfter) {
      request.crashed = true;
    } else {
      request.now = Step(std::move(request.now.state), event);
    }
    if (request.over()) {
      gate.holds_server = false;
    }
    GateModel& other = gates.at(1 - which);
    other.read_only = gate.read_only;
    other.read_only_persisted = gate.read_only_persisted;
    other.sibling = gate.row;
    Judge();
  }

  // What holds at every moment.
  void Judge() {
    for (GateModel& gate : gates) {
      broken.insert(broken.end(), gate.broken.begin(), gate.broken.end());
      gate.broken.clear();
      const bool stands_closed = gate.row->state == "readable" && gate.row->wanted != "open";
      if (stands_closed && !(gate.read_only && gate.read_only_persisted)) {
        broken.emplace_back("a gate is recorded as closed and the server is writable");
      }
      const bool marked =
          KeepsServerClosed(*gate.row) && gate.markers.contains(absl::StrCat("m", gate.row->epoch));
      if (marked && !gate.read_only) {
        broken.emplace_back("writable behind a marker");
      }
    }
    if (gates[0].holds_server && gates[1].holds_server) {
      broken.emplace_back("two have the server's lock");
    }
  }

  void RunAlone(size_t which, Fault fault = Fault::kNone, size_t at = 0) {
    while (!requests.at(which).over()) {
      Advance(which, requests.at(which).effects == at ? fault : Fault::kNone);
    }
  }

  // Who knows nothing brings both to what was asked last, or what is asked now.
  void Settle(const std::array<GateChange, 2>& wanted) {
    for (size_t which : {0U, 1U}) {
      if (requests.at(which).done() && requests.at(which).change.epoch == wanted.at(which).epoch) {
        continue;
      }
      Begin(which, wanted.at(which));
      RunAlone(which);
      if (!requests.at(which).done()) {
        broken.push_back(
            absl::StrCat("does not settle: ", requests.at(which).now.state.failure.ToString()));
      }
    }
    const bool closed = wanted[0].wanted != State::kOpen || wanted[1].wanted != State::kOpen;
    for (const GateModel& gate : gates) {
      if (gate.read_only != closed || gate.read_only_persisted != closed) {
        broken.push_back(closed ? "writable although a gate is closed"
                                : "read-only although no gate is closed");
      }
    }
  }
};

struct Case {
  bool first_closed;
  bool second_closed;
  State first;
  State second;
};

std::vector<Case> Cases() {
  std::vector<Case> cases;
  for (const bool first_closed : {false, true}) {
    for (const bool second_closed : {false, true}) {
      for (const State first : {State::kOpen, State::kClosed}) {
        for (const State second : {State::kOpen, State::kClosed}) {
          cases.push_back({first_closed, second_closed, first, second});
        }
      }
    }
  }
  return cases;
}

class TwoGatesTest : public ::testing::TestWithParam<Case> {
 protected:
  [[nodiscard]] static std::array<GateChange, 2> Wanted(uint64_t epoch = 6) {
    return {To(0, GetParam().first, epoch), To(1, GetParam().second, epoch)};
  }
  [[nodiscard]] static World Start() {
    World world(GetParam().first_closed, GetParam().second_closed);
    const std::array<GateChange, 2> wanted = Wanted();
    world.Begin(0, wanted[0]);
    world.Begin(1, wanted[1]);
    return world;
  }

  // Both go on by turns of these lengths, and then one after the other; the one whose turn it is
  // and who waits for the other's lock lets it go on.
  static void Interleave(World& world, size_t first, const std::vector<size_t>& turns,
                         size_t faulty = 2, size_t at = 0, Fault fault = Fault::kNone) {
    const auto one = [&](size_t which) {
      const size_t mover =
          !world.requests.at(which).over() && world.Waits(which) ? 1 - which : which;
      if (world.requests.at(mover).over()) {
        return false;
      }
      const bool here = mover == faulty && world.requests.at(mover).effects == at;
      world.Advance(mover, here ? fault : Fault::kNone);
      return true;
    };
    size_t which = first;
    for (const size_t turn : turns) {
      for (size_t i = 0; i < turn && one(which); ++i) {
      }
      which = 1 - which;
    }
    while (one(which) || one(1 - which)) {
    }
  }

  // What came of it, and whatever is asked next.
  void ExpectSettles(const World& world, const std::string& how) {
    ++runs_;
    ASSERT_THAT(world.broken, IsEmpty()) << how;
    for (const std::array<GateChange, 2>& next :
         {Wanted(),
          {To(0, State::kOpen, 9), To(1, State::kOpen, 9)},
          {To(0, State::kClosed, 9), To(1, State::kClosed, 9)},
          {To(0, State::kClosed, 9), To(1, State::kOpen, 9)}}) {
      World then = world;
      then.Settle(next);
      ASSERT_THAT(then.broken, IsEmpty())
          << how << "; then " << StateName(next[0].wanted) << " " << StateName(next[1].wanted)
          << " of epoch " << next[0].epoch << "; rows " << world.gates[0].row->state << "/"
          << world.gates[0].row->wanted << " " << world.gates[1].row->state << "/"
          << world.gates[1].row->wanted;
    }
  }

  size_t runs_ = 0;
};

constexpr size_t kEffectsMax = 14;

TEST_P(TwoGatesTest, AnyInterleavingEndsAsAskedAndNeverOpensWhatIsClosed) {
  for (size_t first : {0U, 1U}) {
    for (size_t a = 0; a < kEffectsMax; ++a) {
      for (size_t b = 1; b < kEffectsMax; ++b) {
        for (size_t c = 1; c < kEffectsMax; ++c) {
          World world = Start();
          Interleave(world, first, {a, b, c});
          ASSERT_TRUE(world.requests[0].done() && world.requests[1].done());
          ExpectSettles(world, absl::StrCat("turns ", first, ":", a, ",", b, ",", c));
          if (HasFatalFailure()) {
            return;
          }
        }
      }
    }
  }
  EXPECT_GT(runs_, 4000U);
}

TEST_P(TwoGatesTest, OneThatIsBrokenOffAnywhereLeavesTheOtherRight) {
  for (size_t faulty : {0U, 1U}) {
    for (size_t at = 0; at < kEffectsMax; ++at) {
      for (const Fault fault : kFaults) {
        for (size_t turn = 0; turn < 2 * kEffectsMax; ++turn) {
          World world = Start();
          Interleave(world, turn % 2, {turn / 2, kEffectsMax / 2, 1}, faulty, at, fault);
          ExpectSettles(world, absl::StrCat("fault ", static_cast<int>(fault), " of ", faulty,
                                            " at ", at, ", turn ", turn));
          if (HasFatalFailure()) {
            return;
          }
        }
      }
    }
  }
  EXPECT_GT(runs_, 4000U);
}

TEST_P(TwoGatesTest, BothBrokenOffAnywhereAreSettledByTheNextRequests) {
  for (size_t at = 0; at < kEffectsMax; ++at) {
    for (const Fault fault : kFaults) {
      World once = Start();
      once.RunAlone(0, fault, at);
      for (size_t second = 0; second < kEffectsMax; ++second) {
        for (const Fault again : kFaults) {
          World twice = once;
          twice.RunAlone(1, again, second);
          ExpectSettles(twice, absl::StrCat("fault ", static_cast<int>(fault), " at ", at,
                                            ", then ", static_cast<int>(again), " at ", second));
          // The repair of the first one too.
          World thrice = twice;
          thrice.Begin(0, Wanted()[0]);
          thrice.RunAlone(0, again, second);
          ExpectSettles(thrice, absl::StrCat("repair broken off: ", at, ", ", second));
          if (HasFatalFailure()) {
            return;
          }
        }
      }
    }
  }
  EXPECT_GT(runs_, 10000U);
}

INSTANTIATE_TEST_SUITE_P(Cases, TwoGatesTest, ::testing::ValuesIn(Cases()), [](const auto& each) {
  const auto name = [](bool closed, State wanted) {
    return absl::StrCat(closed ? "Closed" : "Open", wanted == State::kOpen ? "Opens" : "Closes");
  };
  return absl::StrCat(name(each.param.first_closed, each.param.first), "Beside",
                      name(each.param.second_closed, each.param.second));
});

TEST(TwoGatesAnswerTest, OneThatOpensBesideAClosedOneSaysThatTheServerStaysReadable) {
  World world(true, true);
  world.Begin(0, To(0, State::kOpen, 6));
  world.RunAlone(0);
  ASSERT_TRUE(world.requests[0].done());
  EXPECT_EQ(world.requests[0].now.state.outcome.state, State::kReadable);
  EXPECT_EQ(world.requests[0].now.state.outcome.kept_by, std::vector<std::string>{"other"});
  EXPECT_EQ(world.gates[0].row->state, "open");
  // So does the same request again.
  world.Begin(0, To(0, State::kOpen, 6));
  world.RunAlone(0);
  EXPECT_EQ(world.requests[0].now.state.outcome.state, State::kReadable);
  world.Begin(1, To(1, State::kOpen, 6));
  world.RunAlone(1);
  EXPECT_EQ(world.requests[1].now.state.outcome.state, State::kOpen);
  EXPECT_FALSE(world.gates[0].read_only);
  EXPECT_THAT(world.broken, IsEmpty());
}

}  // namespace
}  // namespace sluice::gate
