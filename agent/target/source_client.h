// SourceClient: the calls of the data plane that a stream makes to its source's agent.

#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/container/flat_hash_set.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "agent/throttle/limits.h"
#include "common/rpc/client.h"

namespace sluice::target {

struct SourceAddress {
  std::string alias;  // of the tablet
  std::string agent_url;
};

struct OpenedSnapshot {
  std::string session;
  std::string position;  // P: the snapshot is there or later
  std::string up_to;     // a GTID set that has every transaction of the snapshot
  struct Estimate {
    std::string table;
    uint64_t rows = 0;
    uint64_t bytes = 0;
  };
  std::vector<Estimate> estimates;  // of the tables asked for
};

struct RowsRequest {
  std::string session;
  std::string table;
  std::vector<std::string> columns;
  std::vector<std::string> key_columns;  // empty: as the server has them, in a session of 1 reader
  std::string after_key;
  std::string end_key;     // the last key wanted; empty: to the table's end
  uint64_t skip_rows = 0;  // not 0: no rows, only the key of the row so many rows on
  uint32_t rows_max = 0;
  uint32_t bytes_max = 0;
};

struct FetchedRows {
  std::string rows;
  uint32_t row_count = 0;
  std::string last_key;
  bool end_of_table = false;
  uint64_t rows_estimate = 0;
  uint64_t bytes_estimate = 0;
  // Rows that are too large for one answer: `rows` is only the beginning of held_bytes bytes, until
  // FetchRest.
  uint64_t held = 0;
  uint64_t held_bytes = 0;

  [[nodiscard]] bool whole() const { return held == 0; }
};

struct SnapshotRequest {
  std::string database;
  std::vector<std::string> tables;  // that will be read
  std::string not_before;           // a GTID set
  absl::Duration wait;              // for it
  uint32_t readers = 1;             // calls of FetchRows that the source answers at once
};

struct FetchedEvents {
  std::shared_ptr<const std::string> events;
  int64_t source_time_us = 0;
  bool caught_up = false;
};

// What a copy asks of the source's throttle, and who hears what it says: a reason to wait, or
// empty.
struct SourceThrottle {
  throttle::Limits limits;
  std::function<void(const std::string&)> heard;
};

// Whether a call was refused only for now, because the source's mysqld is busy.
bool IsThrottled(const absl::Status& status);

// Errors name the source. A fetch whose answer is lost is repeated once under its number; other
// calls are not repeated. Thread-safe.
class SourceClient {
 public:
  static absl::StatusOr<std::unique_ptr<SourceClient>> Connect(const SourceAddress& address,
                                                               const std::string& caller,
                                                               uint64_t stream_id);

  // Of the sessions that are opened from here on. While no other call is under way.
  void SetThrottle(SourceThrottle throttle) { throttle_ = std::move(throttle); }

  // gtid_executed of the source.
  absl::StatusOr<std::string> ReadPosition();
  absl::StatusOr<OpenedSnapshot> OpenSnapshot(const SnapshotRequest& wanted);
  absl::StatusOr<FetchedRows> FetchRows(const RowsRequest& request);
  // Makes `rows`, which the session gave, whole.
  absl::Status FetchRest(const std::string& session, FetchedRows& rows);
  absl::StatusOr<std::string> OpenBinlog(const std::string& database,
                                         const std::vector<std::string>& tables,
                                         const std::string& position);
  absl::StatusOr<FetchedEvents> FetchEvents(const std::string& session, uint64_t number,
                                            uint32_t bytes_max, absl::Duration wait);
  // The source would end the session by itself later, so a failure does not matter.
  void CloseSession(const std::string& session);

  // Refuses new calls with CANCELLED and makes those in flight end: the sessions are closed at the
  // source, which then answers at once. A source that does not answer is left alone.
  void Interrupt() ABSL_LOCKS_EXCLUDED(mutex_);

  [[nodiscard]] const SourceAddress& address() const { return address_; }

 private:
  SourceClient(std::unique_ptr<rpc::Client> client, SourceAddress address, uint64_t stream_id);

  absl::Status FetchPart(const std::string& session, FetchedRows& rows);
  [[nodiscard]] absl::Status Name(const absl::Status& status) const;
  // Passes on what an answer says of the throttle.
  void HearThrottle(const absl::Status& status) const;
  absl::Status BeginOpening() ABSL_LOCKS_EXCLUDED(mutex_);
  absl::Status Opened(const absl::Status& status, const std::string& session)
      ABSL_LOCKS_EXCLUDED(mutex_);
  absl::Status CallCloseSession(const std::string& session, absl::Duration timeout);

  const std::unique_ptr<rpc::Client> client_;
  const SourceAddress address_;
  const uint64_t stream_id_;
  SourceThrottle throttle_;
  absl::Mutex mutex_;
  bool interrupted_ ABSL_GUARDED_BY(mutex_) = false;
  int opening_ ABSL_GUARDED_BY(mutex_) = 0;
  absl::flat_hash_set<std::string> sessions_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace sluice::target
