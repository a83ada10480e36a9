// Stored messages come back, from any address; damaged ones are refused with the name of the thing.

#include "common/wire/message_bytes.h"

#include <capnp/any.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "common/wire/wire.h"
#include "schemas/routing.capnp.h"

namespace sluice::wire {
namespace {

using ::testing::HasSubstr;

std::string KeyspacesOf(schemas::RuleSet::Reader rules) {
  std::string result;
  for (const std::string& keyspace : Strs(rules.getKeyspaces())) {
    absl::StrAppend(&result, keyspace, ";");
  }
  return result;
}

absl::StatusOr<std::string> Read(absl::string_view bytes) {
  return ReadStored<schemas::RuleSet>("the rules", bytes, &KeyspacesOf);
}

std::string Example() {
  capnp::MallocMessageBuilder message;
  Fill(message.initRoot<schemas::RuleSet>().initKeyspaces(2), {"commerce", "customer"});
  return Serialize(message);
}

TEST(MessageBytesTest, AMessageComesBackFromAnyAddress) {
  const std::string bytes = Example();
  for (size_t shift = 0; shift < sizeof(capnp::word); ++shift) {
    const std::string shifted = std::string(shift, 'x') + bytes;
    const auto read = Read(absl::string_view(shifted).substr(shift));
    ASSERT_TRUE(read.ok()) << read.status();
    EXPECT_EQ(*read, "commerce;customer;");
  }
}

TEST(MessageBytesTest, WhatIsCutIsDataLoss) {
  const std::string bytes = Example();
  for (size_t size = 0; size < bytes.size(); ++size) {
    const auto read = Read(absl::string_view(bytes).substr(0, size));
    EXPECT_EQ(read.status().code(), absl::StatusCode::kDataLoss) << size;
    EXPECT_THAT(read.status().message(), HasSubstr("the rules")) << size;
  }
}

// A list of values without bytes is as long as it says, and costs nothing to send.
TEST(MessageBytesTest, FewBytesDoNotStandForLongLists) {
  capnp::MallocMessageBuilder message;
  capnp::AnyStruct::Builder root = capnp::toAny(message.initRoot<schemas::RuleSet>());
  root.getPointerSection()[2].initAs<capnp::List<capnp::Void>>(1'000'000);
  const auto read = ReadStored<schemas::RuleSet>(
      "the rules", Serialize(message),
      [](schemas::RuleSet::Reader rules) { return rules.getHolds().size(); });
  EXPECT_EQ(read.status().code(), absl::StatusCode::kDataLoss);
  EXPECT_THAT(read.status().message(), HasSubstr("limit"));
}

}  // namespace
}  // namespace sluice::wire
