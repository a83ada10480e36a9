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

// The state of one range, with what its table is known by.
struct CopyProgress {
  size_t ordinal = 0;  // of the table in the stream
  std::string table;
  uint64_t rows_estimate = 0;
  uint64_t bytes_estimate = 0;
  CopyRange range;
};

// Works on one connection, set up by ConfigureDataSession. Owned by one thread.
class StreamStore {
 public:
  explicit StreamStore(mysql::Connection& connection);

  absl::StatusOr<std::vector<StreamRecord>> LoadAll();
  // NOT_FOUND names the stream.
  absl::StatusOr<StreamRecord> Load(uint64_t id);
  // ALREADY_EXISTS when there is a stream of that id.
  absl::Status Insert(const StreamRecord& record);
  // Writes state, message, frozen flag and epoch.
  absl::Status UpdateState(const StreamRecord& record);
  // Writes specification, position, state and epoch of a stream that is told where to begin, in one
  // commit.
  absl::Status UpdateStart(const StreamRecord& record);
  // Writes state and message only; for the stream's own thread, which gives no commands.
  absl::Status WriteState(uint64_t id, schemas::StreamState state, const std::string& message);
  absl::Status UpdateEpoch(uint64_t id, uint64_t epoch);
  // Writes the specification and the epoch.
  absl::Status UpdateSpec(const StreamSpec& spec, uint64_t epoch);
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

  // Ends a transaction that copied: writes how far it has come and commits. Any number of sessions
  // may do so at once; fails as Finish does. `row` is the stream's as it was claimed.
  absl::Status FinishCopy(const PositionRow& row, const std::vector<CopyProgress>& progress);

  // Ends a transaction that wrote a part of what `row` does not speak of yet: commits, and fails as
  // Finish does. Any number of sessions may do so at once. `row` is the stream's as it is durable.
  absl::Status FinishPart(const PositionRow& row, CommitKind kind);

  // The keys that a table owes, within the open transaction; none that stand there twice.
  absl::Status WriteOwedKeys(uint64_t id, const std::string& table,
                             const std::vector<OwedKey>& keys);
  absl::Status ForgetOwedKeys(uint64_t id, const std::string& table);

  // UNAVAILABLE when this mysqld is read-only, other than by a gate that has closed it as a whole.
  absl::Status CheckWritable();

 private:
  absl::Status WriteCopy(uint64_t id, const std::vector<CopyProgress>& progress);
  absl::Status LoadCopy(uint64_t id, std::vector<CopyTable>& tables);
  absl::Status LoadOwedKeys(uint64_t id, std::vector<CopyTable>& tables);
  absl::Status WhyNotAdvanced(const PositionRow& row);
  absl::StatusOr<bool> LearnGate();

  mysql::Connection& connection_;
  std::string writable_;  // what a commit makes sure of
};

}  // namespace sluice::target
