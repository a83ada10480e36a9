// Tests of rows that are fetched in parts.

#include "agent/source/held_rows.h"

#include <gtest/gtest.h>

namespace sluice::source {
namespace {

TEST(HeldRowsTest, PartsAreReadAsOftenAsAskedUntilTheEnd) {
  HeldRows held(2);
  const uint64_t number = held.Keep("abcdef");
  EXPECT_EQ(*held.Read(number, 0, 4), "abcd");
  EXPECT_EQ(*held.Read(number, 0, 4), "abcd");
  EXPECT_EQ(*held.Read(number, 4, 4), "ef");
  EXPECT_EQ(*held.Read(number, 6, 4), "");
  EXPECT_TRUE(absl::IsNotFound(held.Read(number, 0, 4).status()));
}

TEST(HeldRowsTest, TheOldestIsGivenUpForAnotherOne) {
  HeldRows held(2);
  const uint64_t first = held.Keep("first");
  const uint64_t second = held.Keep("second");
  const uint64_t third = held.Keep("third");
  EXPECT_TRUE(absl::IsNotFound(held.Read(first, 0, 4).status()));
  EXPECT_EQ(*held.Read(second, 0, 9), "second");
  EXPECT_EQ(*held.Read(third, 0, 9), "third");
}

TEST(HeldRowsTest, NumbersThatWereNeverGivenAreNotFound) {
  HeldRows held(1);
  EXPECT_TRUE(absl::IsNotFound(held.Read(1, 0, 4).status()));
  EXPECT_TRUE(absl::IsNotFound(held.Read(0, 0, 4).status()));
}

}  // namespace
}  // namespace sluice::source
