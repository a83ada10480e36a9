// Client: one connection, the exchanges under way on it, and the two threads that serve it.

#include "common/rpc/client.h"

#include <nng/nng.h>
#include <capnp/message.h>

#include <algorithm>
#include <cstdint>
#include <deque>
#include <limits>
#include <memory>
#include <thread>
#include <utility>

#include "absl/base/thread_annotations.h"
#include "absl/cleanup/cleanup.h"
#include "absl/container/flat_hash_map.h"
#include "absl/strings/str_cat.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/clock.h"
#include "common/base/random_id.h"
#include "common/base/status.h"
#include "common/base/status_macros.h"
#include "common/rpc/connection.h"
#include "common/rpc/frame.h"
#include "common/rpc/nng_handles.h"
#include "common/rpc/operation.h"

namespace sluice::rpc {
namespace {

constexpr absl::Duration kReconnectMin = absl::Milliseconds(10);
constexpr absl::Duration kReconnectMax = absl::Milliseconds(500);
constexpr absl::Duration kConnectMax = absl::Seconds(10);
// How long a call waits for a connection: to a peer that has refused one, and to one that is
// silent.
constexpr absl::Duration kPatience = absl::Seconds(1);
constexpr absl::Duration kPatienceInSilence = absl::Seconds(5);
constexpr absl::Duration kAnswerMarginMax = absl::Milliseconds(100);
// A peer that drops the connection at each try refuses the request's size, or dies of it.
constexpr int kResetsMax = 5;
constexpr uint32_t kFirstWireId = 0x80000000U;

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

// An object that connects once; also the check of the url.
absl::StatusOr<StreamDialer> NewDialer(const std::string& url) {
  nng_stream_dialer* raw = nullptr;
  if (const int error = nng_stream_dialer_alloc(&raw, url.c_str()); error != 0) {
    return WithSubject(
        absl::InvalidArgumentError(absl::StrCat("can't dial ", url, ": ", nng_strerror(error))),
        url);
  }
  StreamDialer dialer(raw);
  SLUICE_RETURN_IF_ERROR(
      StatusFromNng(nng_stream_dialer_set_bool(raw, NNG_OPT_TCP_NODELAY, true), "no delay"));
  return dialer;
}

}  // namespace

// One thread connects and receives, one sends: a large request that is half out when its call ends
// is sent to its end, for the calls behind it. The callers wait for what becomes of their exchange.
struct Client::Impl {
  enum class State { kWaiting, kAnswered, kLost };
  // A request on its way, on the stack of its caller.
  struct Exchange {
    Message message;     // the request until it is taken, then the answer
    bool taken = false;  // to be sent
    State state = State::kWaiting;
  };

  std::string url;
  std::string caller;
  Operation dialing;

  absl::Mutex mutex;
  bool closed ABSL_GUARDED_BY(mutex) = false;
  int calls ABSL_GUARDED_BY(mutex) = 0;
  std::shared_ptr<Connection> connection ABSL_GUARDED_BY(mutex);
  bool connected ABSL_GUARDED_BY(mutex) = false;  // and greeted
  absl::Time down_since ABSL_GUARDED_BY(mutex) = absl::Now();
  bool refused ABSL_GUARDED_BY(mutex) = false;  // by an attempt since then
  uint32_t next_id ABSL_GUARDED_BY(mutex) = kFirstWireId;
  absl::flat_hash_map<uint32_t, Exchange*> exchanges ABSL_GUARDED_BY(mutex);
  std::deque<uint32_t> outbox ABSL_GUARDED_BY(mutex);  // those of them that are not taken
  std::jthread receiver ABSL_GUARDED_BY(mutex);
  std::jthread sender ABSL_GUARDED_BY(mutex);

  bool NoCalls() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex) { return calls == 0; }
  bool ConnectedOrClosed() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex) {
    return closed || connected;
  }
  bool ConnectedClosedOrRefused() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex) {
    return closed || connected || refused;
  }
  bool CanSendOrClosed() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex) {
    return closed || (connected && !outbox.empty());
  }

  void RunReceiver() ABSL_LOCKS_EXCLUDED(mutex);
  std::shared_ptr<Connection> Connect() ABSL_LOCKS_EXCLUDED(mutex);
  void ReceiveAnswers(Connection& from) ABSL_LOCKS_EXCLUDED(mutex);
  void Disconnect() ABSL_LOCKS_EXCLUDED(mutex);
  void RunSender() ABSL_LOCKS_EXCLUDED(mutex);

  absl::Status AwaitConnected(absl::Time deadline) ABSL_LOCKS_EXCLUDED(mutex);
  void Perform(Exchange& exchange, absl::Time deadline) ABSL_LOCKS_EXCLUDED(mutex);
  absl::Status Ask(capnp::MallocMessageBuilder& builder, absl::Time deadline, Message& answer)
      ABSL_LOCKS_EXCLUDED(mutex);
};

void Client::Impl::RunReceiver() {
  absl::Duration pause = kReconnectMin;
  while (true) {
    if (const std::shared_ptr<Connection> to = Connect(); to != nullptr) {
      pause = kReconnectMin;
      ReceiveAnswers(*to);
    }
    Disconnect();
    const absl::MutexLock lock(&mutex);
    if (mutex.AwaitWithTimeout(absl::Condition(&closed), pause)) {
      return;
    }
    pause = std::min(pause * 2, kReconnectMax);
  }
}

// Null when there is no connection to be had.
std::shared_ptr<Connection> Client::Impl::Connect() {
  const absl::Time deadline = absl::Now() + kConnectMax;
  // A new one each time: what is left of an attempt that was given up would disturb the next.
  const absl::StatusOr<StreamDialer> dialer = NewDialer(url);
  if (!dialer.ok() || dialing.Run(deadline, [&](nng_aio* aio) {
        nng_stream_dialer_dial(dialer->get(), aio);
      }) != 0) {
    return nullptr;
  }
  auto to = std::make_shared<Connection>(dialing.TakeStream());
  {
    const absl::MutexLock lock(&mutex);
    if (closed) {
      return nullptr;
    }
    connection = to;
  }
  if (!to->Greet(Side::kRequests, Side::kReplies, deadline).ok()) {
    return nullptr;
  }
  const absl::MutexLock lock(&mutex);
  connected = true;
  return to;
}

void Client::Impl::ReceiveAnswers(Connection& from) {
  Frame frame;
  while (from.Receive(kFrameBytesMax, frame).ok()) {
    const absl::MutexLock lock(&mutex);
    // None: its call has ended.
    if (const auto found = exchanges.find(frame.id); found != exchanges.end()) {
      found->second->message = std::move(frame.body);
      found->second->state = State::kAnswered;
      exchanges.erase(found);
    }
  }
  from.Cancel();
}

void Client::Impl::Disconnect() {
  const absl::MutexLock lock(&mutex);
  refused = !connected;
  if (connected) {
    down_since = absl::Now();
  }
  connected = false;
  connection.reset();
  for (const auto& [id, exchange] : exchanges) {
    exchange->state = State::kLost;
  }
  exchanges.clear();
  outbox.clear();
}

void Client::Impl::RunSender() {
  while (true) {
    std::shared_ptr<Connection> to;
    uint32_t id = 0;
    Message request;
    {
      const absl::MutexLock lock(&mutex);
      mutex.Await(absl::Condition(this, &Impl::CanSendOrClosed));
      if (closed) {
        return;
      }
      id = outbox.front();
      outbox.pop_front();
      Exchange& exchange = *exchanges.at(id);
      exchange.taken = true;
      request = std::move(exchange.message);
      to = connection;
    }
    // When it fails the receiver finds the connection lost.
    (void)to->Send(id, request, absl::InfiniteDuration());
  }
}

absl::Status Client::Impl::AwaitConnected(absl::Time deadline) {
  const absl::MutexLock lock(&mutex);
  absl::Time give_up = down_since + kPatienceInSilence;
  mutex.AwaitWithDeadline(absl::Condition(this, &Impl::ConnectedClosedOrRefused),
                          std::min(deadline, give_up));
  if (refused) {
    give_up = down_since + kPatience;
    mutex.AwaitWithDeadline(absl::Condition(this, &Impl::ConnectedOrClosed),
                            std::min(deadline, give_up));
  }
  if (closed) {
    return absl::CancelledError("the client is closed");
  }
  if (connected) {
    return absl::OkStatus();
  }
  if (give_up <= deadline) {
    return absl::UnavailableError("no connection");
  }
  return absl::DeadlineExceededError("no connection in time");
}

// Returns when it is answered or lost; still waiting at the deadline and when the client is closed.
void Client::Impl::Perform(Exchange& exchange, absl::Time deadline) {
  const absl::MutexLock lock(&mutex);
  if (closed || !connected) {
    exchange.state = State::kLost;
    return;
  }
  const uint32_t id = next_id;
  next_id = (next_id + 1) | kFirstWireId;
  exchanges[id] = &exchange;
  outbox.push_back(id);
  const auto settled = [this, &exchange]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex) {
    return closed || exchange.state != State::kWaiting;
  };
  mutex.AwaitWithDeadline(absl::Condition(&settled), deadline);
  exchanges.erase(id);
  if (!exchange.taken) {
    std::erase(outbox, id);
  }
}

absl::Status Client::Impl::Ask(capnp::MallocMessageBuilder& builder, absl::Time deadline,
                               Message& answer) {
  bool sent = false;
  int resets = 0;
  while (true) {
    if (const absl::Status status = AwaitConnected(deadline); !status.ok()) {
      return Annotate(status, sent ? "connection lost" : "never sent");
    }
    const absl::Duration left = deadline - absl::Now();
    if (left <= absl::ZeroDuration()) {
      return absl::DeadlineExceededError(sent ? "no answer in time" : "never sent");
    }
    builder.getRoot<schemas::Request>().setDeadlineMs(DeadlineMs(left));
    Exchange exchange;
    SLUICE_RETURN_IF_ERROR(Encode(builder, kFrameBytesMax, exchange.message));
    Perform(exchange, deadline);
    sent = sent || exchange.taken;
    if (exchange.state == State::kAnswered) {
      answer = std::move(exchange.message);
      return absl::OkStatus();
    }
    if (exchange.state == State::kWaiting && absl::Now() >= deadline) {
      return absl::DeadlineExceededError(sent ? "no answer in time" : "never sent");
    }
    if (exchange.state == State::kLost && exchange.taken && ++resets == kResetsMax) {
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
  SLUICE_RETURN_IF_ERROR(NewDialer(url).status());
  auto impl = std::make_unique<Impl>();
  impl->url = url;
  impl->caller = caller;
  {
    const absl::MutexLock lock(&impl->mutex);
    impl->receiver = std::jthread([raw = impl.get()] { raw->RunReceiver(); });
    impl->sender = std::jthread([raw = impl.get()] { raw->RunSender(); });
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
  if (const absl::Status status = impl_->Ask(builder, deadline, answer); !status.ok()) {
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
  std::jthread receiver;
  std::jthread sender;
  {
    const absl::MutexLock lock(&impl_->mutex);
    impl_->closed = true;
    if (impl_->connection != nullptr) {
      impl_->connection->Cancel();
    }
    receiver = std::move(impl_->receiver);
    sender = std::move(impl_->sender);
  }
  impl_->dialing.Cancel();
  // Here the threads are joined.
}

const std::string& Client::url() const {
  return impl_->url;
}

}  // namespace sluice::rpc
