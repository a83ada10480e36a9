// Tests of table plans.

#include "agent/target/table_plan.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <utility>

namespace sluice::target {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

mysql::TableSchema Schema() {
  mysql::TableSchema schema;
  schema.database = "d";
  schema.name = "_sluice_closed_t";
  for (const char* name : {"a", "sum", "b"}) {
    schema.columns.emplace_back().name = name;
    schema.columns.back().data_type = "int";
  }
  schema.columns[1].is_generated = true;
  schema.key_columns = {"b", "a"};
  return schema;
}

TEST(TablePlanTest, GeneratedColumnsAreNeverWritten) {
  const auto plan = MakeTablePlan(Schema(), "t");
  ASSERT_TRUE(plan.ok()) << plan.status();
  EXPECT_THAT(plan->WrittenNames(), ElementsAre("a", "b"));
  EXPECT_THAT(plan->KeyNames(), ElementsAre("b", "a"));
  EXPECT_EQ(plan->replace_head, "REPLACE INTO `d`.`_sluice_closed_t` (`a`, `b`) VALUES ");
  EXPECT_EQ(plan->delete_head, "DELETE FROM `d`.`_sluice_closed_t` WHERE (`b`, `a`) IN (");
}

TEST(TablePlanTest, AKeyWithAnEnumIsComparedColumnByColumn) {
  mysql::TableSchema schema = Schema();
  schema.columns[0].data_type = "enum";
  const auto composite = MakeTablePlan(schema, "t");
  ASSERT_TRUE(composite.ok()) << composite.status();
  EXPECT_FALSE(composite->key_in_list);
  EXPECT_THAT(composite->key_names, ElementsAre("`b`", "`a`"));
  EXPECT_EQ(composite->delete_head, "DELETE FROM `d`.`_sluice_closed_t` WHERE ");
  schema.key_columns = {"a"};
  const auto single = MakeTablePlan(std::move(schema), "t");
  ASSERT_TRUE(single.ok()) << single.status();
  EXPECT_TRUE(single->key_in_list);
  EXPECT_EQ(single->delete_head, "DELETE FROM `d`.`_sluice_closed_t` WHERE (`a`) IN (");
}

TEST(TablePlanTest, ATableWithoutAKeyOrWithTriggersIsRefusedByName) {
  mysql::TableSchema schema = Schema();
  schema.key_columns.clear();
  EXPECT_THAT(std::string(MakeTablePlan(std::move(schema), "t").status().message()),
              HasSubstr("d._sluice_closed_t has neither"));
  schema = Schema();
  schema.triggers = {"tr"};
  EXPECT_THAT(std::string(MakeTablePlan(std::move(schema), "t").status().message()),
              HasSubstr("trigger tr"));
}

}  // namespace
}  // namespace sluice::target
