// FinishCommand: one complete, cancel or delete, from its checks to its answer.

#pragma once

#include <functional>
#include <memory>
#include <string>
#include <utility>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "coordinator/cutover/runner.h"
#include "coordinator/traffic/dependencies.h"
#include "coordinator/traffic/replies.h"
#include "coordinator/traffic/teardown.h"

namespace sluice::traffic {

enum class FinishKind { kComplete, kCancel, kDelete };

// What such a command decides; its epoch is not given yet.
cutover::StoredTeardown TeardownOf(const admin::FinishArgs& args, FinishKind kind);
// The answer when nothing is left of the workflow.
CommandReply EndOf(FinishKind kind, absl::string_view workflow);

// Used once, by one thread.
class FinishCommand {
 public:
  // Takes a teardown over, so that it outlives the command.
  using Adopt = std::function<std::shared_ptr<Teardown>(cutover::Records, cutover::StoredTeardown,
                                                        Exclusion)>;

  FinishCommand(const Dependencies& parts, cutover::Runner& runner, Adopt adopt,
                admin::FinishArgs args, FinishKind kind)
      : parts_(parts),
        runner_(runner),
        adopt_(std::move(adopt)),
        args_(std::move(args)),
        kind_(kind) {}

  // Complete is refused unless all traffic is switched and both sides prove it, for a partial
  // workflow also while other shards are still served by its source; cancel when writes
  // are switched, and on a reverse workflow. Then nothing has changed.
  absl::StatusOr<std::string> Run(absl::Time deadline);

 private:
  absl::Status CheckComplete() const;
  absl::Status CheckOtherShards() const;
  absl::StatusOr<bool> RulesAreShared() const;
  absl::Status CheckCancel() const;
  absl::Status CheckKeys() const;
  absl::Status CheckEnds() const;
  absl::StatusOr<std::string> DryRun();
  absl::Status Decide();
  absl::Status Drain(const workflow::StreamRecord& stream, absl::Time deadline) const;
  // Waits until the reverse streams have applied all; words for those that have not.
  [[nodiscard]] std::string DrainReverse(absl::Time deadline) const;
  [[nodiscard]] absl::Status Refused(absl::string_view reason) const;

  const Dependencies& parts_;
  cutover::Runner& runner_;
  const Adopt adopt_;
  const admin::FinishArgs args_;
  const FinishKind kind_;

  Exclusion exclusion_;
  cutover::Records records_;
  cutover::StoredTeardown teardown_;
};

}  // namespace sluice::traffic
