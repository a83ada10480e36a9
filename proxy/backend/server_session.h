// ServerSession: how a client's session on one server is known where no socket is needed.

#pragma once

#include <cstdint>
#include <string>

#include "proxy/rules/rule_snapshot.h"

namespace sluice::proxy {

struct ServerSession {
  uint64_t number = 0;  // not 0, and never given twice to one client
  std::string alias;
  Place place;
};

}  // namespace sluice::proxy
