// StreamTask: copy epochs, catching up, and following.

#include "agent/target/stream_task.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "agent/target/ddl_runner.h"
#include "agent/target/local_session.h"
#include "agent/target/stream_tuning.h"
#include "common/base/crash_point.h"
#include "common/base/log.h"
#include "common/base/status.h"
#include "common/base/status_macros.h"

namespace sluice::target {

using schemas::StreamState;

namespace {

DdlPolicy PolicyOf(stream::OnDdl on_ddl) {
  switch (on_ddl) {
    case stream::OnDdl::kIgnore:
      return DdlPolicy::kIgnore;
    case stream::OnDdl::kExec:
    case stream::OnDdl::kExecIgnore:
      return DdlPolicy::kHandOver;
    case stream::OnDdl::kStop:
      break;
  }
  return DdlPolicy::kRefuse;
}

absl::Status PassOverLostSnapshot(uint64_t stream_id, const absl::Status& status) {
  if (absl::IsNotFound(status)) {
    // The next epoch goes on behind the last key with a new snapshot.
    SLUICE_LOG(kWarning, "snapshot lost", {{"stream", stream_id}, {"reason", status}});
    return absl::OkStatus();
  }
  return status;
}

}  // namespace

StreamTask::StreamTask(uint64_t id, const StreamTaskContext& context) : id_(id), context_(context) {
  record_.spec.id = id;
}

StreamTask::~StreamTask() {
  context_.throttle.End();
  context_.set_source(nullptr);
}

absl::Status StreamTask::CheckStopping() const {
  return context_.stopping.HasBeenNotified() ? absl::CancelledError("the stream is being stopped")
                                             : absl::OkStatus();
}

RetryContext StreamTask::Retry() {
  return {.connection = *connection_,
          .store = *store_,
          .plans = *plans_,
          .stopping = context_.stopping};
}

ApplierContext StreamTask::ForApplier() {
  return {.retry = Retry(),
          .local = context_.environment.local,
          .workflow = record_.spec.workflow,
          .database = record_.spec.target_database,
          .row = record_.position,
          .on_commit =
              [this](bool with_marker) {
                made_progress_ = true;
                context_.board.SetPosition(record_.position);
                if (with_marker) {
                  context_.environment.on_change();
                }
              },
          .on_times = [this](const WriteTimes& times) { context_.board.AddApplyTimes(times); }};
}

std::string StreamTask::PositionText() const {
  return record_.position.position.has_value() ? record_.position.position->set.ToString() : "";
}

absl::Status StreamTask::Run() {
  SLUICE_RETURN_IF_ERROR(ConnectTarget());
  if (!record_.Active()) {
    context_.board.SetRecord(record_);
    return absl::OkStatus();
  }
  SLUICE_RETURN_IF_ERROR(LoadPlans());
  SLUICE_RETURN_IF_ERROR(ConnectSource());
  const bool throttle_apply = knobs_.Count(stream::Knob::kThrottleApply).value_or(0) != 0;
  if (record_.state != StreamState::RUNNING || throttle_apply) {
    context_.throttle.Begin(knobs_);
    source_->SetThrottle(
        {.limits = throttle::LimitsOf(knobs_, throttle::Side::kSource),
         .heard = [this](const std::string& why) { context_.throttle.HeardFromSource(why); }});
  }
  if (record_.state != StreamState::RUNNING) {
    SLUICE_RETURN_IF_ERROR(CopyAndCatchUp());
    context_.throttle.EndCopy();
    if (!record_.Active()) {
      return absl::OkStatus();
    }
    if (!throttle_apply) {
      source_->SetThrottle({});
    }
  }
  return Follow([] { return false; });
}

absl::Status StreamTask::ConnectTarget() {
  SLUICE_ASSIGN_OR_RETURN(connection_, ConnectLocal(context_.environment.local));
  store_ = std::make_unique<StreamStore>(*connection_);
  SLUICE_RETURN_IF_ERROR(store_->CheckWritable());
  absl::StatusOr<StreamRecord> loaded = store_->Load(id_);
  if (absl::IsNotFound(loaded.status())) {
    record_.state = StreamState::STOPPED;
    record_.message = "the stream was deleted";
    return absl::OkStatus();
  }
  SLUICE_RETURN_IF_ERROR(loaded.status());
  record_ = *std::move(loaded);
  return record_.Active() ? Claim() : absl::OkStatus();
}

// A PRIMARY of old that comes back writable has the stream too, but must not write: not even claim.
absl::Status StreamTask::Claim() {
  const CheckPrimary& check_primary = context_.environment.check_primary;
  if (check_primary != nullptr) {
    const absl::Status primary =
        check_primary(record_.spec.target_keyspace, record_.spec.target_shard);
    if (!primary.ok()) {
      return absl::UnavailableError(primary.message());  // until somebody has settled it
    }
    SLUICE_RETURN_IF_ERROR(CheckStopping());
  }
  SLUICE_ASSIGN_OR_RETURN(record_, store_->Claim(id_));
  SLUICE_CRASH_POINT("stream.after_claim");
  SLUICE_ASSIGN_OR_RETURN(knobs_, stream::Tuning::Parse(record_.spec.options.tuning));
  tuning_ = Tuned(context_.environment.tuning, knobs_);
  context_.throttle.SetByHand(record_.spec.throttled);
  watched_.database = record_.spec.source_database;
  watched_.tables.insert(record_.spec.tables.begin(), record_.spec.tables.end());
  watched_.on_ddl = PolicyOf(record_.spec.options.on_ddl);
  return absl::OkStatus();
}

absl::Status StreamTask::ConnectSource() {
  const StreamSpec& spec = record_.spec;
  absl::StatusOr<SourceAddress> picked = context_.environment.pick_source(spec);
  if (!picked.ok() && record_.source_url.empty()) {
    // Whatever the reason is, it may be another one in a while.
    return absl::UnavailableError(absl::StrCat("no source for ", spec.source_keyspace, "/",
                                               spec.source_shard, ": ", picked.status().message()));
  }
  const SourceAddress address =
      picked.ok() ? *std::move(picked) : SourceAddress{record_.source_alias, record_.source_url};
  if (address.alias != record_.source_alias || address.agent_url != record_.source_url) {
    SLUICE_RETURN_IF_ERROR(store_->UpdateSource(id_, address.alias, address.agent_url));
    SLUICE_CRASH_POINT("stream.after_source");
    record_.source_alias = address.alias;
    record_.source_url = address.agent_url;
  }
  SLUICE_ASSIGN_OR_RETURN(
      source_,
      SourceClient::Connect(address, absl::StrCat("agent ", context_.environment.agent_name), id_));
  context_.set_source(source_);
  context_.board.SetSource(address.alias);
  return CheckStopping();
}

absl::Status StreamTask::EnterState(StreamState state, const std::string& message) {
  StreamRecord next = record_;
  next.state = state;
  next.message = message;
  const absl::Status committed = RunWithRetries(Retry(), [&]() -> absl::Status {
    SLUICE_RETURN_IF_ERROR(store_->Begin());
    SLUICE_RETURN_IF_ERROR(store_->WriteState(id_, state, message));
    return store_->Finish(next.position, CommitKind::kState);
  });
  SLUICE_RETURN_IF_ERROR(committed);
  record_ = std::move(next);
  made_progress_ = true;
  context_.board.SetRecord(record_);
  context_.environment.on_change();
  SLUICE_LOG(kInfo, "stream changed state",
             {{"stream", id_},
              {"workflow", record_.spec.workflow},
              {"state", StateName(state)},
              {"message", message}});
  return absl::OkStatus();
}

absl::Status StreamTask::CopyAndCatchUp() {
  // Copying may have ended without the events up to the last snapshot.
  do {
    absl::Status copied;
    if (!record_.CopyDone()) {
      copied = CopyEpoch();
    }
    // Goes on with the binlog also for as long as the copy is throttled. What a copy cannot read or
    // write may be of a definition that the binlog tells of, and of a table without a key no
    // snapshot may be found for long, which must not keep the binlog.
    const bool goes_on = copied.ok() || !IsTransient(copied) || absl::IsAborted(copied);
    if (goes_on && record_.position.position.has_value()) {
      SLUICE_RETURN_IF_ERROR(CatchUp());
    }
    SLUICE_RETURN_IF_ERROR(copied);
  } while (!record_.CopyDone());
  SLUICE_RETURN_IF_ERROR(AddOwedKeys());
  // Started again after that, it is running at once and does not come here.
  if (record_.spec.stop_after_copy && !record_.copy.empty()) {
    return EnterState(StreamState::STOPPED, "stopped after copy");
  }
  return EnterState(StreamState::RUNNING, "");
}

absl::Status StreamTask::StorePosition(const std::string& position) {
  SLUICE_ASSIGN_OR_RETURN(gtid::GtidSet set, gtid::GtidSet::Parse(position));
  record_.position.position = AppliedPosition{std::move(set)};
  absl::Status status = EnterState(StreamState::COPYING, "");
  if (!status.ok()) {
    record_.position.position.reset();
  }
  return status;
}

absl::Status StreamTask::CopyEpoch() {
  SnapshotRequest wanted{.database = record_.spec.source_database,
                         .tables = {},
                         .not_before = PositionText(),
                         .wait = tuning_.snapshot_wait,
                         .readers = static_cast<uint32_t>(Copier::Workers(tuning_.copier))};
  for (const CopyTable& table : record_.copy) {
    if (!table.done) {
      wanted.tables.push_back(table.table);
    }
  }
  absl::StatusOr<OpenedSnapshot> opened = source_->OpenSnapshot(wanted);
  while (IsThrottled(opened.status())) {
    context_.throttle.CopyIsClosed();
    if (record_.position.position.has_value()) {
      return absl::OkStatus();  // the binlog is followed meanwhile
    }
    SLUICE_RETURN_IF_ERROR(CheckStopping());
    opened = source_->OpenSnapshot(wanted);  // the source has waited before it answered
  }
  SLUICE_RETURN_IF_ERROR(opened.status());
  const OpenedSnapshot& snapshot = *opened;
  // Everything from here on is replayed over the rows, so it is durable before the first of them.
  if (!record_.position.position.has_value()) {
    SLUICE_RETURN_IF_ERROR(DeferKeys(snapshot));
    SLUICE_RETURN_IF_ERROR(StorePosition(snapshot.position));
  }
  const bool keyless =
      std::any_of(wanted.tables.begin(), wanted.tables.end(),
                  [this](const std::string& table) { return !plans_->Find(table)->HasKey(); });
  if (keyless) {
    // Theirs are snapshots of their own; all other tables come in the next epoch.
    source_->CloseSession(snapshot.session);
    return PassOverLostSnapshot(id_, CopyKeyless());
  }
  Copier copier(
      {.retry = Retry(),
       .local = context_.environment.local,
       .source = *source_,
       .record = record_,
       .on_commit =
           [this](const CopyTable& table) {
             made_progress_ = true;
             context_.board.SetCopyTable(table);
           },
       .throttle = &context_.throttle,
       .on_times = [this](const WriteTimes& times) { context_.board.AddCopyTimes(times); }},
      tuning_.copier);
  const absl::Status status = copier.CopyUntil(snapshot.session, absl::Now() + tuning_.copy_epoch);
  if (status.ok()) {
    SLUICE_CRASH_POINT("copy.epoch_over");
    source_->CloseSession(snapshot.session);
  }
  return PassOverLostSnapshot(id_, status);
}

absl::StatusOr<std::unique_ptr<ChangeFeed>> StreamTask::OpenFeed(absl::Duration wait) {
  const ChangeFeedOptions options = {.events = {.bytes_max = tuning_.event_bytes_max, .wait = wait},
                                     .group = {.changes_max = tuning_.applier.changes_max,
                                               .bytes_max = tuning_.applier.bytes_max}};
  return ChangeFeed::Open({.client = *source_, .watched = watched_, .plans = *plans_},
                          record_.spec.tables, PositionText(), options);
}

void StreamTask::Heard(const ChangeGroup& group, const Applier& applier) {
  if (group.source_time_us == 0) {
    return;
  }
  context_.board.Heard({.source_time_us = group.source_time_us,
                        .transaction_us = applier.last_transaction_us(),
                        .caught_up = group.caught_up});
  made_progress_ = made_progress_ || group.caught_up;
}

// Plans, layouts and the copy's ranges are of definitions that this may change, so the task ends
// with it.
absl::Status StreamTask::CarryOut(const SourceDdl& ddl) {
  DdlRunner runner({.connection = *connection_,
                    .store = *store_,
                    .local = context_.environment.local,
                    .watched = watched_,
                    .plans = *plans_,
                    .record = record_,
                    .stopping = context_.stopping,
                    .ignore_failures = record_.spec.options.on_ddl == stream::OnDdl::kExecIgnore});
  SLUICE_RETURN_IF_ERROR(runner.Run(ddl));
  made_progress_ = true;
  again_ = true;
  context_.board.SetPosition(record_.position);
  return absl::AbortedError("the definition of a table has changed");
}

absl::StatusOr<ChangeGroup> StreamTask::Next(ChangeFeed& feed) {
  SLUICE_ASSIGN_OR_RETURN(ChangeGroup group, feed.Next());
  if (!group.changes.empty()) {
    context_.throttle.AwaitApply(context_.stopping);
  }
  return group;
}

// Until everything is applied that the source had committed when this began, hence everything that
// the last snapshot held.
absl::Status StreamTask::CatchUp() {
  SLUICE_ASSIGN_OR_RETURN(const std::unique_ptr<ChangeFeed> feed, OpenFeed(tuning_.catch_up_wait));
  Applier applier(ForApplier(), tuning_.applier);
  int64_t begun_us = 0;  // by the source's clock
  while (true) {
    SLUICE_RETURN_IF_ERROR(CheckStopping());
    SLUICE_ASSIGN_OR_RETURN(const ChangeGroup group, Next(*feed));
    begun_us = begun_us == 0 ? group.source_time_us : begun_us;
    SLUICE_RETURN_IF_ERROR(applier.Apply(group));
    if (group.ddl.has_value()) {
      SLUICE_RETURN_IF_ERROR(applier.SavePosition(true));
      return CarryOut(*group.ddl);
    }
    feed->LimitChanges(applier.changes_wanted());
    Heard(group, applier);
    const bool caught_up =
        group.caught_up || (begun_us != 0 && applier.last_transaction_us() > begun_us);
    const bool end =
        caught_up && !group.open && (record_.CopyDone() || !context_.throttle.CopyIsClosed());
    SLUICE_RETURN_IF_ERROR(applier.SavePosition(end));
    if (end) {
      SLUICE_CRASH_POINT("apply.caught_up");
      return absl::OkStatus();
    }
  }
}

absl::Status StreamTask::Follow(const std::function<bool()>& done) {
  SLUICE_ASSIGN_OR_RETURN(const std::unique_ptr<ChangeFeed> feed, OpenFeed(tuning_.follow_wait));
  Applier applier(ForApplier(), tuning_.applier);
  while (true) {
    SLUICE_RETURN_IF_ERROR(CheckStopping());
    SLUICE_ASSIGN_OR_RETURN(const ChangeGroup group, Next(*feed));
    SLUICE_RETURN_IF_ERROR(applier.Apply(group));
    if (group.ddl.has_value()) {
      SLUICE_RETURN_IF_ERROR(applier.SavePosition(true));
      return CarryOut(*group.ddl);
    }
    feed->LimitChanges(applier.changes_wanted());
    const bool end = done();
    // Not with each transaction of others: they may be of all the shards beside this one, or
    // commits of streams, this one's too where source and target are one mysqld.
    SLUICE_RETURN_IF_ERROR(applier.SavePosition(end));
    Heard(group, applier);
    if (end && !group.open) {
      return absl::OkStatus();
    }
  }
}

}  // namespace sluice::target
