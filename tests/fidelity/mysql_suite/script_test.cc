// What ReadScript takes of a mysqltest script for SQL.

#include "tests/fidelity/mysql_suite/script.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

#include "tests/testing/temp_dir.h"

namespace sluice::testing {
namespace {

using ::testing::ElementsAre;

class ScriptTest : public ::testing::Test {
 protected:
  void Write(const std::string& name, const std::string& text) {
    const std::filesystem::path path = std::filesystem::path(directory_.path()) / name;
    std::filesystem::create_directories(path.parent_path());
    std::ofstream(path) << text;
  }

  std::vector<std::string> Read(const std::string& text) {
    Write("t/script.test", text);
    const auto statements = ReadScript(directory_.path(), "t/script.test");
    EXPECT_TRUE(statements.ok()) << statements.status();
    return statements.value_or(std::vector<std::string>());
  }

  TempDir directory_;
};

TEST_F(ScriptTest, StatementsEndAtTheDelimiterOutsideQuotes) {
  EXPECT_THAT(
      Read("# a comment; no statement\nSELECT ';', \"a;\\\"\", `x;`;\nINSERT INTO t\n"
           "VALUES (1);  DELETE FROM t"),
      ElementsAre("SELECT ';', \"a;\\\"\", `x;`", "INSERT INTO t\nVALUES (1)", "DELETE FROM t"));
}

TEST_F(ScriptTest, CommandsOfMysqltestAreNoStatements) {
  EXPECT_THAT(
      Read("--error ER_DUP_ENTRY\nINSERT INTO t VALUES (1);\n--echo # a; b\n"
           "disable_warnings;\nlet $i= 3;\nwhile ($i)\n{\n  INSERT INTO t VALUES (2);\n"
           "  dec $i;\n}\nif (!$i) {\n SET @a = 1;\n}\n"
           "--write_file x\nCREATE no statement;\nEOF\nCOMMIT;"),
      ElementsAre("INSERT INTO t VALUES (1)", "INSERT INTO t VALUES (2)", "SET @a = 1", "COMMIT"));
}

TEST_F(ScriptTest, DelimitersAndVariablesAndIncludesAreFollowed) {
  Write("include/more.inc", "delimiter |;\nCREATE TABLE u (a $type)|\n");
  EXPECT_THAT(
      Read("let $type= INT;\nlet $type_long= BIGINT;\n--source include/more.inc\n"
           "eval CREATE TABLE t (a $type_long, b $type);\nsource include/none.inc;\nBEGIN;"),
      ElementsAre("CREATE TABLE u (a INT)", "CREATE TABLE t (a BIGINT, b INT)", "BEGIN"));
}

TEST_F(ScriptTest, AScriptThatIsNotThereIsNotFound) {
  EXPECT_TRUE(absl::IsNotFound(ReadScript(directory_.path(), "t/none.test").status()));
}

}  // namespace
}  // namespace sluice::testing
