// StreamManager: the commands. Each is one commit in mysqld, where those of older epochs are
// refused, whichever agent they have reached and however late.

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "agent/target/key_builder.h"
#include "agent/target/local_session.h"
#include "agent/target/stream_check.h"
#include "agent/target/stream_manager.h"
#include "agent/target/stream_spec.h"
#include "agent/target/stream_store.h"
#include "common/base/crash_point.h"
#include "common/base/log.h"
#include "common/base/status.h"
#include "common/base/status_macros.h"
#include "common/wire/wire.h"

namespace sluice::target {
namespace {

using schemas::StreamAction;
using schemas::StreamState;

constexpr absl::string_view kFrozenMessage = "FROZEN";

StreamRecord NewRecord(StreamSpec spec, bool start) {
  StreamRecord record;
  record.position.stream_id = spec.id;
  record.position.version = 1;
  if (spec.start_position.empty() && !spec.awaits_position) {
    for (const std::string& table : spec.tables) {
      record.copy.emplace_back().table = table;
    }
  } else if (!spec.awaits_position) {
    // Checked before.
    record.position.position =
        AppliedPosition{gtid::GtidSet::Parse(spec.start_position).value_or(gtid::GtidSet())};
  }
  record.spec = std::move(spec);
  record.state =
      start && !record.spec.awaits_position ? record.ActiveState() : StreamState::STOPPED;
  return record;
}

// Gives a stream the position that it has awaited.
absl::Status BeginAt(const std::string& position, StreamRecord& record) {
  SLUICE_ASSIGN_OR_RETURN(gtid::GtidSet set, gtid::GtidSet::Parse(position));
  record.spec.awaits_position = false;
  record.spec.start_position = position;
  record.position.position = AppliedPosition{std::move(set)};
  return absl::OkStatus();
}

// The durable state after a command; the stream's thread has ended where the command ends it.
absl::Status Change(StreamAction action, StreamRecord& record) {
  switch (action) {
    case StreamAction::START:
      if (record.frozen) {
        return absl::FailedPreconditionError(
            absl::StrCat("stream ", record.spec.id, " is frozen; unfreeze it first"));
      }
      if (record.spec.awaits_position) {
        return absl::FailedPreconditionError(absl::StrCat(
            "stream ", record.spec.id, " waits for the position that its cutover will give it"));
      }
      record.state = record.Active() ? record.state : record.ActiveState();
      record.message.clear();
      return absl::OkStatus();
    case StreamAction::STOP:
      if (!record.frozen) {
        record.state = StreamState::STOPPED;
        record.message.clear();
      }
      return absl::OkStatus();
    case StreamAction::FREEZE:
      record.frozen = true;
      record.state = StreamState::STOPPED;
      record.message = std::string(kFrozenMessage);
      return absl::OkStatus();
    case StreamAction::UNFREEZE:
      if (record.frozen) {
        record.frozen = false;
        record.message.clear();
      }
      return absl::OkStatus();
    case StreamAction::DELETE:
      break;
  }
  return absl::InvalidArgumentError(
      absl::StrCat("stream action ", static_cast<unsigned>(action), " is not known"));
}

}  // namespace

absl::Status StreamManager::Create(const rpc::RequestContext& context,
                                   schemas::CreateStreamRequest::Reader request) {
  StreamSpec spec = ReadStreamSpec(request.getSpec());
  SLUICE_RETURN_IF_ERROR(CheckStreamSpec(spec));
  SLUICE_RETURN_IF_ERROR(CheckServed(spec));
  // A new session: what the account may do is tried in it.
  SLUICE_ASSIGN_OR_RETURN(const auto connection, ConnectLocal(environment_.local));
  SLUICE_RETURN_IF_ERROR(StreamStore(*connection).CheckWritable());
  const StreamRecord record = NewRecord(std::move(spec), request.getStart());
  const std::shared_ptr<Stream> stream = FindOrAdd(record);
  if (stream == nullptr || absl::Now() > context.deadline) {
    Forget(record.spec.id, stream, *connection);
    return absl::FailedPreconditionError(
        absl::StrCat("stream ", record.spec.id, ": the request came too late"));
  }
  absl::Status created = CreateHere(*stream, record, *connection);
  if (!created.ok()) {
    Forget(record.spec.id, stream, *connection);
    return created;
  }
  environment_.on_change();
  return absl::OkStatus();
}

absl::Status StreamManager::CreateHere(Stream& stream, const StreamRecord& wanted,
                                       mysql::Connection& connection) {
  const absl::MutexLock lock(&stream.mutex);
  const uint64_t id = wanted.spec.id;
  StreamStore store(connection);
  const absl::StatusOr<StreamRecord> existing = store.Load(id);
  if (!existing.ok() && !absl::IsNotFound(existing.status())) {
    return existing.status();
  }
  if (existing.ok() && existing->spec != wanted.spec) {
    return WithSubject(
        absl::AlreadyExistsError(absl::StrCat("stream ", id, " exists with another specification")),
        absl::StrCat(id));
  }
  if (!existing.ok()) {
    SLUICE_RETURN_IF_ERROR(store.CheckNotDeleted(id));
    if (wanted.spec.awaits_position) {
      SLUICE_RETURN_IF_ERROR(CheckCanApply(environment_, wanted.spec, connection));
    }
    SLUICE_CRASH_POINT("stream.before_create");
    SLUICE_RETURN_IF_ERROR(store.Insert(wanted));
    SLUICE_CRASH_POINT("stream.after_create");
    SLUICE_LOG(kInfo, "stream created", {{"stream", id}, {"workflow", wanted.spec.workflow}});
  }
  // A command may have stopped it since it was created, so it stays as it is.
  const StreamRecord& record = existing.ok() ? *existing : wanted;
  if (!stream.runner.running()) {
    stream.runner.board().SetRecord(record);
  }
  if (record.Active() && !stream.suspended) {
    stream.runner.Start();
  }
  return absl::OkStatus();
}

// A command that came to nothing must not have ended the thread.
void StreamManager::GoOn(Stream& stream) {
  if (stream.runner.board().Active() && !stream.suspended) {
    stream.runner.Start();
  }
}

absl::Status StreamManager::Delete(uint64_t id, uint64_t epoch,
                                   const std::shared_ptr<Stream>& stream) {
  SLUICE_ASSIGN_OR_RETURN(const agent::Session connection, BorrowWritable());
  StreamStore store(*connection);
  const auto erase = [&]() -> absl::Status {
    SLUICE_RETURN_IF_ERROR(EndKeyChanges(*connection, id));
    return store.Delete(id, epoch);
  };
  if (stream != nullptr) {
    const absl::MutexLock lock(&stream->mutex);
    absl::Status newest = store.CheckEpoch(id, epoch);
    if (!newest.ok() && !absl::IsNotFound(newest)) {
      return newest;
    }
    stream->runner.Stop();
    absl::Status erased = erase();
    if (!erased.ok()) {
      GoOn(*stream);
      return erased;
    }
  } else {
    SLUICE_RETURN_IF_ERROR(erase());
  }
  SLUICE_CRASH_POINT("stream.after_delete");
  const absl::MutexLock lock(&mutex_);
  streams_.erase(id);
  return absl::OkStatus();
}

absl::Status StreamManager::Control(schemas::ControlStreamRequest::Reader request,
                                    schemas::ControlStreamReply::Builder reply) {
  const uint64_t id = request.getStreamId();
  const StreamAction action = request.getAction();
  SLUICE_ASSIGN_OR_RETURN(const agent::Session connection, BorrowWritable());
  StreamStore store(*connection);
  const absl::StatusOr<StreamRecord> record = store.Load(id);
  if (absl::IsNotFound(record.status()) && action == StreamAction::DELETE) {
    SLUICE_RETURN_IF_ERROR(Delete(id, request.getEpoch(), Find(id)));
    reply.initStatus().setId(id);
    return absl::OkStatus();
  }
  SLUICE_RETURN_IF_ERROR(record.status());
  SLUICE_RETURN_IF_ERROR(CheckServed(record->spec));
  const std::shared_ptr<Stream> stream = FindOrAdd(*record);
  if (stream == nullptr) {
    return NotHere(id);
  }
  if (action == StreamAction::DELETE) {
    SLUICE_RETURN_IF_ERROR(Delete(id, request.getEpoch(), stream));
    reply.initStatus().setId(id);
  } else {
    absl::Status obeyed = Obey(*stream, request, store);
    if (!obeyed.ok()) {
      Forget(id, stream, *connection);
      return obeyed;
    }
    WriteStreamStatus(stream->runner.board().Status(), reply.initStatus());
  }
  SLUICE_LOG(kInfo, "stream command obeyed",
             {{"stream", id}, {"action", static_cast<unsigned>(action)}});
  environment_.on_change();
  return absl::OkStatus();
}

absl::Status StreamManager::Obey(Stream& stream, schemas::ControlStreamRequest::Reader request,
                                 StreamStore& store) {
  const absl::MutexLock lock(&stream.mutex);
  const StreamAction action = request.getAction();
  const StreamCommand command = {.stream_id = request.getStreamId(), .epoch = request.getEpoch()};
  SLUICE_RETURN_IF_ERROR(store.CheckEpoch(command.stream_id, command.epoch));
  const bool keeps_running =
      action == StreamAction::START && stream.runner.running() && stream.runner.board().Active();
  if (keeps_running) {
    return store.Obey(command, [](StreamRecord&) { return absl::OkStatus(); }).status();
  }
  stream.runner.Stop();  // its last commit is over when this returns
  // Another agent may still think that it runs the stream: what it is about to commit must not come
  // after the answer.
  const auto record = store.ObeyAndClaim(command, [&](StreamRecord& changed) -> absl::Status {
    const bool begins = (action == StreamAction::START || action == StreamAction::STOP) &&
                        changed.spec.awaits_position && request.getStartPosition().size() > 0;
    if (begins) {
      SLUICE_RETURN_IF_ERROR(BeginAt(wire::Str(request.getStartPosition()), changed));
    }
    return Change(action, changed);
  });
  if (!record.ok()) {
    GoOn(stream);
    return record.status();
  }
  SLUICE_CRASH_POINT("stream.after_command");
  stream.runner.board().SetRecord(*record);
  if (record->Active() && !stream.suspended) {
    stream.runner.Start();
  }
  return absl::OkStatus();
}

absl::Status StreamManager::Update(schemas::UpdateStreamRequest::Reader request,
                                   schemas::ControlStreamReply::Builder reply) {
  const uint64_t id = request.getStreamId();
  SLUICE_ASSIGN_OR_RETURN(const agent::Session connection, BorrowWritable());
  StreamStore store(*connection);
  SLUICE_ASSIGN_OR_RETURN(const StreamRecord record, store.Load(id));
  SLUICE_RETURN_IF_ERROR(CheckServed(record.spec));
  const std::shared_ptr<Stream> stream = FindOrAdd(record);
  if (stream == nullptr) {
    return NotHere(id);
  }
  absl::Status changed = ChangeSpec(*stream, request, store);
  if (!changed.ok()) {
    Forget(id, stream, *connection);
    return changed;
  }
  WriteStreamStatus(stream->runner.board().Status(), reply.initStatus());
  SLUICE_LOG(kInfo, "stream updated", {{"stream", id}});
  environment_.on_change();
  return absl::OkStatus();
}

absl::Status StreamManager::ChangeSpec(Stream& stream, schemas::UpdateStreamRequest::Reader request,
                                       StreamStore& store) {
  const absl::MutexLock lock(&stream.mutex);
  bool restart = false;
  const auto record = store.Obey({.stream_id = request.getStreamId(), .epoch = request.getEpoch()},
                                 [&](StreamRecord& changed) {
                                   StreamSpec spec = changed.spec;
                                   spec.source_types.clear();
                                   for (const schemas::TabletType type : request.getSourceTypes()) {
                                     spec.source_types.push_back(type);
                                   }
                                   spec.options = stream::ReadStreamOptions(request.getOptions());
                                   // The switch alone takes effect at once; all else when the
                                   // stream reads its values, which is when it begins. It goes on
                                   // from its durable position then.
                                   restart = spec != changed.spec && stream.runner.running();
                                   spec.throttled = wire::Str(request.getThrottled());
                                   changed.spec = std::move(spec);
                                   return CheckStreamSpec(changed.spec);
                                 });
  SLUICE_RETURN_IF_ERROR(record.status());
  SLUICE_CRASH_POINT("stream.after_command");
  stream.runner.throttle().SetByHand(record->spec.throttled);
  stream.runner.board().SetSpec(record->spec);
  if (restart) {
    stream.runner.Stop();  // its last commit is over when this returns
    GoOn(stream);
  }
  return absl::OkStatus();
}

// What has no row is none of the streams, whoever has taken the row away.
void StreamManager::Forget(uint64_t id, const std::shared_ptr<Stream>& stream,
                           mysql::Connection& connection) {
  if (stream == nullptr) {
    return;
  }
  const absl::MutexLock stream_lock(&stream->mutex);
  if (!absl::IsNotFound(StreamStore(connection).Load(id).status())) {
    return;
  }
  stream->runner.Stop();
  const absl::MutexLock lock(&mutex_);
  const auto found = streams_.find(id);
  if (found != streams_.end() && found->second == stream) {
    streams_.erase(found);
  }
}

}  // namespace sluice::target
