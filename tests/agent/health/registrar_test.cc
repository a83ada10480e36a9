// What an agent with many tablets tells the coordinator, and how often.

#include "agent/health/registrar.h"

#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/synchronization/mutex.h"
#include "common/rpc/server.h"
#include "common/wire/wire.h"

namespace sluice::agent {
namespace {

constexpr uint32_t kShards = 64;

// A coordinator that refuses some tablets, as often as it is told to. Thread-safe.
class Coordinator {
 public:
  Coordinator() : server_({.url = "tcp://127.0.0.1:0"}) {
    server_.Register<schemas::RegisterTabletRequest, schemas::RegisterTabletReply>(
        schemas::Method::REGISTER_TABLET,
        [this](const rpc::RequestContext&, auto request, auto reply) {
          reply.setReportIntervalMs(100);
          const absl::MutexLock lock(&mutex_);
          tablets_ = Aliases(request);
          ++registrations_;
          if (refusals_ > 0) {
            --refusals_;
            reply.initRefusals(kShards).set(kShards - 1, "no such keyspace");
          }
          reply.initCluster();
          reply.initOthers(kShards - 1);
          return absl::OkStatus();
        });
    server_.Register<schemas::ReportTabletRequest, schemas::ReportTabletReply>(
        schemas::Method::REPORT_TABLET, [this](const rpc::RequestContext&, auto request, auto) {
          const absl::MutexLock lock(&mutex_);
          tablets_ = Aliases(request);
          ++reports_;
          return absl::OkStatus();
        });
    EXPECT_TRUE(server_.Start().ok());
  }

  [[nodiscard]] std::string url() const { return server_.url(); }

  void Refuse(int times) {
    const absl::MutexLock lock(&mutex_);
    refusals_ = times;
  }
  bool AwaitReports(int count) {
    const absl::MutexLock lock(&mutex_);
    const auto enough = [&]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) { return reports_ >= count; };
    return mutex_.AwaitWithTimeout(absl::Condition(&enough), absl::Seconds(30));
  }
  int registrations() {
    const absl::MutexLock lock(&mutex_);
    return registrations_;
  }
  int messages() {
    const absl::MutexLock lock(&mutex_);
    return registrations_ + reports_;
  }
  std::vector<std::string> tablets() {
    const absl::MutexLock lock(&mutex_);
    return tablets_;
  }

 private:
  // "100 ks/0 streams 2"
  template <typename Request>
  static std::vector<std::string> Aliases(Request request) {
    std::vector<std::string> aliases;
    const auto name = [&](auto tablet, auto streams) {
      aliases.push_back(absl::StrCat(tablet.getUid(), " ", wire::Str(tablet.getKeyspace()), "/",
                                     wire::Str(tablet.getShard()), " streams ", streams.size()));
    };
    name(request.getIdentity(), request.getStreams());
    for (const auto share : request.getOthers()) {
      name(share, share.getStreams());
    }
    return aliases;
  }

  absl::Mutex mutex_;
  std::vector<std::string> tablets_ ABSL_GUARDED_BY(mutex_);
  int registrations_ ABSL_GUARDED_BY(mutex_) = 0;
  int reports_ ABSL_GUARDED_BY(mutex_) = 0;
  int refusals_ ABSL_GUARDED_BY(mutex_) = 0;
  rpc::Server server_;  // last: ends first
};

class RegistrarTest : public ::testing::Test {
 protected:
  RegistrarTest() {
    config_.cell = "zone1";
    config_.coordinator = coordinator_.url();
    for (uint32_t i = 0; i < kShards; ++i) {
      config_.shards.push_back({.uid = 100 + i,
                                .keyspace = "ks",
                                .shard = absl::StrCat(i),
                                .type = routing::TabletType::kPrimary,
                                .database = absl::StrCat("vt_", i)});
    }
    monitor_ = std::make_unique<Monitor>(config_, MonitorHooks());  // never started
  }

  void Start() {
    RegistrarHooks hooks{.streams = [this]() -> StreamFill {
                           ++snapshots_;
                           return [](const std::string& database, const StreamListInit& init) {
                             init(database == "vt_7" ? 2 : 0);
                           };
                         },
                         .registered = [this] { ++registered_; },
                         .told =
                             [this](const std::vector<schemas::ClusterView::Reader>& views) {
                               views_ = views.size();
                             }};
    auto created = Registrar::Create(config_, "tcp://127.0.0.1:1", *monitor_, std::move(hooks));
    ASSERT_TRUE(created.ok()) << created.status();
    registrar_ = *std::move(created);
    registrar_->Start();
  }

  Coordinator coordinator_;
  AgentConfig config_;
  std::unique_ptr<Monitor> monitor_;
  int snapshots_ = 0;  // these three: of the registrar's thread, until it is stopped
  int registered_ = 0;
  size_t views_ = 0;
  std::unique_ptr<Registrar> registrar_;
};

TEST_F(RegistrarTest, AllTabletsAreOneMessage) {
  Start();
  ASSERT_TRUE(coordinator_.AwaitReports(2));
  registrar_->Stop();
  const std::vector<std::string> tablets = coordinator_.tablets();
  ASSERT_EQ(tablets.size(), kShards);
  EXPECT_EQ(tablets[0], "100 ks/0 streams 0");
  EXPECT_EQ(tablets[7], "107 ks/7 streams 2");
  EXPECT_EQ(tablets[63], "163 ks/63 streams 0");
  EXPECT_EQ(coordinator_.registrations(), 1);
  EXPECT_LE(snapshots_, coordinator_.messages() + 1)
      << "the streams are looked at once for each message";
  EXPECT_EQ(registered_, 1);
  EXPECT_EQ(views_, kShards) << "of the registration";
}

TEST_F(RegistrarTest, WhileATabletIsRefusedAllAreRegisteredAgain) {
  coordinator_.Refuse(2);
  Start();
  ASSERT_TRUE(coordinator_.AwaitReports(1));
  registrar_->Stop();
  EXPECT_EQ(coordinator_.registrations(), 3);
  EXPECT_EQ(registered_, 1) << "ready with the first, for those that are taken";
}

}  // namespace
}  // namespace sluice::agent
