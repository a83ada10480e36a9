// GateModel: a mysqld with one gate, as the gate's machine sees it, and what may go wrong with it.

#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "agent/gate/gate_machine.h"
#include "tests/agent/gate/schema_model.h"

namespace sluice::gate {

enum class Fault {
  kNone,
  kCrashBefore,  // the agent dies, nothing has been done
  kCrashAfter,   // the agent dies, what it asked for is done
  kLostBefore,   // the session is lost, nothing has been done
  kLostAfter,    // the session is lost, what it asked for is done
  kRefused,      // mysqld says no
  kNoLocks,      // of a statement: its locks are not granted in time
};

// What is durable, and the rules that hold at every moment. A value.
struct GateModel {
  SchemaModel schema{{}};
  std::vector<std::string> tables;
  std::optional<GateRow> row;
  std::optional<GateRow> sibling;  // of another gate on the same server
  bool holds_server = false;       // the request's session has the server's lock
  std::set<std::string> markers;
  std::map<std::string, std::string> journal;
  bool read_only = false;
  bool read_only_persisted = false;
  std::vector<Cascade> cascades;
  std::vector<std::string> obstacles;
  std::vector<std::string> comes_through;  // a server that is read-only
  uint64_t commits = 0;                    // the position
  uint64_t sessions = 0;
  uint64_t moves = 0;               // statements that opened or closed something
  std::vector<std::string> broken;  // rules that were
  std::vector<std::string> done;    // effects, in order

  // What the agent's session is told.
  GateEvent Answer(const GateChange& change, const GateEffect& effect, Fault fault);
  [[nodiscard]] State Stands() const;
  [[nodiscard]] Observation Observe() const;

 private:
  absl::Status Do(const GateChange& change, const GateEffect& effect, GateEvent& event);
  void ObserveServer(Observation& seen) const;
  absl::Status RunSql(const GateChange& change, const std::string& sql);
  void Require(bool holds, const std::string& rule);
};

// How a gate stands before a request.
enum class Start { kOpen, kClosed, kGuarded, kReadable, kServer };
inline constexpr uint64_t kStartEpoch = 5;

// A gate of tables a and b.
GateModel GateAt(Start start);
GateChange ChangeTo(State wanted, uint64_t epoch, GateKind kind = GateKind::kTables);
// Whether the gate stands as the request wants it; one that was asked to close by read_only may be
// read.
bool StandsAs(const GateModel& model, const GateChange& change);

struct FaultAt {
  size_t effect = 0;  // counted from 0
  Fault fault = Fault::kNone;
};

struct Drive {
  bool crashed = false;
  size_t effects = 0;
  GateState state;  // finished unless crashed
};

// Runs one request against the model to its end, or to the crash.
Drive RunRequest(GateModel& model, const GateChange& change, FaultAt at = {});

}  // namespace sluice::gate
