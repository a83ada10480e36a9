// Loop: the steps of a round.

#include "integration/crashloop/loop.h"

#include <algorithm>
#include <iostream>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/time/clock.h"
#include "common/base/status.h"
#include "common/base/status_macros.h"
#include "integration/crashloop/transactions.h"
#include "integration/workload/compare.h"

namespace sluice::crashloop {
namespace {

constexpr absl::Duration kRecovery = absl::Seconds(180);
// In the middle of a round, so that half of its faults meet a stream that follows.
constexpr absl::Duration kTruce = absl::Seconds(30);
constexpr absl::Duration kLook = absl::Milliseconds(100);

std::string WorkflowOf(uint64_t round) {
  return absl::StrCat("target.round", round);
}

}  // namespace

std::string LoopResult::ToString() const {
  std::string text = absl::StrCat("rounds ", rounds, ", faults ", faults.all(), " (",
                                  faults_during_copy, " during a copy)\n");
  for (size_t kind = 0; kind < kFaultKinds; ++kind) {
    const std::string_view name = FaultName(static_cast<FaultKind>(kind));
    absl::StrAppend(&text, "  ", absl::string_view(name.data(), name.size()), ": ",
                    faults.done[kind], "\n");
  }
  absl::StrAppend(&text, "  crash points reached: ", faults.points_reached,
                  "\n  skipped (the victim was stopped or away): ", faults.skipped,
                  "\nprocesses killed: ", faults.kills(), ", connections cut: ", connections_cut,
                  "\ntransactions: ", commits, ", rows compared: ", rows_compared,
                  "\ndifferences: ", differences, "\n");
  return text;
}

absl::StatusOr<LoopResult> Loop::Run() {
  SLUICE_ASSIGN_OR_RETURN(world_, World::Start(options_.directory, options_.bin_directory));
  absl::Status status;
  for (uint64_t i = 0; i < options_.rounds && status.ok() && result_.differences == 0; ++i) {
    const uint64_t round = options_.first_round + i;
    const absl::Time begun = absl::Now();
    status = Annotate(Round(round), absl::StrCat("seed ", options_.seed, ", round ", round));
    result_.faults = world_->counts();
    result_.connections_cut = world_->connections_cut();
    ++result_.rounds;
    std::cout << "round " << round << ": " << absl::FormatDuration(absl::Now() - begun)
              << ", so far " << result_.faults.all() << " faults (" << result_.faults_during_copy
              << " during a copy), " << result_.faults.kills() << " kills, "
              << result_.connections_cut << " connections cut, " << result_.differences
              << " differences" << std::endl;
  }
  SLUICE_RETURN_IF_ERROR(status);
  return result_;
}

absl::StatusOr<std::string> Loop::Ask(uint32_t uid, const std::string& sql) {
  SLUICE_ASSIGN_OR_RETURN(auto connection, world_->cluster().ConnectMysqld(uid));
  return connection->QueryScalar(sql);
}

absl::Status Loop::Operate(const std::vector<std::string>& arguments) {
  SLUICE_ASSIGN_OR_RETURN(const cluster::CommandResult done, world_->cluster().Sluice(arguments));
  return done.exit_code == 0 ? absl::OkStatus()
                             : absl::InternalError(absl::StrCat(absl::StrJoin(arguments, " "), ": ",
                                                                done.output, done.errors));
}

absl::Status Loop::FillTables(uint64_t round) {
  SLUICE_ASSIGN_OR_RETURN(auto connection, world_->cluster().ConnectMysqld(kSourceUid));
  for (const LoadTable& table : LoadTables(options_.scale)) {
    if (round == options_.first_round) {
      SLUICE_RETURN_IF_ERROR(
          connection->Execute(absl::StrCat("CREATE TABLE ", table.name, " ", table.definition))
              .status());
    }
    // What a round has deleted comes back.
    for (const std::string& statement : table.fill) {
      SLUICE_RETURN_IF_ERROR(Annotate(connection->Execute(statement).status(), table.name));
    }
  }
  return absl::OkStatus();
}

bool Loop::Copying() {
  const auto state = Ask(kTargetUid, "SELECT COUNT(*) FROM _sluice.stream WHERE state = 'running'");
  return state.ok() && *state == "0";
}

absl::Status Loop::TendUntil(absl::Time moment) {
  for (absl::Time now = absl::Now(); now < moment; now = absl::Now()) {
    SLUICE_RETURN_IF_ERROR(world_->Tend());
    // Delay: the moments of the faults are what the dice say
    absl::SleepFor(std::min(moment, world_->NextEnd()) - now);
  }
  return absl::OkStatus();
}

absl::Status Loop::DoFaults(uint64_t round) {
  const std::vector<Fault> plan = PlanFaults(options_.seed, round, options_.faults);
  bool copying = true;
  for (size_t i = 0; i < plan.size(); ++i) {
    const absl::Time truce = absl::Now() + kTruce;
    while (i == plan.size() / 2 && copying && absl::Now() < truce) {
      SLUICE_RETURN_IF_ERROR(TendUntil(absl::Now() + kLook));
      copying = Copying();
    }
    SLUICE_RETURN_IF_ERROR(TendUntil(absl::Now() + plan[i].after));
    const uint64_t before = world_->counts().all();
    SLUICE_RETURN_IF_ERROR(Annotate(world_->Do(plan[i]), plan[i].ToString()));
    result_.faults_during_copy += copying ? world_->counts().all() - before : 0;
    copying = copying && plan[i].after > kLook ? Copying() : copying;
  }
  return absl::OkStatus();
}

absl::Status Loop::AwaitAllApplied() {
  SLUICE_ASSIGN_OR_RETURN(const std::string executed,
                          Ask(kSourceUid, "SELECT @@GLOBAL.gtid_executed"));
  const std::string applied = absl::StrCat("SELECT GTID_SUBSET(", mysql::QuoteString(executed),
                                           ", IFNULL(position, '')) FROM _sluice.stream_position");
  const absl::Time deadline = absl::Now() + kRecovery;
  while (absl::Now() < deadline) {
    SLUICE_ASSIGN_OR_RETURN(
        const std::string state,
        Ask(kTargetUid, "SELECT CONCAT(state, ' ', message) FROM _sluice.stream"));
    if (state.substr(0, 5) == "error") {
      return absl::InternalError(absl::StrCat("the stream stands in ", state));
    }
    SLUICE_ASSIGN_OR_RETURN(const std::string all, Ask(kTargetUid, applied));
    if (all == "1" && !Copying()) {
      return absl::OkStatus();
    }
    absl::SleepFor(kLook);  // Delay: between two looks
  }
  return absl::DeadlineExceededError(absl::StrCat("the stream has not applied everything within ",
                                                  absl::FormatDuration(kRecovery)));
}

absl::Status Loop::Compare() {
  SLUICE_ASSIGN_OR_RETURN(auto source, world_->cluster().ConnectMysqld(kSourceUid));
  SLUICE_ASSIGN_OR_RETURN(auto target, world_->cluster().ConnectMysqld(kTargetUid));
  for (const LoadTable& table : LoadTables(0)) {
    SLUICE_ASSIGN_OR_RETURN(
        const workload::Comparison compared,
        workload::CompareTables(*source, mysql::QuoteName(table.name), *target,
                                mysql::QuoteName(absl::StrCat("_sluice_closed_", table.name)),
                                table.key));
    result_.rows_compared += compared.rows_compared;
    result_.differences += compared.rows_different;
    for (const std::string& finding : compared.findings) {
      std::cout << table.name << ": " << finding.substr(0, 400) << std::endl;
    }
  }
  return absl::OkStatus();
}

absl::Status Loop::Round(uint64_t round) {
  SLUICE_RETURN_IF_ERROR(FillTables(round));
  std::vector<std::string> names;
  for (const LoadTable& table : LoadTables(0)) {
    names.push_back(table.name);
  }
  mysql::ConnectionOptions server =
      cluster::RootOptions(world_->cluster().FindTablet(kSourceUid)->mysql_port);
  server.database = world_->cluster().FindTablet(kSourceUid)->spec.database();
  auto writers = std::make_unique<Writers>(WritersOptions{
      .server = server, .seed = options_.seed + (round << 20U), .scale = options_.scale});
  SLUICE_RETURN_IF_ERROR(Operate({"movetables", "create", WorkflowOf(round), "--source", "source",
                                  "--tables", absl::StrJoin(names, ",")}));
  SLUICE_RETURN_IF_ERROR(DoFaults(round));
  SLUICE_RETURN_IF_ERROR(Annotate(world_->Heal(), "after the faults"));
  result_.commits += writers->commits();
  writers.reset();
  SLUICE_RETURN_IF_ERROR(AwaitAllApplied());
  SLUICE_RETURN_IF_ERROR(Compare());
  return result_.differences > 0 ? absl::OkStatus()
                                 : Operate({"movetables", "cancel", WorkflowOf(round)});
}

}  // namespace sluice::crashloop
