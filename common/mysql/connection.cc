// Connection: libmysqlclient behind RAII.

#include "common/mysql/connection.h"

#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <mutex>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "common/base/status.h"
#include "common/base/status_macros.h"
#include "common/mysql/connection_impl.h"
#include "common/mysql/error.h"

namespace sluice::mysql {
namespace {

constexpr unsigned long kPacketBytesMax = 1UL << 30U;  // the protocol's own limit

unsigned Seconds(absl::Duration duration) {
  const int64_t seconds = absl::ToInt64Seconds(absl::Ceil(duration, absl::Seconds(1)));
  return seconds < 1 ? 1U : static_cast<unsigned>(std::min<int64_t>(seconds, 31'536'000));
}

std::string Where(const ConnectionOptions& options) {
  const std::string place = options.host.empty() ? absl::StrCat("socket ", options.socket)
                                                 : absl::StrCat(options.host, ":", options.port);
  return absl::StrCat("connecting to ", place, " as ", options.user);
}

// Bytes for it stay within this host.
bool IsLoopback(const std::string& host) {
  return host == "localhost" || host == "::1" || absl::StartsWith(host, "127.");
}

void ApplyOptions(MYSQL* handle, const ConnectionOptions& options) {
  const unsigned connect_s = Seconds(options.connect_timeout);
  const unsigned read_s = Seconds(options.read_timeout);
  const unsigned write_s = Seconds(options.write_timeout);
  const bool on = true;
  const unsigned allowed = 1;
  const unsigned refused = 0;
  const unsigned protocol = options.host.empty() ? MYSQL_PROTOCOL_SOCKET : MYSQL_PROTOCOL_TCP;
  const unsigned ssl_mode = options.plain ? SSL_MODE_DISABLED : SSL_MODE_PREFERRED;
  mysql_options(handle, MYSQL_OPT_CONNECT_TIMEOUT, &connect_s);
  mysql_options(handle, MYSQL_OPT_READ_TIMEOUT, &read_s);
  mysql_options(handle, MYSQL_OPT_WRITE_TIMEOUT, &write_s);
  mysql_options(handle, MYSQL_OPT_GET_SERVER_PUBLIC_KEY, &on);
  mysql_options(handle, MYSQL_OPT_LOCAL_INFILE, options.loads_rows ? &allowed : &refused);
  RefuseFiles(handle);
  mysql_options(handle, MYSQL_OPT_PROTOCOL, &protocol);
  mysql_options(handle, MYSQL_OPT_SSL_MODE, &ssl_mode);
  mysql_options(handle, MYSQL_OPT_MAX_ALLOWED_PACKET, &kPacketBytesMax);
  mysql_options(handle, MYSQL_SET_CHARSET_NAME, options.charset.c_str());
  if (!options.program.empty()) {
    mysql_options4(handle, MYSQL_OPT_CONNECT_ATTR_ADD, "program_name", options.program.c_str());
  }
}

// Tells the library when the thread that used it ends.
struct ThreadRegistration {
  ThreadRegistration() { mysql_thread_init(); }
  ThreadRegistration(const ThreadRegistration&) = delete;
  ThreadRegistration& operator=(const ThreadRegistration&) = delete;
  ~ThreadRegistration() { mysql_thread_end(); }
};

}  // namespace

void EnterThread() {
  // Threads may connect at the same moment, and the library's own first initialisation is not
  // guarded.
  static std::once_flag library_ready;
  std::call_once(library_ready, [] { mysql_library_init(0, nullptr, nullptr); });
  static thread_local ThreadRegistration registration;
}

Connection::Impl::~Impl() {
  EnterThread();
  handle.reset();
  if (interrupt_fd >= 0) {
    close(interrupt_fd);
  }
}

absl::Status Connection::Impl::Error() {
  absl::Status status = MysqlError(mysql_errno(handle.get()), mysql_sqlstate(handle.get()),
                                   mysql_error(handle.get()));
  if (absl::IsUnavailable(status)) {
    healthy = false;
  }
  return status;
}

absl::Status Connection::Impl::Send(absl::string_view sql) {
  EnterThread();
  if (handle == nullptr) {
    return absl::FailedPreconditionError("the connection's socket was taken away");
  }
  if (!healthy) {
    return MysqlError(0, "", "");
  }
  if (mysql_real_query(handle.get(), sql.data(), sql.size()) != 0) {
    return Error();
  }
  return absl::OkStatus();
}

absl::Status Connection::Impl::Finish() {
  int next = 0;
  while ((next = mysql_next_result(handle.get())) == 0) {
    const ResultPtr dropped(mysql_use_result(handle.get()));
  }
  if (next > 0) {
    return Error();
  }
  const char* data = nullptr;
  size_t length = 0;
  if (mysql_session_track_get_first(handle.get(), SESSION_TRACK_GTIDS, &data, &length) == 0) {
    last_gtid.assign(data, length);
  }
  return absl::OkStatus();
}

Connection::Connection(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Connection::~Connection() = default;

absl::StatusOr<std::unique_ptr<Connection>> Connection::Connect(const ConnectionOptions& options) {
  if (!options.plain && IsLoopback(options.host)) {
    ConnectionOptions plain = options;
    plain.plain = true;
    auto connected = ConnectOnce(plain);
    if (connected.ok() || absl::IsUnavailable(connected.status())) {
      return connected;
    }
    // The server, or the account, may want TLS.
  }
  return ConnectOnce(options);
}

absl::StatusOr<std::unique_ptr<Connection>> Connection::ConnectOnce(
    const ConnectionOptions& options) {
  EnterThread();
  auto impl = std::make_unique<Impl>();
  impl->handle.reset(mysql_init(nullptr));
  MYSQL* handle = impl->handle.get();
  if (handle == nullptr) {
    return absl::ResourceExhaustedError("no memory for a MySQL connection");
  }
  ApplyOptions(handle, options);
  const auto text_or_null = [](const std::string& text) {
    return text.empty() ? nullptr : text.c_str();
  };
  if (mysql_real_connect(handle, text_or_null(options.host), options.user.c_str(),
                         options.password.c_str(), text_or_null(options.database), options.port,
                         options.host.empty() ? text_or_null(options.socket) : nullptr,
                         options.extra_client_flags) == nullptr) {
    return Annotate(impl->Error(), Where(options));
  }
  impl->interrupt_fd = fcntl(handle->net.fd, F_DUPFD_CLOEXEC, 0);
  if (impl->interrupt_fd < 0) {
    return absl::ResourceExhaustedError(absl::StrCat(Where(options), ": too many open files"));
  }
  return std::unique_ptr<Connection>(new Connection(std::move(impl)));
}

absl::StatusOr<QueryResult> Connection::Query(absl::string_view sql) {
  SLUICE_RETURN_IF_ERROR(impl_->Send(sql));
  MYSQL* handle = impl_->handle.get();
  QueryResult answer;
  {
    const ResultPtr result(mysql_store_result(handle));
    if (result == nullptr && mysql_field_count(handle) != 0) {
      return impl_->Error();
    }
    answer.affected_rows = result == nullptr ? mysql_affected_rows(handle) : 0;
    answer.last_insert_id = mysql_insert_id(handle);
    answer.warnings = mysql_warning_count(handle);
    const unsigned width = result == nullptr ? 0 : mysql_num_fields(result.get());
    for (unsigned i = 0; i < width; ++i) {
      const MYSQL_FIELD& field = *mysql_fetch_field_direct(result.get(), i);
      answer.columns.emplace_back(field.name, field.name_length);
    }
    while (MYSQL_ROW cells = width == 0 ? nullptr : mysql_fetch_row(result.get())) {
      const unsigned long* lengths = mysql_fetch_lengths(result.get());
      Row& row = answer.rows.emplace_back(width);
      for (unsigned i = 0; i < width; ++i) {
        if (cells[i] != nullptr) {
          row[i].emplace(cells[i], lengths[i]);
        }
      }
    }
  }
  SLUICE_RETURN_IF_ERROR(impl_->Finish());
  return answer;
}

absl::StatusOr<uint64_t> Connection::Execute(absl::string_view sql) {
  SLUICE_RETURN_IF_ERROR(impl_->Send(sql));
  MYSQL* handle = impl_->handle.get();
  uint64_t affected = 0;
  if (mysql_field_count(handle) == 0) {
    affected = mysql_affected_rows(handle);
  } else {
    const ResultPtr dropped(mysql_use_result(handle));
    // A row may be an error.
    while (dropped != nullptr && mysql_fetch_row(dropped.get()) != nullptr) {
    }
    if (mysql_errno(handle) != 0) {
      return impl_->Error();
    }
  }
  SLUICE_RETURN_IF_ERROR(impl_->Finish());
  return affected;
}

absl::Status Connection::QueryStream(
    absl::string_view sql, const std::function<absl::Status(const std::vector<Cell>&)>& on_row) {
  SLUICE_RETURN_IF_ERROR(impl_->Send(sql));
  MYSQL* handle = impl_->handle.get();
  absl::Status status;
  {
    const ResultPtr result(mysql_use_result(handle));
    if (result == nullptr) {
      return mysql_field_count(handle) != 0 ? impl_->Error() : impl_->Finish();
    }
    const unsigned width = mysql_num_fields(result.get());
    std::vector<Cell> row(width);
    while (status.ok()) {
      MYSQL_ROW cells = mysql_fetch_row(result.get());
      if (cells == nullptr) {
        if (mysql_errno(handle) != 0) {
          return impl_->Error();
        }
        break;
      }
      const unsigned long* lengths = mysql_fetch_lengths(result.get());
      for (unsigned i = 0; i < width; ++i) {
        row[i] = cells[i] == nullptr ? Cell() : absl::string_view(cells[i], lengths[i]);
      }
      status = on_row(row);
    }
  }
  const absl::Status finished = impl_->Finish();
  return status.ok() ? finished : status;
}

absl::StatusOr<std::string> Connection::QueryScalar(absl::string_view sql) {
  SLUICE_ASSIGN_OR_RETURN(QueryResult result, Query(sql));
  if (result.rows.empty() || result.rows[0].empty()) {
    return absl::NotFoundError(absl::StrCat("no row from: ", sql.substr(0, 200)));
  }
  return result.rows[0][0].value_or("");
}

std::string Connection::LastGtid() const {
  return impl_->last_gtid;
}

uint64_t Connection::connection_id() const {
  return impl_->handle == nullptr ? 0 : mysql_thread_id(impl_->handle.get());
}

std::string Connection::server_version() const {
  return impl_->handle == nullptr ? "" : mysql_get_server_info(impl_->handle.get());
}

bool Connection::healthy() const {
  return impl_->healthy && impl_->handle != nullptr;
}

void Connection::Interrupt() {
  shutdown(impl_->interrupt_fd, SHUT_RDWR);
}

absl::StatusOr<Connection::RawSocket> Connection::ReleaseSocket() {
  EnterThread();
  MYSQL* handle = impl_->handle.get();
  if (handle == nullptr || !impl_->healthy) {
    return absl::FailedPreconditionError("the connection has no usable socket");
  }
  if (mysql_get_ssl_cipher(handle) != nullptr || handle->net.compress) {
    return absl::FailedPreconditionError(
        "the connection is encrypted or compressed; connect with ConnectionOptions::plain");
  }
  RawSocket raw;
  raw.capabilities = handle->client_flag & handle->server_capabilities;
  // mysql_close sends COM_QUIT: it gets a throw-away socket under its descriptor's number for that.
  std::array<int, 2> throwaway{-1, -1};
  if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, throwaway.data()) != 0) {
    return absl::ResourceExhaustedError("no socket pair for the hand-over");
  }
  raw.fd = fcntl(handle->net.fd, F_DUPFD_CLOEXEC, 0);
  const bool moved = raw.fd >= 0 && dup2(throwaway[0], handle->net.fd) >= 0;
  close(throwaway[0]);
  if (moved) {
    impl_->handle.reset();
    const int flags = fcntl(raw.fd, F_GETFL);
    fcntl(raw.fd, F_SETFL, flags & ~O_NONBLOCK);
  } else if (raw.fd >= 0) {
    close(raw.fd);
  }
  close(throwaway[1]);
  if (!moved) {
    return absl::ResourceExhaustedError("no descriptor for the hand-over");
  }
  return raw;
}

}  // namespace sluice::mysql
