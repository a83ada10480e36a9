// StreamManager: loading, suspending, and what is asked of streams. Commands: stream_commands.cc.

#include "agent/target/stream_manager.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "agent/target/local_session.h"
#include "agent/target/stream_spec.h"
#include "agent/target/stream_store.h"
#include "common/base/log.h"
#include "common/base/status.h"
#include "common/base/status_macros.h"
#include "common/wire/wire.h"
#include "schemas/envelope.capnp.h"

namespace sluice::target {
namespace {

// What is left of the caller's budget for the answer's way.
constexpr absl::Duration kAnswerMargin = absl::Milliseconds(100);

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

absl::Status StreamManager::NotHere(uint64_t id) {
  return WithSubject(absl::NotFoundError(absl::StrCat("stream ", id, " is not on this agent")),
                     absl::StrCat(id));
}

std::shared_ptr<StreamManager::Stream> StreamManager::Find(uint64_t id) const {
  const absl::MutexLock lock(&mutex_);
  const auto found = streams_.find(id);
  return found == streams_.end() ? nullptr : found->second;
}

std::shared_ptr<StreamManager::Stream> StreamManager::FindOrAdd(const StreamRecord& record) {
  const absl::MutexLock lock(&mutex_);
  const uint64_t id = record.spec.id;
  if (stopped_) {
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
    const absl::Status resumed = Resume(*stream, record.spec.id, store);
    if (absl::IsNotFound(resumed)) {
      Forget(record.spec.id, stream, *connection);
    } else {
      SLUICE_RETURN_IF_ERROR(resumed);
    }
  }
  return store.ForgetDeleted();
}

absl::Status StreamManager::Resume(Stream& stream, uint64_t id, StreamStore& store) {
  const absl::MutexLock lock(&stream.mutex);
  if (stream.runner.running()) {
    return absl::OkStatus();
  }
  // A command may have changed or deleted it since all were read.
  SLUICE_ASSIGN_OR_RETURN(const StreamRecord current, store.Load(id));
  stream.runner.board().SetRecord(current);
  if (current.Active()) {
    stream.runner.Start();
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
    return NotHere(request.getStreamId());
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
