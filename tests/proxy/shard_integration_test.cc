// Tests of the proxy with sharded keyspaces before real mysqlds: targets, shard rules, holds of
// single shards.

#include <array>
#include <atomic>
#include <string>
#include <thread>
#include <vector>

#include "absl/strings/str_cat.h"
#include "common/base/status.h"
#include "gmock/gmock.h"
#include "tests/proxy/sharded_fixture.h"

namespace sluice::proxy {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;

constexpr const char* kWho = "SELECT who FROM t WHERE id = 1";

class ProxyShardTest : public ShardedFixture {
 protected:
  std::string WhoAt(const std::string& target) { return Scalar(*MustConnect(target), kWho); }
};

TEST_F(ProxyShardTest, AShardIsReachedInEverySpelling) {
  for (const char* target : {"orders:-80", "orders/-80", "orders:-80@primary", "orders/-80@PRIMARY",
                             "orders2:-80", "orders2/-80@primary"}) {
    EXPECT_EQ(WhoAt(target), "orders/-80") << target;
  }
  EXPECT_EQ(WhoAt("orders:80-"), "orders/80-");
  EXPECT_EQ(WhoAt("orders/-80@replica"), "replica of orders/-80");
  auto client = MustConnect();
  const std::vector<std::pair<std::string, std::string>> uses = {
      {"USE orders:-80", "orders/-80"},
      {"USE `orders:-80`", "orders/-80"},
      {"USE `orders`:80-", "orders/80-"},
      {"USE orders/80-@primary", "orders/80-"},
      {"USE orders:-80@replica", "replica of orders/-80"},
      {"USE `orders/-80@replica`", "replica of orders/-80"},
      {"USE `orders2/-80@replica`;", "replica of orders/-80"}};
  for (const auto& [use, who] : uses) {
    EXPECT_EQ(ErrorOfStatement(*client, use), 0U) << use;
    EXPECT_EQ(Scalar(*client, kWho), who) << use;
  }
  EXPECT_EQ(Scalar(*client, "SELECT DATABASE()"), "orders2/-80@replica");
}

TEST_F(ProxyShardTest, StatementsMayNameKeyspaces) {
  auto client = MustConnect("orders:-80");
  EXPECT_EQ(Scalar(*client, "SELECT orders.t.who FROM orders.t WHERE orders.t.id = 1"),
            "orders/-80");
  EXPECT_EQ(ErrorOfStatement(*client, "SELECT `orders2`.`t`.`who` FROM `orders2`.`t`, orders.u"),
            0U);
  EXPECT_EQ(Scalar(*client, "SELECT orders2.t.who FROM orders2.t LEFT JOIN orders.u USING (id)"),
            "orders/-80");
  EXPECT_EQ(ErrorOfStatement(*client, "INSERT INTO orders2.u (who) VALUES ('here')"), 0U);
  EXPECT_EQ(Scalar(*At("orders/-80"), "SELECT who FROM u"), "here");
  EXPECT_EQ(Scalar(*client, "SHOW TABLES LIKE 'u'"), "u");
  EXPECT_EQ(ErrorOfStatement(*client, "SHOW CREATE TABLE orders2.t"), 0U);
  // A keyspace of one shard needs no target; one of other shards says which it has.
  EXPECT_EQ(Scalar(*client, "SELECT name FROM commerce.product WHERE id = 1"), "keyboard");
  std::string message;
  EXPECT_EQ(ErrorOfStatement(*MustConnect("commerce:0"), "SELECT * FROM orders.t", &message),
            1105U);
  EXPECT_THAT(message, AllOf(HasSubstr("targets shard 0"), HasSubstr("keyspace orders"),
                             HasSubstr("-80, 80-")));
}

TEST_F(ProxyShardTest, ErrorsNameKeyspaceAndShardAndWhatExists) {
  EXPECT_THAT(std::string(Connect("orders:40-80").status().message()),
              AllOf(HasSubstr("keyspace orders has no shard 40-80"), HasSubstr("-80, 80-")));
  auto client = MustConnect("orders");
  std::string message;
  EXPECT_EQ(ErrorOfStatement(*client, "USE `orders2:0`", &message), 1049U);
  EXPECT_THAT(message, HasSubstr("keyspace orders2 has no shard 0; it has: -80, 80-"));
  EXPECT_EQ(ErrorOfStatement(*client, kWho, &message), 1105U);
  EXPECT_THAT(message, AllOf(HasSubstr("keyspace orders has the shards -80, 80-"),
                             HasSubstr("USE `orders:-80`")));
  // What clients ask when they connect is answered.
  EXPECT_EQ(ErrorOfStatement(*client, "SELECT @@version_comment LIMIT 1"), 0U);
  EXPECT_EQ(ErrorOfStatement(*client, "SET NAMES utf8mb4"), 0U);
  SwitchShards({"-80"});
  Publish();
  EXPECT_EQ(ErrorOfStatement(*MustConnect("orders:-80@rdonly"), kWho, &message), 1105U);
  EXPECT_THAT(message,
              HasSubstr("no serving RDONLY tablet in orders2/-80 (orders/-80 by its shard rule)"));
}

TEST_F(ProxyShardTest, AShardRuleTakesBothNamesToTheSideThatServes) {
  auto open = MustConnect("orders:-80");  // sessions that stay over the switches
  auto open_new = MustConnect("orders2:-80");
  auto replica = MustConnect("orders:-80@replica");
  const auto expect = [&](const std::string& low, const std::string& high) {
    for (const char* keyspace : {"orders", "orders2"}) {
      EXPECT_EQ(WhoAt(absl::StrCat(keyspace, ":-80")), low);
      EXPECT_EQ(WhoAt(absl::StrCat(keyspace, "/80-")), high);
      EXPECT_EQ(WhoAt(absl::StrCat(keyspace, "/-80@replica")), absl::StrCat("replica of ", low));
    }
    for (auto* client : {&open, &open_new}) {
      EXPECT_EQ(Scalar(**client, kWho), low);
      EXPECT_EQ(
          Scalar(**client, "SELECT orders2.t.who FROM orders2.t LEFT JOIN orders.u USING(id)"),
          low);
      EXPECT_EQ(ErrorOfStatement(**client, "INSERT INTO u (who) VALUES ('x')"), 0U);
    }
    EXPECT_EQ(Scalar(*replica, kWho), absl::StrCat("replica of ", low));
    EXPECT_EQ(Scalar(*At(low), "SELECT COUNT(*) FROM u"), "2");
    EXPECT_TRUE(At(low)->Execute("DELETE FROM u").ok());
    for (const char* place : {"orders/-80", "orders/80-", "orders2/-80", "orders2/80-"}) {
      EXPECT_EQ(Scalar(*At(place), "SELECT COUNT(*) FROM u"), "0") << place;
    }
  };
  expect("orders/-80", "orders/80-");
  SwitchShards({"-80"});
  Publish();
  expect("orders2/-80", "orders/80-");
  SwitchShards({"-80", "80-"});
  Publish();
  expect("orders2/-80", "orders2/80-");
  SwitchShards({"80-"});
  Publish();
  expect("orders/-80", "orders2/80-");
}

TEST_F(ProxyShardTest, OnlyTheHeldShardWaitsAndDrains) {
  auto low = MustConnect("orders:-80");
  auto high = MustConnect("orders:80-");
  for (auto* client : {&low, &high}) {
    ASSERT_EQ(ErrorOfStatement(**client, "BEGIN"), 0U);
    ASSERT_EQ(ErrorOfStatement(**client, "INSERT INTO t VALUES (2, 'open')"), 0U);
  }
  spec_.holds = {HoldOfShard("-80")};
  const uint64_t epoch = Publish();
  EXPECT_LT(traffic_->acknowledgement().drained_epoch, epoch);
  EXPECT_EQ(traffic_->acknowledgement().open_on_held, 1U);
  unsigned error = 1;
  std::jthread waiter([&] {
    error = ErrorOfStatement(*MustConnect("orders2:-80"), "INSERT INTO t VALUES (3, 'waited')");
  });
  while (traffic_->acknowledgement().held_statements != 1) {
    std::this_thread::yield();
  }
  EXPECT_EQ(WhoAt("orders:80-"), "orders/80-");
  EXPECT_EQ(WhoAt("orders:-80@replica"), "replica of orders/-80");
  EXPECT_EQ(ErrorOfStatement(*MustConnect("orders:-80"), "SELECT * FROM u"), 0U);
  EXPECT_EQ(ErrorOfStatement(*low, "INSERT INTO t VALUES (4, 'still open')"), 0U);
  EXPECT_EQ(ErrorOfStatement(*low, "COMMIT"), 0U);
  // The transaction on the other shard is open still.
  EXPECT_TRUE(coordinator_->AwaitDrained(epoch));
  EXPECT_EQ(traffic_->acknowledgement().held_statements, 1U);
  spec_.holds.clear();
  SwitchShards({"-80"});
  Publish();
  waiter.join();
  EXPECT_EQ(error, 0U);
  EXPECT_EQ(Scalar(*At("orders2/-80"), "SELECT who FROM t WHERE id = 3"), "waited");
  EXPECT_EQ(ErrorOfStatement(*high, "COMMIT"), 0U);
  EXPECT_EQ(Scalar(*At("orders/80-"), "SELECT who FROM t WHERE id = 2"), "open");
}

TEST_F(ProxyShardTest, ASilentCoordinatorFailsTheHeldShardOnly) {
  spec_.holds = {HoldOfShard("-80", absl::Milliseconds(300))};
  Publish();
  coordinator_.reset();
  std::string message;
  EXPECT_EQ(ErrorOfStatement(*MustConnect("orders2:-80"), kWho, &message), 1205U);
  EXPECT_THAT(message, HasSubstr("coordinator is silent"));
  EXPECT_EQ(WhoAt("orders:80-"), "orders/80-");
}

TEST_F(ProxyShardTest, TwoCutoversOfTheSameTablesDoNotMixUp) {
  spec_.holds = {HoldOfShard("-80"), HoldOfShard("80-")};
  Publish();
  std::array<std::string, 2> who;
  std::jthread low([&] { who[0] = WhoAt("orders:-80"); });
  std::jthread high([&] { who[1] = WhoAt("orders:80-"); });
  while (traffic_->acknowledgement().held_statements != 2) {
    std::this_thread::yield();
  }
  SwitchShards({"80-"});
  spec_.holds = {HoldOfShard("-80")};
  Publish();
  high.join();
  EXPECT_EQ(who[1], "orders2/80-");
  EXPECT_EQ(traffic_->acknowledgement().held_statements, 1U);
  spec_.holds.clear();
  Publish();
  low.join();
  EXPECT_EQ(who[0], "orders/-80");
}

// Writers on both shards, by both names, while one shard is moved over and back.
TEST_F(ProxyShardTest, ClientsOfOtherShardsSeeNothingOfACutover) {
  constexpr int kClients = 8;
  std::atomic<bool> stop{false};
  std::atomic<int> errors{0};
  std::atomic<int> next{1000};
  std::array<std::atomic<int>, 2> written{0, 0};  // -80, 80-
  std::vector<std::jthread> writers;
  for (int i = 0; i < kClients; ++i) {
    writers.emplace_back([&, i] {
      const bool is_high = i % 2 == 1;
      auto client =
          MustConnect(absl::StrCat(i % 4 < 2 ? "orders" : "orders2", is_high ? ":80-" : "/-80"));
      while (!stop) {
        const std::string insert = absl::StrCat("INSERT INTO t VALUES (", next++, ", 'w')");
        unsigned error = 0;
        if (i >= kClients / 2) {
          error = ErrorOfStatement(*client, "BEGIN");
          error += ErrorOfStatement(*client, insert);
          error += ErrorOfStatement(*client, "COMMIT");
        } else {
          error = ErrorOfStatement(*client, insert);
        }
        errors += error == 0 ? 0 : 1;
        written[is_high ? 1 : 0] += error == 0 ? 1 : 0;
      }
    });
  }
  const auto await = [&](size_t shard, int more) {
    const int before = written[shard];
    while (written[shard] < before + more && errors == 0) {
      std::this_thread::yield();
    }
  };
  const auto cut_over = [&](const std::string& from, const std::string& to,
                            const std::vector<std::string>& switched) {
    await(0, 50);
    spec_.holds = {HoldOfShard("-80")};
    ASSERT_TRUE(coordinator_->AwaitDrained(Publish()));
    // A client counts after its answer, the table before.
    const int low_before = std::stoi(Scalar(*At(from), "SELECT COUNT(*) - 1 FROM t"));
    while (written[0] < low_before && errors == 0) {
      std::this_thread::yield();
    }
    Rename(from, "t", "_sluice_closed_t");
    await(1, 50);  // the other shard goes on
    EXPECT_EQ(written[0], low_before);
    CopyRows(from, "_sluice_closed_t", to, "_sluice_closed_t");
    Rename(to, "_sluice_closed_t", "t");
    SwitchShards(switched);
    spec_.holds.clear();
    Publish();
    await(0, 50);
  };
  Rename("orders2/-80", "t", "_sluice_closed_t");
  cut_over("orders/-80", "orders2/-80", {"-80"});
  cut_over("orders2/-80", "orders/-80", {});
  stop = true;
  writers.clear();
  EXPECT_EQ(errors, 0);
  EXPECT_EQ(Scalar(*At("orders/-80"), "SELECT COUNT(*) - 1 FROM t"),
            absl::StrCat(written[0].load()));
  EXPECT_EQ(Scalar(*At("orders/80-"), "SELECT COUNT(*) - 1 FROM t"),
            absl::StrCat(written[1].load()));
}

}  // namespace
}  // namespace sluice::proxy
