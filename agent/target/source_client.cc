// SourceClient: messages of the data plane, and their time-outs.

#include "agent/target/source_client.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "agent/throttle/gate.h"
#include "common/base/status.h"
#include "common/base/status_macros.h"
#include "common/wire/wire.h"
#include "schemas/control.capnp.h"
#include "schemas/data.capnp.h"
#include "schemas/envelope.capnp.h"

namespace sluice::target {
namespace {

// Beyond what the source is asked to wait.
constexpr absl::Duration kCallTimeout = absl::Seconds(10);
constexpr absl::Duration kRowsTimeout = absl::Seconds(30);
constexpr absl::Duration kCloseTimeout = absl::Seconds(2);
constexpr absl::Duration kInterruptTimeout = absl::Milliseconds(500);
// One row is at most a packet of MySQL; a chunk may hold some small ones before it.
constexpr uint64_t kHeldBytesMax = (uint64_t{1} << 30U) + (uint64_t{64} << 20U);

// A repeated number gets the same bytes, so a lost answer costs one more call.
template <typename Call>
absl::Status TwiceWhenLost(const Call& call) {
  absl::Status status = call();
  if (absl::IsDeadlineExceeded(status)) {
    status = call();
  }
  return status;
}

uint32_t Milliseconds(absl::Duration duration) {
  return static_cast<uint32_t>(absl::ToInt64Milliseconds(duration));
}

}  // namespace

SourceClient::SourceClient(std::unique_ptr<rpc::Client> client, SourceAddress address,
                           uint64_t stream_id)
    : client_(std::move(client)), address_(std::move(address)), stream_id_(stream_id) {}

absl::StatusOr<std::unique_ptr<SourceClient>> SourceClient::Connect(const SourceAddress& address,
                                                                    const std::string& caller,
                                                                    uint64_t stream_id) {
  SLUICE_ASSIGN_OR_RETURN(auto client, rpc::Client::Dial(address.agent_url, caller));
  return std::unique_ptr<SourceClient>(new SourceClient(std::move(client), address, stream_id));
}

absl::Status SourceClient::Name(const absl::Status& status) const {
  return Annotate(status, absl::StrCat("source ", address_.alias));
}

bool IsThrottled(const absl::Status& status) {
  return absl::IsResourceExhausted(status) && SubjectOf(status) == throttle::kThrottledSubject;
}

void SourceClient::HearThrottle(const absl::Status& status) const {
  if (throttle_.heard && (status.ok() || IsThrottled(status))) {
    throttle_.heard(std::string(Name(status).message()));
  }
}

absl::Status SourceClient::BeginOpening() {
  const absl::MutexLock lock(&mutex_);
  if (interrupted_) {
    return absl::CancelledError("the stream is being stopped");
  }
  ++opening_;
  return absl::OkStatus();
}

absl::Status SourceClient::Opened(const absl::Status& status, const std::string& session) {
  bool unwanted = false;
  {
    const absl::MutexLock lock(&mutex_);
    --opening_;
    unwanted = interrupted_;
    if (status.ok() && !unwanted) {
      sessions_.insert(session);
    }
  }
  if (status.ok() && unwanted) {
    CallCloseSession(session, kInterruptTimeout).IgnoreError();
    return absl::CancelledError("the stream is being stopped");
  }
  return Name(status);
}

absl::StatusOr<std::string> SourceClient::ReadPosition() {
  std::string position;
  SLUICE_RETURN_IF_ERROR(
      Name(client_->Call<schemas::ReadPositionRequest, schemas::ReadPositionReply>(
          schemas::Method::READ_POSITION, [](auto /*request*/) {},
          [&](auto reply) {
            position = wire::Str(reply.getGtidExecuted());
            return absl::OkStatus();
          },
          {.timeout = kCallTimeout})));
  return position;
}

absl::StatusOr<OpenedSnapshot> SourceClient::OpenSnapshot(const SnapshotRequest& wanted) {
  OpenedSnapshot snapshot;
  SLUICE_RETURN_IF_ERROR(BeginOpening());
  const absl::Status status =
      client_->Call<schemas::OpenSnapshotRequest, schemas::OpenSnapshotReply>(
          schemas::Method::OPEN_SNAPSHOT,
          [&](auto request) {
            request.setStreamId(stream_id_);
            request.setDatabase(wanted.database);
            request.setNotBefore(wanted.not_before);
            request.setWaitMs(Milliseconds(wanted.wait));
            request.setReaders(wanted.readers);
            if (throttle_.heard) {
              throttle::WriteLimits(throttle_.limits, request.initThrottle());
            }
            wire::Fill(request.initTables(wire::Size(wanted.tables)), wanted.tables);
          },
          [&](auto reply) {
            snapshot.session = wire::Str(reply.getSession());
            snapshot.position = wire::Str(reply.getPosition());
            snapshot.up_to = wire::Str(reply.getUpTo());
            for (const auto estimate : reply.getEstimates()) {
              snapshot.estimates.push_back({.table = wire::Str(estimate.getTable()),
                                            .rows = estimate.getRows(),
                                            .bytes = estimate.getBytes()});
            }
            return absl::OkStatus();
          },
          {.timeout = wanted.wait + kCallTimeout, .idempotency_id = {}, .traceparent = {}});
  HearThrottle(status);
  SLUICE_RETURN_IF_ERROR(Opened(status, snapshot.session));
  return snapshot;
}

absl::StatusOr<FetchedRows> SourceClient::FetchRows(const RowsRequest& request) {
  FetchedRows fetched;
  const absl::Status status = TwiceWhenLost([&] {
    return client_->Call<schemas::FetchRowsRequest, schemas::FetchRowsReply>(
        schemas::Method::FETCH_ROWS,
        [&](auto builder) {
          builder.setSession(request.session);
          builder.setTable(request.table);
          wire::Fill(builder.initColumns(wire::Size(request.columns)), request.columns);
          wire::Fill(builder.initKeyColumns(wire::Size(request.key_columns)), request.key_columns);
          builder.setAfterKey(wire::Bytes(request.after_key));
          builder.setEndKey(wire::Bytes(request.end_key));
          builder.setSkipRows(request.skip_rows);
          builder.setMaxRows(request.rows_max);
          builder.setMaxBytes(request.bytes_max);
        },
        [&](auto reply) {
          fetched.rows = wire::Str(reply.getRows());
          fetched.row_count = reply.getRowCount();
          fetched.last_key = wire::Str(reply.getLastKey());
          fetched.end_of_table = reply.getEndOfTable();
          fetched.rows_estimate = reply.getTableRowsEstimate();
          fetched.bytes_estimate = reply.getTableBytesEstimate();
          fetched.held = reply.getHeld();
          fetched.held_bytes = reply.getHeldBytes();
          return absl::OkStatus();
        },
        {.timeout = kRowsTimeout, .idempotency_id = {}, .traceparent = {}});
  });
  HearThrottle(status);
  SLUICE_RETURN_IF_ERROR(Name(status));
  if (request.skip_rows == 0 && fetched.row_count == 0 && !fetched.end_of_table) {
    return Name(absl::InvalidArgumentError("an answer without rows that is not the table's end"));
  }
  return fetched;
}

absl::Status SourceClient::FetchRest(const std::string& session, FetchedRows& rows) {
  if (rows.held_bytes > kHeldBytesMax) {
    return Name(absl::InvalidArgumentError(absl::StrCat(
        "rows of ", rows.held_bytes, " bytes; at most ", kHeldBytesMax, " are taken")));
  }
  rows.rows.reserve(rows.held_bytes);
  while (rows.rows.size() < rows.held_bytes) {
    SLUICE_RETURN_IF_ERROR(Name(TwiceWhenLost([&] { return FetchPart(session, rows); })));
  }
  // The source lets them go; it would do so by itself later.
  FetchPart(session, rows).IgnoreError();
  rows.held = 0;
  return absl::OkStatus();
}

absl::Status SourceClient::FetchPart(const std::string& session, FetchedRows& rows) {
  return client_->Call<schemas::FetchRowsRequest, schemas::FetchRowsReply>(
      schemas::Method::FETCH_ROWS,
      [&](auto request) {
        request.setSession(session);
        request.setHeld(rows.held);
        request.setOffset(rows.rows.size());
      },
      [&](auto reply) -> absl::Status {
        const capnp::Data::Reader part = reply.getRows();
        const uint64_t missing = rows.held_bytes - rows.rows.size();
        if (part.size() > missing || (part.size() == 0 && missing > 0)) {
          return absl::InvalidArgumentError(
              absl::StrCat("a part of ", part.size(), " bytes where ", missing, " are missing"));
        }
        rows.rows.append(part.asChars().begin(), part.size());
        return absl::OkStatus();
      },
      {.timeout = kRowsTimeout, .idempotency_id = {}, .traceparent = {}});
}

absl::StatusOr<std::string> SourceClient::OpenBinlog(const std::string& database,
                                                     const std::vector<std::string>& tables,
                                                     const std::string& position) {
  std::string session;
  SLUICE_RETURN_IF_ERROR(BeginOpening());
  const absl::Status status = client_->Call<schemas::OpenBinlogRequest, schemas::OpenBinlogReply>(
      schemas::Method::OPEN_BINLOG,
      [&](auto request) {
        request.setStreamId(stream_id_);
        request.setDatabase(database);
        wire::Fill(request.initTables(wire::Size(tables)), tables);
        request.setPosition(position);
        if (throttle_.heard) {
          throttle::WriteLimits(throttle_.limits, request.initThrottle());
        }
      },
      [&](auto reply) {
        session = wire::Str(reply.getSession());
        return absl::OkStatus();
      },
      {.timeout = kCallTimeout, .idempotency_id = {}, .traceparent = {}});
  SLUICE_RETURN_IF_ERROR(Opened(status, session));
  return session;
}

absl::StatusOr<FetchedEvents> SourceClient::FetchEvents(const std::string& session, uint64_t number,
                                                        uint32_t bytes_max, absl::Duration wait) {
  FetchedEvents fetched;
  std::string throttled;
  const absl::Status status = TwiceWhenLost([&] {
    return client_->Call<schemas::FetchEventsRequest, schemas::FetchEventsReply>(
        schemas::Method::FETCH_EVENTS,
        [&](auto request) {
          request.setSession(session);
          request.setNumber(number);
          request.setMaxBytes(bytes_max);
          request.setWaitMs(Milliseconds(wait));
        },
        [&](auto reply) {
          fetched.events = std::make_shared<const std::string>(wire::Str(reply.getEvents()));
          fetched.source_time_us = static_cast<int64_t>(reply.getSourceTimeUs());
          fetched.caught_up = reply.getCaughtUp();
          throttled = wire::Str(reply.getThrottled());
          return absl::OkStatus();
        },
        {.timeout = wait + kCallTimeout, .idempotency_id = {}, .traceparent = {}});
  });
  SLUICE_RETURN_IF_ERROR(Name(status));
  HearThrottle(throttled.empty() ? absl::OkStatus()
                                 : WithSubject(absl::ResourceExhaustedError(throttled),
                                               throttle::kThrottledSubject));
  return fetched;
}

absl::Status SourceClient::CallCloseSession(const std::string& session, absl::Duration timeout) {
  return client_->Call<schemas::CloseSessionRequest, schemas::Empty>(
      schemas::Method::CLOSE_SESSION, [&](auto request) { request.setSession(session); },
      [](auto) { return absl::OkStatus(); },
      {.timeout = timeout, .idempotency_id = {}, .traceparent = {}});
}

void SourceClient::CloseSession(const std::string& session) {
  {
    const absl::MutexLock lock(&mutex_);
    if (sessions_.erase(session) == 0) {
      return;
    }
  }
  CallCloseSession(session, kCloseTimeout).IgnoreError();
}

void SourceClient::Interrupt() {
  absl::flat_hash_set<std::string> sessions;
  bool cancel = false;
  {
    const absl::MutexLock lock(&mutex_);
    interrupted_ = true;
    sessions.swap(sessions_);
    cancel = opening_ > 0;
  }
  for (const std::string& session : sessions) {
    cancel = cancel || !CallCloseSession(session, kInterruptTimeout).ok();
  }
  if (cancel) {
    client_->Close();
  }
}

}  // namespace sluice::target
