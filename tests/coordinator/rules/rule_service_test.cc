// RuleService: epochs, long polls and acknowledgements, over real rpc.

#include "coordinator/rules/rule_service.h"

#include <thread>

#include "common/base/status_macros.h"
#include "tests/coordinator/rules/proxy.h"
#include "tests/coordinator/testing/bench.h"
#include "tests/coordinator/testing/status_matchers.h"

namespace sluice::rules {
namespace {

using ::sluice::testing::Bench;
using ::sluice::testing::FakeAgent;
using ::sluice::testing::IsOk;
using ::sluice::testing::StatusIs;
using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;

class RuleServiceTest : public ::testing::Test {
 protected:
  RuleServiceTest() {
    EXPECT_THAT(bench_.topology->CreateKeyspace("commerce", {}), IsOk());
    Serve();
  }
  ~RuleServiceTest() override {
    bench_.rules->Close();
    server_->Stop();
  }

  void Serve() {
    server_ = std::make_unique<rpc::Server>(
        rpc::ServerOptions{.url = "tcp://127.0.0.1:0", .contexts = 16});
    server_->Register<schemas::PollRulesRequest, schemas::PollRulesReply>(
        schemas::Method::POLL_RULES,
        [this](const rpc::RequestContext& context, auto request, auto reply) {
          return bench_.rules->HandlePoll(context, request, reply);
        },
        false);
    EXPECT_THAT(server_->Start(), IsOk());
  }

  uint64_t Route(const std::string& from, const std::string& to) {
    return bench_.rules
        ->Change([&](store::StoreTransaction&, store::RuleState& rules) {
          rules.table_rules.push_back({from, to});
          return absl::OkStatus();
        })
        .value();
  }
  Proxy MakeProxy(const std::string& id) { return {server_->url(), id}; }
  // Polls until the proxy has the newest epoch, which it then obeys.
  static uint64_t CatchUp(Proxy& proxy, uint64_t have = 0) {
    while (true) {
      const Polled polled = proxy.Ask({.have = have, .wait = absl::Milliseconds(1)}).value();
      if (!polled.changed) {
        return have;
      }
      have = polled.epoch;
    }
  }

  Bench bench_;
  std::unique_ptr<rpc::Server> server_;
};

TEST_F(RuleServiceTest, AProxyThatHasNothingGetsTheFullSet) {
  FakeAgent& agent = bench_.AddAgent({});
  agent.AddTable("customer");
  bench_.Report();
  const uint64_t epoch = Route("customer", "commerce.customer");
  Proxy proxy = MakeProxy("p1");
  const Polled polled = proxy.Ask({}).value();
  EXPECT_TRUE(polled.changed);
  EXPECT_GE(polled.epoch, epoch);
  EXPECT_THAT(polled.rules, ElementsAre(routing::TableRule{"customer", "commerce.customer"}));
  EXPECT_THAT(polled.serving, ElementsAre("zone1-100"));
  EXPECT_THAT(polled.keyspaces, ElementsAre("commerce"));
  EXPECT_THAT(polled.homes, ElementsAre(store::TableHome{"customer", "commerce"}));
}

TEST_F(RuleServiceTest, APollIsAnsweredWhenANewerEpochComes) {
  Proxy proxy = MakeProxy("p1");
  const uint64_t have = CatchUp(proxy);
  EXPECT_FALSE(proxy.Ask({.have = have, .wait = absl::Milliseconds(20)}).value().changed);
  absl::StatusOr<Polled> polled = absl::UnknownError("not asked");
  uint64_t epoch = 0;
  {
    const std::jthread poll([&] { polled = proxy.Ask({.have = have}); });
    epoch = Route("a", "commerce.a");
  }
  ASSERT_THAT(polled, IsOk());
  EXPECT_TRUE(polled->changed);
  EXPECT_EQ(polled->epoch, epoch);
}

TEST_F(RuleServiceTest, AFailedChangeChangesNothing) {
  EXPECT_THAT(bench_.rules->Change([](store::StoreTransaction&, store::RuleState& rules) {
    rules.table_rules.push_back({"a", "commerce.a"});
    return absl::FailedPreconditionError("no");
  }),
              StatusIs(absl::StatusCode::kFailedPrecondition, "no"));
  EXPECT_THAT(bench_.rules->Rules().table_rules, IsEmpty());
  EXPECT_THAT(MakeProxy("p1").Ask({}).value().rules, IsEmpty());
}

TEST_F(RuleServiceTest, EpochsAndRulesOutliveARestartAndOnlyGrow) {
  const uint64_t before = bench_.rules
                              ->Change([](store::StoreTransaction&, store::RuleState& rules) {
                                rules.table_rules = {{"a", "commerce.a"}};
                                rules.holds = {{"cut", {"commerce.a"}, 1000, {"commerce/0"}}};
                                return absl::OkStatus();
                              })
                              .value();
  bench_.Restart();
  EXPECT_GT(bench_.rules->epoch(), before);
  Proxy proxy = MakeProxy("p1");
  const Polled polled = proxy.Ask({.have = before}).value();
  EXPECT_TRUE(polled.changed);
  EXPECT_THAT(polled.rules, ElementsAre(routing::TableRule{"a", "commerce.a"}));
  EXPECT_THAT(polled.holds, ElementsAre(store::Hold{"cut", {"commerce.a"}, 1000, {"commerce/0"}}));
}

TEST_F(RuleServiceTest, ATabletThatComesOrGoesMakesANewEpoch) {
  Proxy proxy = MakeProxy("p1");
  const uint64_t have = CatchUp(proxy);
  FakeAgent& agent = bench_.AddAgent({});
  Polled polled = proxy.Ask({.have = have}).value();
  ASSERT_TRUE(polled.changed);
  EXPECT_THAT(polled.serving, ElementsAre("zone1-100"));
  topology::TabletReport report = agent.Report();
  report.tablet.problem = "disk full";
  EXPECT_THAT(bench_.topology->Report(report), IsOk());
  polled = proxy.Ask({.have = polled.epoch}).value();
  ASSERT_TRUE(polled.changed);
  EXPECT_THAT(polled.serving, IsEmpty());
}

TEST_F(RuleServiceTest, TheTopologyOfTheLastEpochOutlivesARestart) {
  FakeAgent& agent = bench_.AddAgent({});
  agent.AddTable("customer");
  bench_.Report();
  Proxy proxy = MakeProxy("p1");
  uint64_t have = 0;
  Polled polled;
  while (polled.homes.empty()) {
    polled = proxy.Ask({.have = have}).value();
    have = polled.changed ? polled.epoch : have;
  }
  bench_.Restart();
  polled = proxy.Ask({.have = have}).value();
  ASSERT_TRUE(polled.changed);
  EXPECT_THAT(polled.serving, ElementsAre("zone1-100"));
  EXPECT_THAT(polled.homes, ElementsAre(store::TableHome{"customer", "commerce"}));
}

TEST_F(RuleServiceTest, AwaitProxiesEndsWhenAllObeyAndNamesThoseThatDoNot) {
  Proxy one = MakeProxy("p1");
  Proxy two = MakeProxy("p2");
  const uint64_t first = CatchUp(one);
  CatchUp(two);
  EXPECT_THAT(bench_.rules->AwaitProxies(first, ProxyProgress::kObeyed, absl::Now()), IsEmpty());
  const uint64_t epoch = Route("a", "commerce.a");
  CatchUp(one, first);
  const std::vector<ProxyDelay> late =
      bench_.rules->AwaitProxies(epoch, ProxyProgress::kObeyed, absl::Now());
  ASSERT_THAT(late, SizeIs(1));
  EXPECT_EQ(late[0].id, "p2");
  EXPECT_THAT(late[0].reason, HasSubstr("obeys epoch " + std::to_string(first)));
  std::vector<ProxyDelay> delays = late;
  {
    const std::jthread waiter([&] {
      delays = bench_.rules->AwaitProxies(epoch, ProxyProgress::kObeyed,
                                          absl::Now() + absl::Seconds(30));
    });
    CatchUp(two, first);
  }
  EXPECT_THAT(delays, IsEmpty());
}

TEST_F(RuleServiceTest, DrainedComesAfterObeyedAndInASecondPollOfTheSameProxy) {
  Proxy proxy = MakeProxy("p1");
  Proxy again = MakeProxy("p1");
  const uint64_t epoch = CatchUp(proxy);
  absl::StatusOr<Polled> old_poll = absl::UnknownError("not asked");
  {
    const std::jthread poll([&] {
      old_poll = proxy.Ask({.have = epoch, .drained = epoch - 1, .open_transactions = 2});
    });
    // The newer poll answers the older one.
    while (bench_.rules->Proxies()[0].open_transactions != 2) {
      std::this_thread::yield();
    }
    std::vector<ProxyDelay> delays =
        bench_.rules->AwaitProxies(epoch, ProxyProgress::kDrained, absl::Now());
    ASSERT_THAT(delays, SizeIs(1));
    EXPECT_THAT(delays[0].reason, HasSubstr("2 statements or transactions open"));
    EXPECT_THAT(again.Ask({.have = epoch, .drained = epoch, .wait = absl::Milliseconds(1)}),
                IsOk());
  }
  ASSERT_THAT(old_poll, IsOk());
  EXPECT_FALSE(old_poll->changed);
  EXPECT_THAT(bench_.rules->AwaitProxies(epoch, ProxyProgress::kDrained, absl::Now()), IsEmpty());
}

TEST_F(RuleServiceTest, ARefusedEpochIsNotWaitedForAndNotOfferedAgain) {
  Proxy proxy = MakeProxy("p1");
  const uint64_t have = CatchUp(proxy);
  const uint64_t epoch = Route("a", "commerce.a");
  const Polled polled = proxy
                            .Ask({.have = have,
                                  .refused = epoch,
                                  .reason = "too many rules",
                                  .wait = absl::Milliseconds(20)})
                            .value();
  EXPECT_FALSE(polled.changed);
  const std::vector<ProxyDelay> delays =
      bench_.rules->AwaitProxies(epoch, ProxyProgress::kObeyed, absl::Now() + absl::Seconds(30));
  ASSERT_THAT(delays, SizeIs(1));
  EXPECT_THAT(delays[0].reason, HasSubstr("too many rules"));
  const uint64_t next = Route("b", "commerce.b");
  EXPECT_EQ(proxy.Ask({.have = have, .refused = epoch}).value().epoch, next);
}

TEST_F(RuleServiceTest, AProxyTellsItsCell) {
  Proxy proxy = MakeProxy("p1");
  ASSERT_THAT(proxy.Ask({.cell = "zone3", .wait = absl::Milliseconds(1)}), IsOk());
  ASSERT_THAT(bench_.rules->Proxies(), SizeIs(1));
  EXPECT_EQ(bench_.rules->Proxies()[0].cell, "zone3");
}

TEST_F(RuleServiceTest, AProxyThatFellSilentIsNotWaitedForLong) {
  Proxy proxy = MakeProxy("p1");
  CatchUp(proxy);
  const uint64_t epoch = Route("a", "commerce.a");
  const absl::Time start = absl::Now();
  EXPECT_THAT(bench_.rules->AwaitProxies(epoch, ProxyProgress::kObeyed, start + absl::Seconds(60)),
              IsEmpty());
  EXPECT_LT(absl::Now() - start, absl::Seconds(10));
  EXPECT_FALSE(bench_.rules->Proxies()[0].connected);
}

TEST_F(RuleServiceTest, AnEpochFromALostStoreIsPassed) {
  Proxy proxy = MakeProxy("p1");
  const Polled polled = proxy.Ask({.have = 1'000'000}).value();
  EXPECT_TRUE(polled.changed);
  EXPECT_GT(polled.epoch, 1'000'000);
  EXPECT_THAT(proxy.Ask({.have = uint64_t{1} << 63U}),
              StatusIs(absl::StatusCode::kInvalidArgument, "claims epoch"));
}

}  // namespace
}  // namespace sluice::rules
