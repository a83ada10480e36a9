// Museum, outcomes: answers that are lost, positions read in another session, verifiers that pass.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "agent/gate/gate_keeper.h"
#include "agent/sidecar/installer.h"
#include "common/binlog/event.h"
#include "common/mysql/binlog_stream.h"
#include "tests/museum/cutting_relay.h"
#include "tests/museum/museum.h"

namespace sluice::testing {
namespace {

const gate::GateId kGate{.workflow = "customer.move", .database = "vt_source"};

class MuseumGateTest : public ::testing::Test {
 protected:
  void SetUp() override {
    auto started = Mysqld::Start();
    ASSERT_TRUE(started.ok()) << started.status();
    mysqld_ = *std::move(started);
    root_ = ConnectTo(*mysqld_, "");
    for (const char* sql :
         {"CREATE DATABASE vt_source", "USE vt_source", "CREATE TABLE a (id INT PRIMARY KEY)",
          "CREATE TABLE b (id INT PRIMARY KEY)"}) {
      ASSERT_TRUE(root_->Execute(sql).ok()) << sql;
    }
    const absl::Status installed =
        sidecar::InstallSidecar(*root_, kGate.database, sidecar::Migrations());
    ASSERT_TRUE(installed.ok()) << installed;
  }

  static gate::GateChange Change(gate::State wanted, uint64_t epoch, const std::string& marker) {
    return {.id = kGate,
            .tables = {"a", "b"},
            .wanted = wanted,
            .epoch = epoch,
            .lock_wait = absl::Seconds(2),
            .marker_id = marker,
            .cutover_id = "",
            .journal = ""};
  }

  // How often RENAME TABLE stands in the binlogs.
  int Renames() {
    int renames = 0;
    const auto logs = root_->Query("SHOW BINARY LOGS");
    EXPECT_TRUE(logs.ok());
    for (const mysql::Row& log : logs->rows) {
      const auto events = root_->Query(absl::StrCat("SHOW BINLOG EVENTS IN '", *log[0], "'"));
      EXPECT_TRUE(events.ok());
      for (const mysql::Row& event : events->rows) {
        renames += event.back()->find("RENAME TABLE") != std::string::npos ? 1 : 0;
      }
    }
    return renames;
  }

  // Whether a rename, or a row of the marker's table, comes behind a position. Others commit all
  // the while, so the search ends with what is executed now.
  bool ComesBehind(const gtid::GtidSet& position) {
    const auto executed = root_->QueryScalar("SELECT @@GLOBAL.gtid_executed");
    const auto end = gtid::GtidSet::Parse(executed.value_or(""));
    mysql::BinlogStreamOptions options;
    options.connection = mysqld_->Root();
    options.server_id = 4711;
    options.position = position;
    const auto stream = mysql::BinlogStream::Open(options);
    EXPECT_TRUE(end.ok() && stream.ok());
    int heartbeats = 0;  // one comes at once where transactions are passed over
    while (end.ok() && stream.ok() && heartbeats < 10) {
      const auto event = (*stream)->Next();
      EXPECT_TRUE(event.ok()) << event.status();
      const auto header = binlog::DecodeHeader(event.value_or(""));
      if (!event.ok() || !header.ok()) {
        return false;
      }
      heartbeats += header->type == binlog::EventType::kHeartbeatV1 ||
                            header->type == binlog::EventType::kHeartbeatV2
                        ? 1
                        : 0;
      if (absl::StrContains(*event, "RENAME TABLE") || absl::StrContains(*event, "\6marker")) {
        return true;
      }
      if (header->type == binlog::EventType::kGtid) {
        const auto gtid = binlog::DecodeGtid(binlog::VerifyAndStripChecksum(*event).value_or(""));
        EXPECT_TRUE(gtid.ok()) << gtid.status();
        if (!gtid.ok() || !end->Contains(gtid->gtid)) {
          return false;
        }
      }
    }
    return false;
  }

  std::unique_ptr<Mysqld> mysqld_;
  std::unique_ptr<mysql::Connection> root_;
};

// 9: the RENAME was committed and its answer lost; the client reported a failure, or did it twice.
TEST_F(MuseumGateTest, M09ALostAnswerOfARenameIsSettledByLooking) {
  CuttingRelay relay(mysqld_->port(), "RENAME TABLE");
  mysql::ConnectionOptions options = mysqld_->RootOverTcp();
  options.port = relay.port();
  options.plain = true;
  agent::SessionPool pool(options);
  gate::GateKeeper keeper(pool);
  const auto change = Change(gate::State::kClosed, 1, "marker-1");
  const auto first = keeper.Set(change, absl::Now() + absl::Seconds(20));
  EXPECT_EQ(relay.cuts(), 1);
  EXPECT_EQ(Renames(), 1);
  if (!first.ok()) {
    EXPECT_TRUE(absl::IsUnavailable(first.status())) << first.status();
    const auto seen = keeper.Read(kGate, {"a", "b"}, absl::Now() + absl::Seconds(20));
    ASSERT_TRUE(seen.ok()) << seen.status();
    EXPECT_EQ(seen->state, gate::State::kClosed);
  }
  // The same request again, as a coordinator repeats it: done, the marker written, nothing renamed.
  const auto again = keeper.Set(change, absl::Now() + absl::Seconds(20));
  ASSERT_TRUE(again.ok()) << again.status();
  EXPECT_EQ(again->state, gate::State::kClosed);
  EXPECT_EQ(Renames(), 1);
  const auto markers = root_->QueryScalar("SELECT COUNT(*) FROM _sluice.marker");
  ASSERT_TRUE(markers.ok());
  EXPECT_EQ(*markers, "1");
}

// 10: rename and position were read on two pooled sessions, and the position could be older.
TEST_F(MuseumGateTest, M10ThePositionOfAClosedGateHoldsItsRenameAndItsMarker) {
  agent::SessionPool pool(mysqld_->Root());
  gate::GateKeeper keeper(pool);
  uint64_t epoch = 0;
  // Others commit all the time, so that positions differ from one moment to the next.
  ASSERT_TRUE(
      root_->Execute("CREATE TABLE vt_source.other (id INT AUTO_INCREMENT PRIMARY KEY)").ok());
  const Churn churn(
      *mysqld_, [](int) -> std::vector<std::string> { return {"INSERT INTO other VALUES ()"}; });
  for (int i = 0; i < 10; ++i) {
    const auto before = root_->QueryScalar("SELECT @@GLOBAL.gtid_executed");
    const auto closed =
        keeper.Set(Change(gate::State::kClosed, ++epoch, absl::StrCat("marker-", i)),
                   absl::Now() + absl::Seconds(20));
    ASSERT_TRUE(closed.ok()) << closed.status();
    const auto position = gtid::GtidSet::Parse(closed->gtid_executed);
    const auto old = gtid::GtidSet::Parse(*before);
    ASSERT_TRUE(position.ok() && old.ok());
    EXPECT_TRUE(position->Contains(*old));
    // Who begins behind this position meets neither the rename nor the marker; who begins before
    // the request meets both.
    EXPECT_FALSE(ComesBehind(*position));
    EXPECT_TRUE(ComesBehind(*old));
    ASSERT_TRUE(
        keeper.Set(Change(gate::State::kOpen, ++epoch, ""), absl::Now() + absl::Seconds(20)).ok());
  }
}

}  // namespace
}  // namespace sluice::testing
