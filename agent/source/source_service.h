// SourceService: the source role of an agent: rows of snapshots and binlog events for other agents.

#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/container/flat_hash_map.h"
#include "absl/container/flat_hash_set.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "agent/source/binlog_session.h"
#include "agent/source/binlog_tail.h"
#include "agent/source/snapshot_session.h"
#include "agent/throttle/gate.h"
#include "common/mysql/connection.h"
#include "common/rpc/server.h"
#include "schemas/data.capnp.h"

namespace sluice::source {

struct SourceOptions {
  mysql::ConnectionOptions connection;  // to the agent's own mysqld
  // Others are not read from: UNAVAILABLE, since another agent may serve them. Empty: any.
  std::vector<std::string> databases = {};
  // Binlog readers register as replicas server_id_base … server_id_base + sessions_max, the last
  // one for what they share; they must be unique among all replicas of this mysqld.
  uint32_t server_id_base = 0;
  size_t sessions_max = 64;
  absl::Duration idle_timeout = absl::Seconds(60);  // of a session that nobody asks
  absl::Duration heartbeat = absl::Seconds(1);
  size_t queue_bytes_max = 16U << 20U;   // read ahead per binlog session
  size_t window_bytes_max = 16U << 20U;  // of the binlog's end, for all of them
  throttle::Sampler* sampler = nullptr;  // outlives the service; nullptr: nothing is throttled
};

// Answers openSnapshot, fetchRows, openBinlog, fetchEvents and closeSession (schemas/data.capnp). A
// stream has at most one session: a new one, of whichever kind, ends the old, so that the snapshot
// of an agent that was killed does not keep its tables locked against DDL any longer. An unknown or
// ended session answers NOT_FOUND, upon which the target opens a new one. Thread-safe.
class SourceService {
 public:
  explicit SourceService(SourceOptions options);
  SourceService(const SourceService&) = delete;
  SourceService& operator=(const SourceService&) = delete;
  ~SourceService();  // Stop()

  // Before the server starts; the service must outlive the server's handlers.
  void Register(rpc::Server& server);

  // Ends all sessions and refuses new ones; waiting calls return. Idempotent.
  void Stop() ABSL_LOCKS_EXCLUDED(mutex_);

  [[nodiscard]] size_t sessions() const ABSL_LOCKS_EXCLUDED(mutex_);
  // Binlog sessions that share one dump.
  [[nodiscard]] size_t sessions_at_tail() const { return tail_.joined(); }

 private:
  struct Session {
    uint64_t stream_id = 0;
    std::shared_ptr<SnapshotSession> snapshot;  // one of the two
    std::shared_ptr<BinlogSession> binlog;
    std::shared_ptr<throttle::Gate> throttle;  // of the copy; may be none
    uint32_t slot = 0;                         // of the binlog session's server id
    absl::Time last_used;
    int calls = 0;  // running now
  };
  // Marks a session as used for as long as it lives.
  class Use;

  absl::Status OpenSnapshot(const rpc::RequestContext& context,
                            schemas::OpenSnapshotRequest::Reader request,
                            schemas::OpenSnapshotReply::Builder reply);
  absl::Status FetchRows(schemas::FetchRowsRequest::Reader request,
                         schemas::FetchRowsReply::Builder reply);
  static absl::Status FetchHeld(SnapshotSession& session, schemas::FetchRowsRequest::Reader request,
                                schemas::FetchRowsReply::Builder reply);
  absl::Status OpenBinlog(schemas::OpenBinlogRequest::Reader request,
                          schemas::OpenBinlogReply::Builder reply);
  absl::Status FetchEvents(const rpc::RequestContext& context,
                           schemas::FetchEventsRequest::Reader request,
                           schemas::FetchEventsReply::Builder reply);
  absl::Status CloseSession(absl::string_view id) ABSL_LOCKS_EXCLUDED(mutex_);

  // The gate that the target asks for.
  std::shared_ptr<throttle::Gate> MakeGate(bool wanted, schemas::ThrottleLimits::Reader limits);
  // RESOURCE_EXHAUSTED, with the reason, when the gate does not open in a short while.
  absl::Status AwaitOpen(throttle::Gate* gate) ABSL_LOCKS_EXCLUDED(mutex_);

  absl::Status CheckServed(absl::string_view database) const;
  absl::StatusOr<std::string> Add(Session session) ABSL_LOCKS_EXCLUDED(mutex_);
  absl::Status CheckRoom() ABSL_LOCKS_EXCLUDED(mutex_);
  // Ends the sessions that `which` picks.
  void End(const std::function<bool(const std::string&, const Session&)>& which)
      ABSL_LOCKS_EXCLUDED(mutex_);
  void EndSessionsOf(uint64_t stream_id) ABSL_LOCKS_EXCLUDED(mutex_);
  absl::StatusOr<uint32_t> TakeSlot() ABSL_LOCKS_EXCLUDED(mutex_);
  void EndIdleSessions();

  const SourceOptions options_;
  BinlogTail tail_;
  mutable absl::Mutex mutex_;
  absl::flat_hash_map<std::string, Session> sessions_ ABSL_GUARDED_BY(mutex_);
  absl::flat_hash_set<uint32_t> slots_ ABSL_GUARDED_BY(mutex_);
  uint32_t next_slot_ ABSL_GUARDED_BY(mutex_) = 0;
  bool stopped_ ABSL_GUARDED_BY(mutex_) = false;
  std::jthread reaper_;  // last: starts when everything else stands
};

}  // namespace sluice::source
