// StreamStore: the sidecar tables of streams, and the commits that move a stream on.

#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "agent/target/stream_record.h"
#include "common/mysql/connection.h"
#include "schemas/control.capnp.h"

namespace sluice::target {

// What a commit is made of; names its crash points.
enum class CommitKind { kCopy, kApply, kState };

// "running"
absl::string_view StateName(schemas::StreamState state);

// Works on one connection, set up by ConfigureDataSession. Owned by one thread.
class StreamStore {
 public:
  explicit StreamStore(mysql::Connection& connection) : connection_(connection) {}

  absl::StatusOr<std::vector<StreamRecord>> LoadAll();
  // NOT_FOUND names the stream.
  absl::StatusOr<StreamRecord> Load(uint64_t id);
  // ALREADY_EXISTS when there is a stream of that id.
  absl::Status Insert(const StreamRecord& record);
  // Writes state, message, frozen flag and epoch.
  absl::Status UpdateState(const StreamRecord& record);
  // Writes state and message only; for the stream's own thread, which gives no commands.
  absl::Status WriteState(uint64_t id, schemas::StreamState state, const std::string& message);
  absl::Status UpdateEpoch(uint64_t id, uint64_t epoch);
  absl::Status UpdateSource(uint64_t id, const std::string& alias, const std::string& url);
  // Nothing is left of the stream. OK when there was nothing.
  absl::Status Delete(uint64_t id);

  // Makes this the stream's only writer: waits for a commit of an earlier one that is still under
  // way, makes any later one fail, and returns the state that counts from here.
  absl::StatusOr<StreamRecord> Claim(uint64_t id);

  // One transaction of the stream's writer: Begin, any statements, then Finish, or Rollback. Finish
  // writes `row`, raises its version and commits. ABORTED when somebody else has claimed the
  // stream, UNAVAILABLE when mysqld has become read-only; nothing is committed then. A lost
  // connection leaves the outcome open: Claim tells.
  absl::Status Begin();
  absl::Status Finish(PositionRow& row, CommitKind kind);
  void Rollback();

  // Within a transaction: how far the copy of a table is.
  absl::Status WriteCopyTable(uint64_t id, const CopyTable& table);

  // UNAVAILABLE when this mysqld is read-only.
  absl::Status CheckWritable();

 private:
  absl::Status LoadCopy(uint64_t id, std::vector<CopyTable>& tables);
  absl::Status WhyNotAdvanced(const PositionRow& row);

  mysql::Connection& connection_;
};

}  // namespace sluice::target
