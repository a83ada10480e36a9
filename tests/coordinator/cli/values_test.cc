// Values of flags.

#include "coordinator/cli/values.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "coordinator/cli/failure.h"

namespace sluice::cli {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

TEST(ValuesTest, DurationsHaveUnits) {
  for (const auto& [text, want] : {std::pair<const char*, absl::Duration>{"30s", absl::Seconds(30)},
                                   {"500ms", absl::Milliseconds(500)},
                                   {"1m", absl::Minutes(1)},
                                   {"1h30m", absl::Minutes(90)},
                                   {" 2s ", absl::Seconds(2)}}) {
    const auto duration = ParseDurationFlag("timeout", text, absl::Milliseconds(1));
    ASSERT_TRUE(duration.ok()) << duration.status();
    EXPECT_EQ(*duration, want) << text;
  }
}

TEST(ValuesTest, DurationsOutOfBoundsAreRefusedNotMisunderstood) {
  for (const char* text : {"999ms", "0", "-1s", "24h1s"}) {
    const auto duration = ParseDurationFlag("timeout", text, absl::Seconds(1));
    EXPECT_TRUE(absl::IsFailedPrecondition(duration.status())) << text;
  }
  for (const char* text : {"", "1", "s", "1 fortnight", "inf", "-inf"}) {
    const auto duration = ParseDurationFlag("timeout", text, absl::Seconds(1));
    EXPECT_TRUE(IsUsageError(duration.status())) << text;
  }
}

TEST(ValuesTest, ListsDropBlanksAndEmptyItems) {
  EXPECT_THAT(ParseList(" a, b,,c ,"), ElementsAre("a", "b", "c"));
  EXPECT_THAT(ParseList(""), IsEmpty());
}

TEST(ValuesTest, TabletTypesMatchWithoutRegardToCase) {
  const auto types = ParseTabletTypes("in_order:Replica,PRIMARY,rdonly");
  ASSERT_TRUE(types.ok()) << types.status();
  EXPECT_THAT(*types, ElementsAre(routing::TabletType::kReplica, routing::TabletType::kPrimary,
                                  routing::TabletType::kRdonly));
}

TEST(ValuesTest, BooleansAreThoseOfTheFlagsPeopleKnow) {
  EXPECT_EQ(ParseBool("TRUE"), true);
  EXPECT_EQ(ParseBool("1"), true);
  EXPECT_EQ(ParseBool("f"), false);
  EXPECT_EQ(ParseBool("no"), std::nullopt);
  EXPECT_EQ(ParseBool(""), std::nullopt);
}

TEST(ValuesTest, AWorkflowNameHasTwoParts) {
  ASSERT_TRUE(SplitWorkflow("customer.move").has_value());
  EXPECT_EQ(SplitWorkflow("customer.move")->keyspace, "customer");
  EXPECT_EQ(SplitWorkflow("customer.move")->workflow, "move");
  for (const char* text : {"", ".", "customer", "customer.", ".move"}) {
    EXPECT_FALSE(SplitWorkflow(text).has_value()) << text;
  }
}

}  // namespace
}  // namespace sluice::cli
