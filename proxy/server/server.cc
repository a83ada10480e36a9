// Server: listener and sessions' threads.

#include "proxy/server/server.h"

#include <arpa/inet.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "common/base/log.h"
#include "common/base/status_macros.h"

namespace sluice::proxy {
namespace {

constexpr int kBacklog = 512;

struct AddressListDeleter {
  void operator()(addrinfo* list) const { freeaddrinfo(list); }
};

absl::StatusOr<Descriptor> BindAndListen(const std::string& listen_on) {
  const size_t colon = listen_on.rfind(':');
  if (colon == std::string::npos) {
    return absl::InvalidArgumentError(
        absl::StrCat("listen: '", listen_on, "' is not of the form host:port"));
  }
  addrinfo hints{};
  hints.ai_family = AF_INET;
  hints.ai_socktype = SOCK_STREAM;
  hints.ai_flags = AI_PASSIVE | AI_NUMERICSERV;
  addrinfo* found = nullptr;
  const std::string host = listen_on.substr(0, colon);
  const std::string port = listen_on.substr(colon + 1);
  if (const int error =
          getaddrinfo(host.empty() ? nullptr : host.c_str(), port.c_str(), &hints, &found);
      error != 0) {
    return absl::InvalidArgumentError(
        absl::StrCat("listen: '", listen_on, "': ", gai_strerror(error)));
  }
  const std::unique_ptr<addrinfo, AddressListDeleter> list(found);
  Descriptor fd(socket(found->ai_family, SOCK_STREAM | SOCK_CLOEXEC, 0));
  const int on = 1;
  setsockopt(fd.get(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  if (bind(fd.get(), found->ai_addr, found->ai_addrlen) != 0 || listen(fd.get(), kBacklog) != 0) {
    return absl::UnavailableError(
        absl::StrCat("can't listen on ", listen_on, ": ", std::strerror(errno)));
  }
  return fd;
}

std::string BoundAddress(int fd) {
  sockaddr_in address{};
  socklen_t size = sizeof address;
  std::array<char, INET_ADDRSTRLEN> text{};
  // NOLINTNEXTLINE(cppcoreguidelines-pro-type-reinterpret-cast)
  getsockname(fd, reinterpret_cast<sockaddr*>(&address), &size);
  inet_ntop(AF_INET, &address.sin_addr, text.data(), text.size());
  return absl::StrCat(text.data(), ":", ntohs(address.sin_port));
}

}  // namespace

absl::StatusOr<std::unique_ptr<Server>> Server::Listen(const ServerOptions& options,
                                                       UserTable users, Traffic& traffic) {
  SLUICE_ASSIGN_OR_RETURN(Descriptor socket, BindAndListen(options.listen));
  Descriptor stop(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  if (stop.get() < 0) {
    return absl::ResourceExhaustedError("no descriptor for the stop event");
  }
  return std::unique_ptr<Server>(
      new Server(options, std::move(users), traffic, std::move(socket), std::move(stop)));
}

Server::Server(ServerOptions options, UserTable users, Traffic& traffic, Descriptor socket,
               Descriptor stop)
    : options_(std::move(options)),
      users_(std::move(users)),
      traffic_(traffic),
      socket_(std::move(socket)),
      stop_(std::move(stop)),
      address_(BoundAddress(socket_.get())),
      registry_(options_.backend),
      chooser_(options_.cell),
      services_(new SessionServices{users_, traffic_, registry_, chooser_, options_.backend,
                                    options_.limits, stop_.get(), stopping_, questions_,
                                    absl::Now()}) {}

Server::~Server() {
  Stop(absl::ZeroDuration());
}

void Server::Start() {
  acceptor_ = std::jthread([this] { AcceptLoop(); });
}

void Server::AcceptLoop() {
  std::array<pollfd, 2> fds{};
  fds[0] = {socket_.get(), POLLIN, 0};
  fds[1] = {stop_.get(), POLLIN, 0};
  while (!stopping_.load()) {
    constexpr int kReapMs = 1000;
    const int ready = poll(fds.data(), fds.size(), kReapMs);
    Reap();
    if (ready <= 0 || fds[0].revents == 0) {
      continue;
    }
    Descriptor client(accept4(socket_.get(), nullptr, nullptr, SOCK_CLOEXEC));
    if (client.get() < 0) {
      SLUICE_LOG_EVERY(absl::Seconds(10), kWarning, "a client can't be accepted",
                       {{"reason", std::strerror(errno)}});
      continue;
    }
    Admit(std::move(client));
  }
}

void Server::Admit(Descriptor socket) {
  const int on = 1;
  setsockopt(socket.get(), IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  setsockopt(socket.get(), SOL_SOCKET, SO_KEEPALIVE, &on, sizeof on);
  if (clients_.size() >= options_.connections_max) {
    TurnAway(std::move(socket));
    return;
  }
  clients_.push_back(std::make_unique<Client>());
  Client* client = clients_.back().get();
  const uint64_t id = next_id_++;
  client->thread = std::jthread([this, client, id, fd = socket.release()] {
    {
      Session session(Descriptor(fd), *services_, id);
      session.Run();
    }
    client->done.store(true);
  });
}

void Server::TurnAway(Descriptor socket) const {
  Channel channel(std::move(socket));
  const Wait wait{.deadline = absl::Now() + absl::Milliseconds(100)};
  const absl::Status why = MysqlError(
      1040, absl::StrCat("Too many connections: the proxy takes ", options_.connections_max));
  if (channel.WritePacket(BuildError(ErrorOf(why)), wait).ok()) {
    channel.Flush(wait).IgnoreError();
  }
}

void Server::Reap() {
  clients_.remove_if([](const std::unique_ptr<Client>& client) { return client->done.load(); });
}

void Server::Stop(absl::Duration grace) {
  if (stopping_.exchange(true)) {
    return;
  }
  const uint64_t one = 1;
  if (write(stop_.get(), &one, sizeof one) < 0) {
    SLUICE_LOG(kWarning, "stop event not written", {{"reason", std::strerror(errno)}});
  }
  if (acceptor_.joinable()) {
    acceptor_.join();
  }
  // Clients in the backlog are refused by the kernel from now on.
  socket_ = Descriptor();
  registry_.AwaitEmpty(grace);
  registry_.HangUpAll();
  clients_.clear();  // joins
}

}  // namespace sluice::proxy
