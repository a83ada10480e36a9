// How many bytes of binlog a core decodes, merges, and passes over. Processor time is measured, not
// time, so that other work on the machine does not count.

#include <gtest/gtest.h>
#include <zlib.h>

#include <algorithm>
#include <cstdio>
#include <ctime>
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "agent/source/binlog_filter.h"
#include "agent/source/event_splitter.h"
#include "agent/target/group_builder.h"
#include "tests/agent/source/binlog_events.h"

namespace sluice::target {
namespace {

using binlog::EventType;
using sluice::testing::AppendUint;
using sluice::testing::MakeEvent;
using sluice::testing::MakeGtid;
using sluice::testing::MakeQuery;
using sluice::testing::MakeXid;

constexpr size_t kBytes = 32U << 20U;
constexpr double kWantedMegabytes = 400;  // per second
constexpr uint64_t kTable = 10;

// A table as sysbench makes it: INT, INT, CHAR(120), CHAR(60) of utf8mb4.
std::string TableMap(absl::string_view table) {
  std::string body;
  AppendUint(kTable, 6, body);
  AppendUint(1, 2, body);
  for (const absl::string_view name : {absl::string_view("shop"), table}) {
    body.push_back(static_cast<char>(name.size()));
    body.append(name.data(), name.size());
    body.push_back('\0');
  }
  body += std::string("\x04\x03\x03\xfe\xfe\x04\xee\xe0\xfe\xf0\x00", 11);
  return MakeEvent(EventType::kTableMap, body);
}

void AppendImage(uint32_t id, uint32_t k, std::string& body) {
  body.push_back('\0');
  AppendUint(id, 4, body);
  AppendUint(k, 4, body);
  AppendUint(119, 2, body);
  body.append(119, static_cast<char>('0' + k % 10));
  body.push_back(59);
  body.append(59, static_cast<char>('0' + id % 10));
}

// An event of about 8 KB, as mysqld writes them.
std::string UpdateRows(uint32_t first_id) {
  std::string body;
  AppendUint(kTable, 6, body);
  AppendUint(1, 2, body);
  AppendUint(2, 2, body);
  body += "\x04\x0f\x0f";
  for (uint32_t id = first_id; id < first_id + 20; ++id) {
    AppendImage(id, 1, body);
    AppendImage(id, 2, body);
  }
  return MakeEvent(EventType::kUpdateRows, body);
}

// One large transaction.
std::shared_ptr<const std::string> Events(absl::string_view table) {
  std::string events = MakeGtid(1) + MakeQuery("shop", "BEGIN");
  for (uint32_t id = 1; events.size() < kBytes; id += 20) {
    events += TableMap(table) + UpdateRows(id);
  }
  return std::make_shared<const std::string>(events + MakeXid());
}

TablePlans Plans() {
  mysql::TableSchema schema;
  schema.database = "target";
  schema.name = "customer";
  for (const char* name : {"id", "k", "c", "pad"}) {
    schema.columns.emplace_back().name = name;
  }
  schema.key_columns = {"id"};
  std::vector<TablePlan> plans = {*MakeTablePlan(std::move(schema), "customer")};
  return TablePlans(std::move(plans));
}

class CountingSink final : public TransactionSink {
 public:
  absl::Status OnBegin(const binlog::GtidEvent& /*gtid*/) override { return absl::OkStatus(); }
  absl::Status OnChange(const TablePlan& /*plan*/,
                        const std::shared_ptr<const binlog::TableMapEvent>& /*map*/,
                        const binlog::RowImage* before, const binlog::RowImage* after) override {
    bytes += before->back().bytes.size() + after->back().bytes.size();
    ++changes;
    return absl::OkStatus();
  }
  void OnMarker(std::string /*id*/) override {}
  void OnKeep(std::shared_ptr<const std::string> /*bytes*/) override {}
  void OnDecided(const gtid::Gtid& /*held*/) override {}
  void OnDdl(SourceDdl /*ddl*/) override {}
  void OnHeld() override {}
  absl::Status OnEnd() override { return absl::OkStatus(); }

  size_t bytes = 0;
  size_t changes = 0;
};

double ProcessorSeconds() {
  timespec now{};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
  return static_cast<double>(now.tv_sec) + static_cast<double>(now.tv_nsec) / 1e9;
}

// Megabytes a second of the best of several runs.
double Measure(const char* what, size_t bytes, const std::function<void()>& run) {
  double best = 0;
  for (int i = 0; i < 5; ++i) {
    const double begin = ProcessorSeconds();
    run();
    const double seconds = std::max(ProcessorSeconds() - begin, 1e-9);
    best = std::max(best, static_cast<double>(bytes) / 1e6 / seconds);
  }
  (void)printf("%s: %.0f MB/s\n", what, best);
  return best;
}

class DecodeBenchmark : public ::testing::Test {
 protected:
  void SetUp() override {
#if !defined(__OPTIMIZE__) || defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
    GTEST_SKIP() << "an optimised build only";
#endif
  }

  const WatchedTables watched_{.database = "shop", .tables = {"customer"}};
  const TablePlans plans_ = Plans();
};

TEST_F(DecodeBenchmark, RowsAreDecoded) {
  const auto events = Events("customer");
  size_t changes = 0;
  const double speed = Measure("decoding rows", events->size(), [&] {
    CountingSink sink;
    EventDecoder decoder(watched_, plans_, sink);
    absl::string_view rest = *events;
    while (!rest.empty()) {
      const auto event = source::NextEvent(rest);
      ASSERT_TRUE(event.ok() && decoder.Feed(*event).ok());
      rest.remove_prefix(event->size());
    }
    changes = sink.changes;
  });
  EXPECT_GT(changes, kBytes / 400);
  EXPECT_GE(speed, kWantedMegabytes);
}

TEST_F(DecodeBenchmark, RowsAreDecodedAndMerged) {
  const auto events = Events("customer");
  const double speed = Measure("decoding and merging rows", events->size(), [&] {
    GroupBuilder builder(watched_, plans_, {.changes_max = 20'000, .bytes_max = 1U << 30U});
    absl::string_view rest = *events;
    size_t rows = 0;
    while (!rest.empty()) {
      const auto event = source::NextEvent(rest);
      ASSERT_TRUE(event.ok() && builder.Add(*event, events).ok());
      rest.remove_prefix(event->size());
      if (builder.Full() || rest.empty()) {
        rows += builder.Take().rows;
      }
    }
    ASSERT_GT(rows, kBytes / 400);
  });
  EXPECT_GE(speed, kWantedMegabytes);
}

// With checksums, as they come from a server.
TEST_F(DecodeBenchmark, TablesThatNobodyAskedForArePassedOver) {
  std::string with_checksums;
  const auto events = Events("product");
  absl::string_view rest = *events;
  while (!rest.empty()) {
    const auto event = source::NextEvent(rest);
    ASSERT_TRUE(event.ok());
    std::string one(*event);
    one.replace(9, 4, std::string());
    std::string length;
    AppendUint(event->size() + 4, 4, length);
    one.insert(9, length);
    AppendUint(crc32_z(0, reinterpret_cast<const Bytef*>(one.data()), one.size()), 4, one);
    with_checksums += one;
    rest.remove_prefix(event->size());
  }
  std::string description(2 + 50 + 4, '\0');
  description[0] = 4;
  description += std::string("\x13\x00\x01\x00\x00\x00\x00", 7);
  const std::string format = MakeEvent(EventType::kFormatDescription, description);
  const double speed = Measure("passing over rows", with_checksums.size(), [&] {
    source::BinlogFilter filter("shop", {"customer"});
    std::string out;
    ASSERT_TRUE(filter.Feed(format, out).ok());
    absl::string_view left = with_checksums;
    while (!left.empty()) {
      const auto event = source::NextEvent(left);
      ASSERT_TRUE(event.ok() && filter.Feed(*event, out).ok());
      left.remove_prefix(event->size());
    }
    ASSERT_LT(out.size(), 200U);
  });
  EXPECT_GE(speed, kWantedMegabytes);
}

}  // namespace
}  // namespace sluice::target
