// Tests of the kept answers: repeats, limits, age.

#include "common/rpc/answer_cache.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace sluice::rpc {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

AnswerCache::Answer Bytes(const std::string& text) {
  return std::make_shared<const std::string>(text);
}

void RunOnce(AnswerCache& cache, const std::string& key, const std::string& text) {
  AnswerCache::Answer answer;
  ASSERT_EQ(cache.Begin(key, 0, answer), AnswerCache::Begun::kRun);
  EXPECT_THAT(cache.Finish(key, Bytes(text)), IsEmpty());
}

bool Knows(AnswerCache& cache, const std::string& key) {
  AnswerCache::Answer answer;
  if (cache.Begin(key, 0, answer) == AnswerCache::Begun::kKnown) {
    return true;
  }
  (void)cache.Finish(key, nullptr);
  return false;
}

TEST(AnswerCacheTest, HandsThoseWhoJoinedToTheOneWhoRuns) {
  AnswerCache cache({});
  AnswerCache::Answer answer;
  EXPECT_EQ(cache.Begin("k", 1, answer), AnswerCache::Begun::kRun);
  EXPECT_EQ(cache.Begin("k", 2, answer), AnswerCache::Begun::kJoined);
  EXPECT_EQ(cache.Begin("k", 3, answer), AnswerCache::Begun::kJoined);
  EXPECT_THAT(cache.Finish("k", Bytes("done")), ElementsAre(2, 3));
  EXPECT_EQ(cache.Begin("k", 4, answer), AnswerCache::Begun::kKnown);
  EXPECT_EQ(*answer, "done");
}

TEST(AnswerCacheTest, DoesNotRememberANullAnswer) {
  AnswerCache cache({});
  AnswerCache::Answer answer;
  EXPECT_EQ(cache.Begin("k", 1, answer), AnswerCache::Begun::kRun);
  EXPECT_THAT(cache.Finish("k", nullptr), IsEmpty());
  EXPECT_EQ(cache.Begin("k", 1, answer), AnswerCache::Begun::kRun);
}

TEST(AnswerCacheTest, ForgetsTheLeastRecentlyUsedAboveTheCount) {
  AnswerCache cache({.entries_max = 2, .bytes_max = 1000});
  RunOnce(cache, "a", "1");
  RunOnce(cache, "b", "2");
  EXPECT_TRUE(Knows(cache, "a"));
  RunOnce(cache, "c", "3");
  EXPECT_TRUE(Knows(cache, "a"));
  EXPECT_FALSE(Knows(cache, "b"));
  EXPECT_TRUE(Knows(cache, "c"));
}

TEST(AnswerCacheTest, ForgetsAboveTheBytes) {
  AnswerCache cache({.entries_max = 100, .bytes_max = 10});
  RunOnce(cache, "a", "123456");
  RunOnce(cache, "b", "1234");
  EXPECT_TRUE(Knows(cache, "a"));
  RunOnce(cache, "c", "1");
  EXPECT_FALSE(Knows(cache, "b"));
  EXPECT_TRUE(Knows(cache, "a"));
  EXPECT_TRUE(Knows(cache, "c"));
}

}  // namespace
}  // namespace sluice::rpc
