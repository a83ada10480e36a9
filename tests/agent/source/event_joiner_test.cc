// Tests of the event joiner.

#include "agent/source/event_joiner.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "tests/agent/source/binlog_events.h"

namespace sluice::source {
namespace {

using sluice::testing::MakeEvent;
using ::testing::ElementsAre;
using ::testing::ElementsAreArray;
using ::testing::HasSubstr;

class EventJoinerTest : public ::testing::Test {
 protected:
  // What comes out of a run.
  std::vector<std::string> Join(const std::string& run) {
    joiner_.Add(std::make_shared<const std::string>(run));
    std::vector<std::string> events;
    while (true) {
      const auto event = joiner_.Next();
      EXPECT_TRUE(event.ok()) << event.status();
      if (!event.ok() || event->bytes.empty()) {
        return events;
      }
      events.emplace_back(event->bytes);
    }
  }

  EventJoiner joiner_;
};

TEST_F(EventJoinerTest, WholeEventsOfARunAreNotCopied) {
  const auto run = std::make_shared<const std::string>(MakeEvent(30, "one") + MakeEvent(31, "two"));
  joiner_.Add(run);
  for (int i = 0; i < 2; ++i) {
    const auto event = joiner_.Next();
    ASSERT_TRUE(event.ok());
    EXPECT_EQ(event->buffer, run);
    EXPECT_GE(event->bytes.data(), run->data());
    EXPECT_LT(event->bytes.data(), run->data() + run->size());
  }
  EXPECT_TRUE(joiner_.Next()->bytes.empty());
}

TEST_F(EventJoinerTest, EveryCutGivesTheSameEvents) {
  const std::vector<std::string> events = {MakeEvent(30, ""), MakeEvent(31, "some bytes"),
                                           MakeEvent(16, "the end")};
  const std::string all = events[0] + events[1] + events[2];
  for (size_t first = 0; first <= all.size(); ++first) {
    for (size_t second = first; second <= all.size(); ++second) {
      std::vector<std::string> joined;
      for (const std::string& run :
           {all.substr(0, first), all.substr(first, second - first), all.substr(second)}) {
        for (std::string& event : Join(run)) {
          joined.push_back(std::move(event));
        }
      }
      ASSERT_THAT(joined, ElementsAreArray(events)) << first << " " << second;
      ASSERT_EQ(joiner_.waited_for(), 0U);
    }
  }
}

TEST_F(EventJoinerTest, AnEventThatGoesOnIsWaitedForBySize) {
  const std::string event = MakeEvent(30, std::string(1000, 'x'));
  EXPECT_THAT(Join(event.substr(0, 10)), ElementsAre());
  EXPECT_EQ(joiner_.waited_for(), 0U);
  EXPECT_THAT(Join(event.substr(10, 500)), ElementsAre());
  EXPECT_EQ(joiner_.waited_for(), event.size());
  EXPECT_THAT(Join(event.substr(510) + MakeEvent(16, "")), ElementsAre(event, MakeEvent(16, "")));
}

TEST_F(EventJoinerTest, ALengthThatNoEventHasIsRefusedBeforeItsBytesCome) {
  for (const uint32_t length : {0U, 18U, 0x60000000U, 0xffffffffU}) {
    std::string head = MakeEvent(30, "").substr(0, 9);
    sluice::testing::AppendUint(length, 4, head);
    head += std::string(6, '\0');
    EventJoiner joiner;
    joiner.Add(std::make_shared<const std::string>(head));
    const auto event = joiner.Next();
    EXPECT_TRUE(absl::IsInvalidArgument(event.status()));
    EXPECT_THAT(event.status().message(), HasSubstr("a binlog event of"));
  }
}

}  // namespace
}  // namespace sluice::source
