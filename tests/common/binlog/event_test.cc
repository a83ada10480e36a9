// Tests of the event header, checksums and format descriptions.

#include "common/binlog/event.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <zstd.h>

#include <algorithm>
#include <string>
#include <vector>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "common/binlog/payload_reader.h"
#include "common/binlog/row_image.h"
#include "tests/common/binlog/captured_events.h"

namespace sluice::binlog {
namespace {

using ::testing::HasSubstr;

std::string Raw(const char* hex) {
  return absl::HexStringToBytes(hex);
}

// The event without its checksum.
std::string Event(const char* hex) {
  const std::string raw = Raw(hex);
  auto stripped = VerifyAndStripChecksum(raw);
  EXPECT_TRUE(stripped.ok()) << stripped.status();
  return stripped.ok() ? std::string(*stripped) : "";
}

std::string WithType(std::string event, EventType type) {
  event[4] = static_cast<char>(type);
  return event;
}

TEST(EventTest, HeaderHasItsFields) {
  auto header = DecodeHeader(Raw(kGtidHex));
  ASSERT_TRUE(header.ok()) << header.status();
  EXPECT_EQ(header->type, EventType::kGtid);
  EXPECT_EQ(header->server_id, 77U);
  EXPECT_EQ(header->length, Raw(kGtidHex).size());
  EXPECT_FALSE(header->artificial());
  EXPECT_FALSE(header->ignorable());
}

TEST(EventTest, HeaderOfAnUnknownTypeKeepsTheNumber) {
  auto header = DecodeHeader(WithType(Raw(kGtidHex), static_cast<EventType>(99)));
  ASSERT_TRUE(header.ok());
  EXPECT_EQ(header->type, EventType::kUnknown);
  EXPECT_EQ(header->raw_type, 99);
}

TEST(EventTest, HeaderWithAnotherLengthIsRefused) {
  EXPECT_EQ(DecodeHeader(Raw(kGtidHex) + "x").status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_FALSE(DecodeHeader(Raw(kGtidHex).substr(0, 18)).ok());
}

TEST(EventTest, AChangedBitBreaksTheChecksum) {
  std::string raw = Raw(kWriteRowsHex);
  raw[30] = static_cast<char>(raw[30] ^ 1);
  EXPECT_EQ(VerifyAndStripChecksum(raw).status().code(), absl::StatusCode::kInvalidArgument);
}

TEST(EventTest, FormatDescriptionInUseKeepsItsChecksum) {
  std::string raw = Raw(kFormatDescriptionHex);
  EXPECT_TRUE(VerifyAndStripChecksum(raw).ok());
  raw[17] = static_cast<char>(raw[17] | 1);  // the binlog is being written
  EXPECT_TRUE(VerifyAndStripChecksum(raw).ok());
}

TEST(EventTest, FormatDescriptionTellsWhetherChecksumsFollow) {
  std::string raw = Raw(kFormatDescriptionHex);
  auto with = DecodeFormatDescriptionHasChecksum(raw);
  ASSERT_TRUE(with.ok()) << with.status();
  EXPECT_TRUE(*with);
  raw[raw.size() - 5] = 0;
  auto without = DecodeFormatDescriptionHasChecksum(raw);
  ASSERT_TRUE(without.ok());
  EXPECT_FALSE(*without);
  raw[raw.size() - 5] = 7;
  EXPECT_FALSE(DecodeFormatDescriptionHasChecksum(raw).ok());
  EXPECT_FALSE(DecodeFormatDescriptionHasChecksum(Raw(kGtidHex)).ok());
}

TEST(EventTest, WithFixedLengthMakesAWholeEventOfAStrippedOne) {
  const std::string fixed = WithFixedLength(Event(kXidHex));
  auto header = DecodeHeader(fixed);
  ASSERT_TRUE(header.ok()) << header.status();
  EXPECT_EQ(header->type, EventType::kXid);
  EXPECT_EQ(header->length, Raw(kXidHex).size() - 4);
}

TEST(EventTest, GtidIsDecoded) {
  auto event = DecodeGtid(Event(kGtidHex));
  ASSERT_TRUE(event.ok()) << event.status();
  EXPECT_EQ(event->gtid.ToString(), "34e78057-e52e-11f1-ad86-02fc00000001:26");
  EXPECT_EQ(event->last_committed, 26);
  EXPECT_EQ(event->sequence_number, 27);
  EXPECT_GT(event->immediate_commit_us, 1'700'000'000'000'000U);
  EXPECT_EQ(event->original_commit_us, event->immediate_commit_us);
}

TEST(EventTest, TaggedGtidIsDecoded) {
  auto event = DecodeGtid(Event(kGtidTaggedHex));
  ASSERT_TRUE(event.ok()) << event.status();
  EXPECT_EQ(event->gtid.ToString(), "34e78057-e52e-11f1-ad86-02fc00000001:hello:2");
  EXPECT_EQ(event->last_committed, 26);
  EXPECT_EQ(event->sequence_number, 30);
  EXPECT_GT(event->immediate_commit_us, 1'700'000'000'000'000U);
  EXPECT_EQ(event->original_commit_us, event->immediate_commit_us);
}

TEST(EventTest, GtidOfAnotherTypeIsRefused) {
  EXPECT_FALSE(DecodeGtid(Event(kXidHex)).ok());
  EXPECT_FALSE(DecodeQuery(Event(kXidHex)).ok());
  EXPECT_FALSE(DecodeTableMap(Event(kXidHex)).ok());
}

TEST(EventTest, QueryHasDatabaseAndStatement) {
  auto begin = DecodeQuery(Event(kQueryBeginHex));
  ASSERT_TRUE(begin.ok()) << begin.status();
  EXPECT_EQ(begin->database, "x");
  EXPECT_EQ(begin->sql, "BEGIN");
  auto create = DecodeQuery(Event(kQueryCreateHex));
  ASSERT_TRUE(create.ok()) << create.status();
  EXPECT_THAT(create->sql, ::testing::StartsWith("create table cap(id int"));
  EXPECT_EQ(create->error_code, 0);
}

TEST(EventTest, TableMapHasTypesMetadataAndSigns) {
  auto map = DecodeTableMap(Event(kTableMapHex));
  ASSERT_TRUE(map.ok()) << map.status();
  EXPECT_EQ(map->database, "x");
  EXPECT_EQ(map->table, "cap");
  EXPECT_TRUE(map->column_names.empty());
  ASSERT_EQ(map->columns.size(), 9U);
  EXPECT_EQ(map->columns[0].type, kTypeLong);
  EXPECT_FALSE(map->columns[0].nullable);
  EXPECT_FALSE(map->columns[0].is_unsigned);
  EXPECT_EQ(map->columns[1].type, kTypeTiny);
  EXPECT_TRUE(map->columns[1].is_unsigned);
  EXPECT_TRUE(map->columns[1].nullable);
  EXPECT_EQ(map->columns[2].type, kTypeVarchar);
  EXPECT_EQ(map->columns[2].metadata, 40);
  EXPECT_EQ(map->columns[3].metadata, 10 * 256 + 3);
  EXPECT_FALSE(map->columns[3].is_unsigned);
  EXPECT_EQ(map->columns[4].type, kTypeJson);
  EXPECT_EQ(map->columns[5].type, kTypeEnum);
  EXPECT_EQ(map->columns[5].metadata, 1);
  EXPECT_EQ(map->columns[6].type, kTypeTime2);
  EXPECT_EQ(map->columns[6].metadata, 3);
  EXPECT_EQ(map->columns[8].type, kTypeString);
  EXPECT_EQ(map->columns[8].metadata, 4);
}

TEST(EventTest, PeeksAgreeWithTheWholeDecoders) {
  auto name = PeekTableMap(Event(kTableMapHex));
  auto id = PeekRowsTableId(Event(kWriteRowsHex));
  ASSERT_TRUE(id.ok());
  const std::string event = Event(kTableMapHex);
  name = PeekTableMap(event);
  ASSERT_TRUE(name.ok());
  EXPECT_EQ(name->database, "x");
  EXPECT_EQ(name->table, "cap");
  EXPECT_EQ(name->table_id, *id);
}

TEST(EventTest, RowsHaveTheirImages) {
  auto map = DecodeTableMap(Event(kTableMapHex));
  ASSERT_TRUE(map.ok());
  const std::string written = Event(kWriteRowsHex);
  auto rows = DecodeRows(written);
  ASSERT_TRUE(rows.ok()) << rows.status();
  EXPECT_TRUE(rows->statement_end);
  auto changes = DecodeRowChanges(*map, *rows);
  ASSERT_TRUE(changes.ok()) << changes.status();
  ASSERT_EQ(changes->size(), 2U);
  EXPECT_FALSE((*changes)[0].before.has_value());
  const RowImage& first = *(*changes)[0].after;
  EXPECT_EQ(std::string(first[2].bytes), "häß");
  EXPECT_TRUE((*(*changes)[1].after)[2].null);

  const std::string updated = Event(kUpdateRowsHex);
  changes = DecodeRowChanges(*map, *DecodeRows(updated));
  ASSERT_TRUE(changes.ok()) << changes.status();
  ASSERT_EQ(changes->size(), 1U);
  EXPECT_EQ(std::string((*(*changes)[0].before)[2].bytes), "häß");
  EXPECT_EQ(std::string((*(*changes)[0].after)[2].bytes), "n");

  const std::string deleted = Event(kDeleteRowsHex);
  changes = DecodeRowChanges(*map, *DecodeRows(deleted));
  ASSERT_TRUE(changes.ok()) << changes.status();
  ASSERT_EQ(changes->size(), 1U);
  EXPECT_TRUE((*changes)[0].before.has_value());
  EXPECT_FALSE((*changes)[0].after.has_value());
}

TEST(EventTest, RowsOfAnotherTableAreRefused) {
  auto map = DecodeTableMap(Event(kTableMapHex));
  ASSERT_TRUE(map.ok());
  const std::string written = Event(kWriteRowsHex);
  auto rows = DecodeRows(written);
  ASSERT_TRUE(rows.ok());
  ++map->table_id;
  EXPECT_FALSE(DecodeRowChanges(*map, *rows).ok());
  --map->table_id;
  map->columns.resize(20);
  EXPECT_FALSE(DecodeRowChanges(*map, *rows).ok());
}

TEST(EventTest, RowsWithoutColumnsAreRefused) {
  auto map = DecodeTableMap(Event(kTableMapHex));
  const std::string written = Event(kWriteRowsHex);
  auto rows = DecodeRows(written);
  ASSERT_TRUE(map.ok() && rows.ok());
  const std::string none(2, '\0');
  rows->columns_after = none;
  EXPECT_FALSE(DecodeRowChanges(*map, *rows).ok());
}

TEST(EventTest, RowsOfVersion1DifferByTheExtraDataOnly) {
  const auto map = DecodeTableMap(Event(kTableMapHex));
  ASSERT_TRUE(map.ok());
  constexpr size_t kExtraOffset = kHeaderBytes + 6 + 2;
  const std::vector<const char*> kinds = {kWriteRowsHex, kUpdateRowsHex, kDeleteRowsHex};
  for (size_t i = 0; i < kinds.size(); ++i) {
    const std::string version2 = Event(kinds[i]);
    std::string version1 = WithType(version2, static_cast<EventType>(23 + i));
    version1.erase(kExtraOffset, 2);
    const auto expected = DecodeRows(version2);
    const auto rows = DecodeRows(version1);
    ASSERT_TRUE(rows.ok() && expected.ok()) << rows.status();
    EXPECT_EQ(rows->type, expected->type);
    EXPECT_EQ(rows->rows, expected->rows);
    EXPECT_EQ(rows->columns_before, expected->columns_before);
    EXPECT_EQ(rows->columns_after, expected->columns_after);
    EXPECT_TRUE(DecodeRowChanges(*map, *rows).ok());
    const auto header = DecodeHeader(WithFixedLength(version1));
    ASSERT_TRUE(header.ok());
    EXPECT_EQ(header->type, expected->type);
  }
}

TEST(EventTest, RowsOfServersBefore51AreRefusedByName) {
  const absl::Status status =
      DecodeRows(WithType(Event(kWriteRowsHex), static_cast<EventType>(21))).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_THAT(std::string(status.message()), HasSubstr("PRE_GA_UPDATE_ROWS (21)"));
}

// The events inside a TRANSACTION_PAYLOAD.
absl::StatusOr<std::vector<std::string>> Unpack(const std::string& event, size_t event_bytes_max) {
  auto reader = PayloadReader::Open(event);
  if (!reader.ok()) {
    return reader.status();
  }
  std::vector<std::string> events;
  while (true) {
    const auto inner = reader->Next(event_bytes_max);
    if (!inner.ok()) {
      return inner.status();
    }
    if (inner->empty()) {
      return events;
    }
    events.emplace_back(*inner);
  }
}

TEST(EventTest, PayloadIsUnpackedIntoItsEvents) {
  auto events = Unpack(Event(kPayloadHex), 1 << 20);
  ASSERT_TRUE(events.ok()) << events.status();
  ASSERT_EQ(events->size(), 4U);
  std::vector<EventType> types;
  for (const absl::string_view event : *events) {
    auto header = DecodeHeader(event);
    ASSERT_TRUE(header.ok()) << header.status();
    types.push_back(header->type);
  }
  EXPECT_THAT(types, ::testing::ElementsAre(EventType::kQuery, EventType::kTableMap,
                                            EventType::kWriteRows, EventType::kXid));
  auto map = DecodeTableMap((*events)[1]);
  auto changes = DecodeRowChanges(*map, *DecodeRows((*events)[2]));
  ASSERT_TRUE(changes.ok()) << changes.status();
  EXPECT_EQ(std::string((*(*changes)[0].after)[2].bytes), "packed");
}

TEST(EventTest, AnEventAboveTheBoundInAPayloadIsRefused) {
  const auto events = Unpack(Event(kPayloadHex), 1 << 20);
  ASSERT_TRUE(events.ok());
  size_t largest = 0;
  for (const std::string& event : *events) {
    largest = std::max(largest, event.size());
  }
  EXPECT_TRUE(Unpack(Event(kPayloadHex), largest).ok());
  EXPECT_EQ(Unpack(Event(kPayloadHex), largest - 1).status().code(),
            absl::StatusCode::kResourceExhausted);
}

// A TRANSACTION_PAYLOAD of 2 MB of events, compressed or not.
std::string LargePayload(bool compressed) {
  const std::string one = WithFixedLength(Event(kWriteRowsHex));
  std::string inside;
  while (inside.size() < (2U << 20U)) {
    inside += one;
  }
  std::string packed = inside;
  if (compressed) {
    packed.resize(ZSTD_compressBound(inside.size()));
    packed.resize(ZSTD_compress(packed.data(), packed.size(), inside.data(), inside.size(), 3));
  }
  const auto packed_int = [](uint64_t value) {
    std::string bytes(1, '\xFE');
    for (int i = 0; i < 8; ++i) {
      bytes.push_back(static_cast<char>(value >> (8 * i)));
    }
    return bytes;
  };
  std::string event = Event(kPayloadHex).substr(0, kHeaderBytes);
  event += std::string("\x02", 1) +
           (compressed ? std::string("\x01\x00", 2) : "\x03\xFC\xFF" + std::string(1, '\0'));
  event += "\x01\x09" + packed_int(packed.size());
  return event + std::string(1, '\0') + packed;
}

TEST(EventTest, ALargePayloadIsReadBlockByBlock) {
  const std::string one = WithFixedLength(Event(kWriteRowsHex));
  for (const bool compressed : {false, true}) {
    const auto events = Unpack(LargePayload(compressed), 1 << 20);
    ASSERT_TRUE(events.ok()) << events.status();
    EXPECT_EQ(events->size(), (2U << 20U) / one.size() + 1);
    for (const std::string& event : *events) {
      ASSERT_EQ(event, one);
    }
    const std::string cut = LargePayload(compressed);
    EXPECT_FALSE(Unpack(cut.substr(0, cut.size() - 10), 1 << 20).ok());
  }
}

// Feeds bytes to every decoder; what comes out does not matter, only that nothing breaks.
void DecodeEverything(const std::string& event) {
  (void)DecodeHeader(event);
  (void)DecodeFormatDescriptionHasChecksum(event);
  (void)VerifyAndStripChecksum(event);
  (void)WithFixedLength(event);
  (void)DecodeGtid(event);
  (void)DecodeQuery(event);
  (void)PeekTableMap(event);
  (void)PeekRowsTableId(event);
  (void)Unpack(event, 1 << 16);
}

std::vector<mysql::ColumnSchema> CapturedColumns() {
  std::vector<mysql::ColumnSchema> columns;
  for (const char* type :
       {"int", "tinyint", "varchar", "decimal", "json", "enum", "time", "blob", "binary"}) {
    mysql::ColumnSchema& column = columns.emplace_back();
    column.name = column.data_type = column.column_type = type;
    column.charset = column.data_type == "varchar" ? "utf8mb4" : "";
  }
  return columns;
}

void DecodeImages(const std::string& map_event, const std::string& rows_event) {
  static const std::vector<mysql::ColumnSchema> columns = CapturedColumns();
  auto map = DecodeTableMap(map_event);
  auto rows = DecodeRows(rows_event);
  if (!map.ok() || !rows.ok()) {
    return;
  }
  auto changes = DecodeRowChanges(*map, *rows);
  if (!changes.ok()) {
    return;
  }
  for (const RowChange& change : *changes) {
    for (const auto* image : {&change.before, &change.after}) {
      for (size_t i = 0; image->has_value() && i < (*image)->size(); ++i) {
        std::string sql;
        (void)AppendLiteral(map->columns[i], columns[i % columns.size()], (**image)[i], sql);
      }
    }
  }
}

const std::vector<const char*>& AllCaptured() {
  static const auto& all = *new std::vector<const char*>{
      kFormatDescriptionHex, kPreviousGtidsHex, kQueryCreateHex,  kGtidHex,       kQueryBeginHex,
      kTableMapHex,          kWriteRowsHex,     kXidHex,          kUpdateRowsHex, kDeleteRowsHex,
      kGtidTaggedHex,        kPayloadHex,       kPartialUpdateHex};
  return all;
}

TEST(EventMutationTest, CutEventsAreRefusedWithoutHarm) {
  for (const char* hex : AllCaptured()) {
    const std::string event = Event(hex);
    for (size_t size = 0; size < event.size(); ++size) {
      DecodeEverything(event.substr(0, size));
      DecodeImages(event.substr(0, size), Event(kWriteRowsHex));
      DecodeImages(Event(kTableMapHex), event.substr(0, size));
    }
  }
}

TEST(EventMutationTest, FlippedBitsDoNoHarm) {
  const std::string map = Event(kTableMapHex);
  const std::string rows = Event(kUpdateRowsHex);
  for (const char* hex : AllCaptured()) {
    const std::string event = Event(hex);
    for (size_t bit = 0; bit < event.size() * 8; ++bit) {
      std::string changed = event;
      changed[bit / 8] = static_cast<char>(changed[bit / 8] ^ (1 << (bit % 8)));
      DecodeEverything(changed);
      DecodeImages(changed, rows);
      DecodeImages(map, changed);
    }
  }
}

TEST(EventMutationTest, RandomBytesDoNoHarm) {
  std::string state = "seed";
  for (int round = 0; round < 3000; ++round) {
    std::string event = Event(AllCaptured()[static_cast<size_t>(round) % AllCaptured().size()]);
    for (int change = 0; change < 8; ++change) {
      const size_t hash = std::hash<std::string>()(absl::StrCat(state, round, ":", change));
      const size_t at = kHeaderBytes + hash % (event.size() - kHeaderBytes);
      event[at] = static_cast<char>(hash >> 32U);
    }
    DecodeEverything(event);
    DecodeImages(event, Event(kWriteRowsHex));
    DecodeImages(Event(kTableMapHex), event);
  }
}

}  // namespace
}  // namespace sluice::binlog
