// Status documents and their text.

#include "coordinator/cli/status_text.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace sluice::cli {
namespace {

using testing::HasSubstr;

constexpr char kCopying[] = R"({
  "workflow": "customer.commerce2customer",
  "traffic_state": "Reads Not Switched. Writes Not Switched",
  "table_copy_state": {
    "corder": {"rows_copied": 82400, "rows_total": 200000, "rows_percentage": 41.2,
               "bytes_copied": 4299161, "bytes_total": 10485760, "bytes_percentage": 41,
               "phase": "IN_PROGRESS"},
    "customer": {"rows_copied": 5, "rows_total": 5, "rows_percentage": 100,
                 "bytes_copied": 512, "bytes_total": 512, "bytes_percentage": 100,
                 "phase": "COMPLETE"}
  },
  "shard_streams": {
    "customer/0": {"streams": [{"id": 1, "tablet": {"cell": "zone1", "uid": 200},
        "source_shard": "commerce/0", "position": "MySQL56/7e765c5c:1-83",
        "status": "Copying", "info": "", "lag_ms": -1}]}
  }
})";

WorkflowStatus Read(absl::string_view json) {
  const auto status = ReadStatus(json, "customer.w");
  EXPECT_TRUE(status.ok()) << status.status();
  return status.value_or(WorkflowStatus());
}

TEST(StatusTextTest, ACopyIsDrawnWithRowsBytesAndPercent) {
  EXPECT_EQ(StatusText(Read(kCopying)),
            R"(The following vreplication streams exist for workflow customer.commerce2customer:

id=1 on customer/zone1-200: Status: Copying.

Table Copy Status:
  corder    [############------------------]   41.2%  82400/200000 rows  4.1 MiB/10.0 MiB  IN_PROGRESS
  customer  [##############################]  100.0%           5/5 rows       512 B/512 B  COMPLETE

Traffic State: Reads Not Switched. Writes Not Switched
)");
}

TEST(StatusTextTest, AWatchedCopyHasALineForAllTables) {
  EXPECT_THAT(
      StatusText(Read(kCopying), "1200 rows/s, 2.0 MiB/s, ends in about 1m38s"),
      HasSubstr("\n  total     [############------------------]   41.2%  82405/200005 rows  "
                "4.1 MiB/10.0 MiB  1200 rows/s, 2.0 MiB/s, ends in about 1m38s\n"));
}

TEST(StatusTextTest, ARunningStreamSaysItsLag) {
  const char* with_info = R"({"shard_streams": {"customer/-80": {"streams": [
      {"id": 7, "tablet": {"cell": "zone1", "uid": 200}, "status": "Running",
       "info": "VStream Lag: 0s.", "lag_ms": 12}]}}})";
  EXPECT_THAT(StatusText(Read(with_info)),
              HasSubstr("id=7 on customer/zone1-200: Status: Running. VStream Lag: 0s.\n"));
  const char* without = R"({"shard_streams": {"customer/-80": {"streams": [
      {"id": 7, "tablet": {"cell": "zone1", "uid": 200}, "status": "Running", "lag_ms": 2012}]}}})";
  EXPECT_THAT(StatusText(Read(without)),
              HasSubstr("id=7 on customer/zone1-200: Status: Running. VStream Lag: 2s.\n"));
}

TEST(StatusTextTest, FieldsThatAreMissingOrOddDoNoHarm) {
  for (const char* json :
       {"{}", "[]", "null", "7", R"({"table_copy_state": [], "shard_streams": 3})",
        R"({"table_copy_state": {"a": 1}, "shard_streams": {"k/0": {"streams": [null, {}]}}})",
        R"({"shard_streams": {"": {"streams": {"x": "y"}}}})"}) {
    const WorkflowStatus status = Read(json);
    EXPECT_EQ(status.workflow, "customer.w");
    EXPECT_THAT(StatusText(status), HasSubstr("Traffic State: ")) << json;
  }
  EXPECT_EQ(ReadStatus("{", "customer.w").status().code(), absl::StatusCode::kDataLoss);
}

TEST(StatusTextTest, ACutoverUnderWayIsShown) {
  EXPECT_THAT(StatusText(Read(R"({"under_way": "a cutover is committed, waiting for open_gate"})")),
              HasSubstr("\nUnder way: a cutover is committed, waiting for open_gate\n"));
}

TEST(StatusTextTest, ControlBytesNeverReachTheTerminal) {
  WorkflowStatus status = Read(kCopying);
  status.message = "a\x1b[2Jb";
  status.tables[0].table = "x\x1b[1m";
  EXPECT_EQ(StatusText(status).find('\x1b'), std::string::npos);
}

TEST(StatusTextTest, TheCopyIsDoneWhenEveryTableIs) {
  WorkflowStatus status = Read(kCopying);
  EXPECT_FALSE(status.CopyIsDone());
  status.tables[0].phase = "COMPLETE";
  EXPECT_TRUE(status.CopyIsDone());
  EXPECT_EQ(status.Total().percent, 100);
}

TEST(StatusTextTest, WithoutTablesTheStreamsTell) {
  WorkflowStatus status = Read(kCopying);
  status.tables.clear();
  EXPECT_FALSE(status.CopyIsDone());
  status.streams[0].status = "Running";
  EXPECT_TRUE(status.CopyIsDone());
  status.streams.clear();
  EXPECT_FALSE(status.CopyIsDone());
}

TEST(StatusTextTest, ACopyIsStuckWhenAStreamFailedOrAllAreStopped) {
  WorkflowStatus status = Read(kCopying);
  EXPECT_EQ(status.WhyStuck(), "");
  status.streams[0].status = "Error";
  status.streams[0].info = "Duplicate entry.";
  EXPECT_EQ(status.WhyStuck(), "stream 1 on customer/zone1-200 has failed: Duplicate entry.");
  status.streams[0].status = "Stopped";
  EXPECT_EQ(status.WhyStuck(), "every stream is stopped");
  status.streams.push_back(
      {.id = "2", .keyspace = "customer", .alias = "b", .status = "Copying", .info = ""});
  EXPECT_EQ(status.WhyStuck(), "");
  status.tables[0].phase = "COMPLETE";
  status.streams.pop_back();
  EXPECT_EQ(status.WhyStuck(), "");
}

TEST(StatusTextTest, ABarIsFullOnlyAtTheEnd) {
  EXPECT_EQ(ProgressBar(0, 10), "[----------]");
  EXPECT_EQ(ProgressBar(99.99, 10), "[#########-]");
  EXPECT_EQ(ProgressBar(100, 10), "[##########]");
  EXPECT_EQ(ProgressBar(250, 10), "[##########]");
  EXPECT_EQ(ProgressBar(-1, 10), "[----------]");
  EXPECT_EQ(PercentText(99.99), "99.9%");
  EXPECT_EQ(PercentText(100), "100.0%");
}

TEST(StatusTextTest, BytesHaveUnits) {
  EXPECT_EQ(BytesText(0), "0 B");
  EXPECT_EQ(BytesText(1023), "1023 B");
  EXPECT_EQ(BytesText(1024), "1.0 KiB");
  EXPECT_EQ(BytesText(5LL << 40), "5.0 TiB");
}

}  // namespace
}  // namespace sluice::cli
