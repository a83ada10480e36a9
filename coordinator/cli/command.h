// Command: what the operator asked for, whichever way it was spelled.

#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/time/time.h"
#include "common/routing/target.h"
#include "common/stream/stream_options.h"
#include "coordinator/admin/traffic_api.h"

namespace sluice::cli {

enum class Verb {
  kMoveTablesCreate,
  kWorkflowShow,
  kWorkflowStatus,
  kSwitchTraffic,
  kReverseTraffic,
  kComplete,
  kCancel,
  kWorkflowStart,
  kWorkflowStop,
  kWorkflowUpdate,
  kWorkflowThrottle,
  kWorkflowUnthrottle,
  kWorkflowList,
  kWorkflowDelete,
  kWorkflowDiagnose,
  kWorkflowRepair,
  kGetRoutingRules,
  kApplyRoutingRules,
  kGetShardRoutingRules,
  kApplyShardRoutingRules,
  kGetTablets,
  kKeyspaceCreate,
  kKeyspaceList,
  kKeyspaceShow,
  kCutoverShow,
  kCutoverRelease,
  kCutoverAbort,
  kProxies,
  kThrottleOn,
  kThrottleOff,
  kThrottleShow,
  kHelp,
  kVersion,
};

enum class Format { kText, kJson };

// A value: equal commands do the same thing. Fields that the verb does not use keep their defaults.
struct Command {
  Verb verb = Verb::kHelp;
  std::string topic;  // of help: "", "movetables", "movetables create"

  std::string coordinator;  // URL; empty: from the environment
  Format format = Format::kText;
  std::optional<absl::Duration> action_timeout;  // unset: a default for each verb

  std::string keyspace;  // a workflow's target keyspace, or the keyspace itself
  std::string workflow;
  std::string source_keyspace;
  std::vector<std::string> tables;
  std::vector<std::string> exclude_tables;
  std::vector<routing::TabletType> tablet_types;  // empty: all, or the coordinator's choice
  std::vector<std::string> shards;                // of a new keyspace; else empty: all
  std::vector<std::string> source_shards;         // not empty: a workflow of whole shards
  std::string rules;                              // JSON
  std::string rules_file;
  absl::Duration timeout = absl::Seconds(30);
  absl::Duration max_lag = absl::Seconds(30);
  stream::StreamOptions stream;
  std::string reason;
  bool on_ddl_given = false;
  bool all_tables = false;
  bool auto_start = true;
  bool stop_after_copy = false;
  bool enable_reverse = true;
  bool hold = false;
  bool initialize_sequences = false;
  absl::Duration kill_blockers_after = absl::ZeroDuration();  // zero: nobody is ended
  uint64_t kill_blockers_rows = 10'000;
  admin::GateWish gate = admin::GateWish::kAuto;
  bool dry_run = false;
  bool force = false;
  uint32_t parallelism = 0;  // 0: the coordinator's own
  bool yes = false;
  uint32_t attempt = 0;  // of cutover show; 0: all
  bool keep_data = false;
  bool keep_routing_rules = false;
  bool rename_tables = false;
  bool watch = false;

  friend bool operator==(const Command&, const Command&) = default;
};

}  // namespace sluice::cli
