// Client: one nng request socket, a context for each call under way.

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
#include "absl/strings/str_cat.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/clock.h"
#include "common/base/check.h"
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
constexpr size_t kOwedMax = 1024;
// How long Close waits for answers that the peer owes. nng 1.5 hangs when a connection is closed in
// the very moment in which a message arrives, so it is better closed when none is due.
constexpr absl::Duration kDrainMax = absl::Seconds(1);
constexpr absl::Duration kCloseMax = absl::Seconds(5);

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
  // One exchange at a time. A call that ends before its answer leaves its slot kOwed until the
  // answer comes or the connection is lost: nng does not stand it well when a receive is cancelled.
  enum class State { kIdle, kSending, kReceiving, kDone, kOwed };
  struct Slot {
    Impl* client = nullptr;
    Context context;
    Aio aio;
    State state = State::kIdle;  // guarded by the client's mutex
  };

  std::string url;
  std::string caller;
  PipeWatch watch;
  Socket socket;

  absl::Mutex mutex;
  bool closed ABSL_GUARDED_BY(mutex) = false;
  int calls ABSL_GUARDED_BY(mutex) = 0;
  size_t owed ABSL_GUARDED_BY(mutex) = 0;
  std::vector<Slot*> idle ABSL_GUARDED_BY(mutex);
  std::vector<std::unique_ptr<Slot>> slots ABSL_GUARDED_BY(mutex);

  bool NoCalls() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex) { return calls == 0; }
  bool NothingUnderWay() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex) {
    return std::all_of(slots.begin(), slots.end(), [](const auto& slot) {
      return slot->state == State::kIdle || slot->state == State::kDone;
    });
  }

  absl::StatusOr<Slot*> TakeSlot() ABSL_LOCKS_EXCLUDED(mutex);
  void GiveBack(Slot& slot) ABSL_LOCKS_EXCLUDED(mutex);
  static void OnDone(void* slot);  // on a thread of nng

  int Send(Slot& slot, Message request, absl::Duration timeout) ABSL_LOCKS_EXCLUDED(mutex);
  int Receive(Slot& slot, absl::Time deadline, Message& answer) ABSL_LOCKS_EXCLUDED(mutex);
  absl::Status Exchange(capnp::MallocMessageBuilder& builder, absl::Time deadline, Message& answer);
};

absl::StatusOr<Client::Impl::Slot*> Client::Impl::TakeSlot() {
  const absl::MutexLock lock(&mutex);
  if (closed) {
    return absl::CancelledError("the client is closed");
  }
  if (owed >= kOwedMax) {
    return absl::UnavailableError(absl::StrCat("never sent: the peer owes ", owed, " answers"));
  }
  if (!idle.empty()) {
    Slot* slot = idle.back();
    idle.pop_back();
    return slot;
  }
  auto slot = std::make_unique<Slot>();
  slot->client = this;
  nng_ctx context = NNG_CTX_INITIALIZER;
  SLUICE_RETURN_IF_ERROR(StatusFromNng(nng_ctx_open(&context, socket.get()), "context"));
  slot->context = Context(context);
  nng_aio* aio = nullptr;
  SLUICE_RETURN_IF_ERROR(StatusFromNng(nng_aio_alloc(&aio, &Impl::OnDone, slot.get()), "aio"));
  slot->aio.reset(aio);
  nng_aio_set_timeout(aio, NNG_DURATION_INFINITE);
  slots.push_back(std::move(slot));
  return slots.back().get();
}

void Client::Impl::GiveBack(Slot& slot) {
  const absl::MutexLock lock(&mutex);
  if (slot.state != State::kOwed) {
    slot.state = State::kIdle;
    idle.push_back(&slot);
  }
}

void Client::Impl::OnDone(void* slot) {
  auto& the_slot = *static_cast<Slot*>(slot);
  Impl& client = *the_slot.client;
  const absl::MutexLock lock(&client.mutex);
  if (the_slot.state != State::kOwed) {
    the_slot.state = State::kDone;
    return;
  }
  if (nng_aio_result(the_slot.aio.get()) == 0) {
    const Message late(nng_aio_get_msg(the_slot.aio.get()));
  }
  the_slot.state = State::kIdle;
  client.idle.push_back(&the_slot);
  --client.owed;
}

// Operations are started under the lock, so that Close finds them either not begun or to be ended.
// They have no time-outs of nng's: in 1.5 those may strike after the socket is gone.
int Client::Impl::Send(Slot& slot, Message request, absl::Duration timeout) {
  const absl::MutexLock lock(&mutex);
  if (closed) {
    return NNG_ECANCELED;
  }
  slot.state = State::kSending;
  nng_aio_set_msg(slot.aio.get(), request.release());
  nng_ctx_send(slot.context.get(), slot.aio.get());
  const auto done = [&slot] { return slot.state == State::kDone; };
  if (!mutex.AwaitWithTimeout(absl::Condition(&done), timeout)) {
    nng_aio_abort(slot.aio.get(), NNG_ETIMEDOUT);
    mutex.Await(absl::Condition(&done));
  }
  const int result = nng_aio_result(slot.aio.get());
  if (result != 0) {
    // The message is ours again.
    const Message unsent(nng_aio_get_msg(slot.aio.get()));
  }
  nng_aio_set_msg(slot.aio.get(), nullptr);
  return result;
}

int Client::Impl::Receive(Slot& slot, absl::Time deadline, Message& answer) {
  const absl::MutexLock lock(&mutex);
  slot.state = State::kReceiving;
  nng_ctx_recv(slot.context.get(), slot.aio.get());
  const auto settled = [this, &slot]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex) {
    return slot.state == State::kDone || closed;
  };
  mutex.AwaitWithDeadline(absl::Condition(&settled), deadline);
  if (slot.state != State::kDone) {
    slot.state = State::kOwed;
    ++owed;
    return closed ? NNG_ECANCELED : NNG_ETIMEDOUT;
  }
  const int result = nng_aio_result(slot.aio.get());
  if (result == 0) {
    answer.reset(nng_aio_get_msg(slot.aio.get()));
    nng_aio_set_msg(slot.aio.get(), nullptr);
  }
  return result;
}

absl::Status Client::Impl::Exchange(capnp::MallocMessageBuilder& builder, absl::Time deadline,
                                    Message& answer) {
  SLUICE_ASSIGN_OR_RETURN(Slot * slot, TakeSlot());
  const absl::Cleanup give_back = [this, slot] { GiveBack(*slot); };
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
    // In slices of the patience, because a send waits while there is no connection.
    int result = Send(*slot, std::move(request), std::min(left, kPatience));
    if (result == NNG_ETIMEDOUT) {
      continue;
    }
    if (result == 0) {
      sent = true;
      result = Receive(*slot, deadline, answer);
    }
    if (result == NNG_ETIMEDOUT) {
      return absl::DeadlineExceededError("no answer in time");
    }
    if (result != NNG_ECONNRESET) {
      return StatusFromNng(result, "call");
    }
    if (++resets == kResetsMax) {
      return absl::UnavailableError(
          absl::StrCat("the peer dropped the connection ", resets, " times at this request"));
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
  {
    const absl::MutexLock lock(&impl_->mutex);
    impl_->closed = true;
    for (const auto& slot : impl_->slots) {
      if (slot->state == Impl::State::kSending) {
        nng_aio_cancel(slot->aio.get());
      }
    }
    impl_->mutex.AwaitWithTimeout(absl::Condition(impl_.get(), &Impl::NothingUnderWay), kDrainMax);
  }
  impl_->watch.Quiesce();
  // Its threads would never connect again: better to be started anew.
  SLUICE_CHECK(impl_->socket.Close(kCloseMax, nullptr));
}

const std::string& Client::url() const {
  return impl_->url;
}

}  // namespace sluice::rpc
