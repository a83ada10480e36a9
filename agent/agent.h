// Agent: the parts of sluice-agent, put together.

#pragma once

#include <memory>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "agent/config/agent_config.h"

namespace sluice::agent {

// Serves from Create until Stop, with or without mysqld and coordinator: both are waited for in the
// background. Thread-compatible.
class Agent {
 public:
  // UNAVAILABLE when the address to listen on is taken.
  static absl::StatusOr<std::unique_ptr<Agent>> Create(AgentConfig config);

  Agent(const Agent&) = delete;
  Agent& operator=(const Agent&) = delete;
  ~Agent();  // Stop()

  // Lets running commands come to their end, then ends streams, sessions and threads. Idempotent.
  void Stop();

 private:
  struct Parts;
  explicit Agent(std::unique_ptr<Parts> parts);
  std::unique_ptr<Parts> parts_;
};

}  // namespace sluice::agent
