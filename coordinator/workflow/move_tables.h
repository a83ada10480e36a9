// MoveTables: the create command, and the thread that finishes what a create left behind.

#pragma once

#include <map>
#include <string>
#include <thread>

#include "absl/base/thread_annotations.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "coordinator/workflow/create_plan.h"
#include "coordinator/workflow/update_workflow.h"

namespace sluice::workflow {

struct MoveTablesOptions {
  // For so long a create that the coordinator's death interrupted waits for its agents, to go
  // forward; then it is undone.
  absl::Duration forward_within = absl::Seconds(60);
  absl::Duration retry_every = absl::Seconds(1);
  // How long the answer of a create waits for the first report of the streams.
  absl::Duration first_report_within = absl::Seconds(2);
};

// Thread-safe.
class MoveTables {
 public:
  explicit MoveTables(const Services& services, MoveTablesOptions options = {});
  MoveTables(const MoveTables&) = delete;
  MoveTables& operator=(const MoveTables&) = delete;
  ~MoveTables();  // Close()

  // Starts the recovery of creates that did not end: forward, or back where it was decided so.
  void Start();

  // Creates a workflow. The answer is its status document, or for a dry run
  // {"summary":…,"dry_run_results":[…]}. On error everything is as before; where that could not be
  // reached at once the message says so and the recovery goes on undoing.
  absl::StatusOr<std::string> Create(const CreateArgs& args, absl::Time deadline);

  // Changes options of a workflow while its streams run, durably first. The answer is
  // {"summary":…,"details":[{"tablet":…,"changed":true}]}. Where an agent does not answer the error
  // says so, and its streams get the options when it does.
  absl::StatusOr<std::string> Update(const UpdateArgs& args, absl::Time deadline);

  // Ends the recovery thread. Creates in progress end when their agents' calls do.
  void Close();

 private:
  void RecoverLoop();
  // True when nothing is left to recover.
  bool RecoverAll();
  bool RecoverOne(const WorkflowRecord& listed);
  absl::Status Recover(WorkflowRecord& record);
  absl::Status UndoAfter(WorkflowRecord& record, const absl::Status& why, absl::Time deadline);
  void Poke();

  const Services services_;
  const MoveTablesOptions options_;
  absl::Mutex mutex_;
  bool closed_ ABSL_GUARDED_BY(mutex_) = false;
  bool work_ ABSL_GUARDED_BY(mutex_) = true;  // something may be left to recover
  // Of the recovery thread alone: when a create in recovery was first met.
  std::map<std::string, absl::Time> met_;
  std::jthread thread_;
};

}  // namespace sluice::workflow
