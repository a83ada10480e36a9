// StreamStore: what the coordinator's commands write.

#include <utility>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "agent/target/stream_store.h"
#include "common/base/status.h"
#include "common/base/status_macros.h"

namespace sluice::target {
namespace {

using mysql::QuoteString;

// Far longer than a request lives. A coordinator that was restored from an older copy of its store
// gives ids again that are younger than that; each attempt takes the next ones.
constexpr int kDeletedKeptDays = 7;

absl::Status TooOld(uint64_t id, uint64_t epoch, uint64_t obeyed) {
  return WithSubject(absl::FailedPreconditionError(
                         absl::StrCat("the command for stream ", id, " is of epoch ", epoch,
                                      ", but one of epoch ", obeyed, " was obeyed already")),
                     absl::StrCat(id));
}

absl::Status WasDeleted(uint64_t id) {
  return WithSubject(absl::FailedPreconditionError(absl::StrCat(
                         "stream ", id,
                         " was deleted on this server, and its id is not taken again: the request "
                         "was delayed. Repeat the command, which gives a new id")),
                     absl::StrCat(id));
}

}  // namespace

absl::Status StreamStore::AsOne(const std::function<absl::Status()>& statements) {
  SLUICE_RETURN_IF_ERROR(Begin());
  absl::Status status = statements();
  if (status.ok()) {
    status = connection_.Execute("COMMIT").status();
  }
  if (!status.ok()) {
    Rollback();
  }
  return status;
}

absl::Status StreamStore::CheckNotDeleted(uint64_t id) {
  SLUICE_ASSIGN_OR_RETURN(const mysql::QueryResult result,
                          connection_.Query(absl::StrCat(
                              "SELECT 1 FROM _sluice.deleted_stream WHERE stream_id = ", id)));
  return result.rows.empty() ? absl::OkStatus() : WasDeleted(id);
}

// The row stands for the length of the transaction only. Who deletes the stream writes the same
// one, so whichever comes second finds what the first has done.
absl::Status StreamStore::TakeId(uint64_t id) {
  const absl::Status taken =
      connection_
          .Execute(
              absl::StrCat("INSERT INTO _sluice.deleted_stream (stream_id, deleted_at) VALUES (",
                           id, ", UTC_TIMESTAMP(6))"))
          .status();
  if (absl::IsAlreadyExists(taken)) {
    return WasDeleted(id);
  }
  SLUICE_RETURN_IF_ERROR(taken);
  return connection_
      .Execute(absl::StrCat("DELETE FROM _sluice.deleted_stream WHERE stream_id = ", id))
      .status();
}

absl::StatusOr<uint64_t> StreamStore::ReadEpoch(uint64_t id, bool locked) {
  SLUICE_ASSIGN_OR_RETURN(
      const mysql::QueryResult result,
      connection_.Query(absl::StrCat("SELECT epoch FROM _sluice.stream WHERE id = ", id,
                                     locked ? " FOR UPDATE" : "")));
  if (result.rows.empty()) {
    return WithSubject(absl::NotFoundError(absl::StrCat("stream ", id, " does not exist")),
                       absl::StrCat(id));
  }
  uint64_t epoch = 0;
  if (!absl::SimpleAtoi(result.rows.front()[0].value_or(""), &epoch)) {
    return absl::DataLossError(absl::StrCat("the stored epoch of stream ", id, " cannot be read"));
  }
  return epoch;
}

absl::Status StreamStore::CheckEpoch(uint64_t id, uint64_t epoch) {
  SLUICE_ASSIGN_OR_RETURN(const uint64_t obeyed, ReadEpoch(id, /*locked=*/false));
  return epoch < obeyed ? TooOld(id, epoch, obeyed) : absl::OkStatus();
}

absl::StatusOr<StreamRecord> StreamStore::Obey(const StreamCommand& command, const Change& change) {
  return ObeyAs(command, /*claims=*/false, change);
}

absl::StatusOr<StreamRecord> StreamStore::ObeyAndClaim(const StreamCommand& command,
                                                       const Change& change) {
  return ObeyAs(command, /*claims=*/true, change);
}

// The stream's row is locked from the look at its epoch to the commit. A command that is refused
// leaves the stream's writer in peace, so the claim comes behind that.
absl::StatusOr<StreamRecord> StreamStore::ObeyAs(const StreamCommand& command, bool claims,
                                                 const Change& change) {
  StreamRecord record;
  const absl::Status written = AsOne([&]() -> absl::Status {
    SLUICE_ASSIGN_OR_RETURN(const uint64_t obeyed, ReadEpoch(command.stream_id, /*locked=*/true));
    if (command.epoch < obeyed) {
      return TooOld(command.stream_id, command.epoch, obeyed);
    }
    SLUICE_ASSIGN_OR_RETURN(record, claims ? Claim(command.stream_id) : Load(command.stream_id));
    const StreamRecord before = record;
    record.epoch = command.epoch;
    SLUICE_RETURN_IF_ERROR(change(record));
    return WriteCommand(before, record);
  });
  SLUICE_RETURN_IF_ERROR(written);
  return record;
}

absl::Status StreamStore::WriteCommand(const StreamRecord& before, const StreamRecord& after) {
  std::string sql = absl::StrCat("UPDATE _sluice.stream SET epoch = ", after.epoch,
                                 ", frozen = ", after.frozen ? 1 : 0);
  if (after.spec != before.spec) {
    absl::StrAppend(&sql, ", spec = ", QuoteString(EncodeStreamSpec(after.spec)));
  }
  SLUICE_RETURN_IF_ERROR(
      connection_.Execute(absl::StrCat(sql, " WHERE id = ", after.spec.id)).status());
  if (after.position.position != before.position.position) {
    SLUICE_RETURN_IF_ERROR(WritePosition(after.position));
  }
  return after.state == before.state && after.message == before.message
             ? absl::OkStatus()
             : WriteState(after.spec.id, after.state, after.message);
}

absl::Status StreamStore::Delete(uint64_t id, uint64_t epoch) {
  return AsOne([&]() -> absl::Status {
    const absl::StatusOr<uint64_t> obeyed = ReadEpoch(id, /*locked=*/true);
    if (!obeyed.ok() && !absl::IsNotFound(obeyed.status())) {
      return obeyed.status();
    }
    if (obeyed.ok() && epoch < *obeyed) {
      return TooOld(id, epoch, *obeyed);
    }
    // Also of a stream that is not there: its creation may be under way.
    SLUICE_RETURN_IF_ERROR(
        connection_
            .Execute(absl::StrCat(
                "INSERT INTO _sluice.deleted_stream (stream_id, deleted_at) VALUES (", id,
                ", UTC_TIMESTAMP(6)) ON DUPLICATE KEY UPDATE stream_id = stream_id"))
            .status());
    for (const char* table :
         {"stream_position WHERE stream_id", "copy_range WHERE stream_id",
          "stream_ddl WHERE stream_id", "deferred_key WHERE stream_id", "stream WHERE id"}) {
      SLUICE_RETURN_IF_ERROR(
          connection_.Execute(absl::StrCat("DELETE FROM _sluice.", table, " = ", id)).status());
    }
    return absl::OkStatus();
  });
}

absl::Status StreamStore::ForgetDeleted() {
  SLUICE_ASSIGN_OR_RETURN(
      const mysql::QueryResult old,
      connection_.Query(absl::StrCat("SELECT stream_id FROM _sluice.deleted_stream WHERE deleted_at"
                                     " < UTC_TIMESTAMP(6) - INTERVAL ",
                                     kDeletedKeptDays, " DAY")));
  for (const mysql::Row& row : old.rows) {
    SLUICE_RETURN_IF_ERROR(
        connection_
            .Execute(absl::StrCat("DELETE FROM _sluice.deleted_stream WHERE stream_id = ",
                                  row[0].value_or("0")))
            .status());
  }
  return absl::OkStatus();
}

}  // namespace sluice::target
