// Server: connections that are read, workers that run handlers, answers that are kept.

#include "common/rpc/server.h"

#include <nng/nng.h>
#include <capnp/message.h>

#include <algorithm>
#include <atomic>
#include <memory>
#include <optional>
#include <thread>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/cleanup/cleanup.h"
#include "absl/container/flat_hash_map.h"
#include "absl/container/flat_hash_set.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/clock.h"
#include "common/base/check.h"
#include "common/base/log.h"
#include "common/base/status.h"
#include "common/base/status_macros.h"
#include "common/rpc/answer_cache.h"
#include "common/rpc/connection.h"
#include "common/rpc/frame.h"
#include "common/rpc/nng_handles.h"
#include "common/rpc/operation.h"
#include "common/rpc/worker_pool.h"

namespace sluice::rpc {
namespace {

constexpr absl::Duration kSendStallMax = absl::Seconds(10);
constexpr absl::Duration kGreetingMax = absl::Seconds(10);
constexpr absl::Duration kDeadlineMax = absl::Hours(1);
// Each has a thread. More wait in the queue of the operating system until one ends.
constexpr int kConnectionsMax = 1024;
constexpr absl::Duration kAcceptPause = absl::Seconds(1);
// Frames a little above the limit are still taken, to be refused with a reason; far above it the
// connection is closed.
constexpr size_t kPoliteBytes = 1U << 20U;

bool IsLongPoll(schemas::Method method) {
  switch (method) {
    case schemas::Method::AWAIT_MARKER:
    case schemas::Method::AWAIT_POSITION:
    case schemas::Method::FETCH_EVENTS:
    case schemas::Method::POLL_RULES:
      return true;
    default:
      return false;
  }
}

std::string ToString(capnp::Text::Reader text) {
  return {text.begin(), text.size()};
}

// The answer to a request that failed.
Message EncodeError(const absl::Status& status) {
  capnp::MallocMessageBuilder builder;
  auto response = builder.initRoot<schemas::Response>();
  response.setProtocolVersion(schemas::PROTOCOL_VERSION);
  response.setCode(static_cast<uint16_t>(status.code()));
  response.setMessage(std::string(status.message()));
  response.setSubject(SubjectOf(status));
  Message message;
  SLUICE_CHECK_OK(Encode(builder, kFrameBytesMax, message));
  return message;
}

// What is checked before the method is looked at.
absl::Status CheckEnvelope(schemas::Request::Reader request) {
  const uint16_t version = request.getProtocolVersion();
  if (version == 0) {
    return absl::InvalidArgumentError("not a request: protocol version 0");
  }
  if (version != schemas::PROTOCOL_VERSION) {
    return absl::UnimplementedError(absl::StrCat("peer speaks protocol ", version,
                                                 ", this program ", schemas::PROTOCOL_VERSION));
  }
  if (request.getDeadlineMs() == 0) {
    return absl::InvalidArgumentError("request without a deadline");
  }
  return absl::OkStatus();
}

}  // namespace

// Each connection has a thread that receives. A request takes a slot, is handled, has its answer
// sent and gives the slot back; while there is none free, nothing is received.
struct Server::Impl {
  struct Slot {
    int index = 0;
    std::shared_ptr<Connection> from;
    uint32_t id = 0;
  };
  struct Method {
    Handler handler;
    bool remember = true;
  };

  explicit Impl(ServerOptions the_options)
      : options(std::move(the_options)),
        answers({.entries_max = options.idempotency_entries_max,
                 .bytes_max = options.idempotency_bytes_max}) {}

  ServerOptions options;
  absl::flat_hash_map<schemas::Method, Method> methods;
  AnswerCache answers;
  std::atomic<bool> closing = false;
  std::atomic<int> long_polls = 0;
  std::string bound_url;
  StreamListener listener;
  Operation accepting;
  std::jthread acceptor;
  absl::Mutex mutex;
  absl::flat_hash_set<std::shared_ptr<Connection>> connections ABSL_GUARDED_BY(mutex);
  std::vector<Slot*> free ABSL_GUARDED_BY(mutex);
  std::vector<std::unique_ptr<Slot>> slots;
  std::optional<WorkerPool> readers;
  std::optional<WorkerPool> pool;

  bool NothingInHand() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex) {
    return free.size() == slots.size();
  }
  bool FreeOrClosing() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex) {
    return closing || !free.empty();
  }
  bool RoomOrClosing() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex) {
    return closing || connections.size() < kConnectionsMax;
  }
  bool IsClosing() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex) { return closing; }

  absl::Status Listen();
  void Accept() ABSL_LOCKS_EXCLUDED(mutex);
  void Serve(const std::shared_ptr<Connection>& connection) ABSL_LOCKS_EXCLUDED(mutex);
  Slot* TakeSlot() ABSL_LOCKS_EXCLUDED(mutex);
  void Send(Slot& slot, const Message& answer) ABSL_LOCKS_EXCLUDED(mutex);
  void SendError(Slot& slot, const absl::Status& status) { Send(slot, EncodeError(status)); }

  void Work(Slot& slot, const Message& request, absl::Time received);
  absl::Status Handle(Slot& slot, schemas::Request::Reader request, absl::Time received);
  absl::Status HandleOnce(Slot& slot, const Method& method, const RequestContext& context,
                          schemas::Request::Reader request);
  absl::Status RunHandler(const Method& method, const RequestContext& context,
                          schemas::Request::Reader request, Message& answer);
};

absl::Status Server::Impl::Listen() {
  const auto failed = [this](int error) {
    return WithSubject(absl::UnavailableError(absl::StrCat("can't listen on ", options.url, ": ",
                                                           nng_strerror(error))),
                       options.url);
  };
  nng_stream_listener* raw = nullptr;
  if (const int error = nng_stream_listener_alloc(&raw, options.url.c_str()); error != 0) {
    return failed(error);
  }
  listener.reset(raw);
  SLUICE_RETURN_IF_ERROR(
      StatusFromNng(nng_stream_listener_set_bool(raw, NNG_OPT_TCP_NODELAY, true), "no delay"));
  if (const int error = nng_stream_listener_listen(raw); error != 0) {
    return failed(error);
  }
  bound_url = options.url;
  if (absl::string_view host = bound_url; absl::ConsumeSuffix(&host, ":0")) {
    int port = 0;
    SLUICE_RETURN_IF_ERROR(StatusFromNng(
        nng_stream_listener_get_int(raw, NNG_OPT_TCP_BOUND_PORT, &port), "bound port"));
    bound_url = absl::StrCat(host, ":", port);
  }
  return absl::OkStatus();
}

void Server::Impl::Accept() {
  while (true) {
    {
      const absl::MutexLock lock(&mutex);
      mutex.Await(absl::Condition(this, &Impl::RoomOrClosing));
    }
    const int error = accepting.Run(absl::InfiniteFuture(), [this](nng_aio* aio) {
      nng_stream_listener_accept(listener.get(), aio);
    });
    auto connection = error == 0 ? std::make_shared<Connection>(accepting.TakeStream()) : nullptr;
    const absl::MutexLock lock(&mutex);
    if (closing) {
      return;
    }
    if (connection != nullptr) {
      connections.insert(connection);
      readers->Post([this, connection] { Serve(connection); });
      continue;
    }
    SLUICE_LOG(kWarning, "can't accept a connection", {{"error", StatusFromNng(error, "accept")}});
    mutex.AwaitWithTimeout(absl::Condition(this, &Impl::IsClosing), kAcceptPause);
  }
}

void Server::Impl::Serve(const std::shared_ptr<Connection>& connection) {
  const absl::Cleanup forget = [this, &connection] {
    const absl::MutexLock lock(&mutex);
    connections.erase(connection);
  };
  if (!connection->Greet(Side::kReplies, Side::kRequests, absl::Now() + kGreetingMax).ok()) {
    return;
  }
  while (true) {
    Frame request;
    if (!connection->Receive(options.receive_bytes_max + kPoliteBytes, request).ok()) {
      // Nobody waits for the answers.
      connection->Cancel();
      return;
    }
    const absl::Time received = absl::Now();
    Slot* slot = TakeSlot();
    if (slot == nullptr) {
      return;
    }
    slot->from = connection;
    slot->id = request.id;
    auto shared = std::make_shared<Message>(std::move(request.body));
    pool->Post([this, slot, shared, received] { Work(*slot, *shared, received); });
  }
}

// Null when the server is closing.
Server::Impl::Slot* Server::Impl::TakeSlot() {
  const absl::MutexLock lock(&mutex);
  mutex.Await(absl::Condition(this, &Impl::FreeOrClosing));
  if (closing) {
    return nullptr;
  }
  Slot* slot = free.back();
  free.pop_back();
  return slot;
}

void Server::Impl::Send(Slot& slot, const Message& answer) {
  if (const absl::Status status = slot.from->Send(slot.id, answer, kSendStallMax); !status.ok()) {
    SLUICE_LOG(kDebug, "answer not sent", {{"error", status}});
  }
  slot.from.reset();
  const absl::MutexLock lock(&mutex);
  free.push_back(&slot);
}

void Server::Impl::Work(Slot& slot, const Message& request, absl::Time received) {
  const absl::string_view bytes = BodyOf(request);
  if (bytes.size() > options.receive_bytes_max) {
    SendError(slot, absl::InvalidArgumentError(
                        absl::StrCat("request of ", bytes.size(), " bytes; at most ",
                                     options.receive_bytes_max, " are allowed")));
    return;
  }
  const absl::Status status = Guard("malformed request", [&] {
    FrameReader frame(bytes);
    return Handle(slot, frame.root<schemas::Request>(), received);
  });
  if (!status.ok()) {
    SendError(slot, status);
  }
}

// OK: the slot's answer is sent, or will be by another. Else the caller sends the error.
absl::Status Server::Impl::Handle(Slot& slot, schemas::Request::Reader request,
                                  absl::Time received) {
  SLUICE_RETURN_IF_ERROR(CheckEnvelope(request));
  const auto method = methods.find(request.getMethod());
  if (method == methods.end()) {
    return absl::UnimplementedError(
        absl::StrCat("method ", static_cast<unsigned>(request.getMethod()), " is unknown here"));
  }
  const RequestContext context{
      .method = request.getMethod(),
      .caller = ToString(request.getCaller()),
      .idempotency_id = ToString(request.getIdempotencyId()),
      .traceparent = ToString(request.getTraceparent()),
      .deadline = received + std::min(absl::Milliseconds(request.getDeadlineMs()), kDeadlineMax),
      .closing = [this] { return closing.load(); },
  };
  if (absl::Now() >= context.deadline) {
    return absl::DeadlineExceededError("the request waited here until its deadline");
  }
  const bool long_poll = IsLongPoll(context.method);
  const absl::Cleanup leave = [this, long_poll] { long_polls -= long_poll ? 1 : 0; };
  if (long_poll && ++long_polls > std::max(options.contexts * 3 / 4, 1)) {
    return absl::ResourceExhaustedError("too many long polls at once; try again");
  }
  if (method->second.remember) {
    return HandleOnce(slot, method->second, context, request);
  }
  Message answer;
  SLUICE_RETURN_IF_ERROR(RunHandler(method->second, context, request, answer));
  Send(slot, answer);
  return absl::OkStatus();
}

absl::Status Server::Impl::HandleOnce(Slot& slot, const Method& method,
                                      const RequestContext& context,
                                      schemas::Request::Reader request) {
  if (context.idempotency_id.empty()) {
    return absl::InvalidArgumentError("request without an idempotency id");
  }
  const std::string key =
      absl::StrCat(static_cast<unsigned>(context.method), "/", context.idempotency_id);
  AnswerCache::Answer known;
  switch (answers.Begin(key, slot.index, known)) {
    case AnswerCache::Begun::kJoined:
      return absl::OkStatus();
    case AnswerCache::Begun::kKnown: {
      Message copy;
      SLUICE_RETURN_IF_ERROR(CopyToMessage(*known, copy));
      Send(slot, copy);
      return absl::OkStatus();
    }
    case AnswerCache::Begun::kRun:
      break;
  }
  Message answer;
  const absl::Status status = RunHandler(method, context, request, answer);
  if (!status.ok()) {
    answer = EncodeError(status);
  }
  const absl::string_view bytes = BodyOf(answer);
  const bool remember = status.ok() && bytes.size() <= options.idempotency_bytes_max / 4;
  const std::vector<AnswerCache::Waiter> waiters =
      answers.Finish(key, remember ? std::make_shared<const std::string>(bytes) : nullptr);
  for (const AnswerCache::Waiter waiter : waiters) {
    Message copy;
    SLUICE_CHECK_OK(CopyToMessage(bytes, copy));
    Send(*slots[static_cast<size_t>(waiter)], copy);
  }
  Send(slot, answer);
  return absl::OkStatus();
}

absl::Status Server::Impl::RunHandler(const Method& method, const RequestContext& context,
                                      schemas::Request::Reader request, Message& answer) {
  capnp::MallocMessageBuilder builder;
  absl::Status status = Guard("malformed request", [&]() -> absl::Status {
    auto response = builder.initRoot<schemas::Response>();
    response.setProtocolVersion(schemas::PROTOCOL_VERSION);
    SLUICE_RETURN_IF_ERROR(method.handler(context, request.getBody(), response.getBody()));
    return Annotate(Encode(builder, kFrameBytesMax, answer), "answer");
  });
  if (!status.ok()) {
    SLUICE_LOG(kDebug, "request failed",
               {{"method", static_cast<unsigned>(context.method)},
                {"caller", context.caller},
                {"traceparent", context.traceparent},
                {"error", status}});
  }
  return status;
}

Server::Server(ServerOptions options) : impl_(std::make_unique<Impl>(std::move(options))) {}

Server::~Server() {
  Stop();
}

void Server::RegisterAny(schemas::Method method, Handler handler, bool remember) {
  SLUICE_CHECK(!impl_->pool.has_value());
  impl_->methods[method] = {.handler = std::move(handler), .remember = remember};
}

absl::Status Server::Start() {
  SLUICE_CHECK(!impl_->pool.has_value());
  SLUICE_RETURN_IF_ERROR(impl_->Listen());
  {
    const absl::MutexLock lock(&impl_->mutex);
    for (int i = 0; i < impl_->options.contexts; ++i) {
      impl_->slots.push_back(std::make_unique<Impl::Slot>());
      impl_->slots.back()->index = i;
      impl_->free.push_back(impl_->slots.back().get());
    }
  }
  impl_->pool.emplace(impl_->options.contexts);
  impl_->readers.emplace(kConnectionsMax);
  impl_->acceptor = std::jthread([impl = impl_.get()] { impl->Accept(); });
  return absl::OkStatus();
}

void Server::Stop() {
  {
    const absl::MutexLock lock(&impl_->mutex);
    if (impl_->closing) {
      return;
    }
    impl_->closing = true;
  }
  if (!impl_->pool.has_value()) {
    return;
  }
  impl_->accepting.Cancel();
  impl_->acceptor.join();
  impl_->listener.reset();
  {
    const absl::MutexLock lock(&impl_->mutex);
    impl_->mutex.Await(absl::Condition(impl_.get(), &Impl::NothingInHand));
    for (const auto& connection : impl_->connections) {
      connection->Cancel();
    }
  }
  impl_->readers.reset();
  impl_->pool.reset();
}

std::string Server::url() const {
  return impl_->bound_url;
}

}  // namespace sluice::rpc
