// Backend: connect through libmysqlclient, then raw packets.

#include "proxy/backend/backend.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "common/base/byte_reader.h"
#include "common/base/log.h"
#include "common/base/status.h"
#include "common/base/status_macros.h"
#include "common/mysql/connection.h"
#include "proxy/backend/result.h"

namespace sluice::proxy {
namespace {

constexpr uint8_t kDefaultCollation = 255;  // utf8mb4_0900_ai_ci

mysql::ConnectionOptions ConnectOptions(const Tablet& tablet, const BackendOptions& options) {
  mysql::ConnectionOptions connect;
  connect.host = tablet.host;
  connect.port = tablet.port;
  connect.user = options.user;
  connect.password = options.password;
  connect.database = tablet.database;
  connect.connect_timeout = options.connect_timeout;
  connect.program = "sluice-proxy";
  connect.plain = true;
  return connect;
}

}  // namespace

Backend::Backend(Tablet tablet, BackendOptions options, Descriptor socket)
    : tablet_(std::move(tablet)), options_(std::move(options)), channel_(std::move(socket)) {}

absl::StatusOr<std::unique_ptr<Backend>> Backend::Open(const Tablet& tablet,
                                                       const BackendOptions& options,
                                                       uint64_t client_capabilities,
                                                       uint8_t collation) {
  mysql::ConnectionOptions connect = ConnectOptions(tablet, options);
  connect.extra_client_flags = client_capabilities & (kClientFoundRows | kClientInteractive);
  auto connection = mysql::Connection::Connect(connect);
  if (!connection.ok()) {
    return Annotate(connection.status(), absl::StrCat("tablet ", tablet.alias));
  }
  const uint64_t id = (*connection)->connection_id();
  SLUICE_ASSIGN_OR_RETURN(const mysql::Connection::RawSocket socket,
                          (*connection)->ReleaseSocket());
  std::unique_ptr<Backend> backend(new Backend(tablet, options, Descriptor(socket.fd)));
  backend->connection_id_ = id;
  backend->capabilities_ = socket.capabilities;
  if (collation != kDefaultCollation && collation != 0) {
    const std::string number = absl::StrCat(static_cast<unsigned>(collation));
    SLUICE_ASSIGN_OR_RETURN(const Response response,
                            backend->Run(absl::StrCat("SET character_set_client=", number,
                                                      ", character_set_results=", number,
                                                      ", collation_connection=", number)));
    if (response.is_error) {
      return MysqlError(response.error.code, response.error.message);
    }
  }
  return backend;
}

Backend::~Backend() {
  if (!dead_) {
    channel_.ResetSequence();
    const Wait wait{.deadline = absl::Now() + absl::Seconds(1)};
    std::string quit;
    AppendUint(quit, kComQuit, 1);
    channel_.WritePacket(quit, wait).IgnoreError();
    channel_.Flush(wait).IgnoreError();
  }
}

Wait Backend::InternalWait() const {
  return {.deadline = absl::Now() + options_.internal_timeout};
}

absl::Status Backend::SendQuery(absl::string_view attributes, absl::string_view sql,
                                const Wait& wait) {
  channel_.ResetSequence();
  channel_.ResetSent();
  SLUICE_RETURN_IF_ERROR(channel_.WritePacket(BuildQuery(attributes, sql, capabilities_), wait));
  return channel_.Flush(wait);
}

absl::StatusOr<Response> Backend::Run(absl::string_view sql, std::string* cell) {
  SLUICE_RETURN_IF_ERROR(SendQuery("", sql, InternalWait()));
  return ReadResult(channel_, capabilities_, InternalWait(), cell);
}

absl::StatusOr<uint16_t> Backend::AskStatus() {
  channel_.ResetSequence();
  std::string ping;
  AppendUint(ping, kComPing, 1);
  SLUICE_RETURN_IF_ERROR(channel_.WritePacket(ping, InternalWait()));
  SLUICE_RETURN_IF_ERROR(channel_.Flush(InternalWait()));
  SLUICE_ASSIGN_OR_RETURN(const Response response,
                          ReadResult(channel_, capabilities_, InternalWait(), nullptr));
  if (response.is_error) {
    return MysqlError(response.error.code, response.error.message);
  }
  return response.status;
}

void Backend::Kill() {
  dead_ = true;
  KillOn(tablet_, options_, connection_id_, false);
}

void Backend::KillOn(const Tablet& tablet, const BackendOptions& options, uint64_t connection_id,
                     bool query_only) {
  auto connection = mysql::Connection::Connect(ConnectOptions(tablet, options));
  absl::Status status = connection.status();
  if (status.ok()) {
    status =
        (*connection)
            ->Execute(absl::StrCat("KILL ", query_only ? "QUERY " : "CONNECTION ", connection_id))
            .status();
  }
  // 1094: it has ended by itself.
  if (!status.ok() && MysqlErrnoOf(status) != 1094) {
    SLUICE_LOG(kWarning, "statement of a lost client could not be ended",
               {{"tablet", tablet.alias}, {"connection", connection_id}, {"reason", status}});
  }
}

}  // namespace sluice::proxy
