// Agent: what stands beside a mysqld. The gate's decisions are those of the shipped machine; what
// it does with streams follows agent/target.

#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "agent/gate/gate_machine.h"
#include "integration/simulate/mysqld.h"
#include "integration/simulate/network.h"

namespace sluice::simulate {

class World;
class StreamTask;

// Of one stream's source, in the order of its binlog.
struct Batch {
  std::vector<TxPointer> transactions;
  uint32_t uuid = 0;
  size_t next = 0;  // where to read on at this server
};

// The beginning of a NOT_FOUND.
inline constexpr const char* kNoSuchStream = "no such stream";

enum class StreamAction : uint8_t { kStart, kStop, kFreeze, kDelete };

struct StreamCommand {
  uint64_t id = 0;
  StreamAction action = StreamAction::kStop;
  uint64_t epoch = 0;
  std::string position = {};
};

class Agent {
 public:
  Agent(World& world, Mysqld& mysqld, const std::string& name);
  Agent(const Agent&) = delete;
  Agent& operator=(const Agent&) = delete;
  ~Agent();

  // Requests.
  void SetGate(const gate::GateChange& change, Micros deadline, Respond respond);
  void ProbeGate(const Respond& respond);
  void CheckStream(uint64_t id, const Respond& respond);
  void CreateStream(const StreamRow& stream, Micros deadline, const Respond& respond);
  void Control(const StreamCommand& command, Respond respond);
  void AwaitMarker(uint64_t stream, const std::string& marker, Micros deadline, Respond respond);
  void ReadCounter(const Respond& respond);
  void RaiseCounter(uint32_t at_least, const Respond& respond);
  void ReadPosition(const Respond& respond);
  void AwaitPosition(const Gtids& position, Micros deadline, Respond respond);
  void WriteJournal(const std::string& cutover, const Respond& respond);
  struct BinlogRequest {
    Gtids position;
    uint32_t uuid = 0;  // of the server that `next` belongs to
    size_t next = 0;
  };
  void ReadBinlog(const BinlogRequest& request, Micros deadline, Respond respond);

  void Begin();          // of a new process: looks at mysqld now, and from now on
  void TakeUpStreams();  // those that another process has let go of
  void Crash();
  void MysqldLost();
  void StopStreams();

  [[nodiscard]] Mysqld& mysqld() { return mysqld_; }
  [[nodiscard]] World& world() { return world_; }
  [[nodiscard]] bool Runs(uint64_t stream) const;
  // By its last look mysqld is the PRIMARY, and its duties are taken up.
  [[nodiscard]] bool ready() const { return taken_ && resumed_; }

  // A session of this process, closed when it dies.
  SessionId Connect();
  // `done` in this process, with UNAVAILABLE when the server is lost meanwhile.
  Done Guard(Done done);
  // A transaction of a session of its own.
  void Write(std::function<absl::StatusOr<Tx>()> make, const Done& done);

  Process process;

 private:
  struct GateRun;
  using GateRunPointer = std::shared_ptr<GateRun>;
  using Told = std::function<void(gate::GateEvent)>;

  void Proceed(const GateRunPointer& run, gate::GateTransition transition);
  void Perform(const GateRunPointer& run, const gate::GateEffect& effect, const Told& told);
  void LockGate(const GateRunPointer& run, const Told& told);
  void WriteAsGate(const GateRunPointer& run, std::function<absl::StatusOr<Tx>()> make,
                   const Told& told);
  void RunStatement(const GateRunPointer& run, const gate::GateEffect& effect, const Told& told);
  void EndGate(const GateRunPointer& run);
  void CountGate(const gate::GateState& state);
  void LockServerFor(const GateRunPointer& run, const Told& told);

  // As agent/health's Monitor and agent/gate's KeepServerClosed.
  void Look();
  void Resume();
  void BecomePrimary(const Done& done);
  void CloseAgain(SessionId session, const Done& done);
  [[nodiscard]] gate::Observation LookAtServer() const;

  // The named lock of the whole server; who holds it for longer than `patience` is ended.
  struct ServerLockWait {
    SessionId session = 0;
    Micros patience_until = 0;
    Micros until = 0;
  };
  void LockServer(const ServerLockWait& wait, const Done& done);
  void ChangeServer(SessionId session, const gate::GateEffect& effect, const Done& done);
  void AwaitWriters(SessionId session, Micros until, const Done& done);

  void Obey(const StreamCommand& command, const Respond& respond);
  void ObeyStopped(const StreamCommand& command, bool keeps_running, const Respond& respond);
  void UpdateStream(const StreamCommand& command, StreamRow record, bool keeps_running,
                    const Respond& respond);
  void DeleteStream(uint64_t id, const Respond& respond);
  void StartTask(uint64_t id);
  void StopTask(uint64_t id, const Action& then);
  void Exclusively(uint64_t stream, const std::function<void(Action)>& work);

  World& world_;
  Mysqld& mysqld_;
  bool gate_busy_ = false;
  uint32_t reign_ = 0;    // uuid of the PRIMARY that mysqld is; 0: it is none
  bool taken_ = false;    // of that reign: BecomePrimary has succeeded
  bool taking_ = false;   // it is under way
  bool resumed_ = false;  // the streams were begun since mysqld was away last
  uint64_t next_guard_ = 1;
  std::map<uint64_t, Done> guarded_;
  std::set<SessionId> sessions_;
  std::map<uint64_t, std::shared_ptr<StreamTask>> tasks_;
  std::set<uint64_t> busy_streams_;
  std::set<uint64_t> deleted_;
};

}  // namespace sluice::simulate
