// Tests of binlog streams from a real mysqld.

#include "common/mysql/binlog_stream.h"

#include <set>
#include <string>
#include <thread>

#include "common/base/status.h"
#include "common/binlog/event.h"
#include "tests/common/mysql/server_test.h"

namespace sluice::mysql {
namespace {

class BinlogStreamTest : public ServerTest {
 protected:
  BinlogStreamOptions Options() {
    BinlogStreamOptions options;
    options.connection = server().RootOverTcp();
    options.server_id = 4242;
    options.position = Executed();
    return options;
  }

  gtid::GtidSet Executed() {
    auto text = connection_->QueryScalar("SELECT @@GLOBAL.gtid_executed");
    EXPECT_TRUE(text.ok());
    auto set = gtid::GtidSet::Parse(*text);
    EXPECT_TRUE(set.ok()) << set.status();
    return *set;
  }

  // Reads until all of `wanted` has come; returns every GTID seen.
  static gtid::GtidSet ReadUntil(BinlogStream& stream, const gtid::GtidSet& wanted) {
    gtid::GtidSet seen;
    while (!seen.Contains(wanted)) {
      auto raw = stream.Next();
      if (!raw.ok()) {
        ADD_FAILURE() << raw.status();
        break;
      }
      auto header = binlog::DecodeHeader(*raw);
      if (header.ok() && (header->type == binlog::EventType::kGtid ||
                          header->type == binlog::EventType::kGtidTagged)) {
        auto stripped = binlog::VerifyAndStripChecksum(*raw);
        EXPECT_TRUE(stripped.ok()) << stripped.status();
        auto event = binlog::DecodeGtid(*stripped);
        EXPECT_TRUE(event.ok()) << event.status();
        seen.Add(event->gtid);
      }
    }
    return seen;
  }
};

TEST_F(BinlogStreamTest, SendsWhatComesAfterThePosition) {
  Run("CREATE TABLE t (id INT PRIMARY KEY)");
  Run("INSERT INTO t VALUES (1)");
  const BinlogStreamOptions options = Options();
  Run("INSERT INTO t VALUES (2)");
  Run("SET gtid_next = 'AUTOMATIC:blue'");
  Run("INSERT INTO t VALUES (3)");
  Run("SET gtid_next = AUTOMATIC");
  gtid::GtidSet wanted = Executed();
  wanted.Subtract(options.position);
  ASSERT_EQ(wanted.Count(), 2U);
  ASSERT_TRUE(wanted.HasTags());
  auto stream = BinlogStream::Open(options);
  ASSERT_TRUE(stream.ok()) << stream.status();
  EXPECT_EQ(ReadUntil(**stream, wanted), wanted);
}

TEST_F(BinlogStreamTest, APositionWithTagsLeavesThoseOut) {
  Run("CREATE TABLE t (id INT PRIMARY KEY)");
  Run("SET gtid_next = 'AUTOMATIC:green'");
  Run("INSERT INTO t VALUES (1)");
  Run("SET gtid_next = AUTOMATIC");
  const BinlogStreamOptions options = Options();
  ASSERT_TRUE(options.position.HasTags());
  Run("INSERT INTO t VALUES (2)");
  gtid::GtidSet wanted = Executed();
  wanted.Subtract(options.position);
  auto stream = BinlogStream::Open(options);
  ASSERT_TRUE(stream.ok()) << stream.status();
  EXPECT_EQ(ReadUntil(**stream, wanted), wanted);
}

TEST_F(BinlogStreamTest, HeartbeatsComeWhenNothingElseDoes) {
  BinlogStreamOptions options = Options();
  options.heartbeat = absl::Milliseconds(100);
  auto stream = BinlogStream::Open(options);
  ASSERT_TRUE(stream.ok()) << stream.status();
  int heartbeats = 0;
  while (heartbeats < 3) {
    auto raw = (*stream)->Next();
    ASSERT_TRUE(raw.ok()) << raw.status();
    heartbeats += binlog::DecodeHeader(*raw)->type == binlog::EventType::kHeartbeatV2 ? 1 : 0;
  }
}

TEST_F(BinlogStreamTest, InterruptEndsAWaitingRead) {
  BinlogStreamOptions options = Options();
  options.heartbeat = absl::Seconds(60);
  auto stream = BinlogStream::Open(options);
  ASSERT_TRUE(stream.ok()) << stream.status();
  std::thread interrupter([&] { (*stream)->Interrupt(); });
  absl::Status status;
  while (status.ok()) {
    status = (*stream)->Next().status();
  }
  interrupter.join();
  EXPECT_TRUE(absl::IsUnavailable(status)) << status;
  EXPECT_TRUE(absl::IsUnavailable((*stream)->Next().status()));
}

TEST_F(BinlogStreamTest, APositionInPurgedBinlogsIsDataLoss) {
  BinlogStreamOptions options = Options();
  Run("CREATE TABLE t (id INT PRIMARY KEY)");
  Run("FLUSH BINARY LOGS");
  const std::string current = *connection_->QueryScalar("SHOW BINARY LOG STATUS");
  Run("PURGE BINARY LOGS TO '" + current + "'");
  auto stream = BinlogStream::Open(options);
  absl::Status status = stream.status();
  while (status.ok()) {
    status = (*stream)->Next().status();
  }
  EXPECT_TRUE(absl::IsDataLoss(status)) << status;
  EXPECT_EQ(MysqlErrnoOf(status), 1236U);
}

TEST_F(BinlogStreamTest, ASecondStreamOfTheSameIdEndsTheFirst) {
  auto first = BinlogStream::Open(Options());
  auto second = BinlogStream::Open(Options());
  ASSERT_TRUE(first.ok() && second.ok());
  absl::Status status;
  while (status.ok()) {
    status = (*first)->Next().status();
  }
  EXPECT_TRUE(absl::IsAborted(status) || absl::IsUnavailable(status)) << status;
  EXPECT_TRUE((*second)->Next().ok());
}

TEST_F(BinlogStreamTest, AnEventAboveSixteenMebibytesComesWhole) {
  Run("CREATE TABLE t (id INT PRIMARY KEY, b LONGBLOB)");
  BinlogStreamOptions options = Options();
  options.heartbeat = absl::Seconds(10);
  Run("INSERT INTO t VALUES (1, REPEAT('x', 20000000))");
  auto stream = BinlogStream::Open(options);
  ASSERT_TRUE(stream.ok()) << stream.status();
  while (true) {
    auto raw = (*stream)->Next();
    ASSERT_TRUE(raw.ok()) << raw.status();
    auto header = binlog::DecodeHeader(*raw);
    ASSERT_TRUE(header.ok()) << header.status();
    if (header->type == binlog::EventType::kWriteRows) {
      EXPECT_GT(raw->size(), 20'000'000U);
      EXPECT_TRUE(binlog::VerifyAndStripChecksum(*raw).ok());
      break;
    }
  }
}

TEST_F(BinlogStreamTest, ServerIdZeroIsRefused) {
  BinlogStreamOptions options = Options();
  options.server_id = 0;
  EXPECT_EQ(BinlogStream::Open(options).status().code(), absl::StatusCode::kInvalidArgument);
}

TEST_F(BinlogStreamTest, AServerThatDiesEndsTheStream) {
  auto stream = BinlogStream::Open(Options());
  ASSERT_TRUE(stream.ok());
  server().Kill();
  absl::Status status;
  while (status.ok()) {
    status = (*stream)->Next().status();
  }
  EXPECT_TRUE(absl::IsUnavailable(status)) << status;
  const absl::Status restarted = server().Restart();
  EXPECT_TRUE(restarted.ok()) << restarted;
}

}  // namespace
}  // namespace sluice::mysql
