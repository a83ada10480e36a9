// StreamTask: one stream at work: fetches what its source has written and applies it.

#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "integration/simulate/agent.h"

namespace sluice::simulate {

inline constexpr size_t kBatchMax = 64;

// Lives as long as somebody waits for something in its name.
class StreamTask : public std::enable_shared_from_this<StreamTask> {
 public:
  StreamTask(Agent& agent, uint64_t id) : agent_(agent), id_(id) {}

  void Start();
  // `then` when its last commit is over.
  void Stop(Action then);
  [[nodiscard]] bool running() const { return running_ && !stopping_; }
  [[nodiscard]] bool HasMarker(const std::string& marker) const;

 private:
  void Claim();
  void Fetch();
  void Take(const Answer& answer);
  void Apply(const Batch& batch);
  void Commit(const std::shared_ptr<Tx>& group, const StreamRow& after);
  [[nodiscard]] absl::StatusOr<Tx> Make(const Tx& group, const StreamRow& after) const;
  void Retry();
  void Fail(const absl::Status& why);
  void End();
  bool Ended();

  Agent& agent_;
  const uint64_t id_;
  bool running_ = true;
  bool stopping_ = false;
  bool committing_ = false;
  Action stopped_;
  StreamRow row_;
  std::array<bool, kTables> under_closed_name_ = {};
  Agent::BinlogRequest at_;
  Micros saved_ = 0;
};

}  // namespace sluice::simulate
