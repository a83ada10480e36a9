// Probing, and expecting.

#include "coordinator/traffic/measure.h"

#include <algorithm>
#include <array>

#include "absl/base/thread_annotations.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/clock.h"
#include "common/base/parallel.h"
#include "common/base/status_macros.h"
#include "coordinator/cutover/machine.h"

namespace sluice::traffic {
namespace {

using cutover::EffectKind;
using enum EffectKind;

constexpr size_t kAttemptsMax = 5;
constexpr size_t kAtOnce = 16;
constexpr absl::Duration kCallMax = absl::Seconds(5);
constexpr absl::Duration kCallMin = absl::Milliseconds(10);
constexpr absl::Duration kProxiesWait = absl::Seconds(2);
constexpr char kRecorded[] = "recorded";
constexpr char kMeasured[] = "measured";

// In the order in which a cutover begins them.
constexpr std::array kWriteSteps = {
    kPrepareReverse, kRaiseCounters,  kAskProxies,    kProbeGate,   kCheckStream, kHoldRules,
    kCloseGate,      kSettleCounters, kSeal,          kCommit,      kStopStream,  kOpenGate,
    kJournalSource,  kStartReverse,   kFreezeForward, kDeleteStale, kRouteRules,  kAwaitProxies};
constexpr std::array kReadSteps = {kMakeReadable, kAwaitReplicas, kCommit,
                                   kRouteRules,   kAwaitProxies,  kCloseBehind};
// What clients wait for, one after the other.
constexpr std::array kFence = {kHoldRules, kCloseGate, kSettleCounters, kSeal,
                               kCommit,    kOpenGate,  kRouteRules};

bool OfProxies(EffectKind kind) {
  return kind == kAskProxies || kind == kHoldRules || kind == kAwaitProxies;
}

bool OfStore(EffectKind kind) {
  return kind == kCommit || kind == kHoldRules || kind == kRouteRules;
}

std::string NameOf(const cutover::Side& side) {
  return absl::StrCat(side.keyspace, "/", side.shard);
}

workflow::AgentRef AgentOf(const cutover::Side& side) {
  return workflow::AgentRef::Primary(side.keyspace, side.shard);
}

workflow::CallBudget BudgetUntil(absl::Time deadline) {
  workflow::CallBudget budget;
  budget.timeout = std::clamp(deadline - absl::Now(), kCallMin, kCallMax);
  return budget;
}

int64_t Median(std::vector<int64_t> values) {
  const auto middle = values.begin() + static_cast<int64_t>(values.size() / 2);
  std::nth_element(values.begin(), middle, values.end());
  return *middle;
}

// Of a step that was never seen: the store's write, and the round trips.
int64_t FromProbes(const Probes& probes, EffectKind kind, const std::string& place,
                   const std::string& proxy) {
  int64_t us = OfStore(kind) && proxy.empty() ? probes.store_write_us : 0;
  if (const auto agent = probes.agents.find(place); agent != probes.agents.end()) {
    us += agent->second;
  }
  if (const auto one = probes.proxies.find(proxy); one != probes.proxies.end()) {
    us += one->second;
  }
  return us;
}

Measure ExpectOne(const Probes& probes, const History& history, EffectKind kind,
                  const std::string& shard, const std::string& proxy) {
  Measure measure;
  measure.step = std::string(cutover::EffectName(kind));
  measure.place = proxy.empty() ? shard : absl::StrCat("proxy ", proxy);
  const auto recorded = history.find({measure.step, measure.place});
  const auto tried = std::find_if(probes.tried.begin(), probes.tried.end(), [&](const Measure& m) {
    return m.step == measure.step && m.place == measure.place;
  });
  measure.basis = kMeasured;
  if (tried != probes.tried.end()) {
    measure = *tried;
  } else {
    measure.expected_us = FromProbes(probes, kind, shard, proxy);
  }
  if (recorded != history.end() && !measure.problem) {
    measure.expected_us = Median(recorded->second);
    measure.basis = kRecorded;
  }
  return measure;
}

// What several threads find out.
class Findings {
 public:
  explicit Findings(Probes& probes) : probes_(probes) {}
  void Agent(const std::string& place, int64_t us) {
    const absl::MutexLock lock(&mutex_);
    probes_.agents[place] = us;
  }
  void Tried(EffectKind kind, const std::string& place, absl::Time started,
             const absl::Status& status, const std::string& detail) {
    Measure measure = {.step = std::string(cutover::EffectName(kind)),
                       .place = place,
                       .expected_us = absl::ToInt64Microseconds(absl::Now() - started),
                       .basis = kMeasured,
                       .detail = status.ok() ? detail : std::string(status.message()),
                       .problem = !status.ok() || !detail.empty()};
    const absl::MutexLock lock(&mutex_);
    probes_.tried.push_back(std::move(measure));
  }

 private:
  absl::Mutex mutex_;
  Probes& probes_ ABSL_GUARDED_BY(mutex_);
};

void ProbeSide(const Dependencies& parts, const cutover::Plan& plan, const cutover::Side& side,
               bool closes, absl::Time deadline, Findings& findings) {
  absl::Time started = absl::Now();
  const auto position = parts.agents.ReadPosition(AgentOf(side), BudgetUntil(deadline));
  findings.Agent(NameOf(side), absl::ToInt64Microseconds(absl::Now() - started));
  if (!position.ok()) {
    return;
  }
  started = absl::Now();
  // Both sides' agents change gates; backups are in the way of an opening too.
  const bool asks_killing = closes && plan.kill_blockers_after_ms > 0;
  const auto probed =
      parts.agents.ProbeGate(AgentOf(side),
                             {.workflow = plan.workflow,
                              .database = side.database,
                              .tables = closes ? plan.tables : std::vector<std::string>(),
                              .age_ms = plan.blocker_age_ms,
                              .kill_after_ms = 0,
                              .kill_rows_max = asks_killing ? plan.kill_rows_max : 0},
                             BudgetUntil(deadline));
  const std::string users = probed.ok() ? probed->blockers : "";
  if (closes || !probed.ok() || !users.empty()) {
    findings.Tried(kProbeGate, NameOf(side), started, probed.status(),
                   users.empty() ? "" : absl::StrCat("the tables are used by ", users));
  }
}

// As the cutover makes it: privileges, definitions, and that the source's binlog can be read. It is
// deleted at once.
void TryReverse(const Dependencies& parts, const cutover::Plan& plan,
                const cutover::StreamPair& pair, absl::Time deadline, Findings& findings) {
  const cutover::Side& side = plan.sources.at(pair.source);
  const cutover::Side& from = plan.targets.at(pair.target);
  workflow::StreamSpec spec;
  spec.id = pair.reverse_id;
  spec.workflow = plan.backward;
  spec.source_keyspace = from.keyspace;
  spec.source_shard = from.shard;
  spec.source_database = from.database;
  spec.target_keyspace = side.keyspace;
  spec.target_shard = side.shard;
  spec.target_database = side.database;
  spec.tables = plan.tables;
  spec.source_types = plan.source_types;
  spec.options = plan.reverse_options;
  spec.awaits_position = true;
  const absl::Time started = absl::Now();
  absl::Status status =
      parts.agents.CreateStream(AgentOf(side), spec, false, BudgetUntil(deadline));
  findings.Tried(kPrepareReverse, NameOf(side), started, status, "");
  // Whether or not it was made: a late request must not leave one behind.
  status = parts.agents
               .ControlStream(AgentOf(side), spec.id, workflow::StreamAction::kDelete, plan.epoch,
                              BudgetUntil(absl::Now() + kCallMax))
               .status();
  if (!status.ok() && !absl::IsNotFound(status)) {
    findings.Tried(kDeleteReverse, NameOf(side), started, status, "");
  }
}

// An epoch without a change goes to all proxies and back.
absl::Status ProbeProxies(const Dependencies& parts, Probes& probes) {
  const absl::Time started = absl::Now();
  SLUICE_ASSIGN_OR_RETURN(
      const uint64_t epoch,
      parts.rules.Change([](store::StoreTransaction& /*transaction*/, store::RuleState& /*rules*/) {
        return absl::OkStatus();
      }));
  probes.store_write_us = absl::ToInt64Microseconds(absl::Now() - started);
  for (const rules::ProxyDelay& delay :
       parts.rules.AwaitProxies(epoch, rules::ProxyProgress::kObeyed, started + kProxiesWait)) {
    probes.tried.push_back({.step = std::string(cutover::EffectName(kAskProxies)),
                            .place = absl::StrCat("proxy ", delay.id),
                            .expected_us = absl::ToInt64Microseconds(absl::Now() - started),
                            .basis = kMeasured,
                            .detail = delay.reason,
                            .problem = true});
  }
  for (const rules::ProxyArrival& arrival :
       parts.rules.Arrivals(epoch, rules::ProxyProgress::kObeyed)) {
    probes.proxies[arrival.id] = absl::ToInt64Microseconds(arrival.at - started);
  }
  return absl::OkStatus();
}

}  // namespace

History HistoryOf(const std::vector<store::CutoverAttempt>& attempts, bool reversal) {
  History history;
  for (const store::CutoverAttempt& attempt : attempts) {
    if (attempt.result != "committed" || (attempt.direction == "reverse") != reversal) {
      continue;
    }
    for (const store::CutoverStep& step : attempt.steps) {
      // One that failed says nothing of how long it takes.
      if (!absl::StartsWith(step.detail, "attempt ")) {
        const std::string place =
            step.proxy.empty() ? step.shard : absl::StrCat("proxy ", step.proxy);
        history[{step.name, place}].push_back(step.took_us);
      }
    }
  }
  return history;
}

std::vector<Measure> Expect(const cutover::Plan& plan, const Probes& probes,
                            const History& history) {
  const bool writes = plan.kind == cutover::Kind::kWrites;
  const std::vector<EffectKind> kinds =
      writes ? std::vector<EffectKind>(kWriteSteps.begin(), kWriteSteps.end())
             : std::vector<EffectKind>(kReadSteps.begin(), kReadSteps.end());
  std::vector<Measure> measures;
  for (const EffectKind kind : kinds) {
    for (uint32_t index = 0; index < cutover::InstancesOf(plan, kind); ++index) {
      const cutover::Side* side = cutover::SideOf(plan, {.kind = kind, .index = index});
      measures.push_back(
          ExpectOne(probes, history, kind, side == nullptr ? "" : NameOf(*side), ""));
      if (kind == kCloseGate && !plan.gates.empty() && measures.back().detail.empty()) {
        measures.back().detail = cutover::DescribeGate(plan.gates.at(index));
      }
    }
    if (OfProxies(kind)) {
      for (const auto& [id, us] : probes.proxies) {
        measures.push_back(ExpectOne(probes, history, kind, "", id));
      }
    }
  }
  // What was tried and is no step of its own: a proxy that did not answer, a stream left behind.
  for (const Measure& tried : probes.tried) {
    if (tried.problem && std::find(measures.begin(), measures.end(), tried) == measures.end()) {
      measures.push_back(tried);
    }
  }
  return measures;
}

int64_t ExpectedFenceUs(const std::vector<Measure>& measures) {
  int64_t sum = 0;
  for (const EffectKind kind : kFence) {
    int64_t longest = 0;
    for (const Measure& measure : measures) {
      if (measure.step == cutover::EffectName(kind)) {
        longest = std::max(longest, measure.expected_us);
      }
    }
    sum += longest;
  }
  const bool writes = std::any_of(measures.begin(), measures.end(), [](const Measure& measure) {
    return measure.step == cutover::EffectName(kCloseGate);
  });
  return writes ? sum : 0;
}

absl::StatusOr<Probes> Probe(const Dependencies& parts, const cutover::Plan& plan,
                             absl::Time deadline) {
  Probes probes;
  SLUICE_RETURN_IF_ERROR(ProbeProxies(parts, probes));
  const bool writes = plan.kind == cutover::Kind::kWrites;
  const size_t sources = plan.sources.size();
  Findings findings(probes);
  ForEachAtOnce(sources + plan.targets.size(), kAtOnce, [&](size_t i) {
    const bool source = i < sources;
    ProbeSide(parts, plan, source ? plan.sources[i] : plan.targets[i - sources], source && writes,
              deadline, findings);
    return absl::OkStatus();
  }).IgnoreError();
  if (writes) {
    ForEachAtOnce(plan.streams.size(), kAtOnce, [&](size_t i) {
      TryReverse(parts, plan, plan.streams[i], deadline, findings);
      return absl::OkStatus();
    }).IgnoreError();
  }
  return probes;
}

absl::StatusOr<std::vector<store::CutoverAttempt>> LastCutovers(store::Store& store,
                                                                const std::string& workflow) {
  std::vector<store::CutoverAttempt> last;
  SLUICE_RETURN_IF_ERROR(store.Read([&](store::StoreReader& reader) -> absl::Status {
    SLUICE_ASSIGN_OR_RETURN(std::vector<store::CutoverAttempt> heads,
                            reader.ListCutoverHeads(workflow));
    std::erase_if(heads,
                  [](const store::CutoverAttempt& each) { return each.result != "committed"; });
    heads.resize(std::min(heads.size(), kAttemptsMax));
    for (store::CutoverAttempt& head : heads) {
      SLUICE_ASSIGN_OR_RETURN(head.steps, reader.ListCutoverSteps(head.id));
    }
    last = std::move(heads);
    return absl::OkStatus();
  }));
  return last;
}

}  // namespace sluice::traffic
