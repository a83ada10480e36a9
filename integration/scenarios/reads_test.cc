// Reads of RDONLY and REPLICA tablets and writes, switched and reversed one by one in several
// orders: whoever stays on a side that is closed to writes goes on reading, and reads what is
// right.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>
#include <thread>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "common/base/status.h"
#include "integration/scenarios/scenario.h"

namespace sluice::scenario {
namespace {

constexpr char kMove[] = "customer.move";
constexpr char kNotSwitched[] = "Reads Not Switched. Writes Not Switched";
constexpr char kSwitched[] = "All Reads Switched. Writes Switched";
constexpr unsigned kViewInvalid = 1356;

struct Order {
  const char* name;
  std::vector<std::string> there;
  std::vector<std::string> back;
};

class ReadsTest : public testing::TestWithParam<Order> {
 protected:
  void SetUp() override {
    scenario_ = Scenario::Start({.replicas = true, .orders = 200});
    ASSERT_NE(scenario_, nullptr);
    scenario_->Done(
        {"movetables", "create", kMove, "--source", "commerce", "--tables", "customer,corder"});
    ASSERT_TRUE(scenario_->AwaitRunning(kMove));
    scenario_->StartClients();
  }

  uint32_t SideOf(const std::string& type) const { return moved_.at(type) ? 200 : 100; }

  // The port of the mysqld that answers an application's read of that type.
  std::string Answers(const std::string& type) {
    auto session = scenario_->cluster().ConnectProxy("commerce@" + type);
    if (!session.ok()) {
      return session.status().ToString();
    }
    return (*session)->QueryScalar("SELECT @@port FROM corder LIMIT 1").value_or("no answer");
  }

  // A write through the proxy is read by every type, wherever it reads, soon.
  void ExpectReadEverywhere() {
    const std::string sku = absl::StrCat("mark", ++marks_);
    EXPECT_EQ(scenario_->ProxyErrno("commerce", absl::StrCat("UPDATE corder SET sku = '", sku,
                                                             "' WHERE order_id = 1")),
              0U);
    for (const auto& [type, moved] : moved_) {
      auto session = scenario_->cluster().ConnectProxy("commerce@" + type);
      ASSERT_TRUE(session.ok()) << session.status();
      absl::StatusOr<std::string> read;
      for (const absl::Time until = absl::Now() + absl::Seconds(60); absl::Now() < until;) {
        read = (*session)->QueryScalar("SELECT sku FROM corder WHERE order_id = 1");
        ASSERT_TRUE(read.ok()) << type << ": " << read.status();
        if (*read == sku) {
          break;
        }
        std::this_thread::sleep_for(std::chrono::milliseconds(5));  // Delay: between two looks
      }
      EXPECT_EQ(*read, sku) << type;
    }
  }

  // Past the proxies, the side without writes takes none, and is read where reads have stayed.
  void ExpectClosedTo(uint32_t uid) {
    auto session = scenario_->cluster().ConnectMysqld(uid);
    ASSERT_TRUE(session.ok()) << session.status();
    for (const char* sql :
         {"INSERT INTO corder (order_id) VALUES (7)", "UPDATE corder SET price = 1",
          "DELETE FROM corder", "DELETE corder FROM corder JOIN customer USING (customer_id)"}) {
      EXPECT_EQ(MysqlErrnoOf((*session)->Query(sql).status()), kViewInvalid) << uid << ": " << sql;
    }
    EXPECT_FALSE((*session)->Query("TRUNCATE TABLE corder").ok());
    const bool read = SideOf("replica") == uid || SideOf("rdonly") == uid;
    EXPECT_EQ((*session)->Query("SELECT COUNT(*) FROM corder").ok(), read) << uid;
  }

  void ExpectRight() {
    const auto port = [&](uint32_t uid) {
      return absl::StrCat(scenario_->cluster().FindTablet(uid)->mysql_port);
    };
    EXPECT_EQ(Answers("replica"), port(SideOf("replica") + 1));
    EXPECT_EQ(Answers("rdonly"), port(SideOf("rdonly") + 2));
    EXPECT_EQ(Answers("primary"), port(SideOf("primary")));
    EXPECT_EQ(scenario_->OwnerOfOrders(), SideOf("primary"));
    ExpectReadEverywhere();
    ExpectClosedTo(SideOf("primary") == 100 ? 200 : 100);
    const absl::Status written = scenario_->clients().AwaitWrites(20, absl::Seconds(60));
    ASSERT_TRUE(written.ok()) << written;
  }

  void Go(const char* command, const std::vector<std::string>& types, bool there) {
    for (const std::string& type : types) {
      SCOPED_TRACE(absl::StrCat(command, " ", type));
      scenario_->Done({"movetables", command, kMove, "--tablet-types", type});
      moved_[type] = there;
      ExpectRight();
      if (HasFailure()) {
        return;
      }
    }
  }

  std::unique_ptr<Scenario> scenario_;
  std::map<std::string, bool> moved_ = {{"primary", false}, {"rdonly", false}, {"replica", false}};
  int marks_ = 0;
};

TEST_P(ReadsTest, GoAndComeBackOneByOne) {
  ExpectRight();
  Go("switchtraffic", GetParam().there, true);
  ASSERT_FALSE(HasFailure());
  EXPECT_EQ(scenario_->TrafficState(kMove), kSwitched);
  scenario_->JudgeAll();
  Go("reversetraffic", GetParam().back, false);
  ASSERT_FALSE(HasFailure());
  EXPECT_EQ(scenario_->TrafficState(kMove), kNotSwitched);
  scenario_->JudgeAll();
}

INSTANTIATE_TEST_SUITE_P(
    InOrder, ReadsTest,
    testing::Values(
        Order{"ReadsFirst", {"rdonly", "replica", "primary"}, {"primary", "replica", "rdonly"}},
        Order{"WritesFirst", {"primary", "rdonly", "replica"}, {"rdonly", "replica", "primary"}},
        Order{"WritesBetween", {"replica", "primary", "rdonly"}, {"replica", "primary", "rdonly"}}),
    [](const auto& one) { return std::string(one.param.name); });

}  // namespace
}  // namespace sluice::scenario
