// Owners of nng's handles, and its errors as statuses.

#include "common/rpc/nng_handles.h"

#include <algorithm>
#include <cstdint>
#include <limits>
#include <thread>

#include "absl/strings/str_cat.h"
#include "absl/synchronization/notification.h"
#include "common/base/log.h"

namespace sluice::rpc {
namespace {

absl::StatusCode CodeFromNng(int error) {
  switch (error) {
    case NNG_ETIMEDOUT:
      return absl::StatusCode::kDeadlineExceeded;
    case NNG_ECLOSED:
    case NNG_ECANCELED:
      return absl::StatusCode::kCancelled;
    case NNG_ECONNREFUSED:
    case NNG_ECONNRESET:
    case NNG_ECONNABORTED:
    case NNG_ECONNSHUT:
    case NNG_EUNREACHABLE:
    case NNG_EADDRINUSE:
    case NNG_EADDRINVAL:
      return absl::StatusCode::kUnavailable;
    case NNG_EMSGSIZE:
    case NNG_EINVAL:
      return absl::StatusCode::kInvalidArgument;
    case NNG_ECRYPTO:
    case NNG_EPEERAUTH:
      return absl::StatusCode::kUnauthenticated;
    case NNG_ENOMEM:
    case NNG_ENOFILES:
    case NNG_ENOSPC:
      return absl::StatusCode::kResourceExhausted;
    default:
      return absl::StatusCode::kInternal;
  }
}

}  // namespace

bool Socket::Close(absl::Duration timeout, std::shared_ptr<void> users) {
  if (!std::exchange(open_, false)) {
    return true;
  }
  if (timeout == absl::InfiniteDuration()) {
    (void)nng_close(socket_);
    return true;
  }
  auto done = std::make_shared<absl::Notification>();
  std::thread closer([socket = socket_, done, users = std::move(users)] {
    (void)nng_close(socket);
    done->Notify();
  });
  if (!done->WaitForNotificationWithTimeout(timeout)) {
    SLUICE_LOG(kError, "a socket does not close");
    closer.detach();
    return false;
  }
  closer.join();
  return true;
}

absl::Status StatusFromNng(int error, absl::string_view context) {
  if (error == 0) {
    return absl::OkStatus();
  }
  return {CodeFromNng(error), absl::StrCat(context, ": ", nng_strerror(error))};
}

nng_duration ToNngDuration(absl::Duration duration) {
  const int64_t ms = absl::ToInt64Milliseconds(duration);
  return static_cast<nng_duration>(
      std::clamp<int64_t>(ms, 1, std::numeric_limits<nng_duration>::max()));
}

}  // namespace sluice::rpc
