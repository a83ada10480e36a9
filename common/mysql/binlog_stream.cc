// BinlogStream: COM_BINLOG_DUMP_GTID through libmysqlclient.

#include "common/mysql/binlog_stream.h"

#include <mysql.h>

#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "common/base/status.h"
#include "common/base/status_macros.h"
#include "common/mysql/connection_impl.h"

namespace sluice::mysql {
namespace {

constexpr unsigned kHeartbeatsV2 = 2;  // on the wire: USE_HEARTBEAT_EVENT_V2
constexpr unsigned kFatalWhileReading = 1236;
constexpr uint64_t kFirstEvent = 4;

// 1236 stands for everything that ends a dump; its text tells what it was.
absl::Status Classify(const absl::Status& status) {
  if (MysqlErrnoOf(status) != kFatalWhileReading) {
    return status;
  }
  absl::StatusCode code = absl::StatusCode::kInternal;
  if (absl::StrContains(status.message(), "purged") ||
      absl::StrContains(status.message(), "more GTIDs than the source has")) {
    code = absl::StatusCode::kDataLoss;
  } else if (absl::StrContains(status.message(), "with the same server_")) {
    code = absl::StatusCode::kAborted;
  } else if (absl::StrContains(status.message(), "not open")) {
    code = absl::StatusCode::kFailedPrecondition;
  }
  return WithMysqlErrno(absl::Status(code, status.message()), kFatalWhileReading);
}

}  // namespace

struct BinlogStream::Impl {
  std::unique_ptr<Connection> connection;
  std::string encoded_position;
  MYSQL_RPL rpl{};
  bool open = false;
};

BinlogStream::BinlogStream(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}

BinlogStream::~BinlogStream() {
  if (impl_->open) {
    mysql_binlog_close(impl_->connection->impl_->handle.get(), &impl_->rpl);
  }
}

absl::StatusOr<std::unique_ptr<BinlogStream>> BinlogStream::Open(
    const BinlogStreamOptions& options) {
  if (options.server_id == 0) {
    return absl::InvalidArgumentError("a binlog stream needs a server_id other than 0");
  }
  auto impl = std::make_unique<Impl>();
  ConnectionOptions connection_options = options.connection;
  connection_options.read_timeout = 3 * options.heartbeat;
  SLUICE_ASSIGN_OR_RETURN(impl->connection, Connection::Connect(connection_options));
  // A server ends the older of two dumps with the same UUID, so one that hangs from before a
  // restart of ours never lingers. Old and new names of the variables, for old and new servers.
  const std::string uuid = absl::StrFormat("5106ce00-0000-4000-8000-0000%08x", options.server_id);
  const int64_t heartbeat_ns = absl::ToInt64Nanoseconds(options.heartbeat);
  const absl::Status prepared =
      impl->connection
          ->Execute(absl::StrCat(
              "SET @source_binlog_checksum = 'CRC32', @master_binlog_checksum = 'CRC32', "
              "@source_heartbeat_period = ",
              heartbeat_ns, ", @master_heartbeat_period = ", heartbeat_ns, ", @replica_uuid = '",
              uuid, "', @slave_uuid = '", uuid, "'"))
          .status();
  if (!prepared.ok()) {
    return Annotate(prepared, "preparing a binlog stream");
  }
  impl->encoded_position = options.position.Encode();
  MYSQL_RPL& rpl = impl->rpl;
  rpl.file_name_length = 0;
  rpl.file_name = "";
  rpl.start_position = kFirstEvent;
  rpl.server_id = options.server_id;
  rpl.flags = MYSQL_RPL_GTID | kHeartbeatsV2;
  rpl.gtid_set_encoded_size = impl->encoded_position.size();
  rpl.gtid_set_arg = impl->encoded_position.data();
  if (mysql_binlog_open(impl->connection->impl_->handle.get(), &rpl) != 0) {
    return Annotate(Classify(impl->connection->impl_->Error()), "opening a binlog stream");
  }
  impl->open = true;
  return std::unique_ptr<BinlogStream>(new BinlogStream(std::move(impl)));
}

absl::StatusOr<absl::string_view> BinlogStream::Next() {
  EnterThread();
  Connection::Impl& connection = *impl_->connection->impl_;
  if (!connection.healthy) {
    return absl::UnavailableError("the binlog stream has ended");
  }
  if (mysql_binlog_fetch(connection.handle.get(), &impl_->rpl) != 0) {
    const absl::Status status = connection.Error();
    connection.healthy = false;
    return Annotate(Classify(status), "reading the binlog stream");
  }
  if (impl_->rpl.size == 0) {
    connection.healthy = false;
    return absl::UnavailableError("the server ended the binlog stream");
  }
  // The first byte is the packet's own.
  return absl::string_view(reinterpret_cast<const char*>(impl_->rpl.buffer) + 1,
                           impl_->rpl.size - 1);
}

void BinlogStream::Interrupt() {
  impl_->connection->Interrupt();
}

}  // namespace sluice::mysql
