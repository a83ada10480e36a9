// Faults: what goes wrong, drawn one after the other, thickest while a cutover is under way.

#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <vector>

#include "integration/simulate/world.h"

namespace sluice::simulate {

class Faults {
 public:
  explicit Faults(World& world);
  Faults(const Faults&) = delete;
  Faults& operator=(const Faults&) = delete;

  void Begin();
  // Nothing goes wrong any more, and all that is down or cut off comes back.
  void Stop();

 private:
  struct Kind {
    const char* name;
    bool (Faults::*strike)();
  };
  static const std::vector<Kind>& Kinds();

  void Next();
  void Strike();
  bool CoordinatorDies();
  bool CoordinatorSleeps();
  bool AgentDies();
  bool AgentSleeps();
  bool AgentReplaced();
  bool MysqldDies();
  bool FailOver();
  static bool MayBePromoted(Place& place);
  bool PlannedFailOver();
  bool ProxyDies();
  bool ProxyHostDies();
  bool ProxySleeps();
  bool CoordinatorCutOff();
  bool ProxyCutOff();
  bool ProxyLosesServer();
  bool HostsLoseEachOther();
  bool Purge();

  Place& DrawPlace();
  bool Cut(uint32_t a, uint32_t b, Micros until);
  Proxy& DrawProxy();
  Micros Soon(Micros last);

  World& world_;
  std::map<std::pair<uint32_t, uint32_t>, uint32_t> cuts_;
};

}  // namespace sluice::simulate
