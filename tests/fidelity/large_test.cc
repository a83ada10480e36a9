// Rows of many megabytes through a stream, by the copy and by the binlog: whole, in bounded memory,
// and within the packets that the target's mysqld takes.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdint>
#include <fstream>
#include <iostream>
#include <memory>
#include <string>
#include <vector>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "tests/agent/target/stream_world.h"

namespace sluice::testing {
namespace {

using schemas::StreamState;
using ::testing::HasSubstr;

constexpr uint64_t kStream = 1;
constexpr int64_t kMiB = int64_t{1} << 20U;

// The most memory that this process has held at once, since the last call of ForgetPeak.
int64_t PeakBytes() {
  std::ifstream file("/proc/self/status");
  for (std::string line; std::getline(file, line);) {
    if (absl::string_view rest = line; absl::ConsumePrefix(&rest, "VmHWM:")) {
      int64_t kilobytes = 0;
      EXPECT_TRUE(absl::ConsumeSuffix(&rest, " kB") && absl::SimpleAtoi(rest, &kilobytes)) << line;
      return kilobytes << 10U;
    }
  }
  ADD_FAILURE() << "no peak of memory";
  return 0;
}

void ForgetPeak() {
  std::ofstream("/proc/self/clear_refs") << "5";
}

class LargeRowTest : public ::testing::Test {
 protected:
  void Start(const std::vector<std::string>& source_options,
             const std::vector<std::string>& target_options) {
    world_ = StreamWorld::Start({}, source_options, target_options);
    ASSERT_NE(world_, nullptr);
    world_->CreateTable("t (n INT NOT NULL PRIMARY KEY, b LONGBLOB, c LONGTEXT, v INT NULL)");
  }

  void Await(StreamState state) {
    world_->AwaitStatus(
        kStream, [state](const SeenStatus& s) { return s.state == state; }, absl::Minutes(3));
  }

  // Blobs are bytes and nothing else, so a digest of each says whether they are the same.
  std::vector<mysql::Row> Digests(const Mysqld& server, const std::string& database) {
    const auto answer = ConnectTo(server, database)
                            ->Query(
                                "SELECT n, OCTET_LENGTH(b), SHA2(b, 256), OCTET_LENGTH(c), "
                                "SHA2(CAST(c AS BINARY), 256), v FROM t ORDER BY n");
    EXPECT_TRUE(answer.ok()) << answer.status();
    return answer.ok() ? answer->rows : std::vector<mysql::Row>();
  }

  void ExpectSame(size_t rows) {
    const std::string marker = absl::StrCat("large-", ++markers_);
    world_->OnSource({absl::StrCat("INSERT INTO _sluice.marker VALUES ('", marker,
                                   "', 'target.move', 1, NOW(6))")});
    const auto position = world_->AwaitMarker(kStream, marker, absl::Seconds(60));
    ASSERT_TRUE(position.ok()) << position.status();
    const auto source = Digests(world_->source_mysqld(), kSourceDatabase);
    const auto target = Digests(world_->target_mysqld(), kTargetDatabase);
    EXPECT_EQ(source.size(), rows);
    EXPECT_EQ(source, target);
  }

  std::unique_ptr<StreamWorld> world_;
  int markers_ = 0;
};

TEST_F(LargeRowTest, RowsOf64MiBAndMoreArriveInBoundedMemory) {
  const std::vector<std::string> packets = {"--max-allowed-packet=1G"};
  ASSERT_NO_FATAL_FAILURE(Start(packets, packets));
  // Of zeros, of bytes that a statement's text would have to escape, of text; and two in one row.
  world_->OnSource({"INSERT INTO t VALUES (1, REPEAT(x'00', 67108864), NULL, 1)",
                    "INSERT INTO t VALUES (2, REPEAT(x'275c000a', 16777216), 'short', 2)",
                    "INSERT INTO t VALUES (3, x'', REPEAT('ä\\'b', 16777216), 3)",
                    "INSERT INTO t VALUES (4, REPEAT(x'ff', 41943040), REPEAT('ö', 20971520), 4)",
                    "INSERT INTO t VALUES (5, NULL, 'x', 5)"});
  ForgetPeak();
  const int64_t before = PeakBytes();
  ASSERT_TRUE(world_->Create(StreamWorld::Spec(kStream, {"t"})).ok());
  Await(StreamState::RUNNING);
  const int64_t copied = PeakBytes() - before;
  ASSERT_NO_FATAL_FAILURE(ExpectSame(5));

  // An UPDATE stands in the binlog with both images.
  ForgetPeak();
  const int64_t between = PeakBytes();
  world_->OnSource({"UPDATE t SET v = 77", "DELETE FROM t WHERE n = 2",
                    "INSERT INTO t VALUES (6, REPEAT(x'5c27', 33554432), NULL, 6)",
                    "UPDATE t SET b = CONCAT(b, x'0a') WHERE n = 1"});
  ASSERT_NO_FATAL_FAILURE(ExpectSame(5));
  const int64_t applied = PeakBytes() - between;

  std::cout << "large rows: both agents together held " << copied / kMiB
            << " MiB more while copying, " << applied / kMiB << " MiB more while applying\n";
  // Two agents in one process; the largest row has 80 MiB, and its UPDATE 160 MiB.
  EXPECT_LE(copied, 2 * 256 * kMiB);
  EXPECT_LE(applied, 2 * 512 * kMiB);
}

// The source took it in one packet; as the text of a statement it is twice as large.
TEST_F(LargeRowTest, AValueThatFitsIntoAPacketFitsThoughItsTextWouldNot) {
  ASSERT_NO_FATAL_FAILURE(Start({"--max-allowed-packet=16M"}, {"--max-allowed-packet=16M"}));
  world_->OnSource(
      {"INSERT INTO t VALUES (1, REPEAT(x'00', 15000000), NULL, 1)",
       "INSERT INTO t VALUES (2, REPEAT(x'27', 9000000), REPEAT('\\\\', 9000000), 2)"});
  ASSERT_TRUE(world_->Create(StreamWorld::Spec(kStream, {"t"})).ok());
  Await(StreamState::RUNNING);
  world_->OnSource(
      {"UPDATE t SET v = 7", "INSERT INTO t VALUES (3, REPEAT('\\'', 16000000), '', 3)"});
  ExpectSame(3);
}

TEST_F(LargeRowTest, AValueAboveTheTargetsPacketStopsTheStreamUntilItIsRaised) {
  ASSERT_NO_FATAL_FAILURE(Start({"--max-allowed-packet=16M"}, {"--max-allowed-packet=4M"}));
  world_->OnSource({"INSERT INTO t VALUES (1, REPEAT(x'00', 5000000), NULL, 1)"});
  ASSERT_TRUE(world_->Create(StreamWorld::Spec(kStream, {"t"})).ok());
  const SeenStatus status = world_->AwaitState(kStream, StreamState::ERROR);
  EXPECT_THAT(status.message, HasSubstr("max_allowed_packet"));
  EXPECT_THAT(status.message, HasSubstr("4194304"));
  EXPECT_THAT(status.message, HasSubstr("vt_target.t"));
  world_->OnTarget({"SET GLOBAL max_allowed_packet = 16777216"});
  ASSERT_TRUE(world_->Control(kStream, schemas::StreamAction::START, 1).ok());
  Await(StreamState::RUNNING);
  world_->OnSource({"INSERT INTO t VALUES (2, REPEAT(x'00', 15000000), NULL, 1)"});
  ExpectSame(2);
}

}  // namespace
}  // namespace sluice::testing
