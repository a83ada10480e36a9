// PlanGate and StateOf, judged by a small model of the names in a schema.

#include "agent/gate/planner.h"

#include <gtest/gtest.h>

#include <map>
#include <regex>

#include "absl/strings/match.h"
#include "absl/strings/str_split.h"
#include "agent/gate/closed_name.h"

namespace sluice::gate {
namespace {

// What RENAME, CREATE and DROP do to names. A statement that MySQL would refuse fails the test.
class Schema {
 public:
  explicit Schema(std::vector<TableNames> tables) {
    for (const TableNames& names : tables) {
      Put(names.table, names.name);
      Put(ClosedName(names.table), names.closed);
      Put(ViewName(names.table), names.view);
    }
  }

  void Run(const std::string& sql) {
    std::smatch match;
    const std::string name = "`d`\\.`([^`]+)`";
    if (absl::StartsWith(sql, "RENAME TABLE ")) {
      for (const std::string& move :
           std::vector<std::string>(absl::StrSplit(sql.substr(13), ", "))) {
        ASSERT_TRUE(std::regex_match(move, match, std::regex(name + " TO " + name))) << move;
        ASSERT_TRUE(objects_.contains(match[1])) << move;
        ASSERT_FALSE(objects_.contains(match[2])) << move;
        objects_[match[2]] = objects_[match[1]];
        objects_.erase(match[1]);
      }
    } else if (std::regex_match(sql, match, std::regex("DROP (VIEW|TABLE) " + name))) {
      ASSERT_TRUE(objects_.contains(match[2])) << sql;
      ASSERT_EQ(match[1] == "VIEW", objects_[match[2]] == Object::kGateView) << sql;
      ASSERT_NE(objects_[match[2]], Object::kTable) << "drops rows: " << sql;
      objects_.erase(match[2]);
    } else if (std::regex_search(sql, match, std::regex("^CREATE TABLE " + name))) {
      ASSERT_FALSE(objects_.contains(match[1])) << sql;
      objects_[match[1]] = Object::kPlaceholder;
    } else if (std::regex_search(sql, match,
                                 std::regex("^CREATE .* VIEW " + name + " AS SELECT .* " + name))) {
      ASSERT_FALSE(objects_.contains(match[1])) << sql;
      ASSERT_TRUE(objects_.contains(match[2])) << sql;
      objects_[match[1]] = Object::kGateView;
    } else {
      FAIL() << "unknown statement: " << sql;
    }
  }

  TableNames Names(const std::string& table) const {
    return {.table = table,
            .name = At(table),
            .closed = At(ClosedName(table)),
            .view = At(ViewName(table)),
            .columns = {"id"}};
  }

 private:
  void Put(const std::string& name, Object object) {
    if (object != Object::kAbsent) {
      objects_[name] = object;
    }
  }
  Object At(const std::string& name) const {
    const auto found = objects_.find(name);
    return found == objects_.end() ? Object::kAbsent : found->second;
  }

  std::map<std::string, Object> objects_;
};

TableNames Open(const std::string& table) {
  return {.table = table, .name = Object::kTable, .closed = {}, .view = {}, .columns = {"id"}};
}
TableNames Closed(const std::string& table) {
  return {.table = table, .name = {}, .closed = Object::kTable, .view = {}, .columns = {}};
}
TableNames Readable(const std::string& table) {
  return {.table = table,
          .name = Object::kGateView,
          .closed = Object::kTable,
          .view = {},
          .columns = {}};
}

// Runs the plan and returns the names afterwards. Before the rename no table may move; after it
// each must be where it is wanted.
std::vector<TableNames> Apply(const std::vector<TableNames>& tables, State wanted) {
  auto plan = PlanGate("d", tables, wanted);
  EXPECT_TRUE(plan.ok()) << plan.status();
  Schema schema(tables);
  for (const std::string& sql : plan->before) {
    schema.Run(sql);
    for (const TableNames& names : tables) {
      EXPECT_EQ(StateOf(schema.Names(names.table)), StateOf(names)) << "after " << sql;
    }
  }
  if (!plan->rename.empty()) {
    schema.Run(plan->rename);
  }
  for (const TableNames& names : tables) {
    EXPECT_EQ(StateOf(schema.Names(names.table)), wanted) << plan->rename;
  }
  for (const std::string& sql : plan->after) {
    schema.Run(sql);
  }
  std::vector<TableNames> end;
  for (const TableNames& names : tables) {
    end.push_back(schema.Names(names.table));
  }
  return end;
}

// Every state that a table can be found in, with every leftover that a crash can leave.
std::vector<TableNames> EveryStart(const std::string& table) {
  std::vector<TableNames> starts;
  for (const TableNames& names : {Open(table), Closed(table), Readable(table)}) {
    for (const Object view : {Object::kAbsent, Object::kGateView}) {
      TableNames start = names;
      start.view = view;
      starts.push_back(start);
      if (start.closed == Object::kAbsent) {
        start.closed = Object::kPlaceholder;
        starts.push_back(start);
      }
    }
  }
  return starts;
}

class EveryPairTest : public ::testing::TestWithParam<State> {};

TEST_P(EveryPairTest, ReachesTheStateFromEveryMixtureAndLeavesNothingOver) {
  for (const TableNames& first : EveryStart("a")) {
    for (const TableNames& second : EveryStart("b")) {
      for (const TableNames& end : Apply({first, second}, GetParam())) {
        EXPECT_EQ(StateOf(end), GetParam());
        EXPECT_EQ(end.view, Object::kAbsent);
        EXPECT_NE(end.closed, Object::kPlaceholder);
      }
    }
  }
}

TEST_P(EveryPairTest, CanBeRepeatedAfterACrashBetweenAnyTwoStatements) {
  for (const TableNames& start : EveryStart("a")) {
    const auto plan = PlanGate("d", {start}, GetParam());
    ASSERT_TRUE(plan.ok()) << plan.status();
    std::vector<std::string> all = plan->before;
    if (!plan->rename.empty()) {
      all.push_back(plan->rename);
    }
    all.insert(all.end(), plan->after.begin(), plan->after.end());
    for (size_t crash = 0; crash <= all.size(); ++crash) {
      Schema schema({start});
      for (size_t i = 0; i < crash; ++i) {
        schema.Run(all[i]);
      }
      for (const State then : {State::kOpen, State::kClosed, State::kReadable}) {
        TableNames found = schema.Names("a");
        Apply({found}, then);
      }
    }
  }
}

TEST_P(EveryPairTest, DoesNothingWhereNothingIsToDo) {
  const std::map<State, TableNames> settled = {
      {State::kOpen, Open("t")}, {State::kClosed, Closed("t")}, {State::kReadable, Readable("t")}};
  const auto plan = PlanGate("d", {settled.at(GetParam())}, GetParam());
  ASSERT_TRUE(plan.ok()) << plan.status();
  EXPECT_TRUE(plan->empty());
}

INSTANTIATE_TEST_SUITE_P(States, EveryPairTest,
                         ::testing::Values(State::kOpen, State::kClosed, State::kReadable),
                         [](const auto& state) { return std::string(StateName(state.param)); });

TEST(PlanGateTest, MovesAllTablesInOneStatement) {
  const auto plan = PlanGate("d", {Open("a"), Readable("b")}, State::kClosed);
  ASSERT_TRUE(plan.ok()) << plan.status();
  EXPECT_EQ(plan->rename,
            "RENAME TABLE `d`.`a` TO `d`.`_sluice_closed_a`, `d`.`b` TO `d`.`_sluice_view_b`");
}

TEST(PlanGateTest, PreparesTheViewOnAPlaceholderWithTheTablesColumns) {
  TableNames open = Open("t");
  open.columns = {"id", "odd`name"};
  const auto plan = PlanGate("d", {open}, State::kReadable);
  ASSERT_TRUE(plan.ok()) << plan.status();
  ASSERT_EQ(plan->before.size(), 3U);
  EXPECT_EQ(plan->before[0],
            "CREATE TABLE `d`.`_sluice_closed_t` (`id` INT, `odd``name` INT, `_sluice_placeholder`"
            " INT NOT NULL INVISIBLE PRIMARY KEY) ENGINE=InnoDB");
  EXPECT_EQ(plan->before[1],
            "CREATE DEFINER = '_sluice_reader'@'localhost' SQL SECURITY DEFINER VIEW"
            " `d`.`_sluice_view_t` AS SELECT * FROM `d`.`_sluice_closed_t`");
  EXPECT_EQ(plan->before[2], "DROP TABLE `d`.`_sluice_closed_t`");
}

TEST(PlanGateTest, RefusesBothTablesAndNamesThem) {
  TableNames both = Open("t");
  both.closed = Object::kTable;
  const auto plan = PlanGate("d", {Open("a"), both}, State::kClosed);
  EXPECT_EQ(plan.status().code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_TRUE(absl::StrContains(plan.status().message(), "d.t")) << plan.status();
  EXPECT_TRUE(absl::StrContains(plan.status().message(), "_sluice_closed_t")) << plan.status();
}

TEST(PlanGateTest, RefusesAViewThatIsNotOurs) {
  TableNames view = Open("t");
  view.name = Object::kOtherView;
  EXPECT_EQ(PlanGate("d", {view}, State::kClosed).status().code(),
            absl::StatusCode::kFailedPrecondition);
  TableNames in_the_way = Open("t");
  in_the_way.view = Object::kOtherView;
  EXPECT_EQ(PlanGate("d", {in_the_way}, State::kReadable).status().code(),
            absl::StatusCode::kFailedPrecondition);
}

TEST(PlanGateTest, RefusesAMissingTable) {
  const TableNames none{.table = "t", .name = {}, .closed = {}, .view = {}, .columns = {}};
  EXPECT_EQ(PlanGate("d", {none}, State::kOpen).status().code(), absl::StatusCode::kNotFound);
  // A placeholder is no table: nothing of it may ever be opened.
  TableNames placeholder = none;
  placeholder.closed = Object::kPlaceholder;
  EXPECT_EQ(PlanGate("d", {placeholder}, State::kOpen).status().code(),
            absl::StatusCode::kNotFound);
}

TEST(StateOfTest, SeesTablesThatDisagree) {
  EXPECT_EQ(StateOf({Open("a"), Open("b")}), State::kOpen);
  EXPECT_EQ(StateOf({Open("a"), Closed("b")}), State::kMixed);
  TableNames view_left = Readable("a");
  view_left.closed = Object::kAbsent;
  EXPECT_EQ(StateOf(view_left), State::kMixed);
}

}  // namespace
}  // namespace sluice::gate
