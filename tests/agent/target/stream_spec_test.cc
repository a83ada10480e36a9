// Tests of a stream's specification.

#include "agent/target/stream_spec.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

namespace sluice::target {
namespace {

StreamSpec Spec() {
  StreamSpec spec;
  spec.id = 7;
  spec.workflow = "customer.c2c";
  spec.source_keyspace = "commerce";
  spec.source_shard = "0";
  spec.source_database = "vt_commerce";
  spec.target_keyspace = "customer";
  spec.target_shard = "-80";
  spec.target_database = "vt_customer";
  spec.tables = {"customer", "corder"};
  spec.source_types = {schemas::TabletType::REPLICA, schemas::TabletType::PRIMARY};
  spec.start_position = "3e11fa47-71ca-11e1-9e33-c80aa9429562:1-5";
  spec.stop_after_copy = true;
  spec.workflow_type = "MoveTables";
  spec.options = {.on_ddl = stream::OnDdl::kIgnore,
                  .allow_no_key = true,
                  .drop_foreign_keys = true,
                  .defer_secondary_keys = stream::DeferKeys::kAlways,
                  .cells = {"zone1"},
                  .source_time_zone = "Europe/Berlin",
                  .target_time_zone = "UTC",
                  .tuning = {{.name = "copy_epoch", .value = "1m"}}};
  return spec;
}

TEST(StreamSpecTest, TheStoredFormComesBackWhole) {
  const auto decoded = DecodeStreamSpec(EncodeStreamSpec(Spec()));
  ASSERT_TRUE(decoded.ok()) << decoded.status();
  EXPECT_EQ(*decoded, Spec());
}

TEST(StreamSpecTest, NoCutOffFormIsTakenForAnother) {
  const std::string bytes = EncodeStreamSpec(Spec());
  for (size_t size = 0; size < bytes.size(); ++size) {
    const auto decoded = DecodeStreamSpec(absl::string_view(bytes).substr(0, size));
    EXPECT_FALSE(decoded.ok() && *decoded == Spec()) << size;
  }
}

TEST(StreamSpecTest, WhatCannotBeMovedIsRefusedByName) {
  EXPECT_TRUE(CheckStreamSpec(Spec()).ok());
  StreamSpec spec = Spec();
  spec.id = 0;
  EXPECT_FALSE(CheckStreamSpec(spec).ok());
  spec = Spec();
  spec.tables.clear();
  EXPECT_FALSE(CheckStreamSpec(spec).ok());
  spec = Spec();
  spec.tables = {"a", "a"};
  EXPECT_THAT(std::string(CheckStreamSpec(spec).message()), ::testing::HasSubstr("'a'"));
  spec = Spec();
  spec.tables = {"_sluice_closed_a"};
  EXPECT_FALSE(CheckStreamSpec(spec).ok());
  spec = Spec();
  spec.start_position = "nonsense";
  EXPECT_FALSE(CheckStreamSpec(spec).ok());
  spec = Spec();
  spec.source_database.clear();
  EXPECT_FALSE(CheckStreamSpec(spec).ok());
  spec = Spec();
  spec.options.target_time_zone.clear();
  EXPECT_THAT(std::string(CheckStreamSpec(spec).message()), ::testing::HasSubstr("time zones"));
}

TEST(StreamSpecTest, ATextWithANulByteIsRefused) {
  StreamSpec spec = Spec();
  spec.workflow = "customer.move";
  std::string bytes = EncodeStreamSpec(spec);
  const size_t dot = bytes.find("customer.move") + 8;
  ASSERT_TRUE(DecodeStreamSpec(bytes).ok());
  bytes[dot] = '\0';
  EXPECT_EQ(DecodeStreamSpec(bytes).status().code(), absl::StatusCode::kDataLoss);
}

}  // namespace
}  // namespace sluice::target
