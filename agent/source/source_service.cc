// SourceService: sessions by id, their life, and the calls of the data plane.

#include "agent/source/source_service.h"

#include <algorithm>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "agent/source/history_check.h"
#include "common/base/crash_point.h"
#include "common/base/log.h"
#include "common/base/random_id.h"
#include "common/base/status.h"
#include "common/base/status_macros.h"
#include "common/wire/wire.h"
#include "schemas/envelope.capnp.h"

namespace sluice::source {
namespace {

// For a server that executes what the stream has applied a moment later.
constexpr absl::Duration kHistoryWait = absl::Seconds(2);
constexpr absl::Duration kSnapshotWaitMax = absl::Seconds(50);
constexpr uint32_t kReadersMax = 16;
constexpr uint32_t kBatchBytesMax = 16U << 20U;
// Of rows in one answer; more are fetched in parts, so that large values need no large messages.
constexpr size_t kPartBytes = size_t{8} << 20U;
// What is left of the caller's budget for the answer's way.
constexpr absl::Duration kAnswerMargin = absl::Milliseconds(100);
// How long a call waits for its throttle before the target is told, so that it need not ask again
// and again; and how often it looks: soon for the first sample, which takes a moment.
constexpr absl::Duration kThrottleWait = absl::Milliseconds(500);
constexpr absl::Duration kThrottleLookMin = absl::Milliseconds(2);
constexpr absl::Duration kThrottleLookMax = absl::Milliseconds(50);

BinlogTailOptions ForTail(const SourceOptions& options) {
  BinlogTailOptions tail;
  tail.connection = options.connection;
  tail.server_id = options.server_id_base + static_cast<uint32_t>(options.sessions_max);
  tail.heartbeat = options.heartbeat;
  tail.window_bytes_max = options.window_bytes_max;
  tail.transaction_bytes_max = options.window_bytes_max / 4;
  return tail;
}

absl::Status UnknownSession(absl::string_view id) {
  return WithSubject(absl::NotFoundError(absl::StrCat("no session ", id, " on this source")), id);
}

}  // namespace

class SourceService::Use {
 public:
  // Empty (no session) when there is none of that id.
  Use(SourceService& service, std::string id) : service_(service), id_(std::move(id)) {
    const absl::MutexLock lock(&service_.mutex_);
    const auto found = service_.sessions_.find(id_);
    if (found != service_.sessions_.end()) {
      ++found->second.calls;
      snapshot_ = found->second.snapshot;
      binlog_ = found->second.binlog;
      throttle_ = found->second.throttle;
    }
  }
  Use(const Use&) = delete;
  Use& operator=(const Use&) = delete;
  ~Use() {
    const absl::MutexLock lock(&service_.mutex_);
    const auto found = service_.sessions_.find(id_);
    if (found != service_.sessions_.end()) {
      --found->second.calls;
      found->second.last_used = absl::Now();
    }
  }

  [[nodiscard]] SnapshotSession* snapshot() const { return snapshot_.get(); }
  [[nodiscard]] BinlogSession* binlog() const { return binlog_.get(); }
  [[nodiscard]] throttle::Gate* throttle() const { return throttle_.get(); }

 private:
  SourceService& service_;
  const std::string id_;
  std::shared_ptr<SnapshotSession> snapshot_;
  std::shared_ptr<BinlogSession> binlog_;
  std::shared_ptr<throttle::Gate> throttle_;
};

SourceService::SourceService(SourceOptions options)
    : options_(std::move(options)),
      tail_(ForTail(options_)),
      reaper_([this] { EndIdleSessions(); }) {}

SourceService::~SourceService() {
  Stop();
}

void SourceService::Register(rpc::Server& server) {
  server.Register<schemas::OpenSnapshotRequest, schemas::OpenSnapshotReply>(
      schemas::Method::OPEN_SNAPSHOT, [this](const auto& context, auto request, auto reply) {
        return OpenSnapshot(context, request, reply);
      });
  server.Register<schemas::FetchRowsRequest, schemas::FetchRowsReply>(
      schemas::Method::FETCH_ROWS,
      [this](const auto&, auto request, auto reply) { return FetchRows(request, reply); }, false);
  server.Register<schemas::OpenBinlogRequest, schemas::OpenBinlogReply>(
      schemas::Method::OPEN_BINLOG,
      [this](const auto&, auto request, auto reply) { return OpenBinlog(request, reply); });
  server.Register<schemas::FetchEventsRequest, schemas::FetchEventsReply>(
      schemas::Method::FETCH_EVENTS,
      [this](const auto& context, auto request, auto reply) {
        return FetchEvents(context, request, reply);
      },
      false);
  server.Register<schemas::CloseSessionRequest, schemas::Empty>(
      schemas::Method::CLOSE_SESSION, [this](const auto&, auto request, auto) {
        return CloseSession(wire::Str(request.getSession()));
      });
}

void SourceService::Stop() {
  {
    const absl::MutexLock lock(&mutex_);
    stopped_ = true;
  }
  End([](const std::string&, const Session&) { return true; });
  if (reaper_.joinable()) {
    reaper_.join();
  }
  tail_.Stop();
}

size_t SourceService::sessions() const {
  const absl::MutexLock lock(&mutex_);
  return sessions_.size();
}

absl::Status SourceService::CheckServed(absl::string_view database) const {
  if (options_.databases.empty() || std::find(options_.databases.begin(), options_.databases.end(),
                                              database) != options_.databases.end()) {
    return absl::OkStatus();
  }
  return WithSubject(
      absl::UnavailableError(absl::StrCat("this agent does not serve database ", database)),
      database);
}

absl::Status SourceService::CheckRoom() {
  const absl::MutexLock lock(&mutex_);
  if (stopped_) {
    return absl::UnavailableError("this agent's source role is stopping");
  }
  if (sessions_.size() >= options_.sessions_max) {
    return absl::ResourceExhaustedError(
        absl::StrCat("this source serves ", sessions_.size(), " sessions, its maximum"));
  }
  return absl::OkStatus();
}

absl::StatusOr<std::string> SourceService::Add(Session session) {
  SLUICE_RETURN_IF_ERROR(CheckRoom());
  std::string id = NewId();
  session.last_used = absl::Now();
  const absl::MutexLock lock(&mutex_);
  if (stopped_) {
    return absl::UnavailableError("this agent's source role is stopping");
  }
  sessions_.emplace(id, std::move(session));
  return id;
}

void SourceService::End(const std::function<bool(const std::string&, const Session&)>& which) {
  std::vector<Session> ended;  // destroyed without the lock: a binlog session joins its thread
  {
    const absl::MutexLock lock(&mutex_);
    for (auto it = sessions_.begin(); it != sessions_.end();) {
      if (which(it->first, it->second)) {
        ended.push_back(std::move(it->second));
        sessions_.erase(it++);
      } else {
        ++it;
      }
    }
  }
  for (Session& session : ended) {
    if (session.snapshot != nullptr) {
      session.snapshot->Interrupt();
    } else {
      session.binlog->Close();
    }
  }
  const bool slots_used = std::any_of(
      ended.begin(), ended.end(), [](const Session& session) { return session.binlog != nullptr; });
  std::vector<uint32_t> slots;
  for (const Session& session : ended) {
    if (session.binlog != nullptr) {
      slots.push_back(session.slot);
    }
  }
  ended.clear();
  if (slots_used) {
    const absl::MutexLock lock(&mutex_);
    for (const uint32_t slot : slots) {
      slots_.erase(slot);
    }
  }
}

void SourceService::EndSessionsOf(uint64_t stream_id) {
  End([&](const std::string&, const Session& session) { return session.stream_id == stream_id; });
}

std::shared_ptr<throttle::Gate> SourceService::MakeGate(bool wanted,
                                                        schemas::ThrottleLimits::Reader limits) {
  const throttle::Limits read = throttle::ReadLimits(limits);
  return wanted && options_.sampler != nullptr && !read.empty()
             ? std::make_shared<throttle::Gate>(*options_.sampler, read)
             : nullptr;
}

absl::Status SourceService::AwaitOpen(throttle::Gate* gate) {
  if (gate == nullptr) {
    return absl::OkStatus();
  }
  const absl::Time deadline = absl::Now() + kThrottleWait;
  for (absl::Duration look = kThrottleLookMin;; look = std::min(2 * look, kThrottleLookMax)) {
    const std::string why = gate->Why();
    if (why.empty()) {
      return absl::OkStatus();
    }
    const absl::MutexLock lock(&mutex_);
    if (absl::Now() >= deadline || mutex_.AwaitWithTimeout(absl::Condition(&stopped_), look)) {
      return WithSubject(absl::ResourceExhaustedError(why), throttle::kThrottledSubject);
    }
  }
}

absl::StatusOr<uint32_t> SourceService::TakeSlot() {
  const absl::MutexLock lock(&mutex_);
  const auto count = static_cast<uint32_t>(options_.sessions_max);
  for (uint32_t i = 0; i < count; ++i) {
    const uint32_t slot = next_slot_;
    next_slot_ = (next_slot_ + 1) % count;
    if (slots_.insert(slot).second) {
      return slot;
    }
  }
  return absl::ResourceExhaustedError("no server id is free for another binlog session");
}

absl::Status SourceService::OpenSnapshot(const rpc::RequestContext& context,
                                         schemas::OpenSnapshotRequest::Reader request,
                                         schemas::OpenSnapshotReply::Builder reply) {
  const uint64_t stream_id = request.getStreamId();
  EndSessionsOf(stream_id);
  SLUICE_RETURN_IF_ERROR(CheckServed(wire::Str(request.getDatabase())));
  SLUICE_RETURN_IF_ERROR(CheckRoom());
  const std::shared_ptr<throttle::Gate> gate =
      MakeGate(request.hasThrottle(), request.getThrottle());
  SLUICE_RETURN_IF_ERROR(AwaitOpen(gate.get()));
  SnapshotOptions options;
  options.connection = options_.connection;
  options.database = wire::Str(request.getDatabase());
  options.tables = wire::Strs(request.getTables());
  options.readers = std::clamp(request.getReaders(), 1U, kReadersMax);
  options.not_before = wire::Str(request.getNotBefore());
  options.wait = std::min({absl::Milliseconds(request.getWaitMs()), kSnapshotWaitMax,
                           context.deadline - absl::Now() - kAnswerMargin});
  SLUICE_ASSIGN_OR_RETURN(std::shared_ptr<SnapshotSession> snapshot,
                          SnapshotSession::Open(options));
  const std::string position = snapshot->position();
  const std::string up_to = snapshot->up_to();
  const std::vector<SnapshotSession::Estimate> estimates = snapshot->Estimates();
  Session session;
  session.stream_id = stream_id;
  session.snapshot = std::move(snapshot);
  session.throttle = gate;
  SLUICE_ASSIGN_OR_RETURN(const std::string id, Add(std::move(session)));
  SLUICE_CRASH_POINT("source.snapshot_open");
  SLUICE_LOG(kInfo, "snapshot opened", {{"stream", stream_id}, {"session", id}});
  reply.setSession(id);
  reply.setPosition(position);
  reply.setUpTo(up_to);
  auto list = reply.initEstimates(wire::Size(estimates));
  for (unsigned i = 0; i < list.size(); ++i) {
    list[i].setTable(estimates[i].table);
    list[i].setRows(estimates[i].rows);
    list[i].setBytes(estimates[i].bytes);
  }
  return absl::OkStatus();
}

absl::Status SourceService::FetchRows(schemas::FetchRowsRequest::Reader request,
                                      schemas::FetchRowsReply::Builder reply) {
  const std::string id = wire::Str(request.getSession());
  const Use use(*this, id);
  if (use.snapshot() == nullptr) {
    return UnknownSession(id);
  }
  if (request.getHeld() != 0) {
    return FetchHeld(*use.snapshot(), request, reply);  // it is read already
  }
  SLUICE_RETURN_IF_ERROR(AwaitOpen(use.throttle()));
  ChunkRequest chunk_request;
  chunk_request.table = wire::Str(request.getTable());
  chunk_request.columns = wire::Strs(request.getColumns());
  chunk_request.key_columns = wire::Strs(request.getKeyColumns());
  chunk_request.after_key = wire::Str(request.getAfterKey());
  chunk_request.rows_max = request.getMaxRows();
  chunk_request.bytes_max = request.getMaxBytes();
  chunk_request.end_key = wire::Str(request.getEndKey());
  chunk_request.skip_rows = request.getSkipRows();
  SLUICE_ASSIGN_OR_RETURN(Chunk chunk, use.snapshot()->FetchRows(chunk_request));
  SLUICE_CRASH_POINT("source.rows_read");
  if (chunk.rows.size() > kPartBytes) {
    reply.setHeldBytes(chunk.rows.size());
    HeldRows& held = use.snapshot()->held();
    const uint64_t number = held.Keep(std::move(chunk.rows));
    reply.setHeld(number);
    SLUICE_ASSIGN_OR_RETURN(chunk.rows, held.Read(number, 0, kPartBytes));
  }
  reply.setRows(wire::Bytes(chunk.rows));
  reply.setRowCount(chunk.row_count);
  reply.setLastKey(wire::Bytes(chunk.last_key));
  reply.setEndOfTable(chunk.end_of_table);
  reply.setTableRowsEstimate(chunk.rows_estimate);
  reply.setTableBytesEstimate(chunk.bytes_estimate);
  return absl::OkStatus();
}

absl::Status SourceService::FetchHeld(SnapshotSession& session,
                                      schemas::FetchRowsRequest::Reader request,
                                      schemas::FetchRowsReply::Builder reply) {
  SLUICE_ASSIGN_OR_RETURN(const std::string part,
                          session.held().Read(request.getHeld(), request.getOffset(), kPartBytes));
  reply.setRows(wire::Bytes(part));
  return absl::OkStatus();
}

absl::Status SourceService::OpenBinlog(schemas::OpenBinlogRequest::Reader request,
                                       schemas::OpenBinlogReply::Builder reply) {
  const uint64_t stream_id = request.getStreamId();
  EndSessionsOf(stream_id);
  SLUICE_RETURN_IF_ERROR(CheckServed(wire::Str(request.getDatabase())));
  SLUICE_RETURN_IF_ERROR(CheckRoom());
  BinlogSessionOptions options;
  options.connection = options_.connection;
  options.wanted.database = wire::Str(request.getDatabase());
  for (std::string& table : wire::Strs(request.getTables())) {
    options.wanted.tables.insert(std::move(table));
  }
  SLUICE_ASSIGN_OR_RETURN(options.position, gtid::GtidSet::Parse(wire::Str(request.getPosition())));
  {
    SLUICE_ASSIGN_OR_RETURN(const auto connection, mysql::Connection::Connect(options_.connection));
    SLUICE_RETURN_IF_ERROR(
        CheckHistory(*connection, wire::Str(request.getPosition()), kHistoryWait));
  }
  options.queue_bytes_max = options_.queue_bytes_max;
  options.heartbeat = options_.heartbeat;
  SLUICE_ASSIGN_OR_RETURN(const uint32_t slot, TakeSlot());
  options.server_id = options_.server_id_base + slot;
  Session session;
  session.stream_id = stream_id;
  session.slot = slot;
  session.throttle = MakeGate(request.hasThrottle(), request.getThrottle());
  session.binlog = std::make_shared<BinlogSession>(std::move(options), tail_);
  const absl::StatusOr<std::string> id = Add(std::move(session));
  if (!id.ok()) {
    const absl::MutexLock lock(&mutex_);
    slots_.erase(slot);
    return id.status();
  }
  SLUICE_CRASH_POINT("source.binlog_open");
  SLUICE_LOG(kInfo, "binlog opened", {{"stream", stream_id}, {"session", *id}});
  reply.setSession(*id);
  return absl::OkStatus();
}

absl::Status SourceService::FetchEvents(const rpc::RequestContext& context,
                                        schemas::FetchEventsRequest::Reader request,
                                        schemas::FetchEventsReply::Builder reply) {
  const std::string id = wire::Str(request.getSession());
  const Use use(*this, id);
  if (use.binlog() == nullptr) {
    return UnknownSession(id);
  }
  FetchEventsArguments arguments;
  arguments.number = request.getNumber();
  arguments.bytes_max = std::clamp(request.getMaxBytes(), 1U, kBatchBytesMax);
  arguments.deadline = std::min(absl::Now() + absl::Milliseconds(request.getWaitMs()),
                                context.deadline - kAnswerMargin);
  SLUICE_ASSIGN_OR_RETURN(const std::shared_ptr<const EventBatch> batch,
                          use.binlog()->Fetch(arguments));
  SLUICE_CRASH_POINT("source.events_taken");
  reply.setEvents(wire::Bytes(batch->events));
  reply.setSourceTimeUs(static_cast<uint64_t>(absl::ToUnixMicros(absl::Now())));
  reply.setCaughtUp(batch->caught_up);
  if (use.throttle() != nullptr) {
    reply.setThrottled(use.throttle()->Why());
  }
  return absl::OkStatus();
}

absl::Status SourceService::CloseSession(absl::string_view id) {
  End([&](const std::string& candidate, const Session&) { return candidate == id; });
  return absl::OkStatus();
}

void SourceService::EndIdleSessions() {
  const absl::Duration interval = std::min(options_.idle_timeout / 4, absl::Seconds(5));
  while (true) {
    {
      const absl::MutexLock lock(&mutex_);
      if (mutex_.AwaitWithTimeout(absl::Condition(&stopped_), interval)) {
        return;
      }
    }
    const absl::Time oldest = absl::Now() - options_.idle_timeout;
    End([&](const std::string&, const Session& session) {
      return session.calls == 0 && session.last_used < oldest;
    });
  }
}

}  // namespace sluice::source
