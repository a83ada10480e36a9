// The agents' crash points in copying, applying and serving: each ends an agent once, at the moment
// it names, and nothing is lost or doubled.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <map>
#include <regex>
#include <set>
#include <sstream>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "integration/crashloop/move.h"

namespace sluice::crashloop {
namespace {

enum class When { kCopying, kFollowing, kCommanded };

struct Case {
  std::string point;
  When when = When::kCopying;
  uint32_t uid = kTarget;
};

const std::vector<Case>& Cases() {
  static const std::vector<Case> cases = {
      {"source.snapshot_open", When::kCopying, kSource},
      {"source.rows_read", When::kCopying, kSource},
      {"source.binlog_open", When::kCopying, kSource},
      {"source.events_taken", When::kFollowing, kSource},
      {"source.part_queued", When::kFollowing, kSource},
      {"copy.rows_written"},
      {"copy.before_commit"},
      {"copy.after_commit"},
      {"copy.after_split"},
      {"copy.epoch_over"},
      {"keys.after_record"},
      {"keys.after_drop"},
      {"keys.before_add"},
      {"keys.after_add"},
      {"apply.caught_up"},
      {"apply.before_commit", When::kFollowing},
      {"apply.after_commit", When::kFollowing},
      {"apply.slices_committed", When::kFollowing},
      {"apply.part_written", When::kFollowing},
      {"stream.after_claim"},
      {"stream.after_source"},
      {"stream.before_commit"},
      {"stream.after_commit"},
      {"stream.after_create"},
      {"stream.after_command", When::kCommanded},
      {"stream.after_delete", When::kCommanded},
      {"agent.before_register", When::kFollowing},
  };
  return cases;
}

// Points whose test is another file's.
const std::map<std::string, std::string>& TestedElsewhere() {
  static const std::map<std::string, std::string> files = {
      {"gate.after_journal", "tests/agent/gate/gate_keeper_test.cc"},
      {"gate.after_intent", "tests/agent/gate/gate_keeper_test.cc"},
      {"gate.after_rename", "tests/agent/gate/gate_keeper_test.cc"},
      {"gate.after_marker", "tests/agent/gate/gate_keeper_test.cc"},
      {"gate.after_outcome", "tests/agent/gate/gate_keeper_test.cc"},
      {"journal.before_guard", "integration/scenarios/zombie_test.cc"},
      {"stream.before_create", "integration/scenarios/zombie_test.cc"},
      {"ddl.after_intent", "tests/agent/target/ddl_test.cc"},
      {"ddl.after_statement", "tests/agent/target/ddl_test.cc"},
      {"prepare.after_create", "tests/agent/gate/move_tables_test.cc"},
      {"drop.before", "tests/agent/gate/move_tables_test.cc"},
      {"drop.after_statement", "tests/agent/gate/move_tables_test.cc"},
      {"server.locked", "tests/agent/gate/server_gate_test.cc"},
      {"server.forgotten", "tests/agent/gate/server_gate_test.cc"},
      {"server.unlocked", "tests/agent/gate/server_gate_test.cc"},
      {"server.letting_go", "tests/agent/gate/shared_server_test.cc"},
      {"server.ending", "tests/agent/gate/server_gate_test.cc"},
      {"server.let_go", "tests/agent/gate/server_gate_test.cc"},
  };
  return files;
}

std::string ReadFile(const std::filesystem::path& path) {
  std::ifstream file(path);
  std::stringstream text;
  text << file.rdbuf();
  return text.str();
}

TEST(CrashPointsTest, EveryPointOfTheAgentHasATest) {
  std::set<std::string> points;
  const std::regex use("SLUICE_CRASH_POINT\\(\"([a-z_.]+)\"\\)");
  for (const auto& entry : std::filesystem::recursive_directory_iterator("agent")) {
    if (entry.path().extension() == ".cc" || entry.path().extension() == ".h") {
      const std::string text = ReadFile(entry.path());
      for (std::sregex_iterator hit(text.begin(), text.end(), use), end; hit != end; ++hit) {
        points.insert((*hit)[1]);
      }
    }
  }
  std::set<std::string> tested;
  for (const Case& one : Cases()) {
    tested.insert(one.point);
  }
  for (const auto& [point, file] : TestedElsewhere()) {
    // As a name by itself, or in the environment of a process.
    EXPECT_THAT(ReadFile(file), testing::AnyOf(testing::HasSubstr(absl::StrCat("\"", point)),
                                               testing::HasSubstr(absl::StrCat("AT=", point))));
    tested.insert(point);
  }
  EXPECT_EQ(points, tested);
}

class CrashPointTest : public MoveTest {
 protected:
  // Two tables of their own for each case: one is copied in parts, one has another unique key.
  void MakeTables(const std::string& name) {
    big_ = absl::StrCat("big_", name);
    seats_ = absl::StrCat("seats_", name);
    const std::string numbers =
        "WITH RECURSIVE n AS (SELECT 1 AS i UNION ALL SELECT i + 1 FROM n WHERE i < ";
    On(kSource,
       {"SET SESSION cte_max_recursion_depth = 100000",
        absl::StrCat("CREATE TABLE ", big_,
                     " (id INT PRIMARY KEY, v VARBINARY(9000), n INT, "
                     "KEY by_n (n))"),
        absl::StrCat("CREATE TABLE ", seats_, " (id INT PRIMARY KEY, seat INT NOT NULL UNIQUE)"),
        absl::StrCat("INSERT INTO ", big_, " ", numbers,
                     big_rows_are_wide_ ? "16000) SELECT i, REPEAT('b', 5000), 0 FROM n"
                                        : "5000) SELECT i, REPEAT('b', 100), 0 FROM n"),
        absl::StrCat("INSERT INTO ", seats_, " ", numbers, "100) SELECT i, i FROM n")});
  }

  // What the point needs to be reached while following; all of it may come after it.
  void Write() {
    On(kSource, {absl::StrCat("REPLACE INTO ", big_, " VALUES (100001, 'new', 1)"),
                 absl::StrCat("DELETE FROM ", big_, " WHERE id = 17"), "BEGIN",
                 absl::StrCat("UPDATE ", seats_, " SET seat = -1 WHERE id = 1"),
                 absl::StrCat("UPDATE ", seats_, " SET seat = 1 WHERE id = 2"),
                 absl::StrCat("UPDATE ", seats_, " SET seat = 2 WHERE id = 1"),
                 absl::StrCat("UPDATE ", big_, " SET id = -id WHERE id < 50"), "COMMIT"});
    if (big_rows_are_wide_) {
      return;
    }
    // Worth several sessions, and more than a group.
    On(kSource, {absl::StrCat("UPDATE ", big_, " SET n = n + 1")});
    On(kSource, {"BEGIN", absl::StrCat("UPDATE ", big_, " SET n = n + 1"),
                 absl::StrCat("UPDATE ", big_, " SET n = n + 1"),
                 absl::StrCat("UPDATE ", big_, " SET n = n + 1"),
                 absl::StrCat("UPDATE ", big_, " SET n = n + 1"),
                 absl::StrCat("UPDATE ", big_, " SET n = n + 1"), "COMMIT"});
  }

  void Compare() {
    AwaitApplied(kSource, kTarget);
    ExpectSame(kSource, kTarget, big_, "id");
    ExpectSame(kSource, kTarget, seats_, "id");
  }

  [[nodiscard]] std::vector<std::string> Create(const std::string& workflow) const {
    return {"movetables",
            "create",
            workflow,
            "--source",
            "source",
            "--tables",
            absl::StrCat(big_, ",", seats_),
            absl::StrCat("--defer-secondary-keys=", keys_are_put_off_ ? "true" : "false")};
  }

  void ExpectKeys() {
    EXPECT_TRUE(Eventually([this] {
      return Ask(kTarget, absl::StrCat("SELECT COUNT(*) FROM information_schema.STATISTICS WHERE "
                                       "TABLE_NAME = '_sluice_closed_",
                                       big_, "' AND INDEX_NAME = 'by_n'")) == "1" &&
             Ask(kTarget, "SELECT COUNT(*) FROM _sluice.deferred_key") == "0";
    }));
  }

  std::string big_;
  std::string seats_;
  bool big_rows_are_wide_ = false;  // so that it is copied in parts
  bool keys_are_put_off_ = false;
};

TEST_F(CrashPointTest, EachEndsAnAgentOnceAndNothingIsLost) {
  StartCluster({});
  int number = 0;
  for (const Case& one : Cases()) {
    SCOPED_TRACE(one.point);
    big_rows_are_wide_ = one.point == "copy.after_split";
    keys_are_put_off_ = absl::StartsWith(one.point, "keys.");
    const std::string workflow = absl::StrCat("target.point", ++number);
    MakeTables(absl::StrCat(number));
    if (one.when != When::kCopying) {
      Done(Create(workflow));
      AwaitRunning(kTarget);
    }
    Rearm(one.uid, one.point);
    if (one.when == When::kCopying) {
      StartOperator(Create(workflow));
    } else if (one.when == When::kFollowing) {
      Write();
    } else {
      StartOperator(one.point == "stream.after_delete"
                        ? std::vector<std::string>{"movetables", "cancel", workflow}
                        : std::vector<std::string>{"movetables", "stop", workflow});
    }
    AwaitCrash(one.uid);
    JoinOperator();
    if (one.point != "stream.after_delete") {
      if (one.when == When::kCommanded) {
        Done({"workflow", workflow, "start"});
      }
      Write();
      Compare();
      ExpectKeys();
      Done({"movetables", "cancel", workflow});
    }
    EXPECT_EQ(Ask(kTarget, "SELECT COUNT(*) FROM _sluice.stream"), "0");
    On(kSource, {absl::StrCat("DROP TABLE ", big_, ", ", seats_)});
    ASSERT_FALSE(HasFailure());
  }
}

}  // namespace
}  // namespace sluice::crashloop
