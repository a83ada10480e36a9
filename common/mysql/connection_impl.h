// The C handle inside a Connection. Private to common/mysql.

#pragma once

#include <mysql.h>

#include <memory>
#include <string>

#include "common/mysql/connection.h"

namespace sluice::mysql {

struct MysqlCloser {
  void operator()(MYSQL* handle) const { mysql_close(handle); }
};
struct ResultCloser {
  void operator()(MYSQL_RES* result) const { mysql_free_result(result); }
};
using ResultPtr = std::unique_ptr<MYSQL_RES, ResultCloser>;

// Registers the calling thread with libmysqlclient; the library is told when the thread ends.
void EnterThread();

// From now on a server that asks for a file gets none.
void RefuseFiles(MYSQL* handle);

struct Connection::Impl {
  Impl() = default;
  Impl(const Impl&) = delete;
  Impl& operator=(const Impl&) = delete;
  ~Impl();

  std::unique_ptr<MYSQL, MysqlCloser> handle;
  // A duplicate of the handle's descriptor. The library closes its own after an error, and the
  // number may then belong to somebody else; the duplicate names our socket until the end.
  int interrupt_fd = -1;
  bool healthy = true;
  std::string last_gtid;

  // The handle's last error; marks the connection unhealthy when it is lost.
  absl::Status Error();
  // Sends a statement; OK when the first part of its answer is there.
  absl::Status Send(absl::string_view sql);
  // Reads and drops what is left of the answer, and keeps the GTID that came with it.
  absl::Status Finish();
};

}  // namespace sluice::mysql
