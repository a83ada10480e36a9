// Stored bytes: what damage does to them.

#include "coordinator/store/codec.h"

#include "tests/coordinator/testing/status_matchers.h"

namespace sluice::store {
namespace {

using ::sluice::testing::IsOk;
using ::sluice::testing::StatusIs;

TEST(CodecTest, RulesSurviveTheRoundTrip) {
  RuleState rules;
  for (int i = 0; i < 100'000; ++i) {
    rules.table_rules.push_back({"t" + std::to_string(i), "commerce.t"});
  }
  EXPECT_EQ(DecodeRules(EncodeRules(rules)).value(), rules);
}

TEST(CodecTest, DamagedBytesAreDataLoss) {
  workflow::WorkflowRecord record;
  record.name = "c2c";
  record.tables = {"customer"};
  const std::string bytes = EncodeWorkflow(record);
  ASSERT_THAT(DecodeWorkflow(bytes), IsOk());
  EXPECT_THAT(DecodeWorkflow(""), StatusIs(absl::StatusCode::kDataLoss, "workflow"));
  EXPECT_THAT(DecodeWorkflow(bytes.substr(1)), StatusIs(absl::StatusCode::kDataLoss, "workflow"));
  EXPECT_THAT(DecodeWorkflow(bytes.substr(0, 16)),
              StatusIs(absl::StatusCode::kDataLoss, "workflow"));
}

}  // namespace
}  // namespace sluice::store
