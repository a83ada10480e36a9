// No boundary without a test: what the code names is compared with what the kill loop strikes and
// what other tests name.

#include "integration/killloop/boundaries.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <regex>
#include <set>
#include <sstream>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "coordinator/cutover/crash_points.h"
#include "integration/killloop/cases.h"

namespace sluice::killloop {
namespace {

namespace fs = std::filesystem;

std::string ReadFile(const fs::path& path) {
  std::ifstream file(path);
  std::stringstream text;
  text << file.rdbuf();
  return text.str();
}

std::vector<fs::path> Sources(const std::vector<std::string>& folders) {
  std::vector<fs::path> files;
  for (const std::string& folder : folders) {
    for (const auto& entry : fs::recursive_directory_iterator(folder)) {
      if (entry.path().extension() == ".cc" || entry.path().extension() == ".h") {
        files.push_back(entry.path());
      }
    }
  }
  return files;
}

// Those that stand in the code as they are, and those that it makes of lists.
std::set<std::string> PointsOfTheCode() {
  std::set<std::string> points;
  const std::regex literal("\"([a-z_.]+)\"");
  for (const fs::path& path : Sources({"agent", "coordinator", "proxy", "common"})) {
    const std::string text = ReadFile(path);
    const std::string macro = "SLUICE_CRASH_POINT(";
    for (size_t at = text.find(macro); at != std::string::npos; at = text.find(macro, at + 1)) {
      const std::string arguments = text.substr(at, text.find(';', at) - at);
      for (std::sregex_iterator hit(arguments.begin(), arguments.end(), literal), end; hit != end;
           ++hit) {
        points.insert((*hit)[1]);
      }
    }
  }
  for (const auto& made : {cutover::CutoverCrashPoints(), cutover::TeardownCrashPoints()}) {
    points.insert(made.begin(), made.end());
  }
  return points;
}

std::set<std::string> PointsOfTheLoop() {
  std::set<std::string> points;
  for (const Gate gate : {Gate::kTables, Gate::kServer}) {
    for (const Boundary& boundary : Boundaries(gate)) {
      points.insert(boundary.point);
    }
  }
  return points;
}

TEST(BoundariesTest, EveryOneOfCutoversAndTeardownsIsStruck) {
  const std::set<std::string> struck = PointsOfTheLoop();
  for (const auto& made : {cutover::CutoverCrashPoints(), cutover::TeardownCrashPoints()}) {
    for (const std::string& point : made) {
      EXPECT_TRUE(struck.contains(point)) << point;
    }
  }
  for (const char* family : {"gate.", "drop.", "server."}) {
    for (const std::string& point : PointsOfTheCode()) {
      EXPECT_TRUE(!absl::StartsWith(point, family) || struck.contains(point)) << point;
    }
  }
}

// Their tests put the coordinator into the state that it is found in after a crash there.
bool IsTestedByItsState(const std::string& point) {
  return absl::StartsWith(point, "create_") || absl::StartsWith(point, "update_");
}

TEST(BoundariesTest, EveryOtherCrashPointStandsInATest) {
  std::string tests;
  for (const fs::path& path : Sources({"tests", "integration"})) {
    if (absl::EndsWith(path.string(), "_test.cc")) {
      absl::StrAppend(&tests, ReadFile(path));
    }
  }
  const std::set<std::string> struck = PointsOfTheLoop();
  const std::set<std::string> points = PointsOfTheCode();
  EXPECT_GT(points.size(), 90U);
  for (const std::string& point : points) {
    EXPECT_TRUE(struck.contains(point) || IsTestedByItsState(point) ||
                absl::StrContains(tests, absl::StrCat("\"", point)))
        << point << " has no test";
  }
}

TEST(BoundariesTest, NoneIsOfTheLoopOnly) {
  const std::set<std::string> points = PointsOfTheCode();
  for (const std::string& point : PointsOfTheLoop()) {
    EXPECT_TRUE(points.contains(point)) << point;
  }
}

TEST(CasesTest, AreAllProcessesInAllWaysAndBothDirections) {
  std::set<std::string> seen;
  Choice choice;
  choice.names = {"cutover.commit.done:2"};
  choice.gates = {"server"};
  const std::vector<Case> cases = ChooseCases(choice);
  for (const Case& one : cases) {
    seen.insert(one.ToString());
  }
  EXPECT_EQ(seen.size(), cases.size());
  // Seven processes killed, stopped and cut off, the coordinator ended too; there and back.
  EXPECT_EQ(cases.size(), (7U * 3U + 1U) * 2U);
  EXPECT_THAT(seen, testing::Contains("kill to-mysqld at cutover.commit.done:2, server, reverse"));
}

TEST(CasesTest, EveryBoundaryHasSomeInBothDirections) {
  std::set<std::string> there;
  std::set<std::string> back;
  for (const Case& one : ChooseCases(Choice())) {
    (one.reverse ? back : there).insert(one.PlaceName());
  }
  const size_t all = Boundaries(Gate::kTables).size() + Boundaries(Gate::kServer).size();
  EXPECT_EQ(there.size(), all);
  EXPECT_EQ(back.size(), all);
}

TEST(CasesTest, OneKindOfGateComesAfterTheOther) {
  std::vector<Gate> kinds;
  for (const Case& one : ChooseCases(Choice())) {
    if (kinds.empty() || kinds.back() != one.gate) {
      kinds.push_back(one.gate);
    }
  }
  EXPECT_THAT(kinds, testing::ElementsAre(Gate::kTables, Gate::kServer));
}

TEST(CasesTest, ALimitTakesTheSameOfASeed) {
  const auto names = [](uint64_t seed) {
    Choice choice;
    choice.limit = 20;
    choice.seed = seed;
    std::vector<std::string> list;
    for (const Case& one : ChooseCases(choice)) {
      list.push_back(one.ToString());
    }
    return list;
  };
  EXPECT_EQ(names(7).size(), 20U);
  EXPECT_EQ(names(7), names(7));
  EXPECT_NE(names(7), names(8));
}

}  // namespace
}  // namespace sluice::killloop
