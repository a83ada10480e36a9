// BatchModel: a mysqld with several gates, as a batch sees it.

#include "tests/agent/gate/batch_model.h"

#include <algorithm>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"

namespace sluice::gate {
namespace {

// One run of a batch.
class Run {
 public:
  Run(BatchModel& model, const std::vector<GateChange>& changes,
      const std::vector<BatchFault>& faults)
      : model_(model),
        changes_(changes),
        faults_(faults),
        batch_(changes),
        waits_(changes.size()) {}

  BatchDrive ToEnd() {
    BatchDrive drive;
    while (const auto effect = batch_.Next()) {
      const BatchFault fault = FaultOf(*effect, drive.effects.size());
      drive.effects.push_back(effect->kind);
      Judge(*effect);
      const BatchAnswer answer = Carry(*effect, fault);
      if (fault.fault == Fault::kCrashBefore || fault.fault == Fault::kCrashAfter) {
        drive.crashed = true;
        break;
      }
      batch_.Answer(*effect, answer);
    }
    for (size_t i = 0; i < batch_.size(); ++i) {
      drive.states.push_back(batch_.state(i));
    }
    return drive;
  }

 private:
  void Require(bool holds, const std::string& rule) {
    if (!holds) {
      model_.broken.push_back(rule);
    }
  }

  BatchFault FaultOf(const JoinedEffect& effect, size_t number) const {
    for (const BatchFault& each : faults_) {
      if (each.effect == number) {
        return each;
      }
    }
    BatchFault fault;
    for (const size_t member : effect.members) {
      const bool rename = absl::StartsWith(effect.sql, "RENAME");
      if (model_.refused.contains({member, effect.kind})) {
        fault.fault = Fault::kRefused;
      } else if (rename && model_.held.contains(member)) {
        fault.fault = Fault::kNoLocks;
        fault.blocked = model_.holders_are_seen ? model_.held : std::set<size_t>();
      }
    }
    return fault;
  }

  // What holds of every joined effect.
  void Judge(const JoinedEffect& effect) {
    std::string sql;
    for (const size_t member : effect.members) {
      const GateEffect& own = batch_.effect(member);
      Require(own.kind == effect.kind, "an effect of another kind");
      const bool lockless =
          own.kind == GateEffectKind::kReadRecord || own.kind == GateEffectKind::kLock;
      Require(lockless || own.kind == GateEffectKind::kTidy || locked_.contains(member),
              "done without the gate's lock");
      const bool first = sql.empty();
      const bool of_server = batch_.state(member).holds_server;
      sql += first       ? own.sql
             : of_server ? ""
                         : absl::StrCat(", ", own.sql.substr(own.sql.find(" `") + 1));
      if (own.kind == GateEffectKind::kRun) {
        Require(effect.bound <= own.bound - waits_[member] + absl::Nanoseconds(1),
                "clients wait longer than the gate's request allows");
      }
      Require(own.kind != GateEffectKind::kRun || !of_server || effect.sql == own.sql,
              "another statement on the server: " + effect.sql);
    }
    Require(effect.members.size() == 1 || effect.sql == sql || effect.kind != GateEffectKind::kRun,
            absl::StrCat("joined wrongly: ", effect.sql));
  }

  BatchAnswer Carry(const JoinedEffect& effect, const BatchFault& fault) {
    BatchAnswer answer;
    bool all_locked = true;
    for (const size_t member : effect.members) {
      all_locked = all_locked && locked_.contains(member);
    }
    const bool skipped = effect.kind == GateEffectKind::kTidy && !all_locked;
    for (const size_t member : effect.members) {
      MemberAnswer own;
      own.event = model_.gates[member].Answer(changes_[member], batch_.effect(member),
                                              skipped ? Fault::kLostBefore : fault.fault);
      own.blocked = fault.blocked.contains(member);
      answer.members.push_back(std::move(own));
    }
    if (fault.fault == Fault::kNone && !skipped) {
      Note(effect);
    }
    if (fault.fault == Fault::kNoLocks) {
      answer.waited = effect.bound;
      for (const size_t member : effect.members) {
        waits_[member] += effect.bound;
      }
    }
    if (fault.fault == Fault::kLostBefore || fault.fault == Fault::kLostAfter) {
      answer.session_lost = effect.kind != GateEffectKind::kReadRecord;
      locked_.clear();
    }
    return answer;
  }

  void Note(const JoinedEffect& effect) {
    model_.done.push_back(absl::StrCat(GateEffectName(effect.kind), "*", effect.members.size()));
    if (absl::StartsWith(effect.sql, "RENAME")) {
      model_.renames.push_back(effect.sql);
    }
    for (const size_t member : effect.members) {
      if (effect.kind == GateEffectKind::kLock) {
        locked_.insert(member);
      }
      waits_[member] = absl::ZeroDuration();
    }
  }

  BatchModel& model_;
  const std::vector<GateChange>& changes_;
  const std::vector<BatchFault>& faults_;
  GateBatch batch_;
  std::set<size_t> locked_;            // by the session that there is
  std::vector<absl::Duration> waits_;  // for the locks of one statement, tries taken together
};

}  // namespace

std::vector<std::string> BatchModel::AllBroken() const {
  std::vector<std::string> all = broken;
  for (const GateModel& gate : gates) {
    all.insert(all.end(), gate.broken.begin(), gate.broken.end());
  }
  return all;
}

BatchDrive RunBatch(BatchModel& model, const std::vector<GateChange>& changes,
                    const std::vector<BatchFault>& faults) {
  return Run(model, changes, faults).ToEnd();
}

}  // namespace sluice::gate
