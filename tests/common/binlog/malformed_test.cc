// Bytes that no server writes are refused, rather than written as another value.

#include <gtest/gtest.h>

#include <string>

#include "absl/strings/escaping.h"
#include "absl/strings/str_replace.h"
#include "common/binlog/event.h"
#include "common/binlog/json_literal.h"
#include "common/binlog/row_image.h"
#include "common/binlog/rows_reader.h"
#include "common/binlog/temporal.h"
#include "tests/agent/source/binlog_events.h"
#include "tests/common/binlog/captured_events.h"

namespace sluice::binlog {
namespace {

using sluice::testing::AppendUint;
using sluice::testing::MakeEvent;

std::string Bytes(const char* hex) {
  return absl::HexStringToBytes(hex);
}

template <typename Append>
bool Accepts(Append append, const char* hex, unsigned digits) {
  std::string text;
  return append(Bytes(hex), digits, text).ok();
}

TEST(MalformedTest, AFractionOfAWholeSecondIsRefused) {
  EXPECT_TRUE(Accepts(AppendTime2, "80000063", 2));
  EXPECT_FALSE(Accepts(AppendTime2, "80000064", 2));
  EXPECT_TRUE(Accepts(AppendDatetime2, "99a57ac8b80f423f", 6));
  EXPECT_FALSE(Accepts(AppendDatetime2, "99a57ac8b80f4240", 6));
  EXPECT_TRUE(Accepts(AppendTimestamp2, "5e0be100270f", 4));
  EXPECT_FALSE(Accepts(AppendTimestamp2, "5e0be1002710", 4));
}

TEST(MalformedTest, ADigitThatTheTypeDoesNotHaveIsRefused) {
  EXPECT_TRUE(Accepts(AppendTime2, "8000000a", 1));
  EXPECT_FALSE(Accepts(AppendTime2, "8000000b", 1));
  EXPECT_FALSE(Accepts(AppendDatetime2, "99a57ac8b80001", 3));
}

TEST(MalformedTest, ATimeOfTooManyHoursIsRefused) {
  EXPECT_TRUE(Accepts(AppendTime2, "b46efb", 0));  // 838:59:59
  EXPECT_FALSE(Accepts(AppendTime2, "c00000", 0));
  EXPECT_FALSE(Accepts(AppendTime2, "000000", 0));
}

TEST(MalformedTest, DatesInsideJsonAreHeldToTheSame) {
  std::string text;
  EXPECT_FALSE(AppendPackedDate(-1, text).ok());
  EXPECT_FALSE(AppendPackedDatetime(-1, text).ok());
  EXPECT_FALSE(AppendPackedDatetime(1'000'000, text).ok());
  EXPECT_FALSE(AppendPackedTime(1'000'000, text).ok());
  EXPECT_FALSE(AppendPackedTime(int64_t{1} << 46U, text).ok());
  EXPECT_EQ(text, "");
  EXPECT_TRUE(AppendPackedTime(-999'999, text).ok());
  EXPECT_EQ(text, "-00:00:00.999999");
}

bool AcceptsText(const char* type, absl::string_view text) {
  mysql::ColumnSchema column;
  column.name = "c";
  column.data_type = column.column_type = type;
  std::string sql;
  return AppendTextLiteral(column, text, sql).ok();
}

TEST(MalformedTest, TextThatIsAnExpressionIsNoNumber) {
  EXPECT_TRUE(AcceptsText("int", "-12"));
  for (const char* text : {"", "-", "1-2", "--1", "12-", "1.5", "+1", "1 "}) {
    EXPECT_FALSE(AcceptsText("int", text)) << text;
  }
  EXPECT_FALSE(AcceptsText("bit", "-1"));
  EXPECT_TRUE(AcceptsText("decimal", "-0.50"));
  for (const char* text : {".", "-.", "1.2.3", "1e5", "1.-2"}) {
    EXPECT_FALSE(AcceptsText("decimal", text)) << text;
  }
  for (const char* text : {"-0", "1e20", "1.5e-7", "5e+3", "1E5"}) {
    EXPECT_TRUE(AcceptsText("double", text)) << text;
  }
  for (const char* text : {"1e", "e5", "1e5e5", "1e--5", "1+1"}) {
    EXPECT_FALSE(AcceptsText("double", text)) << text;
  }
}

TEST(MalformedTest, NumbersInsideJsonAreHeldToTheSame) {
  const auto accepts = [](absl::string_view type, absl::string_view number) {
    std::string sql;
    const std::string mark(1, '\x01');
    return AppendJsonTextLiteral(mark + std::string(type) + mark + std::string(number), sql).ok();
  };
  EXPECT_TRUE(accepts("UNSIGNED INTEGER", "5"));
  EXPECT_FALSE(accepts("UNSIGNED INTEGER", "5-1"));
  EXPECT_FALSE(accepts("UNSIGNED INTEGER", "-5"));
  EXPECT_TRUE(accepts("DOUBLE", "-1e300"));
  EXPECT_FALSE(accepts("DOUBLE", "1e300-1"));
  EXPECT_FALSE(accepts("DECIMAL", "1.5-1"));
  EXPECT_FALSE(accepts("INTEGER", "--1"));
}

std::string OneColumn(uint8_t type, absl::string_view metadata) {
  std::string body;
  AppendUint(7, 6, body);
  AppendUint(1, 2, body);
  body += std::string("\x01s\0\x01t\0", 6);
  body.push_back('\x01');
  body.push_back(static_cast<char>(type));
  body.push_back(static_cast<char>(metadata.size()));
  body.append(metadata.data(), metadata.size());
  body.push_back('\x01');
  return MakeEvent(EventType::kTableMap, body);
}

bool HasLayout(uint8_t type, absl::string_view metadata) {
  const auto map = DecodeTableMap(OneColumn(type, metadata));
  return map.ok() && TableLayout::Create(*map).ok();
}

TEST(MalformedTest, AStringHidesNoOtherType) {
  EXPECT_TRUE(HasLayout(kTypeString, "\xfe\x08"));
  EXPECT_TRUE(HasLayout(kTypeString, "\xf7\x01"));
  EXPECT_FALSE(DecodeTableMap(OneColumn(kTypeString, "\xf5\x04")).ok());  // JSON
  EXPECT_FALSE(DecodeTableMap(OneColumn(kTypeString, "\xf6\x04")).ok());  // DECIMAL
}

TEST(MalformedTest, NumbersOfMoreThanEightBytesAreRefused) {
  EXPECT_TRUE(HasLayout(kTypeBit, absl::string_view("\0\x08", 2)));
  EXPECT_FALSE(HasLayout(kTypeBit, "\x01\x08"));
  EXPECT_TRUE(HasLayout(kTypeString, "\xf8\x08"));
  EXPECT_FALSE(HasLayout(kTypeString, "\xf8\x09"));
}

TEST(MalformedTest, AGtidThatNoPositionTakesIsRefused) {
  constexpr uint64_t kMax = 9'223'372'036'854'775'806;
  EXPECT_TRUE(DecodeGtid(sluice::testing::MakeGtid(kMax)).ok());
  EXPECT_FALSE(DecodeGtid(sluice::testing::MakeGtid(kMax + 1)).ok());

  const std::string captured = Bytes(kGtidTaggedHex);
  const std::string event = captured.substr(0, captured.size() - 4);
  EXPECT_TRUE(DecodeGtid(event).ok());
  for (const char* tag : {"he:lo", "he lo", "1ello", "he-lo"}) {
    EXPECT_FALSE(DecodeGtid(absl::StrReplaceAll(event, {{"hello", tag}})).ok()) << tag;
  }
  // A byte of the UUID, which has the form of an integer, above 255.
  EXPECT_FALSE(DecodeGtid(absl::StrReplaceAll(event, {{"\x95\x03", "\x95\x07"}})).ok());
}

}  // namespace
}  // namespace sluice::binlog
