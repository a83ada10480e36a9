// The oracle must find each kind of wrong database, or every test that trusts it is worthless.

#include "integration/workload/oracle.h"

#include <gtest/gtest.h>

namespace sluice::workload {
namespace {

class OracleTest : public testing::Test {
 protected:
  void Put(uint64_t key, const std::string& value) {
    oracle_.BeginPut(key, value);
    oracle_.Acknowledged();
  }
  void Increment(int times) {
    for (int i = 0; i < times; ++i) {
      oracle_.BeginIncrement(1);
      oracle_.Acknowledged();
    }
  }
  Oracle oracle_;
};

TEST_F(OracleTest, AcceptsWhatWasAcknowledged) {
  Put(10, "a");
  Put(10, "b");
  Increment(3);
  const auto verdict = oracle_.Judge({{10, "b"}, {1, "3"}});
  EXPECT_EQ(verdict.lost, 0U);
  EXPECT_EQ(verdict.duplicated, 0U);
  EXPECT_EQ(oracle_.acknowledged(), 5U);
}

TEST_F(OracleTest, FindsALostRowALostUpdateAndALostIncrement) {
  Put(10, "a");
  Put(11, "a");
  Put(11, "b");
  Increment(3);
  EXPECT_EQ(oracle_.Judge({{11, "b"}, {1, "3"}}).lost, 1U);
  EXPECT_EQ(oracle_.Judge({{10, "a"}, {11, "a"}, {1, "3"}}).lost, 1U);
  EXPECT_EQ(oracle_.Judge({{10, "a"}, {11, "b"}, {1, "1"}}).lost, 2U);
  EXPECT_EQ(oracle_.Judge({{10, "a"}, {11, "b"}}).lost, 3U);
}

TEST_F(OracleTest, FindsADoubledIncrementAForeignRowAndADeletedRowThatCameBack) {
  Put(10, "a");
  oracle_.BeginDelete(10);
  oracle_.Acknowledged();
  Increment(2);
  EXPECT_EQ(oracle_.Judge({{1, "3"}}).duplicated, 1U);
  EXPECT_EQ(oracle_.Judge({{1, "2"}, {10, "a"}}).duplicated, 1U);
  EXPECT_EQ(oracle_.Judge({{1, "2"}, {99, "x"}}).duplicated, 1U);
}

TEST_F(OracleTest, AllowsBothOutcomesOfAWriteWhoseAnswerWasLost) {
  Put(10, "a");
  oracle_.BeginPut(10, "b");
  oracle_.Unknown();
  oracle_.BeginIncrement(1);
  oracle_.Unknown();
  oracle_.BeginPut(12, "new");
  oracle_.Unknown();
  for (const char* value : {"a", "b"}) {
    for (const char* count : {"0", "1"}) {
      const auto verdict = oracle_.Judge({{10, value}, {1, count}});
      EXPECT_EQ(verdict.lost + verdict.duplicated, 0U) << value << count;
    }
  }
  EXPECT_EQ(oracle_.Judge({{10, "c"}, {1, "0"}}).lost, 1U);
  EXPECT_EQ(oracle_.Judge({{10, "a"}, {1, "2"}}).duplicated, 1U);
  EXPECT_EQ(oracle_.Judge({{10, "a"}, {1, "1"}, {12, "new"}}).lost, 0U);
}

TEST_F(OracleTest, ARefusedWriteChangesNothing) {
  Put(10, "a");
  oracle_.BeginPut(10, "b");
  oracle_.Refused();
  EXPECT_EQ(oracle_.Judge({{10, "a"}}).lost, 0U);
  EXPECT_EQ(oracle_.Judge({{10, "b"}}).lost, 1U);
}

TEST_F(OracleTest, KnowsWhatItsOwnWriterMayRead) {
  Put(10, "a");
  const std::string a = "a";
  const std::string stale = "older";
  EXPECT_TRUE(oracle_.MayRead(10, &a));
  EXPECT_FALSE(oracle_.MayRead(10, &stale));
  EXPECT_FALSE(oracle_.MayRead(10, nullptr));
}

}  // namespace
}  // namespace sluice::workload
