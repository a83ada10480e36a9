// CutoverRun: one cutover under way in the coordinator, step by step as coordinator/cutover/run.cc
// does it, in virtual time.

#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "coordinator/cutover/codec.h"
#include "coordinator/cutover/effects.h"
#include "integration/simulate/agent.h"
#include "integration/simulate/coordinator.h"

namespace sluice::simulate {

// Belongs to one life of the coordinator.
class CutoverRun : public std::enable_shared_from_this<CutoverRun> {
 public:
  CutoverRun(Coordinator& coordinator, cutover::StoredCutover cutover);

  void Issue(const std::vector<cutover::Effect>& effects);
  void Recover();
  void Abort(const std::string& why);
  [[nodiscard]] const cutover::State& state() const { return cutover_.state; }

 private:
  using Told = std::function<void(cutover::EffectOutcome)>;
  struct Ready {
    cutover::Effect effect;
    Micros due = 0;
  };
  struct Report {
    cutover::Effect effect;
    cutover::EffectOutcome outcome;
  };
  struct Job {
    std::shared_ptr<const cutover::State> snapshot;  // that issued it
    cutover::Effect effect;
    Micros deadline = 0;
    [[nodiscard]] const cutover::State& state() const { return *snapshot; }
    [[nodiscard]] const cutover::Plan& plan() const { return snapshot->plan; }
  };
  using JobPointer = std::shared_ptr<const Job>;

  // As in Run.
  void Wake(Micros delay);
  void Drive();
  void TakeReport(const Report& report);
  void Feed(const cutover::Event& event);
  void Queue(const cutover::Effect& effect);
  void Persist();
  absl::Status Save();
  void PutOffUnlessStored();
  void Dispatch();
  [[nodiscard]] bool MustWait(const cutover::Effect& effect) const;
  void Commit(const cutover::Effect& effect);
  absl::Status CommitInStore(Store& store, const cutover::State& after) const;
  void Finish();
  void StartClock();
  [[nodiscard]] Micros Now() const;

  // As in AgentEffects.
  void Perform(const JobPointer& job, const Told& told);
  bool PerformHere(const JobPointer& job, const Told& told);
  void PerformThere(const JobPointer& job, const Told& told);
  void HoldRules(const JobPointer& job, const Told& told);
  void AwaitRelease(const JobPointer& job, const Told& told);
  void SetGate(const JobPointer& job, gate::State wanted, const Told& told);
  void Seal(const JobPointer& job, const Told& told);
  void PrepareReverse(const JobPointer& job, const Told& told);
  void StartReverse(const JobPointer& job, const Told& told);
  void ControlStream(const JobPointer& job, uint64_t stream, StreamAction action, const Told& told);
  void RaiseCounters(const JobPointer& job, uint32_t margin, const Told& told);
  void AwaitReplicas(const JobPointer& job, const Told& told);
  void CallAgent(const JobPointer& job, const cutover::Side& side, Micros at_most,
                 std::function<void(Agent&, Micros, Respond)> request, const Respond& answer);
  [[nodiscard]] Micros Budget(const Job& job, Micros at_most) const;

  Coordinator& coordinator_;
  World& world_;
  cutover::StoredCutover cutover_;
  std::vector<Ready> ready_;
  std::vector<Ready> waves_;
  std::vector<Report> reports_;
  uint32_t early_at_work_ = 0;
  bool dirty_ = false;
  Micros deadline_;
  bool stored_undoes_;
  bool waking_ = false;
  Micros next_wake_ = 0;
  bool over_ = false;
};

// 0 or 1, and the shard's number.
uint32_t SideNumber(const cutover::Side& side);
uint32_t ShardNumber(const cutover::Side& side);

}  // namespace sluice::simulate
