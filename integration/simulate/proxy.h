// Proxy: the shipped rules' machine between clients, a coordinator that may be silent, and a disk.

#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "integration/simulate/network.h"
#include "integration/simulate/rule_set.h"
#include "integration/simulate/statements.h"

namespace sluice::simulate {

class World;

struct Reply {
  enum class Kind : uint8_t { kOk, kFailed, kUnknown };
  Kind kind = Kind::kOk;
  uint64_t number = 0;
  uint64_t version = 0;
  bool may_lag = false;
  const Mysqld* server = nullptr;
  absl::Status status = {};
};

class Proxy {
 public:
  Proxy(World& world, uint32_t number, uint32_t host);
  Proxy(const Proxy&) = delete;
  Proxy& operator=(const Proxy&) = delete;

  void Begin();
  void Crash(bool with_host);  // a host brings back what was synced
  // `done` once, also when the proxy dies.
  void Execute(const Operation& operation, std::function<void(Reply)> done);

  [[nodiscard]] const std::string& id() const { return process.name(); }
  [[nodiscard]] uint64_t epoch() const { return machine_.epoch(); }

  Process process;

 private:
  struct Work {
    uint64_t number = 0;
    Operation operation;
    std::function<void(Reply)> done;
    Micros deadline = 0;
    bool has_place = false;
    uint64_t transaction = 0;  // work that is open
    SessionId session = 0;     // of its first half
    Mysqld* server = nullptr;  // the same
    std::shared_ptr<const RuleSet> plan;
  };
  using WorkPointer = std::shared_ptr<Work>;

  void Follow();
  void Tell();
  void Poll(Micros wait, const std::function<void(bool)>& then);
  void Receive(const std::shared_ptr<const RuleSet>& set);
  void Keep(const std::shared_ptr<const RuleSet>& set);
  void Sync();
  void Step(const proxy::RulesEvent& event);

  void Ask(const WorkPointer& work);  // plans, then
  void AskRules(const WorkPointer& work);
  void Wait(const WorkPointer& work, absl::Time until);
  void Send(const WorkPointer& work, uint64_t opened);
  void Take(const WorkPointer& work, uint64_t opened, const Answer& answer);
  void Again(const WorkPointer& work);
  void End(const WorkPointer& work, Reply result);
  void LeavePlace(const WorkPointer& work);
  void JudgeLetIn(const Work& work, const proxy::Touched& touched);
  [[nodiscard]] absl::Time Now() const;
  [[nodiscard]] Mysqld& ServerFor(const Operation& operation, const RuleSet& plan) const;

  World& world_;
  proxy::RulesMachine machine_;
  std::shared_ptr<const RuleSet> obeyed_;
  std::shared_ptr<const RuleSet> file_;
  std::shared_ptr<const RuleSet> synced_file_;
  bool syncing_ = false;
  bool sync_wanted_ = false;
  bool telling_ = false;
  proxy::Acknowledgement told_;
  Micros heard_ = 0;  // from the coordinator
  // Of this process and those after it.
  uint64_t acknowledged_for_good_ = 0;
  uint64_t acknowledged_routes_ = 0;
  uint64_t acknowledged_routes_from_ = 0;  // the epoch that brought them
  uint64_t next_work_ = 1;
  std::map<uint64_t, WorkPointer> works_;
  std::map<uint64_t, Action> waiting_;  // for another epoch
};

}  // namespace sluice::simulate
