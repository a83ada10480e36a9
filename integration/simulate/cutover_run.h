// CutoverRun: one cutover under way in the coordinator, driven as coordinator/cutover/run.cc drives
// it, in virtual time.

#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "absl/time/time.h"
#include "coordinator/cutover/driver.h"
#include "coordinator/cutover/effects.h"
#include "integration/simulate/agent.h"
#include "integration/simulate/coordinator.h"

namespace sluice::simulate {

// Belongs to one life of the coordinator.
class CutoverRun : public std::enable_shared_from_this<CutoverRun> {
 public:
  // `issued`: as of Driver.
  CutoverRun(Coordinator& coordinator, cutover::StoredCutover cutover,
             const std::vector<cutover::Effect>& issued);

  void Begin() { Wake(0); }
  void Abort(const std::string& why);
  [[nodiscard]] const cutover::State& state() const { return driver_.state(); }

 private:
  using Told = std::function<void(cutover::EffectOutcome)>;
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
  void Take(const cutover::Event& event);
  void Persist();
  absl::Status Save();
  void Dispatch();
  void Commit(const cutover::Effect& effect);
  absl::Status CommitInStore(Store& store, const cutover::State& after) const;
  void Finish();
  [[nodiscard]] Micros Now() const;
  [[nodiscard]] absl::Time Clock() const { return absl::FromUnixMicros(Now()); }

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
  cutover::Driver driver_;
  std::vector<Report> reports_;
  bool waking_ = false;
  absl::Time next_wake_ = absl::InfinitePast();
  bool over_ = false;
};

// 0 or 1, and the shard's number.
uint32_t SideNumber(const cutover::Side& side);
uint32_t ShardNumber(const cutover::Side& side);

}  // namespace sluice::simulate
