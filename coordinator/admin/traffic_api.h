// TrafficApi: the commands that move traffic or end a workflow, as the admin dispatch calls them.

#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "common/routing/target.h"

namespace sluice::admin {

struct WorkflowRef {
  std::string keyspace;
  std::string name;
};

// How the old side is to be closed.
enum class GateWish {
  kAuto,    // each mysqld as a whole where nothing stands against it
  kTables,  // table by table
  kServer,  // as whole mysqlds, or not at all
};

using Shards = std::vector<std::string>;

struct SwitchArgs {
  WorkflowRef workflow;
  std::vector<routing::TabletType> types;  // empty: all
  std::vector<std::string> cells;          // whose reads move; empty: all
  absl::Duration timeout = absl::Seconds(30);
  absl::Duration max_lag = absl::Seconds(30);
  bool dry_run = false;
  bool enable_reverse = true;
  bool hold = false;            // prepare all, then wait for a release
  bool raise_counters = false;  // AUTO_INCREMENT of the target above the source's
  absl::Duration kill_blockers_after = absl::ZeroDuration();  // zero: nobody is ended
  uint64_t kill_blockers_rows = 10'000;  // transactions that changed more are never ended
  GateWish gate = GateWish::kAuto;
  bool force = false;        // in spite of lag and of what does not serve
  uint32_t parallelism = 0;  // shards that are prepared at once; 0: a default
};

struct FinishArgs {
  WorkflowRef workflow;
  bool keep_data = false;
  bool keep_routing_rules = false;
  bool rename_tables = false;
  bool dry_run = false;
};

// Each answers a JSON document (coordinator/README.md). Runs in the caller's thread and goes on
// when the operator's connection is gone; `deadline` is when nobody waits for the answer any more.
// Thread-safe.
class TrafficApi {
 public:
  TrafficApi() = default;
  TrafficApi(const TrafficApi&) = delete;
  TrafficApi& operator=(const TrafficApi&) = delete;
  virtual ~TrafficApi() = default;

  virtual absl::StatusOr<std::string> Switch(const SwitchArgs& args, absl::Time deadline) = 0;
  virtual absl::StatusOr<std::string> Reverse(const SwitchArgs& args, absl::Time deadline) = 0;
  virtual absl::StatusOr<std::string> Complete(const FinishArgs& args, absl::Time deadline) = 0;
  virtual absl::StatusOr<std::string> Cancel(const FinishArgs& args, absl::Time deadline) = 0;
  virtual absl::StatusOr<std::string> Delete(const FinishArgs& args, absl::Time deadline) = 0;
  // Of the streams into these shards of the target; all when none is named.
  virtual absl::StatusOr<std::string> Start(const WorkflowRef& workflow, const Shards& shards,
                                            absl::Time deadline) = 0;
  virtual absl::StatusOr<std::string> Stop(const WorkflowRef& workflow, const Shards& shards,
                                           absl::Time deadline) = 0;
  // `attempt`: only this one, 1 is the newest; 0: all.
  virtual absl::StatusOr<std::string> CutoverShow(const WorkflowRef& workflow,
                                                  uint32_t attempt) = 0;
  // What a cutover of the workflow is at, in words; empty when none is under way.
  virtual std::string UnderWay(const WorkflowRef& workflow) = 0;
  // How the workflow stands in the store, the databases, the rules and the proxies.
  virtual absl::StatusOr<std::string> Diagnose(const WorkflowRef& workflow,
                                               absl::Time deadline) = 0;
  // Brings a half-done state to one of its two ends; with `yes` also by what can't be taken back.
  virtual absl::StatusOr<std::string> Repair(const WorkflowRef& workflow, bool yes,
                                             absl::Time deadline) = 0;
  // Lets a cutover that was prepared with --hold go on, or takes one back; answers at its end.
  virtual absl::StatusOr<std::string> CutoverRelease(const WorkflowRef& workflow,
                                                     absl::Time deadline) = 0;
  virtual absl::StatusOr<std::string> CutoverAbort(const WorkflowRef& workflow,
                                                   absl::Time deadline) = 0;
};

}  // namespace sluice::admin
