// KeyBuilder: the record of owed keys, the lock of those who change keys, and the ALTER.

#include "agent/target/key_builder.h"

#include <algorithm>
#include <functional>
#include <set>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/time/clock.h"
#include "agent/target/local_session.h"
#include "agent/target/stream_store.h"
#include "agent/target/transaction_retry.h"
#include "common/base/crash_point.h"
#include "common/base/log.h"
#include "common/base/status.h"
#include "common/base/status_macros.h"
#include "common/mysql/create_statement.h"

namespace sluice::target {
namespace {

// An ALTER may run for days, and says nothing meanwhile.
constexpr absl::Duration kAlterMax = absl::Hours(24 * 20);
constexpr absl::Duration kLockWait = absl::Seconds(1);
constexpr unsigned kDuplicateKeyName = 1061;
constexpr unsigned kOnlineLogTooBig = 1799;
constexpr unsigned kNotSupported = 1845;  // of LOCK=NONE for this table
constexpr unsigned kNotSupportedReason = 1846;

std::string LockName(uint64_t stream_id) {
  return absl::StrCat("_sluice_keys_", stream_id);
}

std::string NamesOf(const std::vector<OwedKey>& keys) {
  return absl::StrJoin(
      keys, ", ", [](std::string* out, const OwedKey& key) { absl::StrAppend(out, key.name); });
}

// The session that has the lock; 0 when none has.
absl::StatusOr<std::string> LockHolder(mysql::Connection& connection, uint64_t stream_id) {
  return connection.QueryScalar(absl::StrCat("SELECT COALESCE(IS_USED_LOCK(",
                                             mysql::QuoteString(LockName(stream_id)), "), 0)"));
}

absl::Status Kill(mysql::Connection& connection, const std::string& id) {
  // It may have ended meanwhile.
  connection.Execute(absl::StrCat("KILL ", id)).status().IgnoreError();
  return absl::OkStatus();
}

// Whoever changes keys holds this lock of its session, so that what an agent that has died, or was
// stopped for a while, was about to do cannot come later. A session that has the lock and does
// nothing is ended; one that runs a statement is waited for.
absl::Status TakeLock(mysql::Connection& connection, uint64_t stream_id,
                      const std::function<bool()>& ended) {
  while (!ended()) {
    SLUICE_ASSIGN_OR_RETURN(
        const std::string got,
        connection.QueryScalar(absl::StrCat("SELECT COALESCE(GET_LOCK(",
                                            mysql::QuoteString(LockName(stream_id)), ", ",
                                            absl::ToInt64Seconds(kLockWait), "), 0)")));
    if (got == "1") {
      return absl::OkStatus();
    }
    SLUICE_ASSIGN_OR_RETURN(const std::string holder, LockHolder(connection, stream_id));
    SLUICE_ASSIGN_OR_RETURN(const std::string busy,
                            connection.QueryScalar(absl::StrCat(
                                "SELECT COUNT(*) FROM performance_schema.processlist WHERE ID = ",
                                holder, " AND COMMAND = 'Query'")));
    if (holder != "0" && busy == "0") {
      SLUICE_RETURN_IF_ERROR(Kill(connection, holder));
    }
  }
  return absl::CancelledError("the stream is being stopped");
}

absl::Status ReleaseLock(mysql::Connection& connection, uint64_t stream_id) {
  return connection
      .Execute(absl::StrCat("SELECT RELEASE_LOCK(", mysql::QuoteString(LockName(stream_id)), ")"))
      .status();
}

absl::StatusOr<std::set<std::string>> ReferencedColumns(mysql::Connection& connection,
                                                        const std::string& database,
                                                        const std::string& table) {
  SLUICE_ASSIGN_OR_RETURN(
      const mysql::QueryResult result,
      connection.Query(absl::StrCat(
          "SELECT DISTINCT REFERENCED_COLUMN_NAME FROM information_schema.KEY_COLUMN_USAGE WHERE "
          "REFERENCED_TABLE_SCHEMA = ",
          mysql::QuoteString(database),
          " AND REFERENCED_TABLE_NAME = ", mysql::QuoteString(table))));
  std::set<std::string> columns;
  for (const mysql::Row& row : result.rows) {
    columns.insert(row.front().value_or(""));
  }
  return columns;
}

absl::StatusOr<std::vector<OwedKey>> FindKeys(mysql::Connection& connection,
                                              const std::string& database,
                                              const std::string& physical) {
  SLUICE_ASSIGN_OR_RETURN(const std::string create,
                          mysql::ShowCreateTable(connection, database, physical));
  SLUICE_ASSIGN_OR_RETURN(const std::set<std::string> referenced,
                          ReferencedColumns(connection, database, physical));
  return DeferrableKeys(create, referenced);
}

absl::StatusOr<std::vector<OwedKey>> MissingKeys(mysql::Connection& connection,
                                                 const std::string& database,
                                                 const std::string& physical,
                                                 std::vector<OwedKey> owed) {
  SLUICE_ASSIGN_OR_RETURN(
      const mysql::QueryResult result,
      connection.Query(absl::StrCat(
          "SELECT DISTINCT INDEX_NAME FROM information_schema.STATISTICS WHERE TABLE_SCHEMA = ",
          mysql::QuoteString(database), " AND TABLE_NAME = ", mysql::QuoteString(physical))));
  for (const mysql::Row& row : result.rows) {
    std::erase_if(owed, [&](const OwedKey& key) {
      return absl::EqualsIgnoreCase(key.name, row.front().value_or(""));
    });
  }
  return owed;
}

}  // namespace

absl::Status DeferKeysOf(mysql::Connection& connection, const StreamRecord& record,
                         const CopyTable& table, const std::string& physical,
                         const absl::Notification& stopping) {
  const std::string& database = record.spec.target_database;
  SLUICE_ASSIGN_OR_RETURN(const std::vector<OwedKey> keys,
                          FindKeys(connection, database, physical));
  if (keys.empty()) {
    return absl::OkStatus();
  }
  const uint64_t id = record.spec.id;
  SLUICE_RETURN_IF_ERROR(TakeLock(connection, id, [&] { return stopping.HasBeenNotified(); }));
  StreamStore store(connection);
  SLUICE_RETURN_IF_ERROR(store.Begin());
  absl::Status status = store.WriteOwedKeys(id, table.table, keys);
  if (status.ok()) {
    status = store.FinishPart(record.position, CommitKind::kState);
  }
  if (!status.ok()) {
    store.Rollback();
    ReleaseLock(connection, id).IgnoreError();
    return status;
  }
  SLUICE_CRASH_POINT("keys.after_record");
  SLUICE_RETURN_IF_ERROR(
      connection.Execute(DropKeysStatement(mysql::QuoteTable(database, physical), keys)).status());
  SLUICE_CRASH_POINT("keys.after_drop");
  SLUICE_LOG(kInfo, "secondary keys are left out until the copy is done",
             {{"stream", id}, {"table", table.table}, {"keys", NamesOf(keys)}});
  return ReleaseLock(connection, id);
}

absl::Status EndKeyChanges(mysql::Connection& connection, uint64_t stream_id) {
  SLUICE_ASSIGN_OR_RETURN(const std::string holder, LockHolder(connection, stream_id));
  return holder == "0" ? absl::OkStatus() : Kill(connection, holder);
}

KeyBuilder::KeyBuilder(Options options, std::vector<CopyTable> tables,
                       const absl::Notification& stopping)
    : options_(std::move(options)),
      tables_(std::move(tables)),
      stopping_(stopping),
      thread_([this] {
        const absl::Status status = Work();
        {
          const absl::MutexLock lock(&mutex_);
          result_ = status;
        }
        done_.Notify();
      }) {}

KeyBuilder::~KeyBuilder() {
  std::shared_ptr<mysql::Connection> connection;
  {
    const absl::MutexLock lock(&mutex_);
    leaving_ = true;
    connection = connection_;
  }
  if (connection == nullptr || done()) {
    return;
  }
  if (stopping_.HasBeenNotified()) {
    const auto killer = ConnectLocal(options_.local);
    if (killer.ok()) {
      EndKeyChanges(**killer, options_.stream_id).IgnoreError();
    }
  }
  connection->Interrupt();
}

absl::Status KeyBuilder::result() const {
  const absl::MutexLock lock(&mutex_);
  return result_;
}

std::string KeyBuilder::doing() const {
  const absl::MutexLock lock(&mutex_);
  return doing_;
}

void KeyBuilder::Say(const std::string& text) {
  const absl::MutexLock lock(&mutex_);
  doing_ = text;
}

bool KeyBuilder::ended() const {
  const absl::MutexLock lock(&mutex_);
  return leaving_ || stopping_.HasBeenNotified();
}

absl::Status KeyBuilder::Connect() {
  mysql::ConnectionOptions options = options_.local;
  options.read_timeout = kAlterMax;
  SLUICE_ASSIGN_OR_RETURN(std::shared_ptr<mysql::Connection> connection, ConnectLocal(options));
  // Writers wait while the ALTER waits for them, so it must not do so for long; that it fails at
  // its end costs more than their wait.
  SLUICE_RETURN_IF_ERROR(
      connection
          ->Execute(absl::StrCat("SET SESSION lock_wait_timeout = ",
                                 std::max<int64_t>(1, absl::ToInt64Seconds(options_.lock_wait))))
          .status());
  // Sorts in fewer and larger runs; not known before 8.0.27.
  connection->Execute("SET SESSION innodb_ddl_buffer_size = 67108864").status().IgnoreError();
  const absl::MutexLock lock(&mutex_);
  connection_ = std::move(connection);
  return absl::OkStatus();
}

absl::Status KeyBuilder::Work() {
  for (const CopyTable& table : tables_) {
    while (true) {
      absl::Status status =
          ended() ? absl::CancelledError("the stream is being stopped") : Connect();
      if (status.ok()) {
        status = AddKeys(table);
      }
      if (status.ok()) {
        break;
      }
      if (ended()) {
        return absl::CancelledError("the stream is being stopped");
      }
      if (HasMoved(status)) {
        return absl::UnavailableError(status.message());  // the stream looks anew where it stands
      }
      const bool may_pass = absl::IsUnavailable(status) || absl::IsAborted(status) ||
                            MysqlErrnoOf(status) == kOnlineLogTooBig;
      if (!may_pass) {
        return WithSubject(
            Annotate(status, absl::StrCat("adding keys ", NamesOf(table.keys_owed), " to ",
                                          options_.database, ".", table.table)),
            table.table);
      }
      Say(absl::StrCat("keys of ", table.table, " can't be added yet: ", status.message()));
      SLUICE_LOG(kWarning, "adding keys failed and is tried again",
                 {{"stream", options_.stream_id}, {"table", table.table}, {"reason", status}});
      const auto over = [this] {
        mutex_.AssertReaderHeld();
        return leaving_ || stopping_.HasBeenNotified();
      };
      const absl::MutexLock lock(&mutex_);
      mutex_.AwaitWithTimeout(absl::Condition(&over), options_.retry_after);
    }
  }
  return absl::OkStatus();
}

absl::Status KeyBuilder::AddKeys(const CopyTable& table) {
  std::shared_ptr<mysql::Connection> connection;
  {
    const absl::MutexLock lock(&mutex_);
    connection = connection_;
  }
  Say(absl::StrCat("adding keys to ", table.table, ": ", NamesOf(table.keys_owed)));
  SLUICE_RETURN_IF_ERROR(TakeLock(*connection, options_.stream_id, [this] { return ended(); }));
  SLUICE_ASSIGN_OR_RETURN(const std::vector<OwedKey> missing,
                          MissingKeys(*connection, options_.database,
                                      options_.physical.at(table.table), table.keys_owed));
  if (!missing.empty()) {
    SLUICE_CRASH_POINT("keys.before_add");
    SLUICE_RETURN_IF_ERROR(Alter(table, missing));
    SLUICE_CRASH_POINT("keys.after_add");
  }
  SLUICE_RETURN_IF_ERROR(StreamStore(*connection).ForgetOwedKeys(options_.stream_id, table.table));
  SLUICE_LOG(
      kInfo, "secondary keys stand",
      {{"stream", options_.stream_id}, {"table", table.table}, {"keys", NamesOf(table.keys_owed)}});
  return ReleaseLock(*connection, options_.stream_id);
}

absl::Status KeyBuilder::Alter(const CopyTable& table, const std::vector<OwedKey>& missing) {
  std::shared_ptr<mysql::Connection> connection;
  {
    const absl::MutexLock lock(&mutex_);
    connection = connection_;
  }
  const std::string name = mysql::QuoteTable(options_.database, options_.physical.at(table.table));
  const auto add = [&](const std::vector<OwedKey>& keys) {
    absl::Status status = connection->Execute(AddKeysStatement(name, keys)).status();
    const unsigned number = MysqlErrnoOf(status);
    if (number == kNotSupported || number == kNotSupportedReason) {
      Say(absl::StrCat("adding keys to ", table.table,
                       ", whose changes wait for it: ", NamesOf(keys)));
      status = connection->Execute(AddKeysStatement(name, keys, /*online=*/false)).status();
    }
    // An ALTER of an earlier agent may have ended between the look and ours.
    return MysqlErrnoOf(status) == kDuplicateKeyName ? absl::AbortedError(status.message())
                                                     : status;
  };
  absl::Status status = add(missing);
  if (MysqlErrnoOf(status) != kOnlineLogTooBig) {
    return status;
  }
  // mysqld keeps what writers do meanwhile, up to a limit; a single key takes less time.
  for (const OwedKey& key : missing) {
    status = add({key});
    if (MysqlErrnoOf(status) == kOnlineLogTooBig) {
      return Annotate(status,
                      "too much is written meanwhile; run SET GLOBAL "
                      "innodb_online_alter_log_max_size with a larger value on the target");
    }
    SLUICE_RETURN_IF_ERROR(status);
  }
  return absl::OkStatus();
}

}  // namespace sluice::target
