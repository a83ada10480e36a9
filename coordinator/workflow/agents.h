// Agents: calls of the coordinator to the agents; AgentPool makes them over rpc.

#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "common/rpc/client.h"
#include "coordinator/topology/topology.h"

namespace sluice::workflow {

// Whom a call goes to: the primary of a shard, whoever that is at this moment, or one tablet.
struct AgentRef {
  std::string keyspace;
  std::string shard;
  std::string alias;

  static AgentRef Primary(absl::string_view keyspace, absl::string_view shard) {
    return {std::string(keyspace), std::string(shard), ""};
  }
  static AgentRef Tablet(absl::string_view alias) { return {"", "", std::string(alias)}; }
  // "commerce/0" or "zone1-100".
  [[nodiscard]] std::string ToString() const;
};

struct CallBudget {
  absl::Duration timeout = absl::Seconds(5);
  std::string idempotency_id;  // empty: a fresh one. The same id, the same work.
};

enum class GateState { kOpen, kClosed, kReadable, kAbsent, kMixed };
std::string GateStateName(GateState state);  // "open", …

struct GateChange {
  std::string workflow;  // keyspace.name
  std::string database;
  std::vector<std::string> tables;
  GateState state = GateState::kOpen;
  uint64_t epoch = 0;
  uint32_t lock_wait_ms = 0;
  std::string marker_id;
  std::string cutover_id;  // not empty: its journal record is written before the gate changes
  std::string journal;
  bool server = false;                   // it is closed as a whole mysqld, not table by table
  std::vector<std::string> beside = {};  // then: the mysqld's other databases, which close with it
};

struct GateResult {
  GateState state = GateState::kAbsent;
  std::string position;  // gtid_executed after the change
  uint64_t took_us = 0;
  // Of one that is open by itself: databases whose gates keep the mysqld read-only.
  std::vector<std::string> kept_by = {};
};

enum class DropMode { kDrop, kRenameOld, kKeep };

struct GateQuery {
  std::string workflow;
  std::string database;
  std::vector<std::string> tables;
  bool ask_server = false;                         // could the mysqld be closed as a whole …
  std::vector<std::string> beside = {};            // … together with these databases?
  std::optional<DropMode> ask_end = std::nullopt;  // could DropTables end the gate so?
};

struct GateReading {
  GateState state = GateState::kAbsent;
  uint64_t epoch = 0;
  std::vector<std::string> server_obstacles;  // where asked: why the mysqld can't be closed
  std::vector<std::string> end_obstacles;     // where asked: why the gate can't be ended
  bool server = false;                        // it is closed as a whole mysqld, or was last
  std::vector<std::string> kept_by = {};      // as of GateResult
};

// The commit of a cutover, for the mysqld of a side.
struct JournalWrite {
  std::string cutover_id;
  std::string workflow;
  std::string record;
  std::string guard_database;  // not empty: whose gate is closed for good now
};

// What a mysqld keeps of a workflow's cutovers.
struct JournalEntry {
  std::string cutover_id;
  std::string record;      // JSON
  int64_t written_us = 0;  // since 1970
  friend bool operator==(const JournalEntry&, const JournalEntry&) = default;
};

struct JournalReading {
  std::vector<JournalEntry> entries;  // the newest first
  std::string gate_state;             // as it was recorded last; empty: never was
  std::string gate_wanted;            // what it was told to be
};

// Whom to look for on the tables of a gate, and whom to end.
struct GateProbe {
  std::string workflow;
  std::string database;
  std::vector<std::string> tables;
  uint32_t age_ms = 0;         // only who has been there that long
  uint32_t kill_after_ms = 0;  // 0: nobody is ended
  uint64_t kill_rows_max = 0;  // transactions that changed more rows are left alone
};

struct ProbeResult {
  std::string blockers;  // who is still there, for people; empty: nobody
  std::string killed;    // who was ended
};

// AUTO_INCREMENT counters of tables.
struct CounterQuery {
  std::string workflow;
  std::string database;
  std::vector<std::string> tables;
  std::vector<uint64_t> at_least;  // per table: raised where lower. Empty: only read
};

struct MarkerReached {
  std::string applied;        // by the stream, the marker included
  std::string gtid_executed;  // of the stream's own mysqld, read after that
};

struct StreamSpec {
  uint64_t id = 0;
  std::string workflow;
  std::string source_keyspace;
  std::string source_shard;
  std::string source_database;
  std::string target_keyspace;
  std::string target_shard;
  std::string target_database;
  std::vector<std::string> tables;
  std::vector<routing::TabletType> source_types;
  std::string start_position;  // not empty: no copy
  bool stop_after_copy = false;
  std::string workflow_type = "MoveTables";
  stream::StreamOptions options;
  std::string throttled;         // by hand, for this reason
  bool awaits_position = false;  // no copy; PlaceStream says where to begin
};

// What of a stream may change while it runs.
struct StreamUpdate {
  uint64_t stream_id = 0;
  std::vector<routing::TabletType> source_types;
  stream::StreamOptions options;
  std::string throttled;
  uint64_t epoch = 0;
};

enum class StreamAction { kStart, kStop, kFreeze, kUnfreeze, kDelete };
std::string StreamActionName(StreamAction action);  // "start", …

struct TableDescription {
  std::string name;
  std::string create_statement;
  bool exists = false;
  bool is_view = false;
  uint64_t rows_estimate = 0;
  uint64_t bytes_estimate = 0;
  bool has_rows = false;
  std::vector<std::string> key_columns;
  std::vector<std::string> triggers;
  std::vector<std::string> foreign_key_parents;
  std::vector<std::string> foreign_key_children;
  std::vector<std::string> cascades;
  std::vector<std::string> cascade_parents;
  std::vector<std::string> views;
  std::vector<std::string> programs;
  bool cascades_logged = false;
  GateState gate_state = GateState::kAbsent;
};

struct DropRequest {
  std::string workflow;
  std::string database;
  std::vector<std::string> tables;
  DropMode mode = DropMode::kDrop;
  uint64_t epoch = 0;
};

// Every call blocks until its answer or budget.timeout. Errors name the agent: UNAVAILABLE when it
// has no connection or the shard no primary, DEADLINE_EXCEEDED when the outcome is unknown, else
// the agent's own code and message. Thread-safe.
class Agents {
 public:
  Agents() = default;
  Agents(const Agents&) = delete;
  Agents& operator=(const Agents&) = delete;
  virtual ~Agents() = default;

  virtual absl::StatusOr<std::vector<TableDescription>> DescribeTables(
      const AgentRef& agent, const std::string& database, const std::vector<std::string>& tables,
      const CallBudget& budget) = 0;
  // FAILED_PRECONDITION when the mysqld does not know the zone, or names a column of the tables
  // that can't be converted.
  virtual absl::Status CheckTimeZone(const AgentRef& agent, const std::string& database,
                                     const std::vector<std::string>& tables,
                                     const std::string& zone, const CallBudget& budget) = 0;
  virtual absl::Status PrepareTarget(const AgentRef& agent, const std::string& workflow,
                                     const std::string& database,
                                     const std::vector<TableDescription>& tables,
                                     const CallBudget& budget) = 0;
  virtual absl::Status CreateStream(const AgentRef& agent, const StreamSpec& spec, bool start,
                                    const CallBudget& budget) = 0;
  virtual absl::StatusOr<topology::StreamInfo> ControlStream(const AgentRef& agent,
                                                             uint64_t stream_id,
                                                             StreamAction action, uint64_t epoch,
                                                             const CallBudget& budget) = 0;
  // Gives a stream the position that it awaits; `action` is kStart or kStop.
  virtual absl::Status PlaceStream(const AgentRef& agent, uint64_t stream_id,
                                   const std::string& position, StreamAction action, uint64_t epoch,
                                   const CallBudget& budget) = 0;
  virtual absl::StatusOr<topology::StreamInfo> UpdateStream(const AgentRef& agent,
                                                            const StreamUpdate& update,
                                                            const CallBudget& budget) = 0;
  virtual absl::StatusOr<std::vector<topology::StreamInfo>> ListStreams(
      const AgentRef& agent, const std::string& workflow, const CallBudget& budget) = 0;
  // ABORTED, blockers named in the message, when the attempt ran into its lock wait.
  virtual absl::StatusOr<GateResult> SetGate(const AgentRef& agent, const GateChange& change,
                                             const CallBudget& budget) = 0;
  virtual absl::StatusOr<GateReading> ReadGate(const AgentRef& agent, const GateQuery& query,
                                               const CallBudget& budget) = 0;
  // The agent waits as long as the budget lasts, less a margin.
  virtual absl::StatusOr<MarkerReached> AwaitMarker(const AgentRef& agent, uint64_t stream_id,
                                                    const std::string& marker_id,
                                                    const CallBudget& budget) = 0;
  virtual absl::StatusOr<ProbeResult> ProbeGate(const AgentRef& agent, const GateProbe& probe,
                                                const CallBudget& budget) = 0;
  // As they are afterwards, per table; 0 for a table without one.
  virtual absl::StatusOr<std::vector<uint64_t>> RaiseCounters(const AgentRef& agent,
                                                              const CounterQuery& query,
                                                              const CallBudget& budget) = 0;
  virtual absl::StatusOr<std::string> ReadPosition(const AgentRef& agent,
                                                   const CallBudget& budget) = 0;
  virtual absl::Status AwaitPosition(const AgentRef& agent, const std::string& gtid_set,
                                     const CallBudget& budget) = 0;
  virtual absl::Status WriteJournal(const AgentRef& agent, const JournalWrite& entry,
                                    const CallBudget& budget) = 0;
  // The last few entries of the query's workflow, and what is recorded of its gate.
  virtual absl::StatusOr<JournalReading> ReadJournal(const AgentRef& agent, const GateQuery& query,
                                                     const CallBudget& budget) = 0;
  // The names dropped or renamed.
  virtual absl::StatusOr<std::vector<std::string>> DropTables(const AgentRef& agent,
                                                              const DropRequest& request,
                                                              const CallBudget& budget) = 0;
};

// One rpc::Client per agent address, made when first needed.
class AgentPool : public Agents {
 public:
  explicit AgentPool(const topology::Topology& topology, std::string caller = "coordinator");
  ~AgentPool() override;

  absl::StatusOr<std::shared_ptr<rpc::Client>> ForPrimary(absl::string_view keyspace,
                                                          absl::string_view shard);
  absl::StatusOr<std::shared_ptr<rpc::Client>> ForAlias(absl::string_view alias);

  // Ends calls in flight and refuses new ones.
  void Close();

  absl::StatusOr<std::vector<TableDescription>> DescribeTables(
      const AgentRef& agent, const std::string& database, const std::vector<std::string>& tables,
      const CallBudget& budget) override;
  absl::Status CheckTimeZone(const AgentRef& agent, const std::string& database,
                             const std::vector<std::string>& tables, const std::string& zone,
                             const CallBudget& budget) override;
  absl::Status PrepareTarget(const AgentRef& agent, const std::string& workflow,
                             const std::string& database,
                             const std::vector<TableDescription>& tables,
                             const CallBudget& budget) override;
  absl::Status CreateStream(const AgentRef& agent, const StreamSpec& spec, bool start,
                            const CallBudget& budget) override;
  absl::StatusOr<topology::StreamInfo> ControlStream(const AgentRef& agent, uint64_t stream_id,
                                                     StreamAction action, uint64_t epoch,
                                                     const CallBudget& budget) override;
  absl::Status PlaceStream(const AgentRef& agent, uint64_t stream_id, const std::string& position,
                           StreamAction action, uint64_t epoch, const CallBudget& budget) override;
  absl::StatusOr<topology::StreamInfo> UpdateStream(const AgentRef& agent,
                                                    const StreamUpdate& update,
                                                    const CallBudget& budget) override;
  absl::StatusOr<std::vector<topology::StreamInfo>> ListStreams(const AgentRef& agent,
                                                                const std::string& workflow,
                                                                const CallBudget& budget) override;
  absl::StatusOr<GateResult> SetGate(const AgentRef& agent, const GateChange& change,
                                     const CallBudget& budget) override;
  absl::StatusOr<GateReading> ReadGate(const AgentRef& agent, const GateQuery& query,
                                       const CallBudget& budget) override;
  absl::StatusOr<MarkerReached> AwaitMarker(const AgentRef& agent, uint64_t stream_id,
                                            const std::string& marker_id,
                                            const CallBudget& budget) override;
  absl::StatusOr<ProbeResult> ProbeGate(const AgentRef& agent, const GateProbe& probe,
                                        const CallBudget& budget) override;
  absl::StatusOr<std::vector<uint64_t>> RaiseCounters(const AgentRef& agent,
                                                      const CounterQuery& query,
                                                      const CallBudget& budget) override;
  absl::StatusOr<std::string> ReadPosition(const AgentRef& agent,
                                           const CallBudget& budget) override;
  absl::Status AwaitPosition(const AgentRef& agent, const std::string& gtid_set,
                             const CallBudget& budget) override;
  absl::Status WriteJournal(const AgentRef& agent, const JournalWrite& entry,
                            const CallBudget& budget) override;
  absl::StatusOr<JournalReading> ReadJournal(const AgentRef& agent, const GateQuery& query,
                                             const CallBudget& budget) override;
  absl::StatusOr<std::vector<std::string>> DropTables(const AgentRef& agent,
                                                      const DropRequest& request,
                                                      const CallBudget& budget) override;

 private:
  absl::StatusOr<std::shared_ptr<rpc::Client>> Find(const AgentRef& agent);
  absl::StatusOr<std::shared_ptr<rpc::Client>> ForTablet(const topology::TabletInfo& tablet);

  const topology::Topology& topology_;
  const std::string caller_;
  absl::Mutex mutex_;
  // By address; the tablets of one agent share theirs. Those that no tablet has any more are ended
  // when another one is made.
  std::map<std::string, std::shared_ptr<rpc::Client>> clients_ ABSL_GUARDED_BY(mutex_);
  bool closed_ ABSL_GUARDED_BY(mutex_) = false;
};

}  // namespace sluice::workflow
