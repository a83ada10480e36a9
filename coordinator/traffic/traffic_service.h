// TrafficService: the commands that move traffic or end a workflow, and what is left of them by an
// earlier coordinator.

#pragma once

#include <map>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/synchronization/mutex.h"
#include "coordinator/admin/traffic_api.h"
#include "coordinator/cutover/agent_effects.h"
#include "coordinator/cutover/ledger.h"
#include "coordinator/cutover/runner.h"
#include "coordinator/traffic/dependencies.h"
#include "coordinator/traffic/finish_command.h"
#include "coordinator/traffic/stray_watch.h"
#include "coordinator/traffic/teardown.h"

namespace sluice::traffic {

struct TrafficOptions {
  cutover::DriverOptions cutover = {};
  TeardownOptions teardown = {};
  absl::Duration stray_interval = absl::Seconds(2);  // between two looks for streams nobody wants
};

// Thread-safe.
class TrafficService : public admin::TrafficApi {
 public:
  explicit TrafficService(const Dependencies& parts, TrafficOptions options = {});
  TrafficService(const TrafficService&) = delete;
  TrafficService& operator=(const TrafficService&) = delete;
  ~TrafficService() override;  // Close()

  // Goes on, in the background, with every cutover and teardown that the store knows of. Call
  // before commands are served: it takes their workflows' locks. A state that cannot be read is
  // left alone and named in the returned DATA_LOSS; the others go on. From then on, streams that
  // nothing in the store wants are stopped.
  absl::Status Recover();

  // Leaves what is under way to the next coordinator and joins all threads. Close the agents, the
  // rules and the topology first: they are what the threads wait on.
  void Close();

  absl::StatusOr<std::string> Switch(const admin::SwitchArgs& args, absl::Time deadline) override;
  absl::StatusOr<std::string> Reverse(const admin::SwitchArgs& args, absl::Time deadline) override;
  absl::StatusOr<std::string> Complete(const admin::FinishArgs& args, absl::Time deadline) override;
  absl::StatusOr<std::string> Cancel(const admin::FinishArgs& args, absl::Time deadline) override;
  absl::StatusOr<std::string> Delete(const admin::FinishArgs& args, absl::Time deadline) override;
  absl::StatusOr<std::string> Start(const admin::WorkflowRef& workflow, const admin::Shards& shards,
                                    absl::Time deadline) override;
  absl::StatusOr<std::string> Stop(const admin::WorkflowRef& workflow, const admin::Shards& shards,
                                   absl::Time deadline) override;
  absl::StatusOr<std::string> CutoverShow(const admin::WorkflowRef& workflow,
                                          uint32_t attempt) override;
  std::string UnderWay(const admin::WorkflowRef& workflow) override;
  absl::StatusOr<std::string> Diagnose(const admin::WorkflowRef& workflow,
                                       absl::Time deadline) override;
  absl::StatusOr<std::string> Repair(const admin::WorkflowRef& workflow, bool yes,
                                     absl::Time deadline) override;
  absl::StatusOr<std::string> CutoverRelease(const admin::WorkflowRef& workflow,
                                             absl::Time deadline) override;
  absl::StatusOr<std::string> CutoverAbort(const admin::WorkflowRef& workflow,
                                           absl::Time deadline) override;

 private:
  // The cutover of a workflow that is under way.
  absl::StatusOr<std::shared_ptr<cutover::Run>> FindRun(const admin::WorkflowRef& workflow);
  // Its end, as an answer.
  absl::StatusOr<std::string> AwaitEnd(const cutover::Run& run, absl::string_view command,
                                       absl::Time deadline);
  absl::Status RecoverOne(const std::string& key, const std::string& bytes);
  std::shared_ptr<Teardown> Adopt(cutover::Records records, cutover::StoredTeardown teardown,
                                  Exclusion exclusion);
  // How commands hand a decided end over.
  FinishCommand::Adopt Adopter();
  // One that runs and is what the command would begin; null when there is none.
  std::shared_ptr<Teardown> FindTeardown(const admin::FinishArgs& args, FinishKind kind)
      ABSL_LOCKS_EXCLUDED(mutex_);
  absl::StatusOr<std::string> Finish(const admin::FinishArgs& args, FinishKind kind,
                                     absl::Time deadline);
  absl::StatusOr<std::string> ControlStreams(const admin::WorkflowRef& workflow,
                                             const admin::Shards& shards, bool start,
                                             absl::Time deadline);

  const Dependencies parts_;
  const TrafficOptions options_;
  cutover::Ledger ledger_;
  cutover::Releases releases_;
  cutover::AgentEffects effects_;
  cutover::Runner runner_;

  std::unique_ptr<StrayWatch> strays_;

  absl::Mutex mutex_;
  std::vector<std::shared_ptr<Teardown>> teardowns_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace sluice::traffic
