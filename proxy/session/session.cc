// Session: packets and commands.

#include "proxy/session/session.h"

#include <poll.h>

#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "common/base/log.h"
#include "common/base/status_macros.h"

namespace sluice::proxy {

Session::Session(Descriptor socket, const SessionServices& services, uint64_t id)
    : services_(services), id_(id), client_(std::move(socket)), backends_(services.backend) {
  services_.registry.Add(id_, client_.fd());
}

Session::~Session() {
  services_.registry.Remove(id_);
}

Wait Session::ClientWait() const {
  return {.patience = services_.limits.write_timeout};
}

bool Session::ClientIsGone() const {
  pollfd poller{client_.fd(), POLLRDHUP, 0};
  return poll(&poller, 1, 0) > 0;
}

uint16_t Session::LocalStatus() const {
  unsigned status = autocommit_ ? kStatusAutocommit : 0U;
  if (transaction_.backend != nullptr || !transaction_.pending.empty()) {
    status |= kStatusInTransaction;
  }
  if (tokenizer_.no_backslash_escapes) {
    status |= kStatusNoBackslashEscapes;
  }
  return static_cast<uint16_t>(status);
}

absl::Status Session::SendPackets(const std::vector<std::string>& packets) {
  for (const std::string& packet : packets) {
    SLUICE_RETURN_IF_ERROR(client_.WritePacket(packet, ClientWait()));
  }
  return client_.Flush(ClientWait());
}

absl::Status Session::SendOk() {
  OkPacket ok;
  ok.status = LocalStatus();
  return SendPackets({BuildOk(ok)});
}

absl::Status Session::SendError(const absl::Status& status) {
  return SendPackets({BuildError(ErrorOf(status))});
}

void Session::Run() {
  absl::Status status = Greet();
  while (status.ok() && !over_) {
    if (services_.stopping.load(std::memory_order_relaxed)) {
      status = absl::CancelledError("stopping");
      break;
    }
    const Wait idle{.deadline = absl::Now() + services_.limits.idle_timeout,
                    .wake_fd = services_.stop_fd};
    const auto payload = client_.ReadPacket(services_.limits.packet_bytes_max, idle);
    if (payload.ok()) {
      status = Command(*payload);
      continue;
    }
    status = payload.status();
    if (status.code() == absl::StatusCode::kResourceExhausted) {
      SendError(MysqlError(1153, absl::StrCat("Got a ", status.message()))).IgnoreError();
    }
  }
  if (status.code() == absl::StatusCode::kCancelled) {
    SendError(MysqlError(1053, "Server shutdown in progress: the proxy is stopping")).IgnoreError();
  }
  ForgetTransaction();
}

absl::Status Session::Greet() {
  const Wait wait{.deadline = absl::Now() + services_.limits.login_timeout};
  SLUICE_ASSIGN_OR_RETURN(login_, Login(client_, services_.users, id_, wait));
  services_.registry.SetUser(id_, login_.user);
  backends_.SetClient(login_.capabilities, login_.collation);
  if (absl::Status target = SetTarget(login_.database); !target.ok()) {
    SLUICE_RETURN_IF_ERROR(SendError(target));
    return target;
  }
  return SendOk();
}

absl::Status Session::Command(absl::string_view payload) {
  services_.questions.fetch_add(1, std::memory_order_relaxed);
  const uint8_t command = payload.empty() ? 0 : static_cast<uint8_t>(payload[0]);
  switch (command) {
    case kComQuit:
      over_ = true;
      return absl::OkStatus();
    case kComQuery:
      return Query(payload);
    case kComInitDb:
      return Use(payload.substr(1));
    case kComPing:
      return SendOk();
    case kComResetConnection:
      return ResetConnection();
    case kComSetOption:
      // Several statements in one text are refused one by one.
      return SendPackets({(login_.capabilities & kClientDeprecateEof) != 0
                              ? BuildOk({0, 0, LocalStatus(), 0, ""}, 0xFE)
                              : BuildEof({0, LocalStatus()})});
    case kComStatistics:
      return SendPackets(
          {absl::StrCat("Uptime: ", absl::ToInt64Seconds(absl::Now() - services_.started),
                        "  Threads: ", services_.registry.size(),
                        "  Questions: ", services_.questions.load(std::memory_order_relaxed))});
    case kComChangeUser:
      return SendError(MysqlError(
          1235, "COM_CHANGE_USER is not supported by this proxy; open another connection"));
    default:
      return Prepared(command);
  }
}

absl::Status Session::Prepared(uint8_t command) {
  switch (command) {
    case kComStmtClose:
    case kComStmtSendLongData:
      return absl::OkStatus();  // these have no answer
    case kComStmtPrepare:
    case kComStmtExecute:
    case kComStmtReset:
    case kComStmtFetch:
      return SendError(MysqlError(
          1295,
          "prepared statements of the binary protocol are not supported by this proxy yet; use "
          "statements as text (client-side prepared statements, sysbench --db-ps-mode=disable)"));
    default:
      return SendError(
          MysqlError(1047, absl::StrCat("Unknown command ", static_cast<unsigned>(command),
                                        ": this proxy does not support it")));
  }
}

absl::Status Session::SetTarget(absl::string_view text) {
  const auto target = routing::ParseTarget(text);
  if (!target.ok()) {
    return MysqlError(1049, absl::StrCat("Unknown database: ", target.status().message()));
  }
  const auto snapshot = services_.traffic.snapshot();
  SLUICE_RETURN_IF_ERROR(CheckTarget(*target, *snapshot));
  target_ = *target;
  target_text_ = std::string(text);
  return absl::OkStatus();
}

absl::Status Session::Use(absl::string_view target) {
  const absl::Status status = SetTarget(target);
  return status.ok() ? SendOk() : SendError(status);
}

absl::Status Session::ResetConnection() {
  ForgetTransaction();
  backends_.DropAll();
  state_ = SessionState();
  settings_.Clear();
  next_transaction_.clear();
  autocommit_ = true;
  tokenizer_ = {};
  return SendOk();
}

void Session::ForgetTransaction() {
  // A backend in a transaction is of no use to anything else: its end rolls back.
  if (transaction_.backend != nullptr) {
    Drop(transaction_.backend);
    transaction_.backend = nullptr;
  }
  transaction_.pending.clear();
  transaction_.work.Reset();
}

}  // namespace sluice::proxy
