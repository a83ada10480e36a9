// How many bytes of binlog, as a real server wrote it, a core filters and decodes in memory.

#include <ctime>
#include <functional>
#include <memory>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "agent/source/binlog_filter.h"
#include "agent/source/event_splitter.h"
#include "agent/target/group_builder.h"
#include "agent/target/table_plan.h"
#include "common/base/status_macros.h"
#include "common/mysql/binlog_stream.h"
#include "integration/bench/bench.h"
#include "integration/bench/data.h"
#include "integration/bench/server.h"
#include "integration/bench/stage.h"

namespace sluice::bench {
namespace {

constexpr char kDecode[] = "decode-binlog";
constexpr char kSkip[] = "decode-binlog-unwanted";
constexpr uint32_t kServerId = 903;
constexpr uint32_t kReaderServerId = 4'000'000'002;

// Binlog of one UPDATE of all rows of a table.
struct Material {
  std::vector<std::string> raw;  // events as the server sent them
  size_t raw_bytes = 0;
  std::shared_ptr<const std::string> filtered;  // as a target gets them
  target::TablePlans plans;
  uint64_t rows = 0;
};

absl::StatusOr<Material> MakeMaterial(Server& server, uint64_t rows) {
  SLUICE_RETURN_IF_ERROR(RunAll(server.root(), {absl::StrCat("CREATE DATABASE ", kSourceDatabase),
                                                absl::StrCat("USE ", kSourceDatabase)}));
  SLUICE_RETURN_IF_ERROR(MakeTables(server.root(), {SysbenchTable("sbtest1", rows)}, false));
  SLUICE_ASSIGN_OR_RETURN(const std::string before, ExecutedOf(server.root()));
  SLUICE_RETURN_IF_ERROR(RunAll(server.root(), {"UPDATE sbtest1 SET k = k + 1, c = REVERSE(c)"}));
  SLUICE_ASSIGN_OR_RETURN(target::TablePlans plans,
                          target::TablePlans::Load(server.root(), kSourceDatabase, {"sbtest1"}));
  Material material{
      .raw = {}, .raw_bytes = 0, .filtered = {}, .plans = std::move(plans), .rows = rows};
  mysql::BinlogStreamOptions options;
  options.connection = cluster::RootOptions(server.port());
  options.server_id = kReaderServerId;
  SLUICE_ASSIGN_OR_RETURN(options.position, gtid::GtidSet::Parse(before));
  SLUICE_ASSIGN_OR_RETURN(auto stream, mysql::BinlogStream::Open(options));
  source::BinlogFilter filter(kSourceDatabase, {"sbtest1"});
  std::string filtered;
  while (!filter.TakeCompleted().has_value()) {
    SLUICE_ASSIGN_OR_RETURN(const absl::string_view event, stream->Next());
    SLUICE_RETURN_IF_ERROR(filter.Feed(event, filtered));
    material.raw.emplace_back(event);
    material.raw_bytes += event.size();
  }
  material.filtered = std::make_shared<const std::string>(std::move(filtered));
  return material;
}

double ThreadSeconds() {
  timespec now{};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
  return static_cast<double>(now.tv_sec) + static_cast<double>(now.tv_nsec) / 1e9;
}

// Megabytes a second of this thread's processor time.
absl::StatusOr<double> Speed(size_t bytes, const std::function<absl::Status()>& work) {
  const double begin = ThreadSeconds();
  SLUICE_RETURN_IF_ERROR(work());
  return static_cast<double>(bytes) / 1e6 / (ThreadSeconds() - begin);
}

// Decodes, and merges by key, as the applier's feed does.
absl::Status Decode(const Material& material) {
  const target::WatchedTables watched{.database = kSourceDatabase, .tables = {"sbtest1"}};
  target::GroupBuilder builder(watched, material.plans, {});
  absl::string_view rest = *material.filtered;
  uint64_t rows = 0;
  while (!rest.empty()) {
    SLUICE_ASSIGN_OR_RETURN(const absl::string_view event, source::NextEvent(rest));
    SLUICE_RETURN_IF_ERROR(builder.Add(event, material.filtered));
    rest.remove_prefix(event.size());
    if (builder.Full() || rest.empty()) {
      rows += builder.Take().rows;
    }
  }
  if (rows != material.rows) {
    return absl::DataLossError(absl::StrCat(rows, " of ", material.rows, " rows were decoded"));
  }
  return absl::OkStatus();
}

absl::Status Skip(const Material& material) {
  source::BinlogFilter filter(kSourceDatabase, {"another"});
  std::string out;
  for (const std::string& event : material.raw) {
    SLUICE_RETURN_IF_ERROR(filter.Feed(event, out));
  }
  if (out.size() > 1000) {
    return absl::InternalError("rows of a table that nobody asked for were handed on");
  }
  return absl::OkStatus();
}

absl::Status RunDecode(Bench& bench) {
  SLUICE_ASSIGN_OR_RETURN(const std::unique_ptr<Server> server,
                          Server::Start(bench.options().directory + "/decode", kServerId));
  SLUICE_ASSIGN_OR_RETURN(const Material material,
                          MakeMaterial(*server, bench.Scaled(200'000, 1000)));
  for (size_t run = 0; run < bench.options().runs; ++run) {
    SLUICE_ASSIGN_OR_RETURN(const double decoding,
                            Speed(material.filtered->size(), [&] { return Decode(material); }));
    SLUICE_ASSIGN_OR_RETURN(const double skipping,
                            Speed(material.raw_bytes, [&] { return Skip(material); }));
    bench.Sample(kDecode, decoding);
    bench.Verified(kDecode, material.rows);
    bench.Sample(kSkip, skipping);
    bench.Verified(kSkip, material.rows);
  }
  return absl::OkStatus();
}

}  // namespace

std::vector<Group> DecodeGroups() {
  return {{.measures = {{.name = kDecode,
                         .unit = "MB/s",
                         .target = 400,
                         .better = Better::kHigher,
                         .what = "rows decoded and merged by one core, in memory"},
                        {.name = kSkip,
                         .unit = "MB/s",
                         .target = 400,
                         .better = Better::kHigher,
                         .what = "rows of a table that nobody asked for, passed over by one core"}},
           .run = RunDecode}};
}

}  // namespace sluice::bench
