// StreamManager: the target role of an agent: its streams, and the commands of the coordinator.

#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/container/btree_map.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/synchronization/mutex.h"
#include "agent/session/session_pool.h"
#include "agent/target/stream_runner.h"
#include "agent/target/stream_status.h"
#include "agent/target/stream_store.h"
#include "agent/target/stream_task.h"
#include "common/mysql/connection.h"
#include "common/rpc/server.h"
#include "schemas/control.capnp.h"

namespace sluice::target {

struct StreamManagerOptions {
  mysql::ConnectionOptions local;  // to the agent's own mysqld, where the streams' state is
  std::string agent_name;
  // Streams that write others are none of this agent's: they are refused, and left alone where
  // their rows stand in this mysqld. Empty: every database is served.
  std::vector<std::string> databases = {};
  PickSource pick_source;           // where it fails, a stream reads from where it read last
  std::function<void()> on_change;  // a stream's state has changed, or a marker is applied; from
                                    // any thread, must not block
  StreamTuning tuning;
  CheckPrimary check_primary = nullptr;  // before a stream writes anything; empty: not asked
  const Throttles* throttles = nullptr;  // outlives the manager; nullptr: nothing is measured
};

// Answers createStream, controlStream, updateStream, listStreams and awaitMarker. The tables of
// kStreamTables must be there. Thread-safe.
class StreamManager {
 public:
  explicit StreamManager(StreamManagerOptions options);
  StreamManager(const StreamManager&) = delete;
  StreamManager& operator=(const StreamManager&) = delete;
  ~StreamManager();  // Stop()

  // Before the server starts; the manager must outlive the server's handlers.
  void Register(rpc::Server& server);

  // Makes the streams in memory those of the sidecar tables, and runs those that are not stopped.
  // For the start, after mysqld was away, and when it has become PRIMARY; may be called at any
  // time. Where mysqld is read-only this is Suspend().
  absl::Status LoadAndResume() ABSL_LOCKS_EXCLUDED(load_mutex_, mutex_);

  // Ends all threads and forgets the streams; their durable state stays. For when mysqld is not
  // PRIMARY any more: the streams go on beside the new one.
  void Suspend() ABSL_LOCKS_EXCLUDED(load_mutex_, mutex_);

  [[nodiscard]] std::vector<StreamStatus> Statuses() const ABSL_LOCKS_EXCLUDED(mutex_);

  // Suspend(), for good.
  void Stop() ABSL_LOCKS_EXCLUDED(load_mutex_, mutex_);

 private:
  struct Stream {
    Stream(const StreamEnvironment& environment, const StreamRecord& record)
        : runner(environment, record) {}
    absl::Mutex mutex;  // one command at a time; held for Start and Stop of the runner
    StreamRunner runner;
    bool suspended ABSL_GUARDED_BY(mutex) = false;  // no thread may be started any more
  };
  using Streams = absl::btree_map<uint64_t, std::shared_ptr<Stream>>;

  absl::Status Create(const rpc::RequestContext& context,
                      schemas::CreateStreamRequest::Reader request);
  absl::Status Control(schemas::ControlStreamRequest::Reader request,
                       schemas::ControlStreamReply::Builder reply);
  absl::Status Update(schemas::UpdateStreamRequest::Reader request,
                      schemas::ControlStreamReply::Builder reply);
  absl::Status List(schemas::ListStreamsRequest::Reader request,
                    schemas::ListStreamsReply::Builder reply);
  absl::Status AwaitMarker(const rpc::RequestContext& context,
                           schemas::AwaitMarkerRequest::Reader request,
                           schemas::AwaitMarkerReply::Builder reply);

  absl::Status CheckServed(const StreamSpec& spec) const;
  absl::Status Obey(Stream& stream, schemas::ControlStreamRequest::Reader request,
                    StreamStore& store) ABSL_LOCKS_EXCLUDED(stream.mutex);
  absl::Status ChangeSpec(Stream& stream, schemas::UpdateStreamRequest::Reader request,
                          StreamStore& store) ABSL_LOCKS_EXCLUDED(stream.mutex);
  absl::Status CreateHere(Stream& stream, const StreamRecord& wanted, mysql::Connection& connection)
      ABSL_LOCKS_EXCLUDED(stream.mutex);
  absl::Status Delete(uint64_t id, uint64_t epoch, const std::shared_ptr<Stream>& stream)
      ABSL_LOCKS_EXCLUDED(mutex_);
  static void GoOn(Stream& stream) ABSL_EXCLUSIVE_LOCKS_REQUIRED(stream.mutex);
  // NOT_FOUND when it was deleted meanwhile.
  absl::Status Resume(Stream& stream, uint64_t id, StreamStore& store)
      ABSL_LOCKS_EXCLUDED(stream.mutex);
  // Where mysqld has no such stream, it is dropped from those in memory. `stream` may be null.
  void Forget(uint64_t id, const std::shared_ptr<Stream>& stream, mysql::Connection& connection)
      ABSL_LOCKS_EXCLUDED(mutex_);
  void SuspendLocked() ABSL_EXCLUSIVE_LOCKS_REQUIRED(load_mutex_) ABSL_LOCKS_EXCLUDED(mutex_);
  absl::StatusOr<agent::Session> BorrowWritable();
  std::shared_ptr<Stream> Find(uint64_t id) const ABSL_LOCKS_EXCLUDED(mutex_);
  static absl::Status NotHere(uint64_t id);
  // The stream of that id; a new one where there is none. nullptr when stopped.
  std::shared_ptr<Stream> FindOrAdd(const StreamRecord& record) ABSL_LOCKS_EXCLUDED(mutex_);

  const StreamEnvironment environment_;
  const std::vector<std::string> databases_;
  agent::SessionPool commands_;  // a cutover sends each stream of this mysqld some, all at once
  absl::Mutex load_mutex_;       // one LoadAndResume or Suspend at a time
  mutable absl::Mutex mutex_;
  Streams streams_ ABSL_GUARDED_BY(mutex_);
  bool stopped_ ABSL_GUARDED_BY(mutex_) = false;
};

}  // namespace sluice::target
