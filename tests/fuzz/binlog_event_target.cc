// One binlog event as a server sends it: header, checksum, and the decoder of each kind.

#include "absl/strings/escaping.h"
#include "common/base/byte_reader.h"
#include "common/base/check.h"
#include "common/binlog/event.h"
#include "common/binlog/payload_reader.h"
#include "common/binlog/rows_reader.h"
#include "tests/agent/source/binlog_events.h"
#include "tests/common/binlog/captured_events.h"
#include "tests/fuzz/encoders.h"
#include "tests/fuzz/exact.h"
#include "tests/fuzz/target.h"

namespace sluice::fuzz {
namespace {

using gtid::Gtid;
using gtid::GtidSet;

// A GTID that comes out can stand in a position.
void CheckGtid(const Gtid& gtid) {
  GtidSet set;
  set.Add(gtid);
  SLUICE_CHECK(set.Count() == 1 && set.Contains(gtid));
  const auto again = GtidSet::Parse(set.ToString());
  SLUICE_CHECK_OK(again.status());
  SLUICE_CHECK(*again == set && set.ToString() == gtid.ToString());
}

void CheckTableMap(absl::string_view event) {
  const auto name = binlog::PeekTableMap(event);
  const auto table = binlog::DecodeTableMap(event);
  if (!table.ok()) {
    return;
  }
  SLUICE_CHECK_OK(name.status());
  SLUICE_CHECK(Inside(name->database, event) && Inside(name->table, event));
  SLUICE_CHECK(name->table_id == table->table_id && name->database == table->database &&
               name->table == table->table);
  SLUICE_CHECK(table->columns.size() <= 4096);
  SLUICE_CHECK(table->column_names.empty() || table->column_names.size() == table->columns.size());
  const auto layout = binlog::TableLayout::Create(*table);
  SLUICE_CHECK(!layout.ok() || layout->width() == table->columns.size());
}

void CheckRows(absl::string_view event) {
  const auto id = binlog::PeekRowsTableId(event);
  const auto rows = binlog::DecodeRows(event);
  if (!rows.ok()) {
    return;
  }
  SLUICE_CHECK_OK(id.status());
  SLUICE_CHECK(*id == rows->table_id);
  SLUICE_CHECK(Inside(rows->columns_before, event) && Inside(rows->columns_after, event) &&
               Inside(rows->rows, event));
  SLUICE_CHECK(rows->rows.empty() || &rows->rows.back() == &event.back());
}

void CheckBody(absl::string_view event) {
  const auto gtid = binlog::DecodeGtid(event);
  if (gtid.ok()) {
    CheckGtid(gtid->gtid);
  }
  const auto query = binlog::DecodeQuery(event);
  SLUICE_CHECK(!query.ok() || query->database.size() + query->sql.size() < event.size());
  CheckTableMap(event);
  CheckRows(event);
  const std::string fixed = binlog::WithFixedLength(event);
  SLUICE_CHECK(event.size() < binlog::kHeaderBytes || binlog::DecodeHeader(fixed).ok());
}

// Whatever a transaction is called, the event that says so is understood.
void CheckTaggedGtid(absl::string_view input) {
  ByteReader reader(input);
  binlog::GtidEvent event;
  event.gtid.number = reader.U64() >> 1U;
  event.last_committed = static_cast<int64_t>(reader.U64());
  event.sequence_number = static_cast<int64_t>(reader.U64());
  event.immediate_commit_us = reader.U64();
  event.original_commit_us = reader.U64();
  const absl::string_view uuid = reader.Bytes(16);
  const size_t tag_bytes = reader.U8() % 33;
  if (reader.failed() || event.gtid.number == 0 || event.gtid.number == ~uint64_t{0} >> 1U) {
    return;
  }
  event.gtid.uuid = gtid::UuidFromBytes(uuid);
  for (size_t i = 0; i < tag_bytes; ++i) {
    event.gtid.tag.push_back(i == 0 ? '_' : "abcxyz0189_"[reader.U8() % 11]);
  }
  const Exact bytes(
      sluice::testing::MakeEvent(binlog::EventType::kGtidTagged, EncodeTaggedGtid(event)));
  const auto decoded = binlog::DecodeGtid(bytes.view());
  SLUICE_CHECK_OK(decoded.status());
  SLUICE_CHECK(decoded->gtid == event.gtid);
  SLUICE_CHECK(decoded->last_committed == event.last_committed &&
               decoded->sequence_number == event.sequence_number);
  SLUICE_CHECK(decoded->immediate_commit_us == event.immediate_commit_us &&
               decoded->original_commit_us == event.original_commit_us);
}

void Run(absl::string_view input) {
  (void)binlog::DecodeHeader(input).ok();
  (void)binlog::DecodeFormatDescriptionHasChecksum(input).ok();
  const auto stripped = binlog::VerifyAndStripChecksum(input);
  SLUICE_CHECK(!stripped.ok() || stripped->size() + 4 == input.size());
  CheckBody(input);
  if (stripped.ok()) {
    const Exact event(*stripped);
    CheckBody(event.view());
  }
  CheckTaggedGtid(input);
}

std::vector<std::string> Seeds() {
  std::vector<std::string> seeds;
  for (const char* hex :
       {binlog::kFormatDescriptionHex, binlog::kPreviousGtidsHex, binlog::kQueryCreateHex,
        binlog::kGtidHex, binlog::kQueryBeginHex, binlog::kTableMapHex, binlog::kWriteRowsHex,
        binlog::kXidHex, binlog::kUpdateRowsHex, binlog::kDeleteRowsHex, binlog::kGtidTaggedHex,
        binlog::kPayloadHex, binlog::kPartialUpdateHex}) {
    const std::string event = absl::HexStringToBytes(hex);
    seeds.push_back(event);
    seeds.push_back(binlog::WithFixedLength(event.substr(0, event.size() - 4)));
  }
  seeds.push_back(sluice::testing::MakeGtid(9'223'372'036'854'775'806));
  seeds.push_back(sluice::testing::MakeTableMap(7, "shop", "customer", 3));
  seeds.push_back(sluice::testing::MakeRows(binlog::EventType::kUpdateRows, 7, 1, {{1}, {2}}));
  // Names and signs as with binlog_row_metadata=FULL.
  std::string full = sluice::testing::MakeTableMap(7, "shop", "customer", 2);
  full += std::string("\x01\x01\xc0\x04\x05\x02id\x01k\x05\x02\x00\x01", 13);
  seeds.push_back(binlog::WithFixedLength(full));
  return seeds;
}

}  // namespace

const Target kBinlogEvent = {.run = Run, .seeds = Seeds};

}  // namespace sluice::fuzz
