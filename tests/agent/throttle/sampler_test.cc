// The sampler beside a real mysqld.

#include "agent/throttle/sampler.h"

#include <gmock/gmock.h>

#include <functional>
#include <thread>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "agent/throttle/gate.h"
#include "tests/testing/mysqld_fixture.h"

namespace sluice::throttle {
namespace {

using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;

constexpr absl::Duration kPeriod = absl::Milliseconds(50);

Limits Limit(Metric metric, double max) {
  Limits limits;
  limits.max[static_cast<size_t>(metric)] = max;
  return limits;
}

Limits Query(const std::string& query, double max) {
  Limits limits = Limit(Metric::kQuery, max);
  limits.query = query;
  return limits;
}

// A statement that runs in a session of its own until it is over.
class Sleeper {
 public:
  Sleeper(mysql::ConnectionOptions options, const std::string& program) {
    options.program = program;
    auto connection = mysql::Connection::Connect(options);
    EXPECT_TRUE(connection.ok()) << connection.status();
    connection_ = *std::move(connection);
    thread_ =
        std::jthread([this] { connection_->Query("SELECT SLEEP(60)").status().IgnoreError(); });
  }
  ~Sleeper() { connection_->Interrupt(); }

 private:
  std::unique_ptr<mysql::Connection> connection_;
  std::jthread thread_;
};

class SamplerTest : public ::testing::Test {
 protected:
  static void SetUpTestSuite() {
    auto started = testing::Mysqld::Start();
    ASSERT_TRUE(started.ok()) << started.status();
    mysqld_ = *std::move(started);
  }
  static void TearDownTestSuite() { mysqld_.reset(); }
  void SetUp() override {
    ASSERT_NE(mysqld_, nullptr);
    mysql::ConnectionOptions options = mysqld_->Root();
    options.program = "sluice-agent zone1-100";
    sampler_ = std::make_unique<Sampler>(SamplerOptions{
        .connection = options,
        .lag = [] { return Reading{.value = std::nullopt, .detail = "nobody knows"}; },
        .period = kPeriod});
    root_ = Connect("test");
  }

  static std::unique_ptr<mysql::Connection> Connect(const std::string& program) {
    mysql::ConnectionOptions options = mysqld_->Root();
    options.program = program;
    auto connection = mysql::Connection::Connect(options);
    EXPECT_TRUE(connection.ok()) << connection.status();
    return connection.ok() ? *std::move(connection) : nullptr;
  }
  // The gate's word once it is what is wanted, else the last one.
  static std::string Await(Gate& gate, const std::function<bool(const std::string&)>& wanted,
                           absl::Duration timeout = absl::Seconds(10)) {
    const absl::Time deadline = absl::Now() + timeout;
    std::string why = gate.Why();
    while (!wanted(why) && absl::Now() < deadline) {
      absl::SleepFor(absl::Milliseconds(10));  // Delay: the sampler's next look.
      why = gate.Why();
    }
    return why;
  }
  static bool Open(const std::string& why) { return why.empty(); }
  static std::function<bool(const std::string&)> Says(const std::string& part) {
    return [part](const std::string& why) { return absl::StrContains(why, part); };
  }

  static std::unique_ptr<testing::Mysqld> mysqld_;
  std::unique_ptr<Sampler> sampler_;
  std::unique_ptr<mysql::Connection> root_;
};

std::unique_ptr<testing::Mysqld> SamplerTest::mysqld_;

TEST_F(SamplerTest, CountsStatementsOfOthersAndNotThoseOfAgents) {
  Gate gate(*sampler_, Limit(Metric::kThreads, 2));
  EXPECT_THAT(Await(gate, Open), IsEmpty());
  {
    const Sleeper ours(mysqld_->Root(), "sluice-agent zone1-200");
    const Sleeper ours_too(mysqld_->Root(), "sluice-agent zone1-200");
    const Sleeper one(mysqld_->Root(), "application");
    const Sleeper two(mysqld_->Root(), "application");
    const auto fresh = Connect("test");
    // All four run, and the sampler has looked after that.
    while (*fresh->QueryScalar("SELECT COUNT(*) FROM performance_schema.threads WHERE "
                               "PROCESSLIST_STATE = 'User sleep'") != "4") {
    }
    Gate later(*sampler_, Limit(Metric::kThreads, 2));
    EXPECT_THAT(Await(later, Open), IsEmpty());
    const Sleeper three(mysqld_->Root(), "application");
    EXPECT_EQ(Await(gate, Says("above")), "threads running 3 is above 2");
  }
  // mysqld looks every few seconds whether the client of a SLEEP is still there.
  EXPECT_THAT(Await(gate, Open, absl::Seconds(30)), IsEmpty());
}

TEST_F(SamplerTest, MeasuresSyncsOfTheRedoLog) {
  ASSERT_TRUE(root_->Execute("CREATE DATABASE IF NOT EXISTS d").ok());
  ASSERT_TRUE(
      root_->Execute("CREATE TABLE IF NOT EXISTS d.t (id INT PRIMARY KEY AUTO_INCREMENT)").ok());
  ASSERT_TRUE(root_->Execute("SET GLOBAL innodb_flush_log_at_trx_commit = 1").ok());
  Gate slow(*sampler_, Limit(Metric::kDisk, 60e6));
  Gate fast(*sampler_, Limit(Metric::kDisk, 0.001));
  std::string why;
  const absl::Time deadline = absl::Now() + absl::Seconds(10);
  while (!absl::StrContains(why, "disk latency") || absl::StrContains(why, "could not")) {
    ASSERT_LT(absl::Now(), deadline) << why;
    ASSERT_TRUE(root_->Execute("INSERT INTO d.t VALUES ()").ok());
    why = fast.Why();
  }
  EXPECT_THAT(why, HasSubstr("is above 0.00ms"));
  EXPECT_THAT(Await(slow, Open), IsEmpty());
}

TEST_F(SamplerTest, IsClosedWhereMysqldDoesNotTimeItsFiles) {
  const std::string switch_off =
      "UPDATE performance_schema.setup_instruments SET TIMED = 'NO' WHERE NAME LIKE "
      "'wait/io/file/innodb/innodb_log_file'";
  ASSERT_TRUE(root_->Execute(switch_off).ok());
  Gate gate(*sampler_, Limit(Metric::kDisk, 60e6));
  EXPECT_THAT(Await(gate, Says("instruments")), HasSubstr("could not be measured"));
  ASSERT_TRUE(root_
                  ->Execute("UPDATE performance_schema.setup_instruments SET TIMED = 'YES' WHERE "
                            "NAME LIKE 'wait/io/file/innodb/innodb_log_file'")
                  .ok());
  EXPECT_THAT(Await(gate, Open), IsEmpty());
}

TEST_F(SamplerTest, AUsersQueryDecidesAndItsFailuresClose) {
  ASSERT_TRUE(root_->Execute("SET GLOBAL max_connections = 200").ok());
  Gate gate(*sampler_, Query("SELECT @@GLOBAL.max_connections", 200));
  Gate broken(*sampler_, Query("SELECT nothing FROM nowhere.at_all", 1));
  Gate no_number(*sampler_, Query("SELECT 'high'", 1));
  Gate slow(*sampler_, Query("SELECT SLEEP(30)", 1e9));
  EXPECT_THAT(Await(gate, Open), IsEmpty());
  EXPECT_THAT(Await(broken, Says("nowhere")), HasSubstr("could not be measured"));
  EXPECT_THAT(Await(no_number, Says("high")), HasSubstr("no number"));
  ASSERT_TRUE(root_->Execute("SET GLOBAL max_connections = 201").ok());
  EXPECT_EQ(Await(gate, Says("above")), "the throttle query's value 201 is above 200");
  ASSERT_TRUE(root_->Execute("SET GLOBAL max_connections = 151").ok());
  EXPECT_THAT(Await(gate, Open), IsEmpty()) << "the slow query of another does not starve it";
}

TEST_F(SamplerTest, ItsSessionCannotWrite) {
  auto session = ConnectToMeasure(mysqld_->Root());
  ASSERT_TRUE(session.ok()) << session.status();
  EXPECT_FALSE((*session)->Execute("CREATE DATABASE written").ok());
}

TEST_F(SamplerTest, WithoutInterestItHasNoSession) {
  const auto sessions = [&] {
    return *root_->QueryScalar(
        "SELECT COUNT(*) FROM performance_schema.session_connect_attrs WHERE ATTR_NAME = "
        "'program_name' AND ATTR_VALUE = 'sluice-agent zone1-100'");
  };
  {
    Gate gate(*sampler_, Limit(Metric::kThreads, 100));
    EXPECT_THAT(Await(gate, Open), IsEmpty());
    EXPECT_EQ(sessions(), "1");
  }
  const absl::Time deadline = absl::Now() + absl::Seconds(5);
  while (sessions() != "0") {
    ASSERT_LT(absl::Now(), deadline);
  }
}

TEST_F(SamplerTest, AMysqldThatIsGoneClosesAndOneThatIsBackOpens) {
  Gate gate(*sampler_, Limit(Metric::kThreads, 100));
  EXPECT_THAT(Await(gate, Open), IsEmpty());
  mysqld_->Kill();
  EXPECT_THAT(Await(gate, Says("could not")), Not(IsEmpty()));
  ASSERT_TRUE(mysqld_->Restart().ok());
  EXPECT_THAT(Await(gate, Open, absl::Seconds(30)), IsEmpty());
}

TEST_F(SamplerTest, ALagThatIsNotKnownCloses) {
  Gate gate(*sampler_, Limit(Metric::kLag, 1000));
  EXPECT_EQ(Await(gate, Says("nobody")), "replica lag could not be measured: nobody knows");
}

}  // namespace
}  // namespace sluice::throttle
