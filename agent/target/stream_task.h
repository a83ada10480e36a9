// StreamTask: one run of a stream: from reading its durable state to the first failure, or its end.

#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/notification.h"
#include "absl/time/time.h"
#include "agent/target/applier.h"
#include "agent/target/change_feed.h"
#include "agent/target/copier.h"
#include "agent/target/source_client.h"
#include "agent/target/statement_check.h"
#include "agent/target/stream_board.h"
#include "agent/target/stream_record.h"
#include "agent/target/stream_store.h"
#include "agent/target/stream_throttle.h"
#include "agent/target/table_plan.h"
#include "common/mysql/connection.h"
#include "common/tuning/tuning.h"
#include "schemas/control.capnp.h"

namespace sluice::target {

// Names the tablet to read from. Asks the coordinator; may block for a few seconds.
using PickSource = std::function<absl::StatusOr<SourceAddress>(const StreamSpec& spec)>;

struct StreamTuning {
  absl::Duration copy_epoch = absl::Minutes(5);  // a snapshot's life; then the binlog is followed
  absl::Duration snapshot_wait = absl::Seconds(30);
  absl::Duration catch_up_wait = absl::Milliseconds(100);  // for events, between copy epochs
  absl::Duration follow_wait = absl::Seconds(1);           // for events, while running
  absl::Duration backoff_min = absl::Milliseconds(100);
  absl::Duration backoff_max = absl::Seconds(5);
  uint32_t event_bytes_max = 1U << 20U;
  // A table above it gets its secondary keys after its copy, unless an operator has said more.
  uint64_t defer_bytes_min = uint64_t{32} << 20U;
  // How long an ALTER that adds keys waits for those who use the table, while writers wait for it.
  absl::Duration key_lock_wait = absl::Minutes(1);
  absl::Duration key_retry = absl::Seconds(10);
  CopierOptions copier;
  ApplierOptions applier;
};

// Whether this agent's tablet is the one that serves writes in a shard: FAILED_PRECONDITION when
// another one does or may do so too. Asks the coordinator; OK where it can't be asked.
using CheckPrimary =
    std::function<absl::Status(const std::string& keyspace, const std::string& shard)>;

struct StreamEnvironment {
  mysql::ConnectionOptions local;  // the agent's own mysqld
  std::string agent_name;
  PickSource pick_source;
  std::function<void()> on_change;  // a state has changed or a marker is applied; must not block
  StreamTuning tuning;
  CheckPrimary check_primary = nullptr;  // not asked when empty
  const Throttles* throttles = nullptr;  // nullptr: only the operator's switch of a stream counts
};

struct StreamTaskContext {
  const StreamEnvironment& environment;
  StreamBoard& board;
  StreamThrottle& throttle;
  const absl::Notification& stopping;
  // Keeps the client so that another thread can close it; given nullptr before it goes.
  std::function<void(const std::shared_ptr<SourceClient>&)> set_source;
};

// Owned by one thread.
class StreamTask {
 public:
  StreamTask(uint64_t id, const StreamTaskContext& context);
  StreamTask(const StreamTask&) = delete;
  StreamTask& operator=(const StreamTask&) = delete;
  ~StreamTask();

  // OK when there is nothing more to do: the durable state says stopped, frozen or error, or the
  // copy is done and was to be the end. Else what went wrong (IsTransient tells whether to run
  // another task); CANCELLED when the stream is stopping. Commits that were begun are over on
  // return.
  absl::Status Run();

  // Whether anything was committed or the source was caught up with.
  [[nodiscard]] bool made_progress() const { return made_progress_; }
  // Run has returned an error only because a definition has changed: another task goes on at once.
  [[nodiscard]] bool again() const { return again_; }

 private:
  absl::Status ConnectTarget();
  absl::Status Claim();
  absl::Status ConnectSource();
  absl::Status CopyAndCatchUp();
  absl::Status CopyEpoch();
  absl::Status CarryOut(const SourceDdl& ddl);
  absl::Status CopyKeyless();
  absl::Status DeferKeys(const OpenedSnapshot& snapshot);
  absl::Status AddOwedKeys();
  absl::Status LoadPlans();
  absl::Status SetCopiedAt(const CopyTable& table);
  absl::Status StorePosition(const std::string& position);
  absl::Status CatchUp();
  // Applies what comes until `done`, asked after each answer of the source.
  absl::Status Follow(const std::function<bool()>& done);
  absl::Status EnterState(schemas::StreamState state, const std::string& message);
  absl::Status CheckStopping() const;
  [[nodiscard]] RetryContext Retry();
  [[nodiscard]] ApplierContext ForApplier();
  [[nodiscard]] std::string PositionText() const;
  absl::StatusOr<std::unique_ptr<ChangeFeed>> OpenFeed(absl::Duration wait);
  // The next group, once it may be applied.
  absl::StatusOr<ChangeGroup> Next(ChangeFeed& feed);
  void Heard(const ChangeGroup& group, const Applier& applier);

  const uint64_t id_;
  const StreamTaskContext context_;
  StreamRecord record_;
  stream::Tuning knobs_;  // of the record
  StreamTuning tuning_;   // the environment's, with them
  WatchedTables watched_;
  std::unique_ptr<mysql::Connection> connection_;
  std::unique_ptr<StreamStore> store_;
  std::unique_ptr<TablePlans> plans_;
  std::shared_ptr<SourceClient> source_;
  bool made_progress_ = false;
  bool again_ = false;
};

}  // namespace sluice::target
