// BinlogStream: binlog events of a mysqld from a GTID position on (COM_BINLOG_DUMP_GTID).

#pragma once

#include <memory>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "common/gtid/gtid_set.h"
#include "common/mysql/connection.h"

namespace sluice::mysql {

struct BinlogStreamOptions {
  ConnectionOptions connection;
  uint32_t server_id = 0;  // unique among the replicas of the source
  gtid::GtidSet position;  // events after this set are sent
  absl::Duration heartbeat = absl::Seconds(1);
};

// Blocks in Next(); heartbeats are handed on as events (type 27 or 41).
// Owned by one thread, but for Interrupt(), which is thread-safe.
class BinlogStream {
 public:
  static absl::StatusOr<std::unique_ptr<BinlogStream>> Open(const BinlogStreamOptions& options);
  BinlogStream(const BinlogStream&) = delete;
  BinlogStream& operator=(const BinlogStream&) = delete;
  ~BinlogStream();

  // The next raw event, header and (when the format description says so) checksum included. Valid
  // until the next call. DATA_LOSS when binlogs that hold the position are purged (error 1236),
  // UNAVAILABLE when the connection ends or three heartbeats are missed.
  absl::StatusOr<absl::string_view> Next();

  void Interrupt();

 private:
  struct Impl;
  explicit BinlogStream(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace sluice::mysql
