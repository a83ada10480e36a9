// Every form that a binlog can take, through a stream: what can be followed is followed exactly,
// what cannot stops the stream and is named.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "tests/agent/target/stream_world.h"
#include "tests/fidelity/raw_rows.h"

namespace sluice::testing {
namespace {

using schemas::StreamState;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

constexpr uint64_t kStream = 1;
constexpr char kTable[] =
    "t (n INT NOT NULL PRIMARY KEY, v VARCHAR(200), j JSON, b LONGBLOB, u INT NULL UNIQUE)";

class BinlogTest : public ::testing::Test {
 protected:
  // Servers, the table with ten rows on both sides, and a stream that follows the binlog.
  void Start(const std::vector<std::string>& source_options = {},
             const std::vector<std::string>& target_options = {}) {
    world_ = StreamWorld::Start({}, source_options, target_options);
    ASSERT_NE(world_, nullptr);
    world_->CreateTable(kTable);
    for (int i = 1; i <= 10; ++i) {
      world_->OnSource({Row(i)});
    }
    ASSERT_TRUE(world_->Create(StreamWorld::Spec(kStream, {"t"})).ok());
    world_->AwaitState(kStream, StreamState::RUNNING);
  }

  static std::string Row(int n) {
    return absl::StrCat("INSERT INTO t VALUES (", n, ", 'ä", n, "', JSON_OBJECT('n', ", n,
                        ", 'list', JSON_ARRAY(1.5, ", n, ")), REPEAT(x'00ff', ", n * 7, "), ", n,
                        ")");
  }

  // INSERT, UPDATE of every kind of column, of keys, and DELETE, in one session.
  static std::vector<std::string> Changes(int from) {
    return {Row(from),
            Row(from + 1),
            Row(from + 2),
            absl::StrCat("UPDATE t SET v = CONCAT(v, 'ß'), b = CONCAT(b, x'27') WHERE n <= ", from),
            absl::StrCat("UPDATE t SET j = JSON_SET(j, '$.list[1]', ", from, ") WHERE n < 9"),
            absl::StrCat("UPDATE t SET n = n + 1000 WHERE n = ", from),
            absl::StrCat("DELETE FROM t WHERE n = ", from + 1)};
  }

  void ExpectSame(uint64_t rows_min) {
    ASSERT_NO_FATAL_FAILURE(world_->Drain(kStream));
    ASSERT_TRUE(world_->Control(kStream, schemas::StreamAction::STOP, ++epoch_).ok());
    const auto source = TakeRows(world_->source_mysqld(), kSourceDatabase, {"t"});
    const auto target = TakeRows(world_->target_mysqld(), kTargetDatabase, {"t"});
    ASSERT_TRUE(source.ok()) << source.status();
    ASSERT_TRUE(target.ok()) << target.status();
    // JSON_SET leaves gaps in the source's documents.
    const RawDifferences found = Compare(*source, *target, [](uint64_t) { return true; });
    EXPECT_THAT(found.differences, IsEmpty()) << absl::StrJoin(found.differences, "\n");
    EXPECT_GE(found.rows, rows_min);
  }

  // The stream stops, and its message says why.
  void ExpectStopped(const std::vector<std::string>& parts) {
    const SeenStatus status = world_->AwaitState(kStream, StreamState::ERROR);
    for (const std::string& part : parts) {
      EXPECT_THAT(status.message, HasSubstr(part));
    }
  }

  std::unique_ptr<StreamWorld> world_;
  uint64_t epoch_ = 0;
};

TEST_F(BinlogTest, TaggedGtidsAreFollowed) {
  ASSERT_NO_FATAL_FAILURE(Start());
  std::vector<std::string> statements = {"SET gtid_next = 'AUTOMATIC:blue_1'"};
  for (const std::string& change : Changes(20)) {
    statements.push_back(change);
  }
  world_->OnSource(statements);
  world_->OnSource(Changes(30));
  const auto executed =
      ConnectTo(world_->source_mysqld(), "")->QueryScalar("SELECT @@GLOBAL.gtid_executed");
  ASSERT_TRUE(executed.ok());
  EXPECT_THAT(*executed, HasSubstr("blue_1"));
  ASSERT_NO_FATAL_FAILURE(world_->Drain(kStream));
  EXPECT_THAT(world_->Status(kStream)->position, HasSubstr("blue_1"));
  // The position with a tag is also one from where to go on.
  world_->StopTarget();
  world_->OnSource(Changes(40));
  world_->StartTarget();
  ExpectSame(16);
}

TEST_F(BinlogTest, ChecksumsMayComeAndGo) {
  ASSERT_NO_FATAL_FAILURE(Start({"--binlog-checksum=NONE"}));
  world_->OnSource(Changes(20));
  world_->OnSource({"SET GLOBAL binlog_checksum = 'CRC32'"});
  world_->OnSource(Changes(30));
  world_->OnSource({"SET GLOBAL binlog_checksum = 'NONE'", "FLUSH BINARY LOGS"});
  world_->OnSource(Changes(40));
  ExpectSame(16);
}

TEST_F(BinlogTest, CompressedTransactionsUnderConstantRotationAreFollowed) {
  ASSERT_NO_FATAL_FAILURE(Start({"--max-binlog-size=4096", "--binlog-transaction-compression=ON"}));
  for (int i = 2; i < 12; ++i) {
    world_->OnSource(Changes(i * 10));
  }
  world_->OnSource({"SET SESSION binlog_transaction_compression = OFF", "BEGIN",
                    "UPDATE t SET b = REPEAT(x'5c', 100000)", "COMMIT"});
  ExpectSame(30);
}

TEST_F(BinlogTest, RowsThatASavepointTookBackNeverArrive) {
  ASSERT_NO_FATAL_FAILURE(Start());
  world_->OnSource({"BEGIN", Row(20), "SAVEPOINT first", Row(21), "UPDATE t SET v = 'gone'",
                    "SAVEPOINT second", "DELETE FROM t", "ROLLBACK TO second", "ROLLBACK TO first",
                    Row(22), "SAVEPOINT third", Row(23), "COMMIT"});
  ExpectSame(13);
}

TEST_F(BinlogTest, RowsWithLargeBytesFromNothingToManyMegabytesArrive) {
  const std::vector<std::string> packets = {"--max-allowed-packet=1G"};
  ASSERT_NO_FATAL_FAILURE(Start(packets, packets));
  for (const int megabytes : {0, 1, 5, 17}) {
    world_->OnSource({absl::StrCat("INSERT INTO t (n, b) VALUES (", 100 + megabytes,
                                   ", REPEAT(x'00275c', ", megabytes, " * 349525))")});
  }
  world_->OnSource({"UPDATE t SET b = CONCAT(b, x'ff') WHERE n >= 100"});
  ExpectSame(14);
}

TEST_F(BinlogTest, ARowImageWithoutAColumnStopsTheStreamAndNamesIt) {
  ASSERT_NO_FATAL_FAILURE(Start());
  world_->OnSource({"SET SESSION binlog_row_image = 'MINIMAL'", "UPDATE t SET u = 77 WHERE n = 3"});
  ExpectStopped({"t", "column", "binlog_row_image=FULL"});
}

TEST_F(BinlogTest, AnImageWithoutItsBlobsStopsTheStreamAndNamesTheColumn) {
  ASSERT_NO_FATAL_FAILURE(Start());
  world_->OnSource({"SET SESSION binlog_row_image = 'NOBLOB'", "UPDATE t SET u = 77 WHERE n = 3"});
  ExpectStopped({"t", "column", "binlog_row_image=FULL"});
}

TEST_F(BinlogTest, AStatementWithoutRowsStopsTheStreamAndIsNamed) {
  ASSERT_NO_FATAL_FAILURE(Start());
  world_->OnSource({"SET SESSION binlog_format = 'STATEMENT'",
                    "CREATE TABLE other (a INT PRIMARY KEY)", "INSERT INTO other VALUES (1)",
                    "DELETE FROM t WHERE n = 4"});
  ExpectStopped({"DELETE FROM t WHERE n = 4", "binlog_format=ROW"});
}

TEST(FidelityKeyTest, ATableWithoutAnyKeyIsRefusedByName) {
  const auto world = StreamWorld::Start({});
  ASSERT_NE(world, nullptr);
  world->CreateTable("good (a INT NOT NULL, UNIQUE KEY (a))");
  world->CreateTable("keyless (a INT NOT NULL, b INT NULL, KEY (a), UNIQUE KEY (b))");
  world->OnSource({"INSERT INTO good VALUES (1)", "INSERT INTO keyless VALUES (1, NULL)"});
  ASSERT_TRUE(world->Create(StreamWorld::Spec(kStream, {"good", "keyless"})).ok());
  const SeenStatus status = world->AwaitState(kStream, StreamState::ERROR);
  EXPECT_THAT(status.message, HasSubstr("keyless"));
  EXPECT_THAT(status.message, HasSubstr("neither a primary key nor a NOT NULL unique key"));
}

}  // namespace
}  // namespace sluice::testing
