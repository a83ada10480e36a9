// StreamManager: commands, loading and suspending.

#include "agent/target/stream_manager.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "agent/target/key_builder.h"
#include "agent/target/local_session.h"
#include "agent/target/stream_check.h"
#include "agent/target/stream_spec.h"
#include "agent/target/stream_store.h"
#include "common/base/crash_point.h"
#include "common/base/log.h"
#include "common/base/status.h"
#include "common/base/status_macros.h"
#include "common/wire/wire.h"
#include "schemas/envelope.capnp.h"

namespace sluice::target {
namespace {

using schemas::StreamAction;
using schemas::StreamState;

constexpr absl::string_view kFrozenMessage = "FROZEN";
// What is left of the caller's budget for the answer's way.
constexpr absl::Duration kAnswerMargin = absl::Milliseconds(100);

absl::Status Unknown(uint64_t id) {
  return WithSubject(absl::NotFoundError(absl::StrCat("stream ", id, " is not on this agent")),
                     absl::StrCat(id));
}

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

absl::Status TooOld(uint64_t id, uint64_t epoch, uint64_t obeyed) {
  return WithSubject(absl::FailedPreconditionError(
                         absl::StrCat("the command for stream ", id, " is of epoch ", epoch,
                                      ", but one of epoch ", obeyed, " was obeyed already")),
                     absl::StrCat(id));
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

StreamManager::StreamManager(StreamManagerOptions options)
    : environment_{.local = std::move(options.local),
                   .agent_name = std::move(options.agent_name),
                   .pick_source = std::move(options.pick_source),
                   .on_change = std::move(options.on_change),
                   .tuning = options.tuning,
                   .check_primary = std::move(options.check_primary),
                   .throttles = options.throttles},
      databases_(std::move(options.databases)),
      commands_(environment_.local, std::max(agent::SessionPool::kIdleMax, databases_.size()),
                ConnectLocal) {}

StreamManager::~StreamManager() {
  Stop();
}

void StreamManager::Register(rpc::Server& server) {
  server.Register<schemas::CreateStreamRequest, schemas::Empty>(
      schemas::Method::CREATE_STREAM,
      [this](const auto& context, auto request, auto) { return Create(context, request); });
  server.Register<schemas::ControlStreamRequest, schemas::ControlStreamReply>(
      schemas::Method::CONTROL_STREAM,
      [this](const auto&, auto request, auto reply) { return Control(request, reply); });
  server.Register<schemas::UpdateStreamRequest, schemas::ControlStreamReply>(
      schemas::Method::UPDATE_STREAM,
      [this](const auto&, auto request, auto reply) { return Update(request, reply); });
  server.Register<schemas::ListStreamsRequest, schemas::ListStreamsReply>(
      schemas::Method::LIST_STREAMS,
      [this](const auto&, auto request, auto reply) { return List(request, reply); }, false);
  server.Register<schemas::AwaitMarkerRequest, schemas::AwaitMarkerReply>(
      schemas::Method::AWAIT_MARKER,
      [this](const auto& context, auto request, auto reply) {
        return AwaitMarker(context, request, reply);
      },
      false);
}

absl::Status StreamManager::CheckServed(const StreamSpec& spec) const {
  if (databases_.empty() ||
      std::find(databases_.begin(), databases_.end(), spec.target_database) != databases_.end()) {
    return absl::OkStatus();
  }
  return WithSubject(
      absl::FailedPreconditionError(absl::StrCat(
          "stream ", spec.id, " writes database ", spec.target_database, " for ",
          spec.target_keyspace, "/", spec.target_shard, ", which this agent does not serve")),
      absl::StrCat(spec.id));
}

absl::StatusOr<agent::Session> StreamManager::BorrowWritable() {
  SLUICE_ASSIGN_OR_RETURN(agent::Session session, commands_.Borrow());
  SLUICE_RETURN_IF_ERROR(StreamStore(*session).CheckWritable());
  return session;
}

std::shared_ptr<StreamManager::Stream> StreamManager::Find(uint64_t id) const {
  const absl::MutexLock lock(&mutex_);
  const auto found = streams_.find(id);
  return found == streams_.end() ? nullptr : found->second;
}

std::shared_ptr<StreamManager::Stream> StreamManager::FindOrAdd(const StreamRecord& record) {
  const absl::MutexLock lock(&mutex_);
  const uint64_t id = record.spec.id;
  if (stopped_ || deleted_.contains(id)) {
    return nullptr;
  }
  std::shared_ptr<Stream>& stream = streams_[id];
  if (stream == nullptr) {
    stream = std::make_shared<Stream>(environment_, record);
  }
  return stream;
}

absl::Status StreamManager::LoadAndResume() {
  const absl::MutexLock load_lock(&load_mutex_);
  SLUICE_ASSIGN_OR_RETURN(const auto connection, ConnectLocal(environment_.local));
  StreamStore store(*connection);
  if (!store.CheckWritable().ok()) {
    SuspendLocked();
    return absl::OkStatus();
  }
  SLUICE_ASSIGN_OR_RETURN(const std::vector<StreamRecord> records, store.LoadAll());
  for (const StreamRecord& record : records) {
    if (const absl::Status served = CheckServed(record.spec); !served.ok()) {
      SLUICE_LOG(kWarning, "a stream is left alone", {{"reason", served}});
      continue;
    }
    const std::shared_ptr<Stream> stream = FindOrAdd(record);
    if (stream == nullptr) {
      continue;
    }
    const absl::MutexLock lock(&stream->mutex);
    if (stream->runner.running()) {
      continue;
    }
    // A command may have changed or deleted it since all were read.
    const absl::StatusOr<StreamRecord> current = store.Load(record.spec.id);
    if (absl::IsNotFound(current.status())) {
      continue;
    }
    SLUICE_RETURN_IF_ERROR(current.status());
    stream->runner.board().SetRecord(*current);
    if (current->Active()) {
      stream->runner.Start();
    }
  }
  return absl::OkStatus();
}

void StreamManager::Suspend() {
  const absl::MutexLock load_lock(&load_mutex_);
  SuspendLocked();
}

void StreamManager::SuspendLocked() {
  Streams streams;
  {
    const absl::MutexLock lock(&mutex_);
    streams.swap(streams_);
  }
  for (const auto& [id, stream] : streams) {
    const absl::MutexLock lock(&stream->mutex);
    stream->suspended = true;
    stream->runner.Stop();
  }
}

void StreamManager::Stop() {
  {
    const absl::MutexLock lock(&mutex_);
    stopped_ = true;
  }
  Suspend();
}

std::vector<StreamStatus> StreamManager::Statuses() const {
  Streams streams;
  {
    const absl::MutexLock lock(&mutex_);
    streams = streams_;
  }
  std::vector<StreamStatus> statuses;
  statuses.reserve(streams.size());
  for (const auto& [id, stream] : streams) {
    statuses.push_back(stream->runner.board().Status());
  }
  return statuses;
}

absl::Status StreamManager::Create(const rpc::RequestContext& context,
                                   schemas::CreateStreamRequest::Reader request) {
  StreamSpec spec = ReadStreamSpec(request.getSpec());
  SLUICE_RETURN_IF_ERROR(CheckStreamSpec(spec));
  SLUICE_RETURN_IF_ERROR(CheckServed(spec));
  // A new one: what the account may do is tried in it.
  SLUICE_ASSIGN_OR_RETURN(const auto connection, ConnectLocal(environment_.local));
  StreamStore store(*connection);
  SLUICE_RETURN_IF_ERROR(store.CheckWritable());
  absl::StatusOr<StreamRecord> existing = store.Load(spec.id);
  if (!existing.ok() && !absl::IsNotFound(existing.status())) {
    return existing.status();
  }
  StreamRecord record = NewRecord(std::move(spec), request.getStart());
  const bool is_new = !existing.ok();
  if (!is_new) {
    if (existing->spec != record.spec) {
      return WithSubject(absl::AlreadyExistsError(absl::StrCat(
                             "stream ", record.spec.id, " exists with another specification")),
                         absl::StrCat(record.spec.id));
    }
    // A command may have stopped it since it was created, so it stays as it is.
    record = *std::move(existing);
  }
  const std::shared_ptr<Stream> stream = FindOrAdd(record);
  if (stream == nullptr || absl::Now() > context.deadline) {
    return absl::FailedPreconditionError(
        absl::StrCat("stream ", record.spec.id, " was deleted, or the request came too late"));
  }
  const absl::MutexLock lock(&stream->mutex);
  if (is_new && record.spec.awaits_position) {
    SLUICE_RETURN_IF_ERROR(CheckCanApply(environment_, record.spec, *connection));
  }
  if (is_new) {
    SLUICE_RETURN_IF_ERROR(store.Insert(record));
    SLUICE_CRASH_POINT("stream.after_create");
    SLUICE_LOG(kInfo, "stream created",
               {{"stream", record.spec.id}, {"workflow", record.spec.workflow}});
  }
  if (record.Active() && !stream->suspended) {
    stream->runner.Start();
  }
  environment_.on_change();
  return absl::OkStatus();
}

absl::Status StreamManager::Delete(uint64_t id, const std::shared_ptr<Stream>& stream) {
  SLUICE_ASSIGN_OR_RETURN(const agent::Session connection, BorrowWritable());
  if (stream != nullptr) {
    const absl::MutexLock lock(&stream->mutex);
    stream->runner.Stop();
    SLUICE_RETURN_IF_ERROR(EndKeyChanges(*connection, id));
    SLUICE_RETURN_IF_ERROR(StreamStore(*connection).Delete(id));
  } else {
    SLUICE_RETURN_IF_ERROR(EndKeyChanges(*connection, id));
    SLUICE_RETURN_IF_ERROR(StreamStore(*connection).Delete(id));
  }
  SLUICE_CRASH_POINT("stream.after_delete");
  const absl::MutexLock lock(&mutex_);
  streams_.erase(id);
  deleted_.insert(id);
  return absl::OkStatus();
}

absl::Status StreamManager::Control(schemas::ControlStreamRequest::Reader request,
                                    schemas::ControlStreamReply::Builder reply) {
  const uint64_t id = request.getStreamId();
  const StreamAction action = request.getAction();
  SLUICE_ASSIGN_OR_RETURN(const agent::Session connection, BorrowWritable());
  StreamStore store(*connection);
  absl::StatusOr<StreamRecord> record = store.Load(id);
  if (absl::IsNotFound(record.status()) && action == StreamAction::DELETE) {
    SLUICE_RETURN_IF_ERROR(Delete(id, Find(id)));
    reply.initStatus().setId(id);
    return absl::OkStatus();
  }
  SLUICE_RETURN_IF_ERROR(record.status());
  SLUICE_RETURN_IF_ERROR(CheckServed(record->spec));
  const std::shared_ptr<Stream> stream = FindOrAdd(*record);
  if (stream == nullptr) {
    return Unknown(id);
  }
  if (request.getEpoch() < record->epoch) {
    return TooOld(id, request.getEpoch(), record->epoch);
  }
  if (action == StreamAction::DELETE) {
    SLUICE_RETURN_IF_ERROR(Delete(id, stream));
    reply.initStatus().setId(id);
  } else {
    SLUICE_RETURN_IF_ERROR(Obey(*stream, request, store));
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
  const uint64_t id = request.getStreamId();
  const bool keeps_running =
      action == StreamAction::START && stream.runner.running() && stream.runner.board().Active();
  if (!keeps_running) {
    stream.runner.Stop();  // its last commit is over when this returns
  }
  // Another agent may still think that it runs the stream: what it is about to commit must not come
  // after the answer.
  SLUICE_ASSIGN_OR_RETURN(StreamRecord record, keeps_running ? store.Load(id) : store.Claim(id));
  if (request.getEpoch() < record.epoch) {
    return absl::FailedPreconditionError(
        absl::StrCat("a command of a newer epoch for stream ", id, " came in between"));
  }
  const bool begins = (action == StreamAction::START || action == StreamAction::STOP) &&
                      record.spec.awaits_position && request.getStartPosition().size() > 0;
  if (begins) {
    SLUICE_RETURN_IF_ERROR(BeginAt(wire::Str(request.getStartPosition()), record));
  }
  SLUICE_RETURN_IF_ERROR(Change(action, record));
  record.epoch = request.getEpoch();
  if (keeps_running) {
    return store.UpdateEpoch(id, record.epoch);
  }
  SLUICE_RETURN_IF_ERROR(begins ? store.UpdateStart(record) : store.UpdateState(record));
  SLUICE_CRASH_POINT("stream.after_command");
  stream.runner.board().SetRecord(record);
  if (record.Active() && !stream.suspended) {
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
    return Unknown(id);
  }
  SLUICE_RETURN_IF_ERROR(ChangeSpec(*stream, request, store));
  WriteStreamStatus(stream->runner.board().Status(), reply.initStatus());
  SLUICE_LOG(kInfo, "stream updated", {{"stream", id}});
  environment_.on_change();
  return absl::OkStatus();
}

absl::Status StreamManager::ChangeSpec(Stream& stream, schemas::UpdateStreamRequest::Reader request,
                                       StreamStore& store) {
  const absl::MutexLock lock(&stream.mutex);
  const uint64_t id = request.getStreamId();
  SLUICE_ASSIGN_OR_RETURN(const StreamRecord record, store.Load(id));
  if (request.getEpoch() < record.epoch) {
    return TooOld(id, request.getEpoch(), record.epoch);
  }
  StreamSpec spec = record.spec;
  spec.source_types.clear();
  for (const schemas::TabletType type : request.getSourceTypes()) {
    spec.source_types.push_back(type);
  }
  spec.options = stream::ReadStreamOptions(request.getOptions());
  spec.throttled = record.spec.throttled;
  // The switch alone takes effect at once; all else when the stream reads its values, which is when
  // it begins. It goes on from its durable position then.
  const bool restart = spec != record.spec && stream.runner.running();
  spec.throttled = wire::Str(request.getThrottled());
  SLUICE_RETURN_IF_ERROR(CheckStreamSpec(spec));
  SLUICE_RETURN_IF_ERROR(store.UpdateSpec(spec, request.getEpoch()));
  SLUICE_CRASH_POINT("stream.after_command");
  stream.runner.throttle().SetByHand(spec.throttled);
  stream.runner.board().SetSpec(spec);
  if (restart) {
    stream.runner.Stop();  // its last commit is over when this returns
    if (stream.runner.board().Active() && !stream.suspended) {
      stream.runner.Start();
    }
  }
  return absl::OkStatus();
}

absl::Status StreamManager::List(schemas::ListStreamsRequest::Reader request,
                                 schemas::ListStreamsReply::Builder reply) {
  std::vector<StreamStatus> statuses = Statuses();
  const std::string workflow = wire::Str(request.getWorkflow());
  if (!workflow.empty()) {
    statuses.erase(std::remove_if(statuses.begin(), statuses.end(),
                                  [&](const StreamStatus& status) {
                                    return status.spec.workflow != workflow;
                                  }),
                   statuses.end());
  }
  auto list = reply.initStreams(static_cast<unsigned>(statuses.size()));
  for (unsigned i = 0; i < list.size(); ++i) {
    WriteStreamStatus(statuses[i], list[i]);
  }
  return absl::OkStatus();
}

absl::Status StreamManager::AwaitMarker(const rpc::RequestContext& context,
                                        schemas::AwaitMarkerRequest::Reader request,
                                        schemas::AwaitMarkerReply::Builder reply) {
  const std::shared_ptr<Stream> stream = Find(request.getStreamId());
  if (stream == nullptr) {
    return Unknown(request.getStreamId());
  }
  const absl::Time deadline = std::min(absl::Now() + absl::Milliseconds(request.getWaitMs()),
                                       context.deadline - kAnswerMargin);
  // Clients wait for the answer, so the session is made before the marker comes.
  SLUICE_ASSIGN_OR_RETURN(const agent::Session connection, commands_.Borrow());
  SLUICE_ASSIGN_OR_RETURN(
      const std::string position,
      stream->runner.board().AwaitMarker(wire::Str(request.getMarkerId()), deadline, [&context] {
        return context.closing && context.closing();
      }));
  SLUICE_ASSIGN_OR_RETURN(const std::string executed,
                          connection->QueryScalar("SELECT @@GLOBAL.gtid_executed"));
  reply.setPosition(position);
  reply.setGtidExecuted(absl::StrReplaceAll(executed, {{"\n", ""}}));
  return absl::OkStatus();
}

}  // namespace sluice::target
