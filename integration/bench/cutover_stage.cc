// CutoverStage: the cluster, the commands, and what their timelines and the clients tell.

#include "integration/bench/cutover_stage.h"

#include <nlohmann/json.hpp>

#include <algorithm>
#include <chrono>
#include <thread>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/time/clock.h"
#include "agent/gate/closed_name.h"
#include "common/base/status.h"
#include "common/base/status_macros.h"
#include "integration/bench/programs.h"
#include "integration/bench/stage.h"

namespace sluice::bench {
namespace {

constexpr uint32_t kSourceUid = 1000;
constexpr uint32_t kTargetUid = 5000;
constexpr char kMove[] = "target.bench";
constexpr char kMoveBack[] = "source.bench_reverse";
constexpr size_t kClients = 4;
constexpr absl::Duration kCommandMax = absl::Minutes(10);
constexpr absl::Duration kRound = absl::Minutes(1);

cluster::Topology TopologyOf(const CutoverStageOptions& options) {
  cluster::Topology topology;
  topology.proxies = 1;
  const std::vector<std::string> shards = cluster::EqualShards(options.shards);
  for (const auto& [keyspace, base] :
       {std::pair<std::string, uint32_t>{"source", kSourceUid}, {"target", kTargetUid}}) {
    for (uint32_t i = 0; i < shards.size(); ++i) {
      topology.tablets.push_back({.uid = base + i,
                                  .keyspace = keyspace,
                                  .shard = shards[i],
                                  .mysqld = base + i % static_cast<uint32_t>(options.mysqlds)});
    }
  }
  return topology;
}

// As of all servers of the benchmark, but that there may be many.
std::vector<std::string> Settings(const CutoverStageOptions& options) {
  std::vector<std::string> settings = ServerSettings();
  settings.emplace_back("max_connections=2000");
  settings.emplace_back(options.mysqlds > 1 ? "innodb_buffer_pool_size=256M"
                                            : "innodb_buffer_pool_size=768M");
  return settings;
}

struct Span {
  int64_t begin_us = 0;
  int64_t end_us = 0;
  [[nodiscard]] double ms() const { return static_cast<double>(end_us - begin_us) / 1000; }
};

// From the first step of a name to the end of its last one.
Span SpanOf(const nlohmann::json& steps, const std::string& name) {
  Span span;
  for (const auto& step : steps) {
    if (step.value("name", "") == name) {
      const int64_t begin = step.value("started_us", int64_t{0});
      const int64_t end = begin + step.value("took_us", int64_t{0});
      span.begin_us = span.begin_us == 0 ? begin : std::min(span.begin_us, begin);
      span.end_us = std::max(span.end_us, end);
    }
  }
  return span;
}

// How many gates were closed as whole mysqlds, of all.
std::string KindsOf(const nlohmann::json& steps) {
  size_t whole = 0;
  size_t all = 0;
  for (const auto& step : steps) {
    if (step.value("name", "") == "close_gate") {
      ++all;
      whole += absl::StrContains(step.value("detail", ""), "as a whole mysqld") ? 1U : 0U;
    }
  }
  return absl::StrCat(whole, " of ", all, " gates as whole mysqlds");
}

}  // namespace

absl::StatusOr<std::unique_ptr<CutoverStage>> CutoverStage::Start(
    const Bench& bench, const CutoverStageOptions& options) {
  cluster::ClusterOptions cluster_options;
  cluster_options.directory = absl::StrCat(bench.options().directory, "/cutover");
  cluster_options.bin_directory = bench.options().bin_directory;
  cluster_options.dies_with_parent = true;
  cluster_options.mysqld_settings = Settings(options);
  std::unique_ptr<CutoverStage> stage(new CutoverStage(options));
  SLUICE_ASSIGN_OR_RETURN(stage->cluster_,
                          cluster::Cluster::Up(TopologyOf(options), cluster_options));
  SLUICE_RETURN_IF_ERROR(stage->cluster_->AllowServerGates());
  SLUICE_RETURN_IF_ERROR(stage->Fill());
  SLUICE_ASSIGN_OR_RETURN(
      const cluster::CommandResult created,
      stage->cluster_->Sluice({"movetables", "create", kMove, "--source-keyspace", "source",
                               "--all-tables", "--tablet-types", "PRIMARY"},
                              kCommandMax));
  if (created.exit_code != 0) {
    return absl::InternalError(absl::StrCat("movetables create: ", created.errors));
  }
  SLUICE_RETURN_IF_ERROR(stage->AwaitRunning(kMove));
  return stage;
}

absl::Status CutoverStage::Fill() {
  for (uint32_t i = 0; i < static_cast<uint32_t>(options_.shards); ++i) {
    const cluster::TabletLayout* tablet = cluster_->FindTablet(kSourceUid + i);
    SLUICE_ASSIGN_OR_RETURN(const auto connection,
                            ConnectRoot(tablet->mysql_port, tablet->spec.database()));
    SLUICE_RETURN_IF_ERROR(MakeTables(*connection, options_.tables, false));
  }
  return absl::OkStatus();
}

absl::Status CutoverStage::AwaitRunning(const std::string& workflow) const {
  const absl::Time deadline = absl::Now() + absl::Minutes(20);
  std::string last;
  while (absl::Now() < deadline) {
    SLUICE_ASSIGN_OR_RETURN(
        const cluster::CommandResult answer,
        cluster_->Sluice({"--format", "json", "movetables", "status", workflow}, kCommandMax));
    const auto document = nlohmann::json::parse(answer.output, nullptr, false);
    int running = 0;
    if (document.is_object() && document.contains("shard_streams")) {
      for (const auto& [shard, streams] : document["shard_streams"].items()) {
        for (const auto& stream : streams["streams"]) {
          running += stream.value("status", "") == "Running" ? 1 : 0;
        }
      }
    }
    if (running == options_.shards) {
      return absl::OkStatus();
    }
    last = absl::StrCat(running, " of ", options_.shards, " streams run; ", answer.errors);
    std::this_thread::sleep_for(std::chrono::milliseconds(20));  // Delay: between two looks
  }
  return absl::DeadlineExceededError(absl::StrCat(workflow, ": ", last));
}

mysql::ConnectionOptions CutoverStage::SessionOf(const std::string& target) const {
  mysql::ConnectionOptions session;
  session.host = "127.0.0.1";
  session.port = cluster_->layout().proxies.front().port;
  session.user = cluster_->layout().app_user;
  session.password = cluster_->layout().app_password;
  session.database = target;
  return session;
}

absl::StatusOr<std::unique_ptr<mysql::Connection>> CutoverStage::ConnectClient() const {
  return mysql::Connection::Connect(SessionOf("source"));
}

absl::Status CutoverStage::StartLoad(absl::Duration measured) {
  ClientLoadOptions load;
  load.clients = kClients;
  for (const std::string& shard : cluster::EqualShards(options_.shards)) {
    load.sessions.push_back(
        SessionOf(options_.shards == 1 ? std::string("source") : absl::StrCat("source:", shard)));
  }
  while (load.sessions.size() < load.clients) {
    load.sessions.push_back(load.sessions[load.sessions.size() - 1]);
  }
  for (const TableSpec& table : options_.tables) {
    load.tables.push_back(table.name);
  }
  load.rows = options_.tables.front().rows;
  SLUICE_ASSIGN_OR_RETURN(load_, ClientLoad::Start(std::move(load)));
  for (int warm = 0; warm < 2; ++warm) {  // the first time caches are filled
    const uint64_t before = load_->statements();
    const absl::Time begin = absl::Now();
    absl::SleepFor(measured);  // Delay: what is measured is how much is done in this time
    rate_ = static_cast<double>(load_->statements() - before) /
            absl::ToDoubleSeconds(absl::Now() - begin) / 2;
  }
  load_->SetRate(rate_);
  Bench::Say(absl::StrCat("clients make ", rate_, " statements/s, half of what they could"));
  return load_->AwaitRound(kRound);
}

absl::Status CutoverStage::Prepare(bool back) {
  SLUICE_RETURN_IF_ERROR(AwaitRunning(back ? kMoveBack : kMove));
  SLUICE_RETURN_IF_ERROR(load_->AwaitRound(kRound));
  load_->TakeLongestPauseMs();
  return absl::OkStatus();
}

absl::StatusOr<cluster::CommandResult> CutoverStage::Command(
    bool back, const std::vector<std::string>& flags) const {
  std::vector<std::string> arguments = {"movetables", back ? "reversetraffic" : "switchtraffic",
                                        kMove};
  arguments.insert(arguments.end(), flags.begin(), flags.end());
  return cluster_->Sluice(arguments, kCommandMax);
}

absl::StatusOr<double> CutoverStage::PauseOfClients() {
  SLUICE_RETURN_IF_ERROR(load_->AwaitRound(kRound));
  return load_->TakeLongestPauseMs();
}

absl::StatusOr<CutoverTimes> CutoverStage::Switch(bool back,
                                                  const std::vector<std::string>& flags) {
  SLUICE_RETURN_IF_ERROR(Prepare(back));
  const pid_t coordinator = cluster_->layout().processes.at("coordinator").id.pid;
  CutoverTimes times;
  SLUICE_ASSIGN_OR_RETURN(const auto log, ProcessorLog::Start(coordinator));
  SLUICE_ASSIGN_OR_RETURN(const double before_s, ProcessorSeconds(coordinator));
  const absl::Time begin = absl::Now();
  SLUICE_ASSIGN_OR_RETURN(const cluster::CommandResult result, Command(back, flags));
  times.command_ms = absl::ToDoubleMilliseconds(absl::Now() - begin);
  SLUICE_ASSIGN_OR_RETURN(const double after_s, ProcessorSeconds(coordinator));
  times.coordinator_ms = 1000 * (after_s - before_s);
  log->Stop();
  if (result.exit_code != 0) {
    return absl::InternalError(
        absl::StrCat(back ? "reversetraffic: " : "switchtraffic: ", result.errors));
  }
  SLUICE_ASSIGN_OR_RETURN(times.pause_ms, PauseOfClients());
  SLUICE_RETURN_IF_ERROR(ReadTimeline(*log, times));
  return times;
}

absl::StatusOr<CutoverStage::Refusal> CutoverStage::FailToSwitch(
    const std::vector<std::string>& flags) {
  SLUICE_RETURN_IF_ERROR(Prepare(false));
  SLUICE_ASSIGN_OR_RETURN(const cluster::CommandResult result, Command(false, flags));
  if (result.exit_code != 1) {
    return absl::InternalError("switchtraffic succeeded where it can't");
  }
  Refusal refusal = {.reason = result.errors, .pause_ms = 0};
  SLUICE_ASSIGN_OR_RETURN(refusal.pause_ms, PauseOfClients());
  return refusal;
}

absl::Status CutoverStage::ReadTimeline(const ProcessorLog& coordinator,
                                        CutoverTimes& times) const {
  SLUICE_ASSIGN_OR_RETURN(
      const cluster::CommandResult shown,
      cluster_->Sluice({"--format", "json", "cutover", "show", kMove}, kCommandMax));
  const auto document = nlohmann::json::parse(shown.output, nullptr, false);
  if (!document.is_object() || document["attempts"].empty()) {
    return absl::InternalError(absl::StrCat("cutover show: ", shown.output, shown.errors));
  }
  // Newest first: that of the writes, for reads have moved before.
  const nlohmann::json& steps = document["attempts"][0]["steps"];
  const Span fence = SpanOf(steps, "fence");
  const Span closing = SpanOf(steps, "close_gate");
  const Span opening = SpanOf(steps, "open_gate");
  if (fence.begin_us == 0 || closing.begin_us == 0 || opening.begin_us == 0) {
    return absl::InternalError("the newest cutover tells no fence");
  }
  times.gate_kinds = KindsOf(steps);
  times.fence_ms = fence.ms();
  times.gates_ms = Span{closing.begin_us, opening.end_us}.ms();
  times.share_ms = coordinator.UsedMs(closing.begin_us, opening.end_us);
  if (times.share_ms <= 0) {
    return absl::InternalError("the coordinator's processor time is not known for the fence");
  }
  return absl::OkStatus();
}

absl::StatusOr<uint64_t> CutoverStage::VerifyShard(uint32_t shard) const {
  const cluster::TabletLayout* source = cluster_->FindTablet(kSourceUid + shard);
  const cluster::TabletLayout* target = cluster_->FindTablet(kTargetUid + shard);
  SLUICE_ASSIGN_OR_RETURN(const auto open,
                          ConnectRoot(source->mysql_port, source->spec.database()));
  SLUICE_ASSIGN_OR_RETURN(const auto closed,
                          ConnectRoot(target->mysql_port, target->spec.database()));
  std::vector<TablePair> pairs;
  // Behind a mysqld that is closed as a whole the tables keep their names.
  const std::string first = options_.tables.front().name;
  SLUICE_ASSIGN_OR_RETURN(
      const std::string renamed,
      closed->QueryScalar(absl::StrCat("SELECT COUNT(*) FROM information_schema.TABLES WHERE"
                                       " TABLE_SCHEMA = DATABASE() AND TABLE_NAME = ",
                                       mysql::QuoteString(gate::ClosedName(first)))));
  for (const TableSpec& table : options_.tables) {
    pairs.push_back({table.name, renamed == "1" ? gate::ClosedName(table.name) : table.name});
  }
  // The stream is applying what the clients have written last.
  const absl::Time deadline = absl::Now() + absl::Minutes(2);
  absl::StatusOr<uint64_t> rows;
  do {
    rows = VerifySame(*open, source->spec.database(), *closed, target->spec.database(), pairs);
  } while (absl::IsDataLoss(rows.status()) && absl::Now() < deadline);
  return rows;
}

absl::StatusOr<uint64_t> CutoverStage::Verify() {
  load_->Pause();
  uint64_t rows = 0;
  for (uint32_t i = 0; i < static_cast<uint32_t>(options_.shards); ++i) {
    SLUICE_ASSIGN_OR_RETURN(const uint64_t of_shard, VerifyShard(i));
    rows += of_shard;
  }
  load_->Resume();
  return rows;
}

}  // namespace sluice::bench
