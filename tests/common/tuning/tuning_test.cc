// Names, ranges and spelling of a workflow's values.

#include "common/tuning/tuning.h"

#include <gmock/gmock.h>

#include "absl/strings/str_cat.h"

namespace sluice::stream {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

Tuning Of(const std::string& name, const std::string& value) {
  const auto tuning = Tuning::Parse({{name, value}});
  EXPECT_TRUE(tuning.ok()) << tuning.status();
  return tuning.value_or(Tuning());
}

TEST(TuningTest, EachKindIsReadInItsUnits) {
  EXPECT_EQ(Of("copy-workers", "4").Count(Knob::kCopyWorkers), 4U);
  EXPECT_EQ(Of("copy-bytes-max", "64KiB").Count(Knob::kCopyBytesMax), 65536U);
  EXPECT_EQ(Of("copy-bytes-max", "2m").Count(Knob::kCopyBytesMax), 2U << 20U);
  EXPECT_EQ(Of("copy-commit-time", "250ms").Time(Knob::kCopyCommitTime), absl::Milliseconds(250));
  EXPECT_EQ(Of("throttle-apply", "on").Count(Knob::kThrottleApply), 1U);
  EXPECT_EQ(Of("target-query-max", "-1.5").Number(Knob::kTargetQueryMax), -1.5);
  EXPECT_EQ(Of("target-query", "SELECT 1, 2").Text(Knob::kTargetQuery), "SELECT 1, 2");
  EXPECT_EQ(Of("Copy_Workers", "4").Count(Knob::kCopyWorkers), 4U);
}

TEST(TuningTest, OffIsSetButHasNoValue) {
  const Tuning tuning = Of("target-lag", "OFF");
  EXPECT_TRUE(tuning.Has(Knob::kTargetLag));
  EXPECT_TRUE(tuning.IsOff(Knob::kTargetLag));
  EXPECT_FALSE(tuning.Time(Knob::kTargetLag).has_value());
  EXPECT_FALSE(tuning.Has(Knob::kSourceLag));
}

TEST(TuningTest, RangesAreCheckedAtBothEnds) {
  for (const KnobSpec& spec : AllKnobs()) {
    if (spec.kind != KnobKind::kCount && spec.kind != KnobKind::kBytes) {
      continue;
    }
    const std::string name(spec.name);
    EXPECT_TRUE(Tuning::Parse({{name, absl::StrCat(spec.min)}}).ok()) << name;
    EXPECT_TRUE(Tuning::Parse({{name, absl::StrCat(spec.max)}}).ok()) << name;
    EXPECT_FALSE(Tuning::Parse({{name, absl::StrCat(spec.max + 1)}}).ok()) << name;
    if (spec.min > 0) {
      EXPECT_FALSE(Tuning::Parse({{name, absl::StrCat(spec.min - 1)}}).ok()) << name;
    }
  }
}

// What the help says of a default must be a value that is taken.
TEST(TuningTest, EveryDefaultIsAValue) {
  for (const KnobSpec& spec : AllKnobs()) {
    EXPECT_TRUE(Tuning::Parse({{std::string(spec.name), std::string(spec.fallback)}}).ok())
        << spec.name;
  }
}

struct Wrong {
  const char* name;
  const char* value;
  const char* reason;
};

class WrongValueTest : public ::testing::TestWithParam<Wrong> {};

TEST_P(WrongValueTest, IsRefusedWithWhatIsRight) {
  const auto tuning = Tuning::Parse({{GetParam().name, GetParam().value}});
  EXPECT_EQ(tuning.status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(tuning.status().message()), HasSubstr(GetParam().reason));
}

INSTANTIATE_TEST_SUITE_P(
    Values, WrongValueTest,
    ::testing::Values(
        Wrong{"copy-wrokers", "4", "copy-workers"}, Wrong{"copy-workers", "many", "from 0 to 16"},
        Wrong{"copy-workers", "-1", "from 0 to 16"}, Wrong{"copy-workers", "off", "from 0 to 16"},
        Wrong{"copy-bytes-max", "99999999999999999999G", "from 16KiB to 16MiB"},
        Wrong{"copy-epoch", "0s", "from 1s to 1h"}, Wrong{"copy-epoch", "inf", "from 1s to 1h"},
        Wrong{"throttle-apply", "maybe", "on or off"}, Wrong{"target-query-max", "nan", "a number"},
        Wrong{"target-query", "DELETE FROM t", "a SELECT"}, Wrong{"target-lag", "", "or off"}));

TEST(TuningTest, ChangesGoOverWhatIsAndDefaultTakesAway) {
  const auto merged = MergeTuning({{"copy-workers", "4"}, {"target-lag", "2s"}},
                                  {{"target_lag", " 5s "}, {"apply-sessions", "2"}});
  ASSERT_TRUE(merged.ok());
  EXPECT_THAT(*merged,
              ElementsAre(NamedValue{"apply-sessions", "2"}, NamedValue{"copy-workers", "4"},
                          NamedValue{"target-lag", "5s"}));
  const auto less = MergeTuning(*merged, {{"copy-workers", "default"}, {"target-lag", "Default"}});
  ASSERT_TRUE(less.ok());
  EXPECT_THAT(*less, ElementsAre(NamedValue{"apply-sessions", "2"}));
  EXPECT_FALSE(MergeTuning({}, {{"apply-sessions", "0"}}).ok());
}

TEST(TuningTest, AListIsCutAtNamesSoThatAQueryMayHoldCommas) {
  const auto values =
      SplitTuning("target-query=SELECT IF(a=1,b,c) FROM t,target-query-max=3, copy-workers=2");
  ASSERT_TRUE(values.ok()) << values.status();
  EXPECT_THAT(*values,
              ElementsAre(NamedValue{"target-query", "SELECT IF(a=1,b,c) FROM t"},
                          NamedValue{"target-query-max", "3"}, NamedValue{"copy-workers", "2"}));
  EXPECT_FALSE(SplitTuning("copy-workers").ok());
  EXPECT_FALSE(SplitTuning("no-such=1").ok());
  EXPECT_TRUE(SplitTuning("")->empty());
}

}  // namespace
}  // namespace sluice::stream
