// Tests of the tail's window: who may read on in it, in some hundred random worlds.

#include "agent/source/tail_window.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <memory>
#include <random>
#include <string>
#include <vector>

namespace sluice::source {
namespace {

constexpr char kUuid[] = "34e78057-e52e-11f1-ad86-02fc00000001";
constexpr char kOtherUuid[] = "34e78057-e52e-11f1-ad86-02fc00000002";

gtid::Gtid Number(uint64_t number) {
  return {.uuid = kUuid, .tag = "", .number = number};
}

gtid::GtidSet Numbers(uint64_t first, uint64_t last) {
  gtid::GtidSet set;
  set.AddInterval(kUuid, "", first, last);
  return set;
}

std::shared_ptr<const TailTransaction> Transaction(const gtid::Gtid& gtid, size_t bytes = 100) {
  TailTransaction transaction;
  transaction.gtid = gtid;
  transaction.events = std::string(bytes, 'x');
  return std::make_shared<const TailTransaction>(std::move(transaction));
}

TEST(TailWindowTest, WhoHoldsTheFloorReadsOnAtWhatItLacks) {
  TailWindow window(Numbers(1, 10), 1'000'000);
  window.Append(Transaction(Number(11)));
  window.Append(Transaction(Number(12)));
  EXPECT_EQ(window.PlaceFor(Numbers(1, 10)), 0);
  EXPECT_EQ(window.PlaceFor(Numbers(1, 11)), 1);
  EXPECT_EQ(window.PlaceFor(Numbers(1, 12)), 2);
  EXPECT_EQ(window.PlaceFor(Numbers(1, 20)), 2);  // ahead of the tail
}

TEST(TailWindowTest, WhoLacksAnyOfTheFloorReadsElsewhere) {
  TailWindow window(Numbers(1, 10), 1'000'000);
  EXPECT_EQ(window.PlaceFor(Numbers(1, 9)), std::nullopt);
  gtid::GtidSet with_gap = Numbers(1, 20);
  with_gap.Subtract(Numbers(5, 5));
  EXPECT_EQ(window.PlaceFor(with_gap), std::nullopt);
}

TEST(TailWindowTest, WhatGoesBelongsToTheFloor) {
  const size_t bytes = Transaction(Number(1))->Bytes();
  TailWindow window(Numbers(1, 10), 2 * bytes);
  for (uint64_t number = 11; number <= 15; ++number) {
    window.Append(Transaction(Number(number)));
    EXPECT_LE(window.bytes(), 2 * bytes);
  }
  EXPECT_EQ(window.begin(), 3);
  EXPECT_EQ(window.end(), 5);
  EXPECT_EQ(window.floor(), Numbers(1, 13));
  EXPECT_EQ(window.At(3)->gtid, Number(14));
  EXPECT_EQ(window.BytesFrom(4), bytes);
  EXPECT_EQ(window.PlaceFor(Numbers(1, 12)), std::nullopt);
}

TEST(TailWindowTest, WhatIsLargerThanItPassesThrough) {
  TailWindow window(Numbers(1, 10), 1000);
  window.Append(Transaction(Number(11)));
  window.Append(Transaction(Number(12), 5000));
  EXPECT_EQ(window.begin(), 2);
  EXPECT_EQ(window.end(), 2);
  EXPECT_EQ(window.floor(), Numbers(1, 12));
}

// A binlog that grows, a tail of it, and sessions that go between the tail and dumps of their own,
// lose their connections and what they held in memory, and begin anew.
class World {
 public:
  explicit World(uint64_t seed) : random_(seed), window_(gtid::GtidSet(), 0) {
    const uint64_t transactions = 50 + Roll(200);
    std::vector<uint64_t> next(4, 1);
    for (uint64_t i = 0; i < transactions; ++i) {
      const uint64_t source = Roll(4);
      next[source] += Roll(10) == 0 ? 1 + Roll(3) : 0;  // numbers that are never used
      binlog_.push_back({.uuid = source < 2 ? kUuid : kOtherUuid,
                         .tag = source % 2 == 0 ? "" : "tag",
                         .number = next[source]++});
    }
    for (uint64_t i = 0; i < transactions / 4; ++i) {  // committed in another order
      const uint64_t at = Roll(transactions - 1);
      std::swap(binlog_[at], binlog_[at + 1]);
    }
    written_ = Roll(transactions);
    BeginTail();
    sessions_.resize(1 + Roll(5));
    for (Session& session : sessions_) {
      Begin(session, SomePosition());
    }
  }

  void Run() {
    while (written_ < binlog_.size() || Unfinished()) {
      Step();
      ASSERT_FALSE(::testing::Test::HasFailure());
    }
    for (const Session& session : sessions_) {
      for (size_t i = 0; i < binlog_.size(); ++i) {
        ASSERT_TRUE(session.held.Contains(binlog_[i])) << i;
      }
    }
  }

  [[nodiscard]] uint64_t joins() const { return joins_; }
  [[nodiscard]] uint64_t leaves() const { return leaves_; }

 private:
  struct Session {
    gtid::GtidSet begun;  // its position
    gtid::GtidSet held;   // and all that it was given
    gtid::GtidSet joined_with;
    bool joined = false;
    uint64_t place = 0;
    gtid::GtidSet dump;  // where its own began, and how far that has come
    size_t dumped = 0;
    size_t last = 0;  // behind the last transaction that it was given
  };

  uint64_t Roll(uint64_t sides) { return random_() % sides; }

  gtid::GtidSet Prefix(size_t size) const {
    gtid::GtidSet set;
    for (size_t i = 0; i < size; ++i) {
      set.Add(binlog_[i]);
    }
    return set;
  }

  // A prefix, with gaps and with some of what comes next.
  gtid::GtidSet SomePosition() {
    gtid::GtidSet set = Prefix(Roll(written_ + 1));
    for (uint64_t i = Roll(4); i > 0 && written_ > 0; --i) {
      gtid::GtidSet one;
      one.Add(binlog_[Roll(written_)]);
      Roll(2) == 0 ? set.Subtract(one) : set.Union(one);
    }
    return set;
  }

  void BeginTail() {
    gtid::GtidSet floor = Roll(2) == 0 ? Prefix(written_) : SomePosition();
    tail_dump_ = floor;
    tail_read_ = 0;
    window_ = TailWindow(std::move(floor), Roll(20'000));
    for (Session& session : sessions_) {
      if (session.joined) {
        Leave(session);
      }
    }
  }

  void Begin(Session& session, gtid::GtidSet position) {
    session.begun = position;
    session.held = std::move(position);
    session.last = 0;
    session.joined = false;
    session.dump = session.held;
    session.dumped = 0;
    Join(session);
  }

  void Join(Session& session) {
    const auto place = window_.PlaceFor(session.held);
    if (place.has_value()) {
      session.joined = true;
      session.joined_with = session.held;
      session.place = *place;
      ++joins_;
    }
  }

  void Leave(Session& session) {
    session.joined = false;
    session.dump = session.held;
    session.dumped = 0;
    ++leaves_;
  }

  // The promise: in the binlog's order, each one that its position lacks, once.
  void Give(Session& session, const gtid::Gtid& gtid) {
    while (session.last < binlog_.size() && session.begun.Contains(binlog_[session.last])) {
      ++session.last;
    }
    ASSERT_LT(session.last, binlog_.size());
    ASSERT_EQ(gtid, binlog_[session.last]);
    ++session.last;
    session.held.Add(gtid);
  }

  void Step() {
    switch (Roll(8)) {
      case 0:
      case 1:
        written_ = std::min<size_t>(binlog_.size(), written_ + Roll(6));
        break;
      case 2:
      case 3:
        for (uint64_t i = Roll(6); i > 0 && tail_read_ < written_; --i) {
          ReadByTail();
        }
        break;
      default:
        StepOf(sessions_[Roll(sessions_.size())]);
    }
    if (Roll(100) == 0) {
      BeginTail();
    }
  }

  void ReadByTail() {
    const gtid::Gtid& gtid = binlog_[tail_read_++];
    if (!tail_dump_.Contains(gtid)) {
      window_.Append(Transaction(gtid, Roll(2000)));
    }
  }

  void StepOf(Session& session) {
    if (Roll(60) == 0) {
      // What it was given and not yet applied is forgotten: the last ones, or an older one (the
      // part of an XA transaction).
      gtid::GtidSet position = session.begun;
      for (size_t i = 0; i + Roll(5) < session.last; ++i) {
        if (Roll(40) != 0) {
          position.Add(binlog_[i]);
        }
      }
      Begin(session, position);
    }
    for (uint64_t i = Roll(8); i > 0; --i) {
      session.joined ? ReadAtTail(session) : ReadAlone(session);
    }
  }

  void ReadAtTail(Session& session) {
    if (session.place < window_.begin() || Roll(50) == 0) {
      Leave(session);
    } else if (session.place < window_.end()) {
      const gtid::Gtid& gtid = window_.At(session.place++)->gtid;
      if (!session.joined_with.Contains(gtid)) {
        Give(session, gtid);
      }
    }
  }

  void ReadAlone(Session& session) {
    while (session.dumped < written_ && session.dump.Contains(binlog_[session.dumped])) {
      ++session.dumped;
    }
    if (session.dumped < written_) {
      Give(session, binlog_[session.dumped++]);
    }
    Join(session);
  }

  bool Unfinished() const {
    return std::any_of(sessions_.begin(), sessions_.end(), [this](const Session& session) {
      return std::any_of(binlog_.begin(), binlog_.end(),
                         [&](const auto& gtid) { return !session.held.Contains(gtid); });
    });
  }

  std::mt19937_64 random_;
  std::vector<gtid::Gtid> binlog_;
  size_t written_ = 0;
  gtid::GtidSet tail_dump_;
  size_t tail_read_ = 0;
  TailWindow window_;
  std::vector<Session> sessions_;
  uint64_t joins_ = 0;
  uint64_t leaves_ = 0;
};

TEST(TailWindowTest, NothingIsLostOrDoubledBetweenTheTailAndOwnDumps) {
  uint64_t joins = 0;
  uint64_t leaves = 0;
  for (uint64_t seed = 1; seed <= 500; ++seed) {
    SCOPED_TRACE(seed);
    World world(seed);
    world.Run();
    ASSERT_FALSE(HasFailure());
    joins += world.joins();
    leaves += world.leaves();
  }
  EXPECT_GT(joins, 2000);
  EXPECT_GT(leaves, 2000);
}

}  // namespace
}  // namespace sluice::source
