// PlanGate and StateOf, judged by a small model of the names in a schema.

#include "agent/gate/planner.h"

#include <gtest/gtest.h>

#include <map>

#include "absl/strings/match.h"
#include "tests/agent/gate/schema_model.h"

namespace sluice::gate {
namespace {

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

TableNames Guarded(const std::string& table) {
  return {
      .table = table, .name = Object::kGuard, .closed = Object::kTable, .view = {}, .columns = {}};
}

// Runs the plan and returns the names afterwards. Before the rename no table may move; after it
// each must be where it is wanted.
std::vector<TableNames> Apply(const std::vector<TableNames>& tables, State wanted) {
  auto plan = PlanGate("d", tables, wanted);
  EXPECT_TRUE(plan.ok()) << plan.status();
  SchemaModel schema(tables);
  for (const std::string& sql : plan->before) {
    EXPECT_EQ(schema.Run(sql), "");
    for (const TableNames& names : tables) {
      EXPECT_EQ(StateOf(schema.Names(names.table)), StateOf(names)) << "after " << sql;
    }
  }
  if (!plan->rename.empty()) {
    EXPECT_EQ(schema.Run(plan->rename), "");
  }
  for (const TableNames& names : tables) {
    EXPECT_EQ(StateOf(schema.Names(names.table)), wanted) << plan->rename;
  }
  for (const std::string& sql : plan->after) {
    EXPECT_EQ(schema.Run(sql), "");
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
  for (const TableNames& names : {Open(table), Closed(table), Readable(table), Guarded(table)}) {
    for (const Object view : {Object::kAbsent, Object::kGateView, Object::kGuard}) {
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
      SchemaModel schema({start});
      for (size_t i = 0; i < crash; ++i) {
        EXPECT_EQ(schema.Run(all[i]), "");
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

TEST(PlanGateTest, GuardsWhatIsClosedBehindReaders) {
  const auto plan = PlanGate("d", {Open("a"), Readable("b")}, State::kClosed);
  ASSERT_TRUE(plan.ok()) << plan.status();
  SchemaModel schema({Open("a"), Readable("b")});
  EXPECT_EQ(schema.Run(plan->rename), "");
  for (const std::string& sql : plan->after) {
    EXPECT_EQ(schema.Run(sql), "");
  }
  EXPECT_EQ(schema.Names("a").name, Object::kAbsent) << "clients may be waiting";
  EXPECT_EQ(schema.Names("b").name, Object::kGuard);
  EXPECT_EQ(schema.Names("b").view, Object::kAbsent);
}

TEST(PlanGateTest, LeavesAGuardWhereItIsAndNeedsNoneWhereSomethingStands) {
  const auto plan = PlanGate("d", {Guarded("t")}, State::kClosed);
  ASSERT_TRUE(plan.ok()) << plan.status();
  EXPECT_TRUE(plan->empty());
  EXPECT_TRUE(PlanGuards("d", {Open("a"), Guarded("b"), Readable("c")}).empty());
}

TEST(PlanGateTest, GuardsTheNamesOfClosedTables) {
  const std::vector<std::string> guards = PlanGuards("d", {Open("a"), Closed("b")});
  ASSERT_EQ(guards.size(), 1U);
  SchemaModel schema({Closed("b")});
  EXPECT_EQ(schema.Run(guards[0]), "");
  EXPECT_EQ(schema.Names("b").name, Object::kGuard);
  EXPECT_EQ(StateOf(schema.Names("b")), State::kClosed);
}

TEST(PlanGateTest, OpensGuardedTablesInOneRenameAndDropsTheGuardsTogether) {
  const auto plan = PlanGate("d", {Guarded("a"), Guarded("b")}, State::kOpen);
  ASSERT_TRUE(plan.ok()) << plan.status();
  EXPECT_TRUE(plan->before.empty());
  ASSERT_EQ(plan->after.size(), 1U);
  EXPECT_EQ(plan->after[0], "DROP VIEW `d`.`_sluice_view_a`, `d`.`_sluice_view_b`");
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
            " `d`.`_sluice_view_t` AS SELECT t.* FROM `d`.`_sluice_closed_t` AS t JOIN"
            " (SELECT 1 AS one) AS one");
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
