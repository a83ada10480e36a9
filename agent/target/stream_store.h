// StreamStore: the sidecar tables of streams, and the commits that move a stream on.

#pragma once

#include <cstdint>
#include <functional>
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

// What a coordinator says to a stream. Epochs only grow: what is older than the last one obeyed was
// delayed, and may contradict it.
struct StreamCommand {
  uint64_t stream_id = 0;
  uint64_t epoch = 0;
};

// Works on one connection, set up by ConfigureDataSession. Owned by one thread.
class StreamStore {
 public:
  explicit StreamStore(mysql::Connection& connection);

  absl::StatusOr<std::vector<StreamRecord>> LoadAll();
  // NOT_FOUND names the stream.
  absl::StatusOr<StreamRecord> Load(uint64_t id);
  // ALREADY_EXISTS when there is a stream of that id, FAILED_PRECONDITION when there was one: ids
  // are not given twice, so the request was delayed behind the one that deleted it.
  absl::Status Insert(const StreamRecord& record);
  absl::Status CheckNotDeleted(uint64_t id);

  // Commands, each one commit; of two agents beside this mysqld the later one finds what the first
  // has written. FAILED_PRECONDITION when one of a newer epoch was obeyed, NOT_FOUND when there is
  // no such stream; then nothing has changed, as when `change` fails.
  using Change = std::function<absl::Status(StreamRecord&)>;
  // Writes what `change` makes of the specification, state, message and frozen flag.
  absl::StatusOr<StreamRecord> Obey(const StreamCommand& command, const Change& change);
  // Claim() in the same commit, with the position; `change` may give another one.
  absl::StatusOr<StreamRecord> ObeyAndClaim(const StreamCommand& command, const Change& change);
  // Whether it would be refused as things are.
  absl::Status CheckEpoch(uint64_t id, uint64_t epoch);
  // Nothing is left of the stream but its id. OK when there was nothing.
  absl::Status Delete(uint64_t id, uint64_t epoch);
  // Forgets the ids of streams that were deleted long ago; no request is as old as that.
  absl::Status ForgetDeleted();

  // Writes state and message only; for the stream's own thread, which gives no commands.
  absl::Status WriteState(uint64_t id, schemas::StreamState state, const std::string& message);
  // State error with that message, if state and epoch are still those of `record`; else ABORTED.
  absl::Status WriteError(const StreamRecord& record, const std::string& message);
  absl::Status UpdateSource(uint64_t id, const std::string& alias, const std::string& url);

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
  // Runs `statements` between Begin and COMMIT, or takes them back.
  absl::Status AsOne(const std::function<absl::Status()>& statements);
  absl::StatusOr<uint64_t> ReadEpoch(uint64_t id, bool locked);
  absl::StatusOr<StreamRecord> ObeyAs(const StreamCommand& command, bool claims,
                                      const Change& change);
  absl::Status WriteCommand(const StreamRecord& before, const StreamRecord& after);
  absl::Status WritePosition(const PositionRow& row);
  // Within a transaction, which waits for others that take or delete the id.
  absl::Status TakeId(uint64_t id);
  absl::Status WriteCopy(uint64_t id, const std::vector<CopyProgress>& progress);
  absl::Status LoadCopy(uint64_t id, std::vector<CopyTable>& tables);
  absl::Status LoadOwedKeys(uint64_t id, std::vector<CopyTable>& tables);
  absl::Status WhyNotAdvanced(const PositionRow& row);
  absl::StatusOr<bool> LearnGate();

  mysql::Connection& connection_;
  std::string writable_;  // what a commit makes sure of
};

}  // namespace sluice::target
