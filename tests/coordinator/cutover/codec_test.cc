// Stored states come back equal, and damaged ones are refused.

#include "coordinator/cutover/codec.h"

#include <gtest/gtest.h>

#include <set>
#include <utility>

#include "coordinator/cutover/crash_points.h"
#include "integration/explore/plans.h"

namespace sluice::cutover {
namespace {

StoredCutover Example() {
  State state;
  state.plan = explore::WritesPlan(2);
  state.plan.stale = {{.source = 1, .id = 99}};
  state.plan.source_types = {routing::TabletType::kReplica, routing::TabletType::kPrimary};
  state.plan.reverse_options = {.on_ddl = stream::OnDdl::kExec,
                                .allow_no_key = true,
                                .drop_foreign_keys = true,
                                .defer_secondary_keys = stream::DeferKeys::kAlways,
                                .cells = {},
                                .source_time_zone = "UTC",
                                .target_time_zone = "Europe/Berlin",
                                .tuning = {{.name = "copy_epoch", .value = "1m"}}};
  state.plan.source_readable = true;
  state.plan.await_release = state.plan.raise_counters = true;
  state.plan.max_lag_ms = 6;
  state.plan.lock_wait_ms = 7;
  state.plan.blocker_age_ms = 8;
  state.plan.kill_blockers_after_ms = 9;
  state.plan.kill_rows_max = 10;
  state.plan.gates = {{.server = true, .reason = "", .beside = {"vt_b", "vt_c"}},
                      {.server = false, .reason = "it holds other databases (x)", .beside = {}}};
  state.plan.parallelism = 11;
  Transition transition = Step(std::move(state), Event::Begin());
  const Effect hold = transition.effects.at(0);
  transition = Step(std::move(transition.state), Event::Outcome(hold, Result::kRetry, "später"));
  transition.state.positions = {"", "uuid:1-5"};
  transition.state.failure = "why";
  transition.state.locks_not_granted = true;
  return {.state = std::move(transition.state), .started_us = 1'234'567};
}

TEST(CutoverCodecTest, ACutoverComesBackEqual) {
  const StoredCutover stored = Example();
  const auto back = DecodeOperation(EncodeOperation(stored));
  ASSERT_TRUE(back.ok()) << back.status();
  EXPECT_EQ(std::get<StoredCutover>(*back), stored);
}

TEST(CutoverCodecTest, ReadsOfSomeCellsComeBackEqual) {
  StoredCutover stored;
  stored.state.plan = explore::WritesPlan(1);
  stored.state.plan.kind = Kind::kReads;
  stored.state.plan.move_rdonly = true;
  stored.state.plan.cells = {"zone1", "zone2"};
  const auto back = DecodeOperation(EncodeOperation(stored));
  ASSERT_TRUE(back.ok()) << back.status();
  EXPECT_EQ(std::get<StoredCutover>(*back), stored);
}

TEST(CutoverCodecTest, ATeardownComesBackEqual) {
  const StoredTeardown stored = {.kind = TeardownKind::kCancel,
                                 .keep_data = true,
                                 .keep_routing_rules = false,
                                 .rename_tables = true,
                                 .epoch = 77};
  const auto back = DecodeOperation(EncodeOperation(stored));
  ASSERT_TRUE(back.ok()) << back.status();
  EXPECT_EQ(std::get<StoredTeardown>(*back), stored);
}

TEST(CutoverCodecTest, RefusesWhatIsNotAState) {
  EXPECT_EQ(DecodeOperation("").status().code(), absl::StatusCode::kDataLoss);
  EXPECT_EQ(DecodeOperation("abc").status().code(), absl::StatusCode::kDataLoss);
  EXPECT_EQ(DecodeOperation(std::string(64, '\0')).status().code(), absl::StatusCode::kDataLoss);
}

TEST(CutoverCodecTest, NoMutationOfAStateCrashesTheDecoder) {
  const std::string bytes = EncodeOperation(Example());
  for (size_t i = 0; i < bytes.size(); ++i) {
    for (const unsigned flip : {0x01U, 0x80U, 0xFFU}) {
      std::string mutated = bytes;
      mutated[i] = static_cast<char>(static_cast<unsigned char>(mutated[i]) ^ flip);
      const auto decoded = DecodeOperation(mutated);
      if (!decoded.ok()) {
        EXPECT_EQ(decoded.status().code(), absl::StatusCode::kDataLoss);
      }
    }
  }
  for (size_t size = 0; size < bytes.size(); size += 8) {
    EXPECT_FALSE(DecodeOperation(absl::string_view(bytes).substr(0, size)).ok());
  }
}

TEST(CrashPointsTest, EveryEffectHasTwoAndNoneIsNamedTwice) {
  const std::vector<std::string> points = CutoverCrashPoints();
  EXPECT_EQ(std::set<std::string>(points.begin(), points.end()).size(), 2U * kEffectKinds);
  EXPECT_STREQ(CrashPointName(EffectKind::kCloseGate, Boundary::kIntent),
               "cutover.close_gate.intent");
  EXPECT_STREQ(CrashPointName(EffectKind::kDeleteStale, Boundary::kDone),
               "cutover.delete_stale.done");
}

}  // namespace
}  // namespace sluice::cutover
