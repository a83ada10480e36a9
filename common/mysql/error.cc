// The table from MySQL error numbers to status codes.

#include "common/mysql/error.h"

#include "absl/strings/str_cat.h"
#include "common/base/status.h"

namespace sluice::mysql {
namespace {

absl::StatusCode CodeOf(unsigned number) {
  switch (number) {
    case 1205:  // lock wait timeout
    case 1213:  // deadlock
    case 3058:  // deadlock of user-level locks
    case 3101:  // rolled back by a plug-in of the server
    case 3572:  // NOWAIT
      return absl::StatusCode::kAborted;
    case 1053:  // server shutdown in progress
    case 1158:  // communication errors
    case 1159:
    case 1160:
    case 1161:
    case 1927:  // connection was killed
    case 2002:
    case 2003:
    case 2005:  // unknown host
    case 2006:
    case 2012:
    case 2013:
    case 2026:  // TLS
    case 2055:
    case 3032:  // server is offline for accounts without privilege
    case 3169:  // session was killed
    case 4031:  // disconnected for inactivity
      return absl::StatusCode::kUnavailable;
    case 1022:
    case 1062:
    case 1586:
      return absl::StatusCode::kAlreadyExists;
    case 1049:  // unknown database
    case 1054:
    case 1109:
    case 1146:
    case 1356:  // view without valid base or rights
    case 1364:
    case 1290:  // option prevents it (read_only)
    case 1792:  // read only transaction
    case 1836:  // read only mode
      return absl::StatusCode::kFailedPrecondition;
    case 1044:
    case 1045:
    case 1142:
    case 1143:
    case 1227:
    case 1370:
    case 1698:
    case 3118:  // account is locked
      return absl::StatusCode::kPermissionDenied;
    case 1236:
    case 1789:  // purged GTIDs
      return absl::StatusCode::kDataLoss;
    case 1040:
    case 1203:
    case 1226:
    case 1021:  // disk full
    case 1114:  // table full
      return absl::StatusCode::kResourceExhausted;
    case 3024:
      return absl::StatusCode::kDeadlineExceeded;
    case 1317:
      return absl::StatusCode::kCancelled;
    case 1064:
      return absl::StatusCode::kInvalidArgument;
    default:
      return absl::StatusCode::kInternal;
  }
}

}  // namespace

absl::Status MysqlError(unsigned number, absl::string_view sqlstate, absl::string_view message) {
  constexpr unsigned kServerLost = 2013;
  if (number == 0) {
    return WithMysqlErrno(
        absl::UnavailableError(absl::StrCat(kServerLost, " (HY000): Lost connection")),
        kServerLost);
  }
  return WithMysqlErrno(
      absl::Status(CodeOf(number), absl::StrCat(number, " (", sqlstate, "): ", message)), number);
}

}  // namespace sluice::mysql
