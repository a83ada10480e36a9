// Asking mysqlds whether they can be closed as a whole, and deciding for each of them.

#include "coordinator/traffic/gate_choice.h"

#include <map>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "common/base/check.h"
#include "common/base/parallel.h"
#include "common/base/status_macros.h"

namespace sluice::traffic {
namespace {

constexpr size_t kAtOnce = 16;

// The databases of the sides on the same server, without its own.
std::vector<std::string> Beside(const std::vector<cutover::Side>& sides,
                                const std::vector<ServerAnswer>& answers, size_t of) {
  std::vector<std::string> databases;
  for (size_t i = 0; i < sides.size(); ++i) {
    if (i != of && answers[i].server == answers[of].server) {
      databases.push_back(sides[i].database);
    }
  }
  return databases;
}

}  // namespace

std::vector<cutover::GatePlan> DecideGates(const std::vector<cutover::Side>& sides,
                                           const std::vector<ServerAnswer>& answers) {
  SLUICE_CHECK(sides.size() == answers.size());
  std::map<std::string, std::string> reasons;  // by server
  for (size_t i = 0; i < sides.size(); ++i) {
    if (!answers[i].obstacles.empty()) {
      reasons.emplace(answers[i].server, answers[i].obstacles.front());
    }
  }
  std::vector<cutover::GatePlan> gates;
  for (size_t i = 0; i < sides.size(); ++i) {
    const auto reason = reasons.find(answers[i].server);
    if (reason == reasons.end()) {
      gates.push_back({.server = true, .reason = {}, .beside = Beside(sides, answers, i)});
    } else {
      // Its own reason says more than that of a neighbour.
      gates.push_back(
          {.server = false,
           .reason = answers[i].obstacles.empty() ? reason->second : answers[i].obstacles.front(),
           .beside = {}});
    }
  }
  return gates;
}

absl::StatusOr<std::vector<ServerAnswer>> AskServers(const Dependencies& parts,
                                                     const workflow::WorkflowRecord& original,
                                                     const std::vector<cutover::Side>& sides,
                                                     const workflow::CallBudget& budget) {
  std::vector<ServerAnswer> answers;
  for (const cutover::Side& side : sides) {
    SLUICE_ASSIGN_OR_RETURN(const topology::TabletInfo primary,
                            parts.topology.PrimaryOf(side.keyspace, side.shard));
    // One agent stands beside each mysqld.
    answers.push_back({.server = primary.agent_url, .obstacles = {}});
  }
  const std::vector<ServerAnswer> servers = answers;
  ForEachAtOnce(sides.size(), kAtOnce, [&](size_t i) {
    const auto reading =
        parts.agents.ReadGate(workflow::AgentRef::Primary(sides[i].keyspace, sides[i].shard),
                              {.workflow = workflow::WorkflowKey(original),
                               .database = sides[i].database,
                               .tables = original.tables,
                               .ask_server = true,
                               .beside = Beside(sides, servers, i)},
                              budget);
    answers[i].obstacles = reading.ok()
                               ? reading->server_obstacles
                               : std::vector<std::string>{std::string(reading.status().message())};
    return absl::OkStatus();
  }).IgnoreError();
  return answers;
}

absl::StatusOr<std::vector<cutover::GatePlan>> ChooseGates(const Dependencies& parts,
                                                           const workflow::WorkflowRecord& original,
                                                           const std::vector<cutover::Side>& sides,
                                                           admin::GateWish wish) {
  if (wish == admin::GateWish::kTables) {
    return std::vector<cutover::GatePlan>(sides.size());
  }
  SLUICE_ASSIGN_OR_RETURN(const std::vector<ServerAnswer> answers,
                          AskServers(parts, original, sides, {}));
  for (size_t i = 0; wish == admin::GateWish::kServer && i < sides.size(); ++i) {
    if (!answers[i].obstacles.empty()) {
      return absl::FailedPreconditionError(
          absl::StrCat("the mysqld of ", sides[i].keyspace, "/", sides[i].shard,
                       " can't be closed as a whole (--gate server): ",
                       absl::StrJoin(answers[i].obstacles, "; ")));
    }
  }
  return DecideGates(sides, answers);
}

}  // namespace sluice::traffic
