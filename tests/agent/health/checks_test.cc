// What follows from a mysqld's facts.

#include "agent/health/checks.h"

#include <gtest/gtest.h>

namespace sluice::agent {
namespace {

MysqldFacts Healthy() {
  MysqldFacts facts;
  facts.version = "9.7.4";
  facts.version_number = 90704;
  facts.gtid_mode = "ON";
  facts.enforce_gtid_consistency = true;
  facts.log_bin = true;
  facts.binlog_format = "ROW";
  facts.binlog_row_image = "FULL";
  facts.server_id = 7;
  facts.log_replica_updates = true;
  facts.account = "'root'@'localhost'";
  facts.privileges =
      Privileges::Parse({"GRANT ALL PRIVILEGES ON *.* TO `root`@`localhost` WITH GRANT OPTION",
                         "GRANT SET_ANY_DEFINER, SYSTEM_VARIABLES_ADMIN, XA_RECOVER_ADMIN ON *.* "
                         "TO `root`@`localhost`"});
  return facts;
}

std::vector<std::string> Problems(const MysqldFacts& facts) {
  return FindProblems(facts, "vt_commerce", routing::TabletType::kPrimary);
}

TEST(ChecksTest, FindNothingWrongWithAHealthyServer) {
  EXPECT_TRUE(Problems(Healthy()).empty());
}

struct Broken {
  const char* name;
  void (*breaks)(MysqldFacts&);
  const char* expected;
};

class BrokenServerTest : public ::testing::TestWithParam<Broken> {};

TEST_P(BrokenServerTest, IsRefusedByNameWithTheRemedy) {
  MysqldFacts facts = Healthy();
  GetParam().breaks(facts);
  const auto problems = Problems(facts);
  ASSERT_EQ(problems.size(), 1U);
  EXPECT_NE(problems[0].find(GetParam().expected), std::string::npos) << problems[0];
  EXPECT_NE(problems[0].find("; "), std::string::npos) << "no remedy: " << problems[0];
}

INSTANTIATE_TEST_SUITE_P(
    Servers, BrokenServerTest,
    ::testing::Values(
        Broken{"GtidMode", [](MysqldFacts& f) { f.gtid_mode = "OFF_PERMISSIVE"; },
               "gtid_mode is OFF"},
        Broken{"Consistency", [](MysqldFacts& f) { f.enforce_gtid_consistency = false; },
               "enforce_gtid_consistency"},
        Broken{"NoBinlog", [](MysqldFacts& f) { f.log_bin = false; }, "binlog is off"},
        Broken{"Format", [](MysqldFacts& f) { f.binlog_format = "MIXED"; },
               "binlog_format is MIXED"},
        Broken{"Image", [](MysqldFacts& f) { f.binlog_row_image = "MINIMAL"; },
               "binlog_row_image is MINIMAL"},
        Broken{"ServerId", [](MysqldFacts& f) { f.server_id = 0; }, "server_id is 0"},
        Broken{"Old", [](MysqldFacts& f) { f.version_number = 50744; }, "too old"},
        Broken{"LowerCase", [](MysqldFacts& f) { f.lower_case_table_names = 1; },
               "lower_case_table_names is 1"},
        Broken{"ReadOnlyPrimary", [](MysqldFacts& f) { f.read_only = true; }, "read_only is on"},
        Broken{"ReplicaWithoutUpdates",
               [](MysqldFacts& f) {
                 f.replica = {.configured = true,
                              .io_running = true,
                              .sql_running = true,
                              .lag_ms = 0,
                              .last_error = {}};
                 f.log_replica_updates = false;
               },
               "without log_replica_updates"},
        Broken{"StoppedReplica",
               [](MysqldFacts& f) {
                 f.replica = {.configured = true,
                              .io_running = false,
                              .sql_running = true,
                              .lag_ms = -1,
                              .last_error = "no route"};
               },
               "no route"},
        Broken{"Privileges",
               [](MysqldFacts& f) {
                 f.privileges = Privileges::Parse({"GRANT USAGE ON *.* TO `root`@`localhost`"});
               },
               "lacks REPLICATION SLAVE"}),
    [](const auto& server) { return std::string(server.param.name); });

TEST(ChecksTest, ReportEveryProblemAtOnce) {
  MysqldFacts facts = Healthy();
  facts.gtid_mode = "OFF";
  facts.log_bin = false;
  EXPECT_EQ(Problems(facts).size(), 2U);
}

TEST(EffectiveTypeTest, IsPrimaryWhenWritableAndNoReplica) {
  MysqldFacts facts = Healthy();
  EXPECT_EQ(EffectiveType(facts, routing::TabletType::kReplica), routing::TabletType::kPrimary);
  facts.super_read_only = true;
  EXPECT_EQ(EffectiveType(facts, routing::TabletType::kPrimary), routing::TabletType::kReplica);
  EXPECT_EQ(EffectiveType(facts, routing::TabletType::kRdonly), routing::TabletType::kRdonly);
  facts.super_read_only = false;
  facts.replica.configured = true;
  EXPECT_EQ(EffectiveType(facts, routing::TabletType::kReplica), routing::TabletType::kReplica);
}

TEST(VersionNumberTest, ReadsServerVersions) {
  EXPECT_EQ(VersionNumber("9.7.4-2"), 90704);
  EXPECT_EQ(VersionNumber("8.0.36-0ubuntu0.22.04.1"), 80036);
  EXPECT_EQ(VersionNumber("8.4.10"), 80410);
  EXPECT_EQ(VersionNumber("unknown"), 0);
}

}  // namespace
}  // namespace sluice::agent
