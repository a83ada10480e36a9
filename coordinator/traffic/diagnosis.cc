// The store's record against databases, rules and proxies.

#include "coordinator/traffic/diagnosis.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "coordinator/cutover/machine.h"
#include "coordinator/traffic/state_facts.h"

namespace sluice::traffic {
namespace {

using workflow::GateState;
using workflow::GateStateName;
using workflow::WorkflowPhase;
using workflow::WorkflowRecord;

constexpr size_t kRulesNamedMax = 5;

std::string PlaceOf(const SideReading& reading) {
  return absl::StrCat(reading.side.keyspace, "/", reading.side.shard,
                      reading.tablet.empty() ? "" : absl::StrCat(" (", reading.tablet, ")"));
}

Verdict VerdictOf(bool agrees) {
  return agrees ? Verdict::kAgrees : Verdict::kDisagrees;
}

void JudgeRecord(const Observation& seen, std::vector<Finding>& findings) {
  const WorkflowRecord& original = seen.records.original;
  const std::string serving =
      original.writes_switched ? original.target_keyspace : original.source_keyspace;
  Finding finding = {.place = "store", .about = "record", .state = {}, .expected = {}};
  finding.state =
      absl::StrCat(workflow::WorkflowPhaseName(original.phase), "; keyspace ", serving,
                   " takes the writes", original.message.empty() ? "" : "; ", original.message);
  switch (original.phase) {
    case WorkflowPhase::kActive:
    case WorkflowPhase::kFrozen: {
      const bool frozen = original.phase == WorkflowPhase::kFrozen;
      const bool reverse_fits =
          seen.records.reverse
              ? (seen.records.reverse->phase == WorkflowPhase::kFrozen) != original.writes_switched
              : !original.writes_switched;
      finding.expected = "exactly one of the workflow and its reverse frozen";
      finding.verdict = VerdictOf(frozen == original.writes_switched && reverse_fits);
      break;
    }
    default:
      finding.expected = "a command at work on it";
      finding.verdict = seen.command.empty() ? Verdict::kDisagrees : Verdict::kBusy;
      break;
  }
  findings.push_back(std::move(finding));
}

void JudgeOperation(const Observation& seen, std::vector<Finding>& findings) {
  Finding finding = {
      .place = "store", .about = "command", .state = "none is half done", .expected = {}};
  if (!seen.command.empty()) {
    finding.state = absl::StrCat(seen.command, " runs", seen.command_detail.empty() ? "" : "; ",
                                 seen.command_detail);
    finding.verdict = seen.waits_for_release ? Verdict::kAgrees : Verdict::kBusy;
  } else if (!seen.unreadable_operation.empty()) {
    finding.state = seen.unreadable_operation;
    finding.expected = "none, or one that can be read";
    finding.verdict = Verdict::kDisagrees;
  } else if (const cutover::StoredCutover* stored = StoredCutoverOf(seen); stored != nullptr) {
    finding.state = absl::StrCat("cutover ", stored->state.plan.id, " has stopped ",
                                 cutover::PhaseName(stored->state.phase),
                                 ", and nobody is at "
                                 "work on it");
    finding.expected = "done or rolled back";
    finding.verdict = Verdict::kDisagrees;
  } else if (seen.operation) {
    finding.state = "the end of the workflow is decided, and nobody is at work on it";
    finding.expected = "carried out";
    finding.verdict = Verdict::kDisagrees;
  }
  findings.push_back(std::move(finding));
}

void JudgeGate(const Observation& seen, const SideReading& reading, bool serving,
               std::vector<Finding>& findings) {
  const GateState wanted = WantedGate(seen.records, serving);
  const std::string state = GateStateName(reading.gate.state);
  const bool fits = GateFits(reading.gate, wanted);
  Finding finding = {.place = PlaceOf(reading),
                     .about = "gate",
                     .state = state,
                     .expected = GateStateName(wanted),
                     .verdict = VerdictOf(fits)};
  const bool takes_writes =
      reading.gate.state == GateState::kOpen || reading.gate.state == GateState::kMixed;
  if (!serving && takes_writes) {
    absl::StrAppend(&finding.state, ": takes writes on a side that does not serve");
  } else if (serving && reading.gate.state != GateState::kOpen) {
    absl::StrAppend(&finding.state, ": the side that serves refuses writes");
  } else if (!reading.recorded_gate.empty() && reading.recorded_gate != state) {
    absl::StrAppend(&finding.state, ", recorded as ", reading.recorded_gate);
    finding.verdict = Verdict::kDisagrees;
  } else if (reading.next_gate) {
    absl::StrAppend(&finding.state, ", and would close ",
                    cutover::DescribeGate(*reading.next_gate));
  } else if (fits && reading.gate.server && !serving) {
    finding.state = "closed as a whole mysqld (read_only)";
  }
  if (serving && reading.gate.state == GateState::kReadable && !reading.gate.kept_by.empty()) {
    absl::StrAppend(&finding.state, "; its mysqld is kept read-only by the gates of ",
                    absl::StrJoin(reading.gate.kept_by, ", "));
  }
  findings.push_back(std::move(finding));
}

void JudgeJournal(const Observation& seen, const SideReading& reading,
                  const std::optional<JournaledCommit>& last, std::vector<Finding>& findings) {
  if (!last) {
    return;
  }
  const bool there = std::any_of(
      reading.journal.begin(), reading.journal.end(),
      [&](const workflow::JournalEntry& entry) { return entry.cutover_id == last->cutover; });
  Finding finding = {
      .place = PlaceOf(reading), .about = "journal", .state = {}, .expected = {}, .verdict = {}};
  finding.state = absl::StrCat(there ? "holds" : "lacks", " the commit of cutover ", last->cutover,
                               last->reversal ? " (reverse)" : " (forward)");
  finding.verdict = VerdictOf(there);
  if (StoreIsBehind(seen, last)) {
    finding.expected = "a commit that the store knows of";
    finding.verdict = Verdict::kDisagrees;
  }
  findings.push_back(std::move(finding));
}

std::string StreamStateText(const StreamReading& stream) {
  if (stream.info == nullptr) {
    return "missing";
  }
  std::string text = topology::StreamStateName(stream.info->state);
  if (stream.info->frozen) {
    absl::StrAppend(&text, ", frozen");
  } else if (!stream.info->message.empty()) {
    absl::StrAppend(&text, ": ", stream.info->message);
  }
  return text;
}

std::string StreamWish(StreamFault fault) {
  switch (fault) {
    case StreamFault::kNone:
      return "";
    case StreamFault::kFailed:
      return "no error; the message says what to do, then \"workflow start\"";
    case StreamFault::kMissing:
      return "there, as the store's record says";
    case StreamFault::kFrozen:
      return "not frozen: it follows the side that serves";
    case StreamFault::kAwaitsPosition:
      return "begun at the position of the commit";
    case StreamFault::kNotFrozen:
      return "frozen: it writes into the side that serves";
    case StreamFault::kLeftOver:
      return "none: no record names it";
  }
  return "";
}

void JudgeStreams(const Observation& seen, const std::optional<JournaledCommit>& last,
                  std::vector<Finding>& findings) {
  for (const StreamReading& stream : ReadStreams(seen, last)) {
    const SideReading& reading = (stream.serving ? seen.serving() : seen.other())[stream.side];
    findings.push_back({.place = PlaceOf(reading),
                        .about = absl::StrCat("stream ", stream.id),
                        .state = StreamStateText(stream),
                        .expected = StreamWish(stream.fault),
                        .verdict = VerdictOf(stream.fault == StreamFault::kNone)});
  }
}

void JudgeDatabases(const Observation& seen, std::vector<Finding>& findings) {
  if (!seen.databases_asked) {
    findings.push_back({.place = "databases",
                        .about = "all",
                        .state = "not asked: clients wait for the cutover",
                        .expected = {},
                        .verdict = Verdict::kBusy});
    return;
  }
  const std::optional<JournaledCommit> last = LastCommit(seen);
  for (const bool serving : {true, false}) {
    for (const SideReading& reading : serving ? seen.serving() : seen.other()) {
      if (!reading.reached.ok()) {
        findings.push_back({.place = PlaceOf(reading),
                            .about = "database",
                            .state = std::string(reading.reached.message()),
                            .expected = "an answer",
                            .verdict = Verdict::kUnreachable});
        continue;
      }
      JudgeGate(seen, reading, serving, findings);
      JudgeJournal(seen, reading, last, findings);
    }
  }
  JudgeStreams(seen, last, findings);
}

void JudgeRules(const Observation& seen, std::vector<Finding>& findings) {
  std::vector<std::string> faults = RuleFaults(seen);
  const size_t more = faults.size() > kRulesNamedMax ? faults.size() - kRulesNamedMax : 0;
  faults.resize(faults.size() - more);
  findings.push_back(
      {.place = "rules",
       .about = absl::StrCat("epoch ", seen.epoch),
       .state = faults.empty()
                    ? std::string("lead to the side that the record says")
                    : absl::StrCat(absl::StrJoin(faults, "; "),
                                   more == 0 ? "" : absl::StrCat("; and ", more, " more")),
       .expected = {},
       .verdict = VerdictOf(faults.empty())});
  for (const std::string& hold : HoldsLeftOver(seen)) {
    findings.push_back({.place = "rules",
                        .about = absl::StrCat("hold of cutover ", hold),
                        .state = "proxies hold statements on the tables",
                        .expected = "none: no such cutover is under way",
                        .verdict = Verdict::kDisagrees});
  }
}

void JudgeProxies(const Observation& seen, std::vector<Finding>& findings) {
  for (const rules::ProxyState& proxy : seen.proxies) {
    Finding finding = {.place = absl::StrCat("proxy ", proxy.id),
                       .about = "rules",
                       .state = absl::StrCat("obeys epoch ", proxy.epoch),
                       .expected = absl::StrCat("epoch ", seen.epoch),
                       .verdict = {}};
    if (!proxy.connected) {
      absl::StrAppend(
          &finding.state, ", not heard for ",
          absl::FormatDuration(absl::Trunc(seen.now - proxy.last_heard, absl::Milliseconds(1))));
      finding.verdict = Verdict::kUnreachable;
    } else if (proxy.refused_epoch > proxy.epoch) {
      absl::StrAppend(&finding.state, ", refuses epoch ", proxy.refused_epoch, ": ",
                      proxy.refused_reason);
      finding.verdict = Verdict::kDisagrees;
    } else {
      finding.verdict = VerdictOf(proxy.epoch >= seen.epoch);
    }
    findings.push_back(std::move(finding));
  }
}

}  // namespace

std::string VerdictName(Verdict verdict) {
  switch (verdict) {
    case Verdict::kAgrees:
      return "agrees";
    case Verdict::kDisagrees:
      return "disagrees";
    case Verdict::kUnreachable:
      return "unreachable";
    case Verdict::kBusy:
      return "busy";
  }
  return "busy";
}

std::vector<Finding> Diagnose(const Observation& seen) {
  std::vector<Finding> findings;
  JudgeRecord(seen, findings);
  JudgeOperation(seen, findings);
  JudgeDatabases(seen, findings);
  JudgeRules(seen, findings);
  JudgeProxies(seen, findings);
  if (!seen.command.empty() && !seen.waits_for_release) {
    // What a command is about to change says nothing.
    for (Finding& finding : findings) {
      if (finding.verdict == Verdict::kDisagrees) {
        finding.verdict = Verdict::kBusy;
      }
    }
  }
  return findings;
}

bool Consistent(const std::vector<Finding>& findings) {
  return std::all_of(findings.begin(), findings.end(),
                     [](const Finding& finding) { return finding.verdict == Verdict::kAgrees; });
}

}  // namespace sluice::traffic
