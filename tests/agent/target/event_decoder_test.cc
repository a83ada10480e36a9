// Tests of decoding filtered events into transactions.

#include "agent/target/event_decoder.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "tests/agent/source/binlog_events.h"

namespace sluice::target {
namespace {

using binlog::EventType;
using sluice::testing::MakeEvent;
using sluice::testing::MakeGtid;
using sluice::testing::MakeQuery;
using sluice::testing::MakeRows;
using sluice::testing::MakeTableMap;
using sluice::testing::MakeXid;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

// Notes what it is given, as words.
class NotingSink final : public TransactionSink {
 public:
  absl::Status OnBegin(const binlog::GtidEvent& gtid) override {
    notes.push_back(absl::StrCat("begin ", gtid.gtid.number));
    return absl::OkStatus();
  }
  absl::Status OnChange(const TablePlan& plan, const std::shared_ptr<const binlog::TableMapEvent>&,
                        const binlog::RowImage* before, const binlog::RowImage* after) override {
    notes.push_back(absl::StrCat(plan.table, before != nullptr ? " before" : "",
                                 after != nullptr ? " after" : ""));
    return absl::OkStatus();
  }
  void OnMarker(std::string id) override { notes.push_back("marker " + id); }
  void OnKeep(std::shared_ptr<const std::string> bytes) override { kept.push_back(bytes); }
  void OnDecided(const gtid::Gtid& held) override {
    notes.push_back(absl::StrCat("decided ", held.number));
  }
  void OnDdl(SourceDdl ddl) override { notes.push_back("ddl " + ddl.query.sql); }
  void OnHeld() override { notes.emplace_back("held"); }
  absl::Status OnEnd() override {
    notes.emplace_back("end");
    return absl::OkStatus();
  }

  std::vector<std::string> notes;
  std::vector<std::shared_ptr<const std::string>> kept;
};

TablePlans Plans() {
  mysql::TableSchema schema;
  schema.database = "target";
  schema.name = "customer";
  for (const char* name : {"id", "v"}) {
    schema.columns.emplace_back().name = name;
  }
  schema.key_columns = {"id"};
  std::vector<TablePlan> plans = {*MakeTablePlan(std::move(schema), "customer")};
  return TablePlans(std::move(plans));
}

class EventDecoderTest : public ::testing::Test {
 protected:
  absl::Status Feed(const std::vector<std::string>& events) {
    for (const std::string& event : events) {
      const absl::Status status = decoder_.Feed(event);
      if (!status.ok()) {
        return status;
      }
    }
    return absl::OkStatus();
  }

  const WatchedTables watched_{.database = "shop", .tables = {"customer"}};
  const TablePlans plans_ = Plans();
  NotingSink sink_;
  EventDecoder decoder_{watched_, plans_, sink_};
};

TEST_F(EventDecoderTest, RowsOfATransactionComeInOrder) {
  ASSERT_TRUE(
      Feed({MakeGtid(5), MakeQuery("shop", "BEGIN"), MakeTableMap(10, "shop", "customer", 2),
            MakeRows(EventType::kWriteRows, 10, 2, {{1, 2}}),
            MakeRows(EventType::kUpdateRows, 10, 2, {{1, 2}, {1, 3}}),
            MakeRows(EventType::kDeleteRows, 10, 2, {{1, 3}}), MakeXid()})
          .ok());
  EXPECT_THAT(sink_.notes, ElementsAre("begin 5", "customer after", "customer before after",
                                       "customer before", "end"));
}

TEST_F(EventDecoderTest, ADdlOfAnotherTableIsAWholeTransaction) {
  ASSERT_TRUE(
      Feed({MakeGtid(5), MakeQuery("shop", "DROP TABLE product"), MakeGtid(6), MakeXid()}).ok());
  EXPECT_THAT(sink_.notes, ElementsAre("begin 5", "end", "begin 6", "end"));
}

TEST_F(EventDecoderTest, ADdlOfAStreamsTableIsRefused) {
  const absl::Status status =
      Feed({MakeGtid(5), MakeQuery("shop", "ALTER TABLE customer ADD x INT")});
  EXPECT_TRUE(absl::IsFailedPrecondition(status)) << status;
  EXPECT_THAT(sink_.notes, ElementsAre("begin 5"));
}

TEST_F(EventDecoderTest, ADdlOfAStreamsTableIsHandedOverOrPassedOverWhereThatIsSaid) {
  WatchedTables watched = watched_;
  watched.on_ddl = DdlPolicy::kHandOver;
  EventDecoder handing(watched, plans_, sink_);
  ASSERT_TRUE(handing.Feed(MakeGtid(5)).ok());
  ASSERT_TRUE(handing.Feed(MakeQuery("shop", "TRUNCATE customer")).ok());
  EXPECT_THAT(sink_.notes, ElementsAre("begin 5", "ddl TRUNCATE customer"));
  sink_.notes.clear();
  watched.on_ddl = DdlPolicy::kIgnore;
  EventDecoder passing(watched, plans_, sink_);
  ASSERT_TRUE(passing.Feed(MakeGtid(5)).ok());
  ASSERT_TRUE(passing.Feed(MakeQuery("shop", "ALTER TABLE customer ADD x INT")).ok());
  EXPECT_THAT(sink_.notes, ElementsAre("begin 5", "end"));
  ASSERT_TRUE(passing.Feed(MakeGtid(6)).ok());
  EXPECT_TRUE(
      absl::IsFailedPrecondition(passing.Feed(MakeQuery("shop", "DROP TABLE product, customer"))));
}

TEST_F(EventDecoderTest, AStatementWithRowsIsRefusedWhateverIsSaidOfDdl) {
  WatchedTables watched = watched_;
  for (const DdlPolicy policy : {DdlPolicy::kIgnore, DdlPolicy::kHandOver}) {
    watched.on_ddl = policy;
    EventDecoder decoder(watched, plans_, sink_);
    ASSERT_TRUE(decoder.Feed(MakeGtid(5)).ok());
    ASSERT_TRUE(decoder.Feed(MakeQuery("shop", "BEGIN")).ok());
    EXPECT_TRUE(
        absl::IsFailedPrecondition(decoder.Feed(MakeQuery("shop", "DELETE FROM customer"))));
  }
}

// A transaction that writes one row of _sluice.marker.
std::vector<std::string> MarkerTransaction(const std::string& name) {
  std::string map;
  sluice::testing::AppendUint(3, 6, map);
  sluice::testing::AppendUint(1, 2, map);
  map += std::string("\x07_sluice\0\x06marker\0", 17);
  map += std::string("\x02\x0f\x08\x02\x00\x01\x00", 7);  // VARCHAR(256), BIGINT
  std::string rows;
  sluice::testing::AppendUint(3, 6, rows);
  sluice::testing::AppendUint(1, 2, rows);
  sluice::testing::AppendUint(2, 2, rows);
  rows += std::string("\x02\xff\x00", 3);
  sluice::testing::AppendUint(name.size(), 2, rows);
  rows += name;
  sluice::testing::AppendUint(1, 8, rows);
  return {MakeGtid(5), MakeQuery("", "BEGIN"), MakeEvent(EventType::kTableMap, map),
          MakeEvent(EventType::kWriteRows, rows), MakeXid()};
}

TEST_F(EventDecoderTest, TheMarkersIdIsTheFirstCell) {
  const absl::Status status = Feed(MarkerTransaction("m-17"));
  ASSERT_TRUE(status.ok()) << status;
  EXPECT_THAT(sink_.notes, ElementsAre("begin 5", "marker m-17", "end"));
}

TEST_F(EventDecoderTest, AMarkerOfAnotherShardIsPassedOver) {
  ASSERT_TRUE(Feed(MarkerTransaction("m/0@shop")).ok());
  ASSERT_TRUE(Feed(MarkerTransaction("m/1@shop_80-")).ok());
  EXPECT_THAT(sink_.notes, ElementsAre("begin 5", "marker m/0", "end", "begin 5", "end"));
}

TEST_F(EventDecoderTest, AnotherNumberOfColumnsIsRefusedWithBothNumbers) {
  const absl::Status status =
      Feed({MakeGtid(5), MakeQuery("shop", "BEGIN"), MakeTableMap(10, "shop", "customer", 3)});
  EXPECT_TRUE(absl::IsFailedPrecondition(status));
  EXPECT_THAT(std::string(status.message()), HasSubstr("has 3 columns on the source"));
  EXPECT_THAT(std::string(status.message()), HasSubstr("target.customer has 2"));
}

TEST_F(EventDecoderTest, ATableIdThatComesToMeanAnotherShapeIsReadAnew) {
  ASSERT_TRUE(Feed({MakeGtid(5), MakeQuery("shop", "BEGIN"),
                    MakeTableMap(10, "shop", "customer", 2), MakeXid()})
                  .ok());
  EXPECT_FALSE(
      Feed({MakeGtid(6), MakeQuery("shop", "BEGIN"), MakeTableMap(10, "shop", "customer", 3)})
          .ok());
}

TEST_F(EventDecoderTest, ImagesThatAreNotWholeAreRefusedWithTheRemedy) {
  std::string rows;
  sluice::testing::AppendUint(10, 6, rows);
  sluice::testing::AppendUint(1, 2, rows);
  sluice::testing::AppendUint(2, 2, rows);
  rows += std::string("\x02\x01\x00", 3);  // only the first column
  sluice::testing::AppendUint(1, 4, rows);
  const absl::Status status =
      Feed({MakeGtid(5), MakeQuery("shop", "BEGIN"), MakeTableMap(10, "shop", "customer", 2),
            MakeEvent(EventType::kWriteRows, rows)});
  EXPECT_TRUE(absl::IsFailedPrecondition(status)) << status;
  EXPECT_THAT(std::string(status.message()), HasSubstr("binlog_row_image=FULL"));
}

// XA_PREPARE of the transaction 'a'.
std::string MakeXaPrepare(bool one_phase) {
  std::string body(1, one_phase ? '\1' : '\0');
  sluice::testing::AppendUint(1, 4, body);
  sluice::testing::AppendUint(1, 4, body);
  sluice::testing::AppendUint(0, 4, body);
  return MakeEvent(EventType::kXaPrepare, body + "a");
}

std::vector<std::string> XaPart(uint64_t number, bool one_phase) {
  return {MakeGtid(number),
          MakeQuery("shop", "XA START X'61',X'',1"),
          MakeTableMap(10, "shop", "customer", 2),
          MakeRows(EventType::kWriteRows, 10, 2, {{1, 2}}),
          MakeQuery("shop", "XA END X'61',X'',1"),
          MakeXaPrepare(one_phase)};
}

TEST_F(EventDecoderTest, RowsOfAPreparedTransactionComeWithItsCommit) {
  ASSERT_TRUE(Feed(XaPart(5, false)).ok());
  EXPECT_THAT(sink_.notes, ElementsAre("begin 5", "held"));
  sink_.notes.clear();
  ASSERT_TRUE(Feed({MakeGtid(6), MakeQuery("shop", "BEGIN"), MakeXid()}).ok());
  ASSERT_TRUE(Feed({MakeGtid(7), MakeQuery("shop", "XA COMMIT X'62',X'',1")}).ok());
  EXPECT_THAT(sink_.notes, ElementsAre("begin 6", "end", "begin 7", "end"));
  sink_.notes.clear();
  ASSERT_TRUE(Feed({MakeGtid(8), MakeQuery("shop", "XA COMMIT X'61',X'',1")}).ok());
  EXPECT_THAT(sink_.notes, ElementsAre("begin 8", "decided 5", "customer after", "end"));
}

TEST_F(EventDecoderTest, RowsOfAPreparedTransactionThatIsRolledBackNeverCome) {
  ASSERT_TRUE(Feed(XaPart(5, false)).ok());
  ASSERT_TRUE(Feed({MakeGtid(6), MakeQuery("shop", "XA ROLLBACK X'61',X'',1")}).ok());
  EXPECT_THAT(sink_.notes, ElementsAre("begin 5", "held", "begin 6", "decided 5", "end"));
}

TEST_F(EventDecoderTest, AnXaTransactionInOnePhaseIsLikeAnyOther) {
  ASSERT_TRUE(Feed(XaPart(5, true)).ok());
  EXPECT_THAT(sink_.notes, ElementsAre("begin 5", "customer after", "end"));
}

TEST_F(EventDecoderTest, ARollbackBehindRowsIsRefusedAndWithoutThemIsNothing) {
  ASSERT_TRUE(Feed({MakeGtid(5), MakeQuery("shop", "BEGIN"), MakeQuery("shop", "ROLLBACK")}).ok());
  EXPECT_TRUE(absl::IsFailedPrecondition(Feed(
      {MakeGtid(6), MakeQuery("shop", "BEGIN"), MakeTableMap(10, "shop", "customer", 2),
       MakeRows(EventType::kWriteRows, 10, 2, {{1, 2}}), MakeQuery("shop", "ROLLBACK TO `a`")})));
}

TEST_F(EventDecoderTest, BrokenOrderIsRefused) {
  EXPECT_TRUE(absl::IsInvalidArgument(Feed({MakeXid()})));
  EXPECT_TRUE(absl::IsInvalidArgument(
      Feed({MakeGtid(1), MakeRows(EventType::kWriteRows, 10, 2, {{1, 2}})})));
  EXPECT_TRUE(absl::IsInvalidArgument(Feed({MakeGtid(2)})));
}

TEST_F(EventDecoderTest, RowsOfAnXaTransactionThatIsNotPreparedAreNeverLostSilently) {
  for (const std::string& end :
       {MakeXid(), MakeQuery("shop", "COMMIT"), MakeQuery("shop", "XA COMMIT X'61',X'',1"),
        MakeQuery("shop", "XA ROLLBACK X'61',X'',1")}) {
    NotingSink sink;
    EventDecoder decoder(watched_, plans_, sink);
    std::vector<std::string> events = XaPart(5, false);
    events.back() = end;
    absl::Status status;
    for (const std::string& event : events) {
      status = decoder.Feed(event);
    }
    EXPECT_TRUE(absl::IsInvalidArgument(status)) << status;
    EXPECT_THAT(sink.notes, ElementsAre("begin 5"));
  }
}

}  // namespace
}  // namespace sluice::target
