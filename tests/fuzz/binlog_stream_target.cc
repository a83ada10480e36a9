// A run of binlog events: through the source's filter, by itself and by way of the tail, cut up
// again, and through the decoder of the target.
//
// Input: events one after the other, each as type, flags, length of the body (2 bytes) and body.

#include <algorithm>
#include <memory>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/escaping.h"
#include "absl/strings/match.h"
#include "agent/source/binlog_filter.h"
#include "agent/source/event_splitter.h"
#include "agent/source/tail_transaction.h"
#include "agent/target/event_decoder.h"
#include "common/base/byte_reader.h"
#include "common/base/check.h"
#include "common/binlog/payload_reader.h"
#include "tests/agent/source/binlog_events.h"
#include "tests/common/binlog/captured_events.h"
#include "tests/fuzz/exact.h"
#include "tests/fuzz/target.h"

namespace sluice::fuzz {
namespace {

using sluice::testing::AppendUint;
using sluice::testing::MakeEvent;
using sluice::testing::MakeGtid;
using sluice::testing::MakeQuery;
using sluice::testing::MakeRows;
using sluice::testing::MakeTableMap;
using sluice::testing::MakeXid;

constexpr char kDatabase[] = "shop";
// Of what the tail keeps.
constexpr size_t kKeptBytesMax = 4096;

// Tables of one, two and nine columns; the last is that of the captured events.
target::TablePlans MakePlans() {
  std::vector<target::TablePlan> plans;
  for (const auto& [table, width] :
       {std::pair("one", 1), std::pair("customer", 2), std::pair("cap", 9)}) {
    mysql::TableSchema schema;
    schema.database = "vt_shop";
    schema.name = table;
    for (int i = 0; i < width; ++i) {
      schema.columns.emplace_back().name = std::string(1, static_cast<char>('a' + i));
    }
    schema.key_columns = {"a"};
    auto plan = target::MakeTablePlan(std::move(schema), table);
    SLUICE_CHECK_OK(plan.status());
    plans.push_back(*std::move(plan));
  }
  return target::TablePlans(std::move(plans));
}

class CheckingSink final : public target::TransactionSink {
 public:
  absl::Status OnBegin(const binlog::GtidEvent& gtid) override {
    SLUICE_CHECK(!open_);
    open_ = true;
    gtid_ = gtid.gtid.ToString();
    return absl::OkStatus();
  }
  absl::Status OnChange(const target::TablePlan& plan,
                        const std::shared_ptr<const binlog::TableMapEvent>& map,
                        const binlog::RowImage* before, const binlog::RowImage* after) override {
    SLUICE_CHECK(open_ && (before != nullptr || after != nullptr));
    SLUICE_CHECK(map->columns.size() == plan.schema.columns.size());
    for (const binlog::RowImage* image : {before, after}) {
      for (size_t i = 0; image != nullptr && i < image->size(); ++i) {
        const binlog::ImageCell& cell = (*image)[i];
        SLUICE_CHECK(InsideAny(cell.bytes) && (cell.present || cell.bytes.empty()));
        SLUICE_CHECK(!cell.partial);
      }
      SLUICE_CHECK(image == nullptr || image->size() == map->columns.size());
    }
    return absl::OkStatus();
  }
  void OnMarker(std::string /*id*/) override { SLUICE_CHECK(open_); }
  void OnKeep(std::shared_ptr<const std::string> bytes) override {
    SLUICE_CHECK(open_);
    kept_.push_back(std::move(bytes));
  }
  void OnDecided(const gtid::Gtid& held) override {
    SLUICE_CHECK(open_ && held_.erase(held.ToString()) == 1);
  }
  absl::Status OnEnd() override {
    Close();
    return absl::OkStatus();
  }
  void OnDdl(target::SourceDdl /*ddl*/) override { SLUICE_CHECK(false); }  // refused by the policy
  void OnHeld() override {
    Close();
    held_.insert(gtid_);
  }

  void set_event(absl::string_view event) { event_ = event; }

 private:
  [[nodiscard]] bool InsideAny(absl::string_view bytes) const {
    return Inside(bytes, event_) ||
           std::any_of(kept_.begin(), kept_.end(),
                       [bytes](const auto& kept) { return Inside(bytes, *kept); });
  }
  void Close() {
    SLUICE_CHECK(open_);
    open_ = false;
    kept_.clear();
  }

  absl::string_view event_;
  std::string gtid_;
  std::vector<std::shared_ptr<const std::string>> kept_;
  std::set<std::string> held_;
  bool open_ = false;
};

const source::WantedTables& Wanted() {
  static const source::WantedTables& wanted =
      *new source::WantedTables{.database = kDatabase, .tables = {"one", "customer", "cap"}};
  return wanted;
}

source::BinlogFilter MakeFilter() {
  return source::BinlogFilter(Wanted());
}

std::vector<absl::string_view> Cut(absl::string_view events) {
  std::vector<absl::string_view> cut;
  while (!events.empty()) {
    const auto event = source::NextEvent(events);
    SLUICE_CHECK_OK(event.status());
    cut.push_back(*event);
    events.remove_prefix(event->size());
  }
  return cut;
}

// What a filter hands on passes another filter as it is.
void CheckFiltered(absl::string_view passed) {
  source::BinlogFilter filter = MakeFilter();
  std::string again;
  for (const absl::string_view event : Cut(passed)) {
    SLUICE_CHECK_OK(filter.Feed(event, again));
  }
  SLUICE_CHECK(again == passed);
}

void Decode(absl::string_view passed) {
  static const target::WatchedTables& watched =
      *new target::WatchedTables{.database = kDatabase, .tables = {"one", "customer", "cap"}};
  static const target::TablePlans& plans = *new target::TablePlans(MakePlans());
  CheckingSink sink;
  target::EventDecoder decoder(watched, plans, sink);
  for (const absl::string_view event : Cut(passed)) {
    const Exact exact(event);
    sink.set_event(exact.view());
    if (!decoder.Feed(exact.view()).ok()) {
      return;
    }
  }
}

// What the tail keeps of a transaction becomes what the filter makes of the binlog.
void CheckKept(const source::TailTransaction& transaction, absl::string_view passed) {
  SLUICE_CHECK(transaction.kept || transaction.events.empty());
  if (!transaction.Touches(Wanted())) {
    SLUICE_CHECK(absl::EndsWith(passed, transaction.skeleton));
    return;
  }
  if (!transaction.kept) {
    return;
  }
  std::string out;
  source::BinlogFilter filter = MakeFilter();
  for (const absl::string_view event : Cut(transaction.events)) {
    SLUICE_CHECK_OK(filter.Feed(event, out));
  }
  const auto completed = filter.TakeCompleted();
  SLUICE_CHECK(completed.has_value() && *completed == transaction.gtid);
  SLUICE_CHECK(absl::EndsWith(passed, out));
}

// A few bytes may stand for a transaction of a gigabyte, which the filter takes, but not this
// program.
bool UnpacksToLittle(absl::string_view event) {
  constexpr size_t kBytesMax = size_t{1} << 20U;
  auto reader = binlog::PayloadReader::Open(event);
  size_t bytes = 0;
  while (reader.ok() && bytes < kBytesMax) {
    const auto inner = reader->Next(kBytesMax);
    if (!inner.ok() || inner->empty()) {
      return !absl::IsResourceExhausted(inner.status());
    }
    bytes += inner->size();
  }
  return bytes < kBytesMax;
}

void Run(absl::string_view input) {
  (void)source::NextEvent(input).ok();
  ByteReader reader(input);
  source::BinlogFilter filter = MakeFilter();
  source::TailTransactionBuilder builder(kKeptBytesMax);
  std::string passed;
  while (!reader.done()) {
    const uint8_t type = reader.U8();
    const uint8_t flags = reader.U8();
    const size_t size = std::min<size_t>(reader.U16(), reader.remaining());
    const Exact event(MakeEvent(type, reader.Bytes(size), flags));
    if (!UnpacksToLittle(event.view())) {
      continue;
    }
    const size_t before = passed.size();
    if (!filter.Feed(event.view(), passed).ok()) {
      passed.resize(before);  // what an event has given before it failed goes nowhere
      break;
    }
    const auto completed = filter.TakeCompleted();
    SLUICE_CHECK(!completed.has_value() || completed->number > 0);
    const auto transaction = builder.Feed(event.view());
    SLUICE_CHECK_OK(transaction.status());
    SLUICE_CHECK(completed.has_value() == (*transaction != nullptr));
    if (*transaction != nullptr) {
      SLUICE_CHECK((*transaction)->gtid == *completed);
      CheckKept(**transaction, passed);
    }
  }
  CheckFiltered(passed);
  Decode(passed);
}

std::string Piece(absl::string_view event) {
  std::string piece(1, event[4]);
  piece.push_back(event[17]);
  AppendUint(event.size() - binlog::kHeaderBytes, 2, piece);
  return piece + std::string(event.substr(binlog::kHeaderBytes));
}

std::string Captured(const char* hex) {
  const std::string event = absl::HexStringToBytes(hex);
  return event.substr(0, event.size() - 4);
}

// The table x.cap of the captured events under our schema's name.
std::string CapturedTableMap() {
  std::string body = Captured(binlog::kTableMapHex).substr(binlog::kHeaderBytes);
  body.replace(8, 2, std::string("\x04") + kDatabase);
  return MakeEvent(binlog::EventType::kTableMap, body);
}

std::vector<std::string> Seeds() {
  using binlog::EventType;
  const std::string begin = Piece(MakeGtid(7)) + Piece(MakeQuery(kDatabase, "BEGIN"));
  const std::string end = Piece(MakeXid());
  const std::string map = Piece(MakeTableMap(9, kDatabase, "customer", 2));
  return {
      begin + map + Piece(MakeRows(EventType::kWriteRows, 9, 2, {{1, 2}, {3, 4}})) + end,
      begin + map + Piece(MakeRows(EventType::kUpdateRows, 9, 2, {{1, 2}, {1, 3}})) +
          Piece(MakeRows(EventType::kDeleteRows, 9, 2, {{5, 6}})) + end,
      begin + Piece(MakeTableMap(3, "other", "t", 1)) + map +
          Piece(MakeRows(EventType::kWriteRows, 3, 1, {{1}})) + end + begin + end,
      begin + Piece(MakeTableMap(4, "_sluice", "marker", 1)) +
          Piece(MakeRows(EventType::kWriteRows, 4, 1, {{1}})) + end,
      begin + Piece(CapturedTableMap()) + Piece(Captured(binlog::kWriteRowsHex)) +
          Piece(Captured(binlog::kUpdateRowsHex)) + Piece(Captured(binlog::kDeleteRowsHex)) + end,
      Piece(Captured(binlog::kGtidTaggedHex)) + Piece(MakeQuery("", "CREATE TABLE shop.x (a INT)")),
      Piece(MakeGtid(8)) + Piece(MakeQuery(kDatabase, "ALTER TABLE customer ADD b INT")),
      begin + Piece(MakeQuery("", "SAVEPOINT a")) + map +
          Piece(MakeRows(EventType::kWriteRows, 9, 2, {{1, 2}})) +
          Piece(MakeQuery("", "SAVEPOINT b")) + Piece(MakeQuery("", "ROLLBACK TO b")) +
          Piece(MakeQuery("", "COMMIT")),
      Piece(MakeGtid(9)) + Piece(MakeQuery("", "XA START 'x'")) + map +
          Piece(MakeQuery("", "XA END 'x'")) + Piece(MakeEvent(EventType::kXaPrepare, "x")),
      Piece(MakeGtid(9)) + Piece(MakeQuery("", "XA START 'x'")) + map +
          Piece(MakeRows(EventType::kWriteRows, 9, 2, {{1, 2}})) +
          Piece(MakeQuery("", "XA END 'x'")) +
          Piece(MakeEvent(EventType::kXaPrepare, std::string(1, '\0'))) + begin + end +
          Piece(MakeGtid(10)) + Piece(MakeQuery("", "XA COMMIT 'x'")),
      Piece(Captured(binlog::kGtidHex)) + Piece(Captured(binlog::kPayloadHex)),
      begin + Piece(MakeEvent(99, "extra", 0x80)) + end,
  };
}

}  // namespace

const Target kBinlogStream = {
    .run = Run, .seeds = Seeds, .memory_bytes = size_t{160} << 20U};  // a window of zstd

}  // namespace sluice::fuzz
