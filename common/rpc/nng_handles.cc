// The errors of nng as statuses.

#include "common/rpc/nng_handles.h"

#include "absl/strings/str_cat.h"

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

absl::Status StatusFromNng(int error, absl::string_view context) {
  if (error == 0) {
    return absl::OkStatus();
  }
  return {CodeFromNng(error), absl::StrCat(context, ": ", nng_strerror(error))};
}

}  // namespace sluice::rpc
