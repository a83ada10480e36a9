// Server: listens for clients and runs a session in a thread for each.

#pragma once

#include <atomic>
#include <cstdint>
#include <list>
#include <memory>
#include <string>
#include <thread>

#include "absl/base/thread_annotations.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "proxy/server/auth.h"
#include "proxy/session/session.h"

namespace sluice::proxy {

struct ServerOptions {
  std::string listen;  // host:port; port 0 picks a free one
  size_t connections_max = 1000;
  SessionLimits limits;
  BackendOptions backend;
  std::string cell;
};

class Server {
 public:
  // Binds and listens; clients that connect wait until Start. UNAVAILABLE names the address.
  static absl::StatusOr<std::unique_ptr<Server>> Listen(const ServerOptions& options,
                                                        UserTable users, Traffic& traffic);
  Server(const Server&) = delete;
  Server& operator=(const Server&) = delete;
  ~Server();  // Stop without grace

  void Start();
  // Accepts nobody any more, lets running statements end for at most `grace`, then hangs up.
  void Stop(absl::Duration grace);

  // host:port with the real port.
  [[nodiscard]] const std::string& address() const { return address_; }
  [[nodiscard]] size_t sessions() const { return registry_.size(); }

 private:
  struct Client {
    std::atomic<bool> done{false};
    std::jthread thread;
  };

  Server(ServerOptions options, UserTable users, Traffic& traffic, Descriptor socket,
         Descriptor stop);

  void AcceptLoop();
  void Admit(Descriptor socket);
  void Reap();
  // Tells a client why it can't come in.
  void TurnAway(Descriptor socket) const;

  const ServerOptions options_;
  const UserTable users_;
  Traffic& traffic_;
  Descriptor socket_;
  Descriptor stop_;  // eventfd
  std::string address_;
  Registry registry_;
  TabletChooser chooser_;
  std::atomic<bool> stopping_{false};
  std::atomic<uint64_t> questions_{0};
  std::unique_ptr<const SessionServices> services_;
  std::list<std::unique_ptr<Client>> clients_;  // of the accepting thread, then of Stop
  uint64_t next_id_ = 1;
  std::jthread acceptor_;
};

}  // namespace sluice::proxy
