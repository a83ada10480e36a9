// Server: nng contexts that receive, workers that run handlers, answers that are kept.

#include "common/rpc/server.h"

#include <nng/nng.h>
#include <capnp/message.h>
#include <nng/protocol/reqrep0/rep.h>

#include <algorithm>
#include <atomic>
#include <optional>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/cleanup/cleanup.h"
#include "absl/container/flat_hash_map.h"
#include "absl/strings/str_cat.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/clock.h"
#include "common/base/check.h"
#include "common/base/log.h"
#include "common/base/status.h"
#include "common/base/status_macros.h"
#include "common/rpc/answer_cache.h"
#include "common/rpc/frame.h"
#include "common/rpc/nng_handles.h"
#include "common/rpc/pipe_watch.h"
#include "common/rpc/worker_pool.h"

namespace sluice::rpc {
namespace {

constexpr absl::Duration kSendTimeout = absl::Seconds(10);
constexpr absl::Duration kDeadlineMax = absl::Hours(1);
constexpr absl::Duration kCloseMax = absl::Seconds(5);
// Frames a little above the limit are still taken, to be refused with a reason; far above it nng
// closes the connection.
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

// Each slot takes one request, has it handled, sends the answer, and takes the next one.
struct Server::Impl {
  enum class State { kIdle, kReceiving, kWorking, kSending };
  struct Slot {
    Impl* server = nullptr;
    int index = 0;
    Context context;
    Aio aio;
    State state = State::kIdle;  // guarded by the server's mutex
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
  nng_listener listener = NNG_LISTENER_INITIALIZER;
  PipeWatch watch;
  Socket socket;
  absl::Mutex mutex;
  // Threads inside nng_ctx_send or nng_ctx_recv. nng 1.5 frees a socket that is closed under them.
  int inside_nng ABSL_GUARDED_BY(mutex) = 0;
  std::vector<std::unique_ptr<Slot>> slots;
  std::optional<WorkerPool> pool;

  bool NothingInHand() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex) {
    return inside_nng == 0 && std::none_of(slots.begin(), slots.end(), [](const auto& slot) {
             return slot->state == State::kWorking || slot->state == State::kSending;
           });
  }

  absl::Status Listen();
  absl::Status AddSlots();
  static void OnDone(void* slot);  // on a thread of nng
  void Advance(Slot& slot) ABSL_LOCKS_EXCLUDED(mutex);
  void Receive(Slot& slot) ABSL_LOCKS_EXCLUDED(mutex);
  void Send(Slot& slot, Message answer) ABSL_LOCKS_EXCLUDED(mutex);
  void SendError(Slot& slot, const absl::Status& status) { Send(slot, EncodeError(status)); }

  void Work(Slot& slot, const Message& request, absl::Time received);
  absl::Status Handle(Slot& slot, schemas::Request::Reader request, absl::Time received);
  absl::Status HandleOnce(Slot& slot, const Method& method, const RequestContext& context,
                          schemas::Request::Reader request);
  absl::Status RunHandler(const Method& method, const RequestContext& context,
                          schemas::Request::Reader request, Message& answer);
};

absl::Status Server::Impl::Listen() {
  nng_socket raw = NNG_SOCKET_INITIALIZER;
  SLUICE_RETURN_IF_ERROR(StatusFromNng(nng_rep0_open(&raw), "rep socket"));
  socket = Socket(raw);
  SLUICE_RETURN_IF_ERROR(watch.Attach(raw));
  SLUICE_RETURN_IF_ERROR(StatusFromNng(
      nng_socket_set_size(raw, NNG_OPT_RECVMAXSZ, options.receive_bytes_max + kPoliteBytes),
      "receive limit"));
  const int listening = nng_listen(raw, options.url.c_str(), &listener, 0);
  if (listening != 0) {
    return WithSubject(absl::UnavailableError(absl::StrCat("can't listen on ", options.url, ": ",
                                                           nng_strerror(listening))),
                       options.url);
  }
  char* url = nullptr;
  SLUICE_RETURN_IF_ERROR(
      StatusFromNng(nng_listener_get_string(listener, NNG_OPT_URL, &url), "bound address"));
  bound_url = url;
  nng_strfree(url);
  return absl::OkStatus();
}

absl::Status Server::Impl::AddSlots() {
  for (int i = 0; i < options.contexts; ++i) {
    auto slot = std::make_unique<Slot>();
    slot->server = this;
    slot->index = i;
    nng_ctx context = NNG_CTX_INITIALIZER;
    SLUICE_RETURN_IF_ERROR(StatusFromNng(nng_ctx_open(&context, socket.get()), "context"));
    slot->context = Context(context);
    nng_aio* aio = nullptr;
    SLUICE_RETURN_IF_ERROR(StatusFromNng(nng_aio_alloc(&aio, &Impl::OnDone, slot.get()), "aio"));
    slot->aio.reset(aio);
    slots.push_back(std::move(slot));
  }
  return absl::OkStatus();
}

void Server::Impl::OnDone(void* slot) {
  auto* the_slot = static_cast<Slot*>(slot);
  the_slot->server->Advance(*the_slot);
}

void Server::Impl::Advance(Slot& slot) {
  const int result = nng_aio_result(slot.aio.get());
  State was = State::kIdle;
  {
    const absl::MutexLock lock(&mutex);
    was = slot.state;
    slot.state = State::kIdle;
    if (was == State::kReceiving && result == 0 && !closing) {
      slot.state = State::kWorking;
    }
  }
  // A message received, or one that could not be sent, is ours.
  Message message;
  if ((was == State::kReceiving) == (result == 0)) {
    message.reset(nng_aio_get_msg(slot.aio.get()));
    nng_aio_set_msg(slot.aio.get(), nullptr);
  }
  if (closing || result == NNG_ECLOSED) {
    const absl::MutexLock lock(&mutex);
    slot.state = State::kIdle;
    return;
  }
  if (was == State::kReceiving && result == 0) {
    auto shared = std::make_shared<Message>(std::move(message));
    pool->Post([this, &slot, shared, received = absl::Now()] { Work(slot, *shared, received); });
    return;
  }
  Receive(slot);
}

void Server::Impl::Receive(Slot& slot) {
  {
    const absl::MutexLock lock(&mutex);
    if (closing) {
      return;
    }
    slot.state = State::kReceiving;
    ++inside_nng;
  }
  nng_aio_set_timeout(slot.aio.get(), NNG_DURATION_INFINITE);
  nng_ctx_recv(slot.context.get(), slot.aio.get());
  const absl::MutexLock lock(&mutex);
  --inside_nng;
}

// To a client that has vanished the send succeeds at once and does nothing.
void Server::Impl::Send(Slot& slot, Message answer) {
  {
    const absl::MutexLock lock(&mutex);
    slot.state = State::kSending;
    ++inside_nng;
  }
  nng_aio_set_timeout(slot.aio.get(), ToNngDuration(kSendTimeout));
  nng_aio_set_msg(slot.aio.get(), answer.release());
  nng_ctx_send(slot.context.get(), slot.aio.get());
  const absl::MutexLock lock(&mutex);
  --inside_nng;
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
  Send(slot, std::move(answer));
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
      Send(slot, std::move(copy));
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
    Send(*slots[static_cast<size_t>(waiter)], std::move(copy));
  }
  Send(slot, std::move(answer));
  return absl::OkStatus();
}

absl::Status Server::Impl::RunHandler(const Method& method, const RequestContext& context,
                                      schemas::Request::Reader request, Message& answer) {
  capnp::MallocMessageBuilder builder;
  const absl::Status status = Guard("malformed request", [&]() -> absl::Status {
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

Server::Server(ServerOptions options) : impl_(std::make_shared<Impl>(std::move(options))) {}

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
  SLUICE_RETURN_IF_ERROR(impl_->AddSlots());
  impl_->pool.emplace(impl_->options.contexts);
  for (const auto& slot : impl_->slots) {
    impl_->Receive(*slot);
  }
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
  {
    const absl::MutexLock lock(&impl_->mutex);
    impl_->mutex.Await(absl::Condition(impl_.get(), &Impl::NothingInHand));
  }
  // Before the socket goes: a time-out of nng 1.5 may strike after it. The callbacks that end here
  // still look at the pointer.
  for (const auto& slot : impl_->slots) {
    nng_aio_free(slot->aio.get());
    (void)slot->aio.release();
  }
  impl_->watch.Quiesce();
  if (impl_->socket.Close(kCloseMax, impl_)) {
    impl_->pool.reset();
    impl_->slots.clear();
  }
}

std::string Server::url() const {
  return impl_->bound_url;
}

}  // namespace sluice::rpc
