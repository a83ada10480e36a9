#include "common/rpc/client.h"

#include <nng/nng.h>
#include <capnp/message.h>
#include <nng/protocol/reqrep0/req.h>

#include <algorithm>
#include <cstdint>
#include <limits>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/cleanup/cleanup.h"
#include "absl/container/flat_hash_set.h"
#include "absl/strings/str_cat.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/clock.h"
#include "common/base/random_id.h"
#include "common/base/status.h"
#include "common/base/status_macros.h"
#include "common/rpc/frame.h"
#include "common/rpc/nng_handles.h"
#include "common/rpc/pipe_watch.h"

namespace sluice::rpc {
namespace {

constexpr absl::Duration kReconnectMin = absl::Milliseconds(10);
constexpr absl::Duration kReconnectMax = absl::Milliseconds(500);
constexpr absl::Duration kPatience = absl::Seconds(1);
constexpr absl::Duration kAnswerMarginMax = absl::Milliseconds(100);
// A peer that drops the connection at each try refuses the request's size, or dies of it.
constexpr int kResetsMax = 5;

// One exchange at a time: a context of the socket with its operation.
struct Slot {
  Context context;
  Aio aio;
};

uint32_t DeadlineMs(absl::Duration left) {
  const absl::Duration told = left - std::min(left / 10, kAnswerMarginMax);
  return static_cast<uint32_t>(std::clamp<int64_t>(absl::ToInt64Milliseconds(told), 1,
                                                   std::numeric_limits<uint32_t>::max()));
}

absl::Status ErrorOf(schemas::Response::Reader response) {
  const auto message = response.getMessage();
  const auto subject = response.getSubject();
  absl::Status status(static_cast<absl::StatusCode>(response.getCode()),
                      absl::string_view(message.begin(), message.size()));
  if (subject.size() > 0) {
    status = WithSubject(std::move(status), absl::string_view(subject.begin(), subject.size()));
  }
  return status;
}

absl::Status SetUpSocket(const Socket& socket) {
  const nng_socket s = socket.get();
  // Before the dialer exists: options of a socket are copied to its endpoints.
  SLUICE_RETURN_IF_ERROR(
      StatusFromNng(nng_socket_set_size(s, NNG_OPT_RECVMAXSZ, kFrameBytesMax), "receive limit"));
  SLUICE_RETURN_IF_ERROR(StatusFromNng(
      nng_socket_set_ms(s, NNG_OPT_RECONNMINT, ToNngDuration(kReconnectMin)), "reconnect time"));
  SLUICE_RETURN_IF_ERROR(StatusFromNng(
      nng_socket_set_ms(s, NNG_OPT_RECONNMAXT, ToNngDuration(kReconnectMax)), "reconnect time"));
  // A request is sent again only by us, and only when its connection is lost.
  return StatusFromNng(nng_socket_set_ms(s, NNG_OPT_REQ_RESENDTIME, NNG_DURATION_INFINITE),
                       "resend time");
}

}  // namespace

struct Client::Impl {
  std::string url;
  std::string caller;
  PipeWatch watch;
  Socket socket;

  absl::Mutex mutex;
  bool closed ABSL_GUARDED_BY(mutex) = false;
  int calls ABSL_GUARDED_BY(mutex) = 0;
  absl::flat_hash_set<Slot*> busy ABSL_GUARDED_BY(mutex);
  std::vector<std::unique_ptr<Slot>> idle ABSL_GUARDED_BY(mutex);

  bool NoneBusy() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex) { return busy.empty(); }
  bool NoCalls() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex) { return calls == 0; }

  absl::StatusOr<std::unique_ptr<Slot>> TakeSlot() ABSL_LOCKS_EXCLUDED(mutex);
  void GiveBack(std::unique_ptr<Slot> slot) ABSL_LOCKS_EXCLUDED(mutex);

  // Starts an operation of the slot and waits for it; returns nng's result.
  int Run(const Slot& slot, void (*operation)(nng_ctx, nng_aio*), absl::Duration timeout)
      ABSL_LOCKS_EXCLUDED(mutex);
  int SendAndReceive(const Slot& slot, Message request, absl::Time deadline, bool& sent,
                     Message& answer);

  absl::Status Exchange(capnp::MallocMessageBuilder& builder, absl::Time deadline, Message& answer);
};

absl::StatusOr<std::unique_ptr<Slot>> Client::Impl::TakeSlot() {
  const absl::MutexLock lock(&mutex);
  if (closed) {
    return absl::CancelledError("the client is closed");
  }
  std::unique_ptr<Slot> slot;
  if (!idle.empty()) {
    slot = std::move(idle.back());
    idle.pop_back();
  } else {
    nng_ctx context = NNG_CTX_INITIALIZER;
    SLUICE_RETURN_IF_ERROR(StatusFromNng(nng_ctx_open(&context, socket.get()), "context"));
    nng_aio* aio = nullptr;
    slot = std::make_unique<Slot>(Slot{.context = Context(context), .aio = nullptr});
    SLUICE_RETURN_IF_ERROR(StatusFromNng(nng_aio_alloc(&aio, nullptr, nullptr), "aio"));
    slot->aio.reset(aio);
  }
  busy.insert(slot.get());
  return slot;
}

void Client::Impl::GiveBack(std::unique_ptr<Slot> slot) {
  const absl::MutexLock lock(&mutex);
  busy.erase(slot.get());
  idle.push_back(std::move(slot));
}

int Client::Impl::Run(const Slot& slot, void (*operation)(nng_ctx, nng_aio*),
                      absl::Duration timeout) {
  {
    // Close cancels under the same lock, so it can't slip in before the start.
    const absl::MutexLock lock(&mutex);
    if (closed) {
      return NNG_ECANCELED;
    }
    nng_aio_set_timeout(slot.aio.get(), ToNngDuration(timeout));
    operation(slot.context.get(), slot.aio.get());
  }
  nng_aio_wait(slot.aio.get());
  return nng_aio_result(slot.aio.get());
}

// The receive starts only after the send is over: nng 1.5 does not stand a receive that is
// cancelled while its request is still being sent.
int Client::Impl::SendAndReceive(const Slot& slot, Message request, absl::Time deadline, bool& sent,
                                 Message& answer) {
  nng_aio_set_msg(slot.aio.get(), request.release());
  // In slices of the patience: without a connection a send waits.
  const int send_result = Run(slot, &nng_ctx_send, std::min(deadline - absl::Now(), kPatience));
  if (send_result != 0) {
    // The message is ours again.
    const Message unsent(nng_aio_get_msg(slot.aio.get()));
    nng_aio_set_msg(slot.aio.get(), nullptr);
    return send_result == NNG_ETIMEDOUT ? NNG_EAGAIN : send_result;
  }
  sent = true;
  const int receive_result = Run(slot, &nng_ctx_recv, deadline - absl::Now());
  if (receive_result == 0) {
    answer.reset(nng_aio_get_msg(slot.aio.get()));
    nng_aio_set_msg(slot.aio.get(), nullptr);
  }
  return receive_result;
}

absl::Status Client::Impl::Exchange(capnp::MallocMessageBuilder& builder, absl::Time deadline,
                                    Message& answer) {
  SLUICE_ASSIGN_OR_RETURN(std::unique_ptr<Slot> slot, TakeSlot());
  const absl::Cleanup give_back = [this, &slot] { GiveBack(std::move(slot)); };
  bool sent = false;
  int resets = 0;
  while (true) {
    if (const absl::Status status = watch.AwaitConnected(deadline, kPatience); !status.ok()) {
      return Annotate(status, sent ? "connection lost" : "never sent");
    }
    const absl::Duration left = deadline - absl::Now();
    if (left <= absl::ZeroDuration()) {
      return absl::DeadlineExceededError(sent ? "no answer in time" : "never sent");
    }
    builder.getRoot<schemas::Request>().setDeadlineMs(DeadlineMs(left));
    Message request;
    SLUICE_RETURN_IF_ERROR(Encode(builder, kFrameBytesMax, request));
    const int result = SendAndReceive(*slot, std::move(request), deadline, sent, answer);
    switch (result) {
      case NNG_EAGAIN:
        break;
      case NNG_ECONNRESET:
        if (++resets == kResetsMax) {
          return absl::UnavailableError(
              absl::StrCat("the peer dropped the connection ", resets, " times at this request"));
        }
        break;
      case NNG_ETIMEDOUT:
        return absl::DeadlineExceededError("no answer in time");
      default:
        return StatusFromNng(result, "call");
    }
  }
}

Client::Client(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}

Client::~Client() {
  Close();
  const absl::MutexLock lock(&impl_->mutex);
  impl_->mutex.Await(absl::Condition(impl_.get(), &Impl::NoCalls));
}

absl::StatusOr<std::unique_ptr<Client>> Client::Dial(const std::string& url,
                                                     const std::string& caller) {
  auto impl = std::make_unique<Impl>();
  impl->url = url;
  impl->caller = caller;
  nng_socket raw = NNG_SOCKET_INITIALIZER;
  SLUICE_RETURN_IF_ERROR(StatusFromNng(nng_req0_open(&raw), "req socket"));
  impl->socket = Socket(raw);
  SLUICE_RETURN_IF_ERROR(SetUpSocket(impl->socket));
  SLUICE_RETURN_IF_ERROR(impl->watch.Attach(raw));
  // In the background: a dialer whose first try in the foreground fails never tries again.
  const int dialed = nng_dial(raw, url.c_str(), nullptr, NNG_FLAG_NONBLOCK);
  if (dialed != 0) {
    return WithSubject(
        absl::InvalidArgumentError(absl::StrCat("can't dial ", url, ": ", nng_strerror(dialed))),
        url);
  }
  return std::unique_ptr<Client>(new Client(std::move(impl)));
}

absl::Status Client::CallAny(schemas::Method method,
                             const std::function<void(capnp::AnyPointer::Builder)>& build,
                             const std::function<absl::Status(capnp::AnyPointer::Reader)>& read,
                             const CallOptions& options) {
  const absl::Time deadline = absl::Now() + options.timeout;
  {
    const absl::MutexLock lock(&impl_->mutex);
    ++impl_->calls;
  }
  const absl::Cleanup done = [this] {
    const absl::MutexLock lock(&impl_->mutex);
    --impl_->calls;
  };
  capnp::MallocMessageBuilder builder;
  SLUICE_RETURN_IF_ERROR(Guard("building the request", [&] {
    auto request = builder.initRoot<schemas::Request>();
    request.setProtocolVersion(schemas::PROTOCOL_VERSION);
    request.setMethod(method);
    if (!options.traceparent.empty()) {
      request.setTraceparent(ChildTraceparent(options.traceparent));
    }
    request.setIdempotencyId(options.idempotency_id.empty() ? NewId() : options.idempotency_id);
    request.setCaller(impl_->caller);
    build(request.getBody());
    return absl::OkStatus();
  }));
  Message answer;
  if (const absl::Status status = impl_->Exchange(builder, deadline, answer); !status.ok()) {
    return Annotate(status, impl_->url);
  }
  return Guard("answer of " + impl_->url, [&]() -> absl::Status {
    FrameReader frame(BodyOf(answer));
    const auto response = frame.root<schemas::Response>();
    if (response.getProtocolVersion() != schemas::PROTOCOL_VERSION && response.getCode() == 0) {
      return absl::UnimplementedError(absl::StrCat(impl_->url, " speaks protocol ",
                                                   response.getProtocolVersion(), ", this program ",
                                                   schemas::PROTOCOL_VERSION));
    }
    return response.getCode() == 0 ? read(response.getBody()) : ErrorOf(response);
  });
}

void Client::Close() {
  impl_->watch.Cancel();
  {
    const absl::MutexLock lock(&impl_->mutex);
    impl_->closed = true;
    for (Slot* slot : impl_->busy) {
      nng_aio_cancel(slot->aio.get());
    }
    impl_->mutex.Await(absl::Condition(impl_.get(), &Impl::NoneBusy));
    impl_->idle.clear();
  }
  impl_->socket.Close();
}

const std::string& Client::url() const {
  return impl_->url;
}

}  // namespace sluice::rpc
