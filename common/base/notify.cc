// Tells systemd that the service is ready, over its datagram socket.

#include "common/base/notify.h"

#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstddef>
#include <cstdlib>
#include <cstring>
#include <string>

#include "absl/cleanup/cleanup.h"
#include "absl/strings/str_cat.h"

namespace sluice {

absl::Status NotifySupervisor(absl::string_view state) {
  const char* name = std::getenv("NOTIFY_SOCKET");
  if (name == nullptr || *name == '\0') {
    return absl::OkStatus();
  }
  const std::string path(name);
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (path.size() >= sizeof(address.sun_path) || (path[0] != '/' && path[0] != '@')) {
    return absl::InvalidArgumentError(
        absl::StrCat("NOTIFY_SOCKET=", path, ": expected an absolute path or @name of at most ",
                     sizeof(address.sun_path) - 1, " bytes"));
  }
  std::copy(path.begin(), path.end(), address.sun_path);
  if (path[0] == '@') {
    address.sun_path[0] = '\0';
  }
  const int fd = ::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  if (fd < 0) {
    return absl::ErrnoToStatus(errno, "socket for NOTIFY_SOCKET");
  }
  const absl::Cleanup close_fd = [fd] { (void)::close(fd); };
  const auto length = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + path.size());
  // The sockets API takes every address as a sockaddr.
  const auto* generic = reinterpret_cast<const sockaddr*>(&address);
  if (::sendto(fd, state.data(), state.size(), MSG_NOSIGNAL, generic, length) < 0) {
    return absl::ErrnoToStatus(errno, absl::StrCat("sending to NOTIFY_SOCKET=", path));
  }
  return absl::OkStatus();
}

absl::Status NotifyReady() {
  return NotifySupervisor("READY=1");
}

absl::Status NotifyStopping() {
  return NotifySupervisor("STOPPING=1");
}

}  // namespace sluice
