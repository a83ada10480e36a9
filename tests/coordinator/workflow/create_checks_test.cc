// What a move must not begin with.

#include "coordinator/workflow/create_checks.h"

#include "tests/coordinator/testing/status_matchers.h"

namespace sluice::workflow {
namespace {

using ::sluice::testing::IsOk;
using ::sluice::testing::StatusIs;
using ::testing::ElementsAre;
using Code = absl::StatusCode;

TableDescription Table(const std::string& name) {
  TableDescription table;
  table.name = name;
  table.exists = true;
  table.key_columns = {"id"};
  table.gate_state = GateState::kOpen;
  return table;
}

TableDescription Missing(const std::string& name) {
  TableDescription table;
  table.name = name;
  return table;
}

TEST(CreateChecksTest, DdlIsNotRunOnTablesThatLackAKey) {
  stream::StreamOptions options;
  options.defer_secondary_keys = stream::DeferKeys::kAlways;
  options.allow_no_key = true;
  for (const stream::OnDdl on_ddl : {stream::OnDdl::kStop, stream::OnDdl::kIgnore}) {
    options.on_ddl = on_ddl;
    EXPECT_THAT(CheckStreamOptions(options), IsOk());
  }
  for (const stream::OnDdl on_ddl : {stream::OnDdl::kExec, stream::OnDdl::kExecIgnore}) {
    options = {};
    options.on_ddl = on_ddl;
    EXPECT_THAT(CheckStreamOptions(options), IsOk());
    options.allow_no_key = true;
    EXPECT_THAT(CheckStreamOptions(options),
                StatusIs(Code::kInvalidArgument, "--allow-no-key and --on-ddl EXEC"));
    options.defer_secondary_keys = stream::DeferKeys::kAlways;
    EXPECT_THAT(CheckStreamOptions(options),
                StatusIs(Code::kInvalidArgument, "--defer-secondary-keys and --on-ddl EXEC"));
  }
}

TEST(CreateChecksTest, ExactlyOneWayToSayWhichTables) {
  EXPECT_THAT(CheckSelection({"commerce", {"a"}, false, {}}), IsOk());
  EXPECT_THAT(CheckSelection({"commerce", {}, true, {"a"}}), IsOk());
  EXPECT_THAT(CheckSelection({"commerce", {}, false, {}}),
              StatusIs(Code::kInvalidArgument, "--all-tables"));
  EXPECT_THAT(CheckSelection({"commerce", {"a"}, true, {}}),
              StatusIs(Code::kInvalidArgument, "--all-tables"));
  EXPECT_THAT(CheckSelection({"commerce", {"a", "a"}, false, {}}),
              StatusIs(Code::kInvalidArgument, "table a is twice"));
  EXPECT_THAT(CheckSelection({"commerce", {""}, false, {}}),
              StatusIs(Code::kInvalidArgument, "empty name"));
}

TEST(CreateChecksTest, SelectionNamesEveryTableThatIsNotThere) {
  EXPECT_THAT(SelectTables({"commerce", {"b", "x", "y"}, false, {}},
                           {Table("b"), Missing("x"), Missing("y")}),
              StatusIs(Code::kNotFound, "table(s) not found in source keyspace commerce: x, y"));
  EXPECT_THAT(SelectTables({"commerce", {}, true, {"x"}}, {Table("b")}),
              StatusIs(Code::kNotFound, "table(s) not found in source keyspace commerce: x"));
  EXPECT_THAT(
      SelectTables({"commerce", {"_sluice_closed_a"}, false, {}}, {Table("_sluice_closed_a")}),
      StatusIs(Code::kNotFound, "_sluice_closed_a"));
}

TEST(CreateChecksTest, AllTablesLeavesOutViewsExcludedAndOurOwn) {
  TableDescription view = Table("v");
  view.is_view = true;
  EXPECT_THAT(SelectTables({"commerce", {}, true, {"c"}},
                           {Table("b"), Table("a"), Table("c"), view, Table("_sluice_closed_d")})
                  .value(),
              ElementsAre("a", "b"));
  EXPECT_THAT(SelectTables({"commerce", {}, true, {"c"}}, {Table("c")}),
              StatusIs(Code::kFailedPrecondition, "no table is left"));
}

TEST(CreateChecksTest, TablesThatCannotBeMovedAreRefusedByName) {
  TableDescription table = Table("corder");
  table.key_columns.clear();
  EXPECT_THAT(
      CheckSourceTables("commerce", {table}),
      StatusIs(Code::kFailedPrecondition, "commerce.corder can't be moved: it has no primary"));
  EXPECT_THAT(CheckSourceTables("commerce", {table}),
              StatusIs(Code::kFailedPrecondition, "--allow-no-key"));
  stream::StreamOptions allowed;
  allowed.allow_no_key = true;
  EXPECT_THAT(CheckSourceTables("commerce", {table}, allowed), IsOk());
  table = Table("corder");
  table.is_view = true;
  EXPECT_THAT(CheckSourceTables("commerce", {table}),
              StatusIs(Code::kFailedPrecondition, "it is a view"));
  table.gate_state = GateState::kMixed;  // as an agent sees a view with nothing behind it
  EXPECT_THAT(CheckSourceTables("commerce", {table}),
              StatusIs(Code::kFailedPrecondition, "it is a view"));
  table = Table("corder");
  table.triggers = {"corder_ai"};
  EXPECT_THAT(CheckSourceTables("commerce", {table}),
              StatusIs(Code::kFailedPrecondition, "trigger(s) corder_ai"));
  table = Table("corder");
  table.exists = false;
  table.gate_state = GateState::kClosed;
  EXPECT_THAT(CheckSourceTables("commerce", {table}),
              StatusIs(Code::kFailedPrecondition, "behind a gate (closed)"));
}

TEST(CreateChecksTest, ForeignKeysMayNotLeaveTheMovedSetOnEitherSide) {
  TableDescription parent = Table("customer");
  parent.foreign_key_children = {"corder"};
  TableDescription child = Table("corder");
  child.foreign_key_parents = {"customer"};
  EXPECT_THAT(CheckSourceTables("commerce", {parent, child}), IsOk());
  EXPECT_THAT(CheckSourceTables("commerce", {child}),
              StatusIs(Code::kFailedPrecondition, "its foreign key refers to customer"));
  EXPECT_THAT(CheckSourceTables("commerce", {parent}),
              StatusIs(Code::kFailedPrecondition, "a foreign key of corder"));
}

TEST(CreateChecksTest, ForeignKeysMayBeLeftOutUnlessTheyWouldChangeMovedRows) {
  stream::StreamOptions options;
  options.drop_foreign_keys = true;
  TableDescription parent = Table("customer");
  parent.foreign_key_children = {"corder"};
  TableDescription child = Table("corder");
  child.foreign_key_parents = {"customer"};
  EXPECT_THAT(CheckSourceTables("commerce", {parent}, options), IsOk());
  EXPECT_THAT(CheckSourceTables("commerce", {child}, options), IsOk());
  EXPECT_THAT(NoteWhatStays("commerce", {parent}),
              ElementsAre(::testing::StartsWith("A foreign key of corder, which is not moved")));
  EXPECT_THAT(NoteWhatStays("commerce", {child}),
              ElementsAre(::testing::StartsWith("Table corder has a foreign key to customer")));
  EXPECT_THAT(NoteWhatStays("commerce", {child, parent}), ::testing::IsEmpty());
  child.cascades = {"corder_fk"};
  child.cascade_parents = {"customer"};
  child.cascades_logged = true;
  EXPECT_THAT(CheckSourceTables("commerce", {child}, options),
              StatusIs(Code::kFailedPrecondition, "its foreign key to customer"));
  EXPECT_THAT(CheckSourceTables("commerce", {child, parent}, options), IsOk());
}

TEST(CreateChecksTest, EventsAndRoutinesThatNameMovedTablesAreNamed) {
  TableDescription customer = Table("customer");
  customer.programs = {"event nightly", "procedure pay"};
  TableDescription corder = Table("corder");
  corder.programs = {"procedure pay"};
  EXPECT_THAT(
      NoteWhatStays("commerce", {corder, customer}),
      ElementsAre(
          ::testing::StartsWith("The event nightly of keyspace commerce names customer;"),
          ::testing::StartsWith("The procedure pay of keyspace commerce names corder, customer;")));
}

TEST(CreateChecksTest, ViewsOfMovedTablesAreNamedWithAllTheirTables) {
  TableDescription customer = Table("customer");
  customer.views = {"totals"};
  TableDescription corder = Table("corder");
  corder.views = {"other.report", "totals"};
  const std::vector<std::string> notes = NoteWhatStays("commerce", {customer, corder, Table("x")});
  ASSERT_EQ(notes.size(), 2U);
  EXPECT_THAT(notes[0],
              ::testing::StartsWith("View other.report of keyspace commerce reads corder;"));
  EXPECT_THAT(notes[1],
              ::testing::StartsWith("View totals of keyspace commerce reads customer, corder;"));
}

TEST(CreateChecksTest, CascadesThatNoBinlogHoldsAreRefusedOnBothSides) {
  TableDescription parent = Table("customer");
  parent.foreign_key_children = {"corder"};
  TableDescription child = Table("corder");
  child.foreign_key_parents = {"customer"};
  child.cascades = {"corder_fk"};
  EXPECT_THAT(CheckSourceTables("commerce", {parent, child}),
              StatusIs(Code::kFailedPrecondition, "corder_fk"));
  EXPECT_THAT(CheckSourceTables("commerce", {parent, child}),
              StatusIs(Code::kFailedPrecondition, "binlog of the source"));
  child.cascades_logged = true;
  EXPECT_THAT(CheckSourceTables("commerce", {parent, child}), IsOk());
  TableDescription absent = Missing("corder");
  EXPECT_THAT(CheckCascadesOfTarget("customer", {parent, child}, {Missing("customer"), absent}),
              StatusIs(Code::kFailedPrecondition, "binlog of the target"));
  absent.cascades_logged = true;
  EXPECT_THAT(CheckCascadesOfTarget("customer", {parent, child}, {Missing("customer"), absent}),
              IsOk());
}

TEST(CreateChecksTest, TablesOnTheTargetAreRefusedByName) {
  TableDescription full = Table("corder");
  full.has_rows = true;
  EXPECT_THAT(CheckTargetTables("customer", {Missing("a"), full}),
              StatusIs(Code::kAlreadyExists,
                       "non-empty tables found in target keyspace(customer): corder"));
  EXPECT_THAT(CheckTargetTables("customer", {Table("corder")}),
              StatusIs(Code::kAlreadyExists, "they are empty"));
  TableDescription closed = Table("corder");
  closed.gate_state = GateState::kClosed;
  EXPECT_THAT(CheckTargetTables("customer", {closed}),
              StatusIs(Code::kAlreadyExists, "closed tables of an earlier workflow"));
  EXPECT_THAT(CheckTargetTables("customer", {Missing("corder")}), IsOk());
}

WorkflowRecord Move(const std::string& source, const std::string& target, const std::string& name,
                    std::vector<std::string> tables) {
  WorkflowRecord record;
  record.keyspace = record.target_keyspace = target;
  record.source_keyspace = source;
  record.name = name;
  record.tables = std::move(tables);
  return record;
}

TEST(CreateChecksTest, NamesAndTablesOfOtherWorkflowsAreTaken) {
  const WorkflowRecord move = Move("commerce", "customer", "c2c", {"corder"});
  EXPECT_THAT(CheckOtherWorkflows(move, {Move("x", "customer", "c2c", {})}),
              StatusIs(Code::kAlreadyExists, "workflow c2c already exists in keyspace customer"));
  EXPECT_THAT(CheckOtherWorkflows(move, {Move("x", "commerce", "c2c_reverse", {})}),
              StatusIs(Code::kAlreadyExists, "c2c_reverse already exists in keyspace commerce"));
  EXPECT_THAT(CheckOtherWorkflows(move, {Move("commerce", "archive", "w", {"corder"})}),
              StatusIs(Code::kFailedPrecondition, "corder is moved by workflow archive.w"));
  EXPECT_THAT(CheckOtherWorkflows(move, {Move("commerce", "archive", "w", {"product"}),
                                         Move("a", "b", "w", {"corder"})}),
              IsOk());
}

store::RuleState Rules(std::vector<routing::TableRule> rules) {
  store::RuleState state;
  state.table_rules = std::move(rules);
  return state;
}

TEST(CreateChecksTest, ARuleThatSendsATableElsewhereStandsInTheWay) {
  const WorkflowRecord move = Move("commerce", "customer", "c2c", {"corder"});
  EXPECT_THAT(CheckExistingRules(move, Rules({{"corder", "commerce.corder"}, {"x", "other.x"}})),
              IsOk());
  EXPECT_THAT(CheckExistingRules(move, Rules({{"corder@replica", "other.corder"}})),
              StatusIs(Code::kFailedPrecondition, "corder@replica -> other.corder"));
  EXPECT_THAT(CheckExistingRules(move, Rules({{"customer.corder", ""}})),
              StatusIs(Code::kFailedPrecondition, "customer.corder -> nothing"));
}

}  // namespace
}  // namespace sluice::workflow
