// Connection::LoadRows: LOAD DATA LOCAL whose data are bytes in memory.

#include <mysql.h>

#include <algorithm>
#include <cstring>
#include <vector>

#include "absl/strings/numbers.h"
#include "absl/strings/str_split.h"
#include "common/base/status_macros.h"
#include "common/mysql/connection.h"
#include "common/mysql/connection_impl.h"

namespace sluice::mysql {
namespace {

// The callbacks of the library; `given` is the data that is left, null outside of LoadRows.
int Begin(void** cursor, const char* /*name*/, void* given) {
  *cursor = given;
  return given == nullptr ? 1 : 0;
}

int Read(void* cursor, char* buffer, unsigned size) {
  auto& left = *static_cast<absl::string_view*>(cursor);
  const size_t taken = std::min<size_t>(left.size(), size);
  if (taken > 0) {
    memcpy(buffer, left.data(), taken);
  }
  left.remove_prefix(taken);
  return static_cast<int>(taken);
}

void End(void* /*cursor*/) {}

int Failure(void* /*cursor*/, char* message, unsigned size) {
  constexpr int kRejected = 2068;  // CR_LOAD_DATA_LOCAL_INFILE_REJECTED
  constexpr absl::string_view kWhy = "the server asked for a file of this host";
  const size_t length = size == 0 ? 0 : std::min<size_t>(kWhy.size(), size - 1);
  if (size > 0) {
    memcpy(message, kWhy.data(), length);
    message[length] = '\0';
  }
  return kRejected;
}

// "Records: 3  Deleted: 0  Skipped: 0  Warnings: 0"
bool ReadInfo(absl::string_view info, Connection::LoadOutcome& outcome) {
  const std::vector<absl::string_view> words =
      absl::StrSplit(info, absl::ByAnyChar(": "), absl::SkipEmpty());
  return words.size() == 8 && absl::SimpleAtoi(words[1], &outcome.records) &&
         absl::SimpleAtoi(words[3], &outcome.deleted) &&
         absl::SimpleAtoi(words[5], &outcome.skipped) &&
         absl::SimpleAtoi(words[7], &outcome.warnings);
}

}  // namespace

void RefuseFiles(MYSQL* handle) {
  mysql_set_local_infile_handler(handle, &Begin, &Read, &End, &Failure, nullptr);
}

absl::StatusOr<Connection::LoadOutcome> Connection::LoadRows(absl::string_view sql,
                                                             absl::string_view data) {
  MYSQL* handle = impl_->handle.get();
  if (handle != nullptr) {
    mysql_set_local_infile_handler(handle, &Begin, &Read, &End, &Failure, &data);
  }
  const absl::Status sent = impl_->Send(sql);
  if (handle != nullptr) {
    RefuseFiles(handle);
  }
  SLUICE_RETURN_IF_ERROR(sent);
  LoadOutcome outcome;
  const char* info = mysql_info(handle);
  const bool told = info != nullptr && ReadInfo(info, outcome);
  outcome.warnings = std::max<uint64_t>(outcome.warnings, mysql_warning_count(handle));
  SLUICE_RETURN_IF_ERROR(impl_->Finish());
  if (!told) {
    return absl::InternalError("LOAD DATA does not say what it did");
  }
  return outcome;
}

}  // namespace sluice::mysql
