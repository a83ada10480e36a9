// Tests of the variables that a QUERY event carries.

#include "common/binlog/query_session.h"

#include <gtest/gtest.h>

#include <string>

namespace sluice::binlog {
namespace {

// As MySQL 9.7 writes them in front of an ALTER TABLE.
const std::string kStatus(
    "\x00\x00\x00\x00\x00"                  // flags
    "\x01\x20\x00\xa0\x45\x00\x00\x00\x00"  // sql_mode
    "\x06\x03std"                           // catalog
    "\x03\x01\x00\x01\x00"                  // auto_increment
    "\x04\xff\x00\xff\x00\x08\x00"          // character sets
    "\x05\x06+05:30"                        // time zone
    "\x0c\x01shop\x00"                      // databases
    "\x10\x01"                              // explicit_defaults_for_timestamp
    "\x11\x0b\x00\x00\x00\x00\x00\x00\x00"  // transaction
    "\x12\xff\x00"                          // collation of utf8mb4
    "\x13\x00\x14\x00",                     // primary keys, encryption
    5 + 9 + 5 + 5 + 7 + 8 + 7 + 2 + 9 + 3 + 4);

TEST(QuerySessionTest, EveryKnownVariableIsFound) {
  const auto session = DecodeQuerySession(kStatus);
  ASSERT_TRUE(session.ok()) << session.status();
  EXPECT_EQ(session->sql_mode, 0x45a00020U);
  EXPECT_EQ(session->client_charset, 255);
  EXPECT_EQ(session->server_collation, 8);
  EXPECT_EQ(session->time_zone, "+05:30");
  EXPECT_EQ(session->explicit_defaults_for_timestamp, true);
  EXPECT_EQ(session->default_utf8mb4_collation, 255);
  EXPECT_FALSE(session->AnsiQuotes());
  EXPECT_EQ(session->Assignments(0),
            "sql_mode = 1168113696, character_set_client = 255, collation_connection = 255, "
            "collation_server = 8, time_zone = '+05:30', explicit_defaults_for_timestamp = 1, "
            "default_collation_for_utf8mb4 = 255");
}

TEST(QuerySessionTest, UnknownVariablesComeLastAndAreLeftOut) {
  const auto session = DecodeQuerySession(kStatus + "\x63whatever");
  ASSERT_TRUE(session.ok()) << session.status();
  EXPECT_EQ(session->time_zone, "+05:30");
  const auto nothing = DecodeQuerySession("");
  ASSERT_TRUE(nothing.ok());
  EXPECT_EQ(nothing->Assignments(0), "");
}

TEST(QuerySessionTest, TheTimeIsThatOfTheEvent) {
  const auto whole = DecodeQuerySession("");
  ASSERT_TRUE(whole.ok());
  EXPECT_EQ(whole->Assignments(1'700'000'000), "timestamp = 1700000000.000000");
  const auto part = DecodeQuerySession(std::string("\x0d\x40\xe2\x01", 4));
  ASSERT_TRUE(part.ok());
  EXPECT_EQ(part->Assignments(1'700'000'000), "timestamp = 1700000000.123456");
}

TEST(QuerySessionTest, TheModesThatChangeQuotesAreTold) {
  const auto session = DecodeQuerySession(std::string("\x01\x04\x00\x10\x00\x00\x00\x00\x00", 9));
  ASSERT_TRUE(session.ok());
  EXPECT_TRUE(session->AnsiQuotes());
  EXPECT_TRUE(session->NoBackslashEscapes());
}

TEST(QuerySessionTest, NoPrefixCrashes) {
  size_t refused = 0;
  for (size_t size = 0; size < kStatus.size(); ++size) {
    refused += DecodeQuerySession(kStatus.substr(0, size)).ok() ? 0U : 1U;
  }
  EXPECT_GT(refused, 40U);
}

}  // namespace
}  // namespace sluice::binlog
