// The types and data of MySQL's own regression suite through a stream, by the copy and by the
// binlog, compared as raw bytes. The suite is fetched at run time (mysql_suite/fetch).
//
// Without more, a few scripts are taken. SLUICE_MYSQL_SUITE_SCRIPTS names others, as patterns below
// the suite's folder separated by spaces ("suite/json/t/*.test t/type_*.test"); mysql_suite/run
// takes all that matter.

#include <glob.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <fstream>
#include <iostream>
#include <memory>
#include <string>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "common/base/status.h"
#include "common/mysql/table_schema.h"
#include "integration/cluster/process.h"
#include "tests/fidelity/mysql_suite/harvest.h"
#include "tests/fidelity/stream_table.h"

namespace sluice::testing {
namespace {

using schemas::StreamState;

constexpr char kShortForm[] =
    "t/type_float.test t/type_newdecimal.test t/type_bit_innodb.test t/type_vector.test "
    "t/type_blob.test t/type_timestamp.test t/type_year.test t/type_set.test t/type_binary.test "
    "t/ctype_utf16.test t/ctype_sjis.test suite/json/t/json_insert_innodb.test "
    "suite/json/t/json_ddl_innodb.test suite/gis/t/all_geometry_types_instantiable.test "
    "suite/gis/t/geometry_class_attri_prop.test suite/rpl/t/rpl_row_basic_3innodb.test "
    "suite/rpl/t/rpl_row_invisible_columns.test suite/rpl/t/rpl_row_img_blobs.test";

// The suite's folder, fetched where it is not there yet.
std::string SuiteFolder() {
  const auto fetched =
      cluster::RunCommand({"tests/fidelity/mysql_suite/fetch"}, {}, absl::Minutes(10));
  EXPECT_TRUE(fetched.ok()) << fetched.status();
  if (!fetched.ok() || fetched->exit_code != 0) {
    ADD_FAILURE() << "fetch: " << (fetched.ok() ? fetched->errors : "");
    return "";
  }
  const std::vector<std::string> lines =
      absl::StrSplit(absl::StripAsciiWhitespace(fetched->output), '\n');
  return lines.back();
}

std::vector<std::string> Scripts(const std::string& root) {
  const char* wanted = std::getenv("SLUICE_MYSQL_SUITE_SCRIPTS");
  std::vector<std::string> scripts;
  for (const absl::string_view pattern :
       absl::StrSplit(wanted == nullptr ? kShortForm : wanted, ' ', absl::SkipEmpty())) {
    glob_t found{};
    if (glob(absl::StrCat(root, "/", pattern).c_str(), 0, nullptr, &found) == 0) {
      for (size_t i = 0; i < found.gl_pathc; ++i) {
        scripts.emplace_back(absl::string_view(found.gl_pathv[i]).substr(root.size() + 1));
      }
    }
    globfree(&found);
  }
  return scripts;
}

class MysqlSuiteTest : public ::testing::Test {
 protected:
  void SetUp() override {
    root_ = SuiteFolder();
    ASSERT_FALSE(root_.empty());
    target::StreamTuning tuning;
    tuning.copier.rows_max = 50;
    world_ = StreamWorld::Start(
        tuning,
        {"--disabled-storage-engines=MyISAM,MEMORY,ARCHIVE,CSV,BLACKHOLE,MRG_MYISAM",
         "--default-time-zone=+05:30", "--log-error-verbosity=1", "--innodb-strict-mode=OFF"},
        {"--innodb-strict-mode=OFF", "--default-time-zone=-08:00"});
    ASSERT_NE(world_, nullptr);
  }

  static std::string Twin(const std::string& table) { return absl::StrCat("twin_", table); }

  // Tables of the same definitions, empty, to be filled through the binlog.
  void CreateTwins(const std::vector<std::string>& tables) {
    const auto session = WritingSession(world_->source_mysqld(), "+00:00");
    ASSERT_TRUE(session->Execute("SET sql_generate_invisible_primary_key = 0").ok());
    for (const std::string& table : tables) {
      const auto done =
          session->Execute(absl::StrCat("CREATE TABLE ", Twin(table), " LIKE ", table));
      ASSERT_TRUE(done.ok()) << done.status() << harvest_->Origin(table);
    }
  }

  // Leaves out tables whose rows mysqld itself does not take a second time: IGNORE has made rows
  // whose NOT NULL generated column has no value, or whose expression fails.
  void LeaveOutUnrepeatable(std::vector<std::string>& tables) {
    const auto session = WritingSession(world_->source_mysqld(), "+00:00");
    for (auto table = tables.begin(); table != tables.end();) {
      const std::string names = Written(*table);
      ASSERT_TRUE(session->Execute("BEGIN").ok());
      absl::Status status;
      // A row that is the first of its statement is not treated as the others are.
      for (size_t skipped = 0; skipped < 3 && status.ok(); ++skipped) {
        status =
            session
                ->Execute(absl::StrCat("REPLACE INTO ", Twin(*table), " (", names, ") SELECT ",
                                       names, " FROM ", *table, " LIMIT 1000000 OFFSET ", skipped))
                .status();
      }
      ASSERT_TRUE(session->Execute("ROLLBACK").ok());
      if (status.ok()) {
        ++table;
        continue;
      }
      const unsigned number = MysqlErrnoOf(status);
      EXPECT_TRUE(number == 1048 || number == 3140) << status;
      unrepeatable_.push_back(harvest_->Origin(*table));
      table = tables.erase(table);
    }
  }

  // The names of the columns that are not generated.
  std::string Written(const std::string& table) {
    const auto reader = ConnectTo(world_->source_mysqld(), kSourceDatabase);
    EXPECT_TRUE(mysql::ConfigureDataSession(*reader).ok());
    const auto schemas = mysql::ReadTableSchemas(*reader, kSourceDatabase, {table});
    EXPECT_TRUE(schemas.ok()) << schemas.status();
    std::vector<std::string> columns;
    if (schemas.ok()) {
      for (const mysql::ColumnSchema& column : schemas->front().columns) {
        if (!column.is_generated) {
          columns.push_back(mysql::QuoteName(column.name));
        }
      }
    }
    return absl::StrJoin(columns, ", ");
  }

  // INSERT, DELETE and REPLACE of the original's rows.
  void FillTwins(const std::vector<std::string>& tables) {
    const auto session = WritingSession(world_->source_mysqld(), "+00:00");
    for (const std::string& table : tables) {
      const std::string names = Written(table);
      for (const std::string& statement : {absl::StrCat("INSERT INTO ", Twin(table), " (", names,
                                                        ") SELECT ", names, " FROM ", table),
                                           absl::StrCat("DELETE FROM ", Twin(table), " LIMIT 2"),
                                           absl::StrCat("REPLACE INTO ", Twin(table), " (", names,
                                                        ") SELECT ", names, " FROM ", table)}) {
        const auto done = session->Execute(statement);
        EXPECT_TRUE(done.ok()) << done.status() << " " << harvest_->Origin(table) << ": "
                               << statement.substr(0, 300);
      }
    }
  }

  // Starts a stream of all tables; one that it refuses is noted and left out.
  void StartStream(std::vector<std::string>& tables) {
    while (true) {
      ASSERT_TRUE(world_->Create(StreamWorld::Spec(++stream_, tables)).ok());
      const SeenStatus status = world_->AwaitStatus(
          stream_,
          [](const SeenStatus& s) {
            return s.state == StreamState::RUNNING || s.state == StreamState::ERROR;
          },
          absl::Minutes(5));
      if (status.state == StreamState::RUNNING) {
        return;
      }
      const auto refused = std::find_if(tables.begin(), tables.end(), [&](const std::string& name) {
        return status.message.find(absl::StrCat(name, " ")) != std::string::npos ||
               status.message.find(absl::StrCat(name, ":")) != std::string::npos;
      });
      ASSERT_NE(refused, tables.end()) << status.message;
      const std::string name = *refused;
      ASSERT_TRUE(world_->Control(stream_, schemas::StreamAction::DELETE, 1).ok());
      tables.erase(refused);
      // What can't be proved to be unchanged is refused aloud; its twin would be as well.
      if (absl::StrContains(status.message, "not about generated columns")) {
        unproved_.push_back(harvest_->Origin(name));
        tables.erase(std::remove(tables.begin(), tables.end(), Twin(name)), tables.end());
        continue;
      }
      refused_.push_back(absl::StrCat(harvest_->Origin(name), ": ", status.message));
    }
  }

  std::string root_;
  std::unique_ptr<StreamWorld> world_;
  std::unique_ptr<Harvest> harvest_;
  uint64_t stream_ = 0;
  std::vector<std::string> refused_;
  std::vector<std::string> unrepeatable_;
  std::vector<std::string> unproved_;
};

TEST_F(MysqlSuiteTest, EveryTableOfTheSuiteArrivesBitForBit) {
  harvest_ = std::make_unique<Harvest>(*world_, root_);
  const std::vector<std::string> scripts = Scripts(root_);
  ASSERT_FALSE(scripts.empty());
  for (const std::string& script : scripts) {
    ASSERT_NO_FATAL_FAILURE(harvest_->Run(script));
  }
  std::vector<std::string> tables = harvest_->Tables();
  ASSERT_FALSE(tables.empty());
  ASSERT_NO_FATAL_FAILURE(CreateTwins(tables));
  ASSERT_NO_FATAL_FAILURE(LeaveOutUnrepeatable(tables));
  std::vector<std::string> all = tables;
  for (const std::string& table : tables) {
    all.push_back(Twin(table));
  }
  ASSERT_NO_FATAL_FAILURE(CreateBehindGate(*world_, all));
  ASSERT_NO_FATAL_FAILURE(StartStream(all));
  tables.erase(std::remove_if(tables.begin(), tables.end(),
                              [&](const std::string& table) {
                                return std::find(all.begin(), all.end(), Twin(table)) == all.end();
                              }),
               tables.end());
  ASSERT_NO_FATAL_FAILURE(FillTwins(tables));
  ASSERT_NO_FATAL_FAILURE(world_->Drain(stream_));
  ASSERT_TRUE(world_->Control(stream_, schemas::StreamAction::STOP, 2).ok());
  OpenGate(*world_, all);

  const auto source = TakeRows(world_->source_mysqld(), kSourceDatabase, all);
  const auto target = TakeRows(world_->target_mysqld(), kTargetDatabase, all);
  ASSERT_TRUE(source.ok()) << source.status();
  ASSERT_TRUE(target.ok()) << target.status();
  const RawDifferences found = Compare(*source, *target, [](uint64_t) { return true; });
  std::vector<std::string> shown;
  for (const std::string& difference : found.differences) {
    shown.push_back(absl::StrCat(
        harvest_->Origin(difference.substr(0, difference.find_first_of(" :"))), " ", difference));
  }
  EXPECT_THAT(shown, ::testing::IsEmpty()) << absl::StrJoin(shown, "\n");
  EXPECT_THAT(refused_, ::testing::IsEmpty()) << absl::StrJoin(refused_, "\n");
  const HarvestCounts& counts = harvest_->counts();
  EXPECT_GT(counts.tables, counts.scripts);
  std::cout << "mysql suite: " << counts.scripts << " scripts, " << counts.statements
            << " statements run (" << counts.failed << " failed, as many are meant to), "
            << counts.tables << " tables with " << counts.rows
            << " rows, each by copy and by binlog (" << unrepeatable_.size()
            << " tables left out whose rows mysqld does not take again, " << unproved_.size()
            << " refused as generated values can't be told from changed ones); " << found.rows
            << " rows, " << found.cells << " cells compared, " << found.json_by_meaning
            << " JSON documents by meaning\n";
}

}  // namespace
}  // namespace sluice::testing
