// FakeCluster: a source and a target mysqld with their agents, scripted: real gate, stream and
// epoch rules, no SQL. Its memory is shared with forked children, so that a coordinator can be
// killed and the next one meets what the first one left.

#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "coordinator/workflow/agents.h"

namespace sluice::traffic::testing {

constexpr int kStreamsMax = 64;

struct FakeStream {
  uint64_t id = 0;
  char workflow[64] = {};
  int state = 0;  // topology::StreamState
  bool frozen = false;
  uint64_t epoch = 0;
  bool awaits_position = false;
  uint64_t from = 0;  // how many writes of the other side it takes for present
};

// One side. Clients write at the worst moments: the last one before the gate closes and the first
// one after it opened.
struct FakeServer {
  int gate = 0;  // workflow::GateState
  uint64_t gate_epoch = 0;
  uint64_t writes = 1;     // acknowledged to clients here
  uint64_t has_other = 0;  // of those acknowledged on the other side
  uint64_t marker_at = 0;
  char marker[64] = {};
  uint32_t journals = 0;
  char journal_id[64] = {};  // the last entry
  char journal[2048] = {};
  char recorded_gate[16] = {};
  char wanted_gate[16] = {};
  char lacks[128] = {};           // privileges that its agent is without
  char end_obstacle[128] = {};    // why its tables can't be dropped or renamed
  char obstacle[128] = {};        // why it can't be closed as a whole
  char kept_by[64] = {};          // the database whose gate keeps it read-only
  bool closed_as_server = false;  // how it was closed last
  uint64_t counter = 1;           // AUTO_INCREMENT of every table
  bool dropped = false;
  bool renamed = false;
  bool released = false;
  FakeStream streams[kStreamsMax] = {};
  int stream_count = 0;
};

struct FakeWorld {
  FakeServer source;  // commerce/0
  FakeServer target;  // customer/0
  char violation[256] = {};
};

// Thread-safe.
class FakeCluster : public workflow::Agents {
 public:
  FakeCluster();
  ~FakeCluster() override;

  // The state after a create whose copy is over: source open, target closed, stream 1 running.
  void Reset();
  [[nodiscard]] FakeWorld& world() { return *world_; }
  [[nodiscard]] FakeServer& source() { return world_->source; }
  [[nodiscard]] FakeServer& target() { return world_->target; }
  [[nodiscard]] const FakeStream* FindStream(const FakeServer& server, uint64_t id) const;
  // Streams of a side that are not deleted.
  [[nodiscard]] static int StreamCount(const FakeServer& server);

  // Called in front of each request ("set_gate closed", "control_stream stop", …); an error is
  // answered instead of doing it. After: done, but the answer is this one.
  using Hook = std::function<absl::Status(const std::string& request, const std::string& agent)>;
  void SetBefore(Hook hook);
  void SetAfter(Hook hook);
  [[nodiscard]] std::vector<std::string> requests() const;
  void ForgetRequests();
  // What ListStreams says of every running stream.
  int64_t lag_ms = 5;
  std::string stream_message;
  std::vector<std::string> keys_owed;  // to table customer

  absl::StatusOr<std::vector<workflow::TableDescription>> DescribeTables(
      const workflow::AgentRef& agent, const std::string& database,
      const std::vector<std::string>& tables, const workflow::CallBudget& budget) override;
  absl::Status CheckTimeZone(const workflow::AgentRef& agent, const std::string& database,
                             const std::vector<std::string>& tables, const std::string& zone,
                             const workflow::CallBudget& budget) override;
  absl::Status PrepareTarget(const workflow::AgentRef& agent, const std::string& workflow,
                             const std::string& database,
                             const std::vector<workflow::TableDescription>& tables,
                             const workflow::CallBudget& budget) override;
  absl::Status CreateStream(const workflow::AgentRef& agent, const workflow::StreamSpec& spec,
                            bool start, const workflow::CallBudget& budget) override;
  absl::StatusOr<topology::StreamInfo> ControlStream(const workflow::AgentRef& agent,
                                                     uint64_t stream_id,
                                                     workflow::StreamAction action, uint64_t epoch,
                                                     const workflow::CallBudget& budget) override;
  absl::StatusOr<topology::StreamInfo> UpdateStream(const workflow::AgentRef& agent,
                                                    const workflow::StreamUpdate& update,
                                                    const workflow::CallBudget& budget) override;
  absl::StatusOr<std::vector<topology::StreamInfo>> ListStreams(
      const workflow::AgentRef& agent, const std::string& workflow,
      const workflow::CallBudget& budget) override;
  absl::StatusOr<workflow::GateResult> SetGate(const workflow::AgentRef& agent,
                                               const workflow::GateChange& change,
                                               const workflow::CallBudget& budget) override;
  absl::StatusOr<workflow::GateReading> ReadGate(const workflow::AgentRef& agent,
                                                 const workflow::GateQuery& query,
                                                 const workflow::CallBudget& budget) override;
  absl::Status PlaceStream(const workflow::AgentRef& agent, uint64_t stream_id,
                           const std::string& position, workflow::StreamAction action,
                           uint64_t epoch, const workflow::CallBudget& budget) override;
  absl::StatusOr<workflow::MarkerReached> AwaitMarker(const workflow::AgentRef& agent,
                                                      uint64_t stream_id,
                                                      const std::string& marker_id,
                                                      const workflow::CallBudget& budget) override;
  absl::StatusOr<workflow::ProbeResult> ProbeGate(const workflow::AgentRef& agent,
                                                  const workflow::GateProbe& probe,
                                                  const workflow::CallBudget& budget) override;
  absl::StatusOr<std::vector<uint64_t>> RaiseCounters(const workflow::AgentRef& agent,
                                                      const workflow::CounterQuery& query,
                                                      const workflow::CallBudget& budget) override;
  absl::StatusOr<std::string> ReadPosition(const workflow::AgentRef& agent,
                                           const workflow::CallBudget& budget) override;
  absl::Status AwaitPosition(const workflow::AgentRef& agent, const std::string& gtid_set,
                             const workflow::CallBudget& budget) override;
  absl::Status WriteJournal(const workflow::AgentRef& agent, const workflow::JournalWrite& entry,
                            const workflow::CallBudget& budget) override;
  absl::StatusOr<workflow::JournalReading> ReadJournal(const workflow::AgentRef& agent,
                                                       const workflow::GateQuery& query,
                                                       const workflow::CallBudget& budget) override;
  absl::StatusOr<std::vector<std::string>> DropTables(const workflow::AgentRef& agent,
                                                      const workflow::DropRequest& request,
                                                      const workflow::CallBudget& budget) override;

 private:
  // Runs `work` between the hooks.
  absl::Status Request(const std::string& name, const workflow::AgentRef& agent,
                       const std::function<absl::Status(FakeServer&, FakeServer&)>& work);
  void Violation(const std::string& what) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void Judge() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  topology::StreamInfo InfoOf(const FakeStream& stream) const;

  FakeWorld* world_;
  mutable absl::Mutex mutex_;
  Hook before_ ABSL_GUARDED_BY(mutex_);
  Hook after_ ABSL_GUARDED_BY(mutex_);
  std::vector<std::string> requests_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace sluice::traffic::testing
