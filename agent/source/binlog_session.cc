// BinlogSession: the reader thread, its bounded queue, and the numbered batches.

#include "agent/source/binlog_session.h"

#include <algorithm>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "agent/source/binlog_filter.h"
#include "common/base/crash_point.h"
#include "common/base/status.h"
#include "common/base/status_macros.h"

namespace sluice::source {
namespace {

// Chunks are filled up to this, so that many small transactions share an allocation.
constexpr size_t kChunkBytes = 64U << 10U;
// So much of an unfinished transaction is worth an answer.
constexpr size_t kPartBytes = 256U << 10U;
// So long a small answer waits for more: small beside the lag that anybody notices, and at a
// thousand transactions a second it saves most answers.
constexpr absl::Duration kGathering = absl::Milliseconds(2);
// How often a waiting call looks whether the server is closing.
constexpr absl::Duration kClosingInterval = absl::Milliseconds(200);

}  // namespace

BinlogSession::BinlogSession(BinlogSessionOptions options)
    : options_(std::move(options)), read_(options_.position), reader_([this] { Read(); }) {}

BinlogSession::~BinlogSession() {
  Close();
}

void BinlogSession::Close() {
  const absl::MutexLock lock(&mutex_);
  closed_ = true;
  if (stream_ != nullptr) {
    stream_->Interrupt();
  }
}

void BinlogSession::Read() {
  mysql::BinlogStreamOptions stream_options;
  stream_options.connection = options_.connection;
  stream_options.server_id = options_.server_id;
  stream_options.position = options_.position;
  stream_options.heartbeat = options_.heartbeat;
  auto stream = mysql::BinlogStream::Open(stream_options);
  absl::Status end = stream.status();
  if (stream.ok()) {
    {
      const absl::MutexLock lock(&mutex_);
      if (closed_) {
        return;
      }
      stream_ = stream->get();
    }
    end = ReadUntilClosed(**stream);
  }
  if (absl::IsDataLoss(end) && absl::StrContains(end.message(), "purged")) {
    end = Annotate(end,
                   "the source has purged binlogs that this stream still needs; raise "
                   "binlog_expire_logs_seconds there, then cancel the workflow and create it anew");
  } else if (absl::IsDataLoss(end)) {
    end = Annotate(end,
                   "the source has lost transactions that this stream has applied; cancel the "
                   "workflow and create it anew");
  }
  const absl::MutexLock lock(&mutex_);
  stream_ = nullptr;
  ended_ = end;
}

absl::Status BinlogSession::ReadUntilClosed(mysql::BinlogStream& stream) {
  BinlogFilter filter(options_.database, options_.tables);
  std::string chunk;
  const BinlogFilter::Drain drain = [this](std::string& part) { return Queue(part, false); };
  while (true) {
    SLUICE_ASSIGN_OR_RETURN(const absl::string_view event, stream.Next());
    SLUICE_RETURN_IF_ERROR(filter.Feed(event, chunk, drain));
    std::optional<gtid::Gtid> completed = filter.TakeCompleted();
    const bool complete = completed.has_value();
    if (complete) {
      completed_.push_back(*std::move(completed));
    }
    if (complete || chunk.size() >= kChunkBytes) {
      SLUICE_RETURN_IF_ERROR(Queue(chunk, complete));
    }
  }
}

absl::Status BinlogSession::Queue(std::string& chunk, bool transaction_complete) {
  const absl::MutexLock lock(&mutex_);
  mutex_.Await(absl::Condition(this, &BinlogSession::HasRoomOrClosed));
  if (closed_) {
    return absl::CancelledError("the binlog session is closed");
  }
  queued_bytes_ += chunk.size();
  if (!chunks_.empty() && chunks_.back().size() + chunk.size() <= kChunkBytes) {
    chunks_.back() += chunk;
  } else {
    chunks_.push_back(std::move(chunk));
  }
  chunk.clear();
  if (!transaction_complete) {
    SLUICE_CRASH_POINT("source.part_queued");
  }
  if (transaction_complete) {
    ++transactions_queued_;
  }
  for (const gtid::Gtid& gtid : completed_) {
    read_.Add(gtid);
  }
  completed_.clear();
  return absl::OkStatus();
}

bool BinlogSession::WorthAnAnswer() const {
  return closed_ || !ended_.ok() || transactions_queued_ > 0 || queued_bytes_ >= kPartBytes;
}

bool BinlogSession::WorthNoDelay() const {
  return closed_ || !ended_.ok() || queued_bytes_ >= kPartBytes;
}

void BinlogSession::AwaitEvents(const FetchEventsArguments& arguments) {
  while (!WorthAnAnswer() && absl::Now() < arguments.deadline && !arguments.closing()) {
    mutex_.AwaitWithDeadline(absl::Condition(this, &BinlogSession::WorthAnAnswer),
                             std::min(arguments.deadline, absl::Now() + kClosingInterval));
  }
  if (queued_bytes_ > 0) {
    // Delay: kGathering
    mutex_.AwaitWithTimeout(absl::Condition(this, &BinlogSession::WorthNoDelay), kGathering);
  }
}

absl::StatusOr<std::shared_ptr<const EventBatch>> BinlogSession::TakeBatch(
    const FetchEventsArguments& arguments) {
  auto batch = std::make_shared<EventBatch>();
  {
    const absl::MutexLock lock(&mutex_);
    AwaitEvents(arguments);
    if (closed_) {
      return absl::CancelledError("the binlog session is closed");
    }
    if (chunks_.empty() && !ended_.ok()) {
      return ended_;
    }
    while (!chunks_.empty() &&
           (batch->events.empty() ||
            batch->events.size() + chunks_.front().size() <= arguments.bytes_max)) {
      if (batch->events.empty()) {
        batch->events = std::move(chunks_.front());
      } else {
        batch->events += chunks_.front();
      }
      chunks_.pop_front();
    }
    queued_bytes_ -= batch->events.size();
    if (chunks_.empty()) {
      transactions_queued_ = 0;
    }
  }
  if (batch->events.empty()) {
    batch->caught_up = CaughtUp();
  }
  return batch;
}

bool BinlogSession::CaughtUp() {
  if (control_ == nullptr || !control_->healthy()) {
    auto connection = mysql::Connection::Connect(options_.connection);
    if (!connection.ok()) {
      return false;
    }
    control_ = *std::move(connection);
  }
  const absl::StatusOr<std::string> text = control_->QueryScalar("SELECT @@GLOBAL.gtid_executed");
  if (!text.ok()) {
    return false;
  }
  const absl::StatusOr<gtid::GtidSet> executed = gtid::GtidSet::Parse(*text);
  const absl::MutexLock lock(&mutex_);
  return executed.ok() && chunks_.empty() && read_.Contains(*executed);
}

absl::StatusOr<std::shared_ptr<const EventBatch>> BinlogSession::Fetch(
    const FetchEventsArguments& arguments) {
  const absl::MutexLock lock(&fetch_mutex_);
  if (arguments.number == last_number_ && last_batch_ != nullptr) {
    return last_batch_;
  }
  if (arguments.number != last_number_ + 1) {
    return absl::OutOfRangeError(absl::StrCat("batch ", arguments.number, " was asked for, but ",
                                              last_number_, " was the last one handed out"));
  }
  SLUICE_ASSIGN_OR_RETURN(auto batch, TakeBatch(arguments));
  last_number_ = arguments.number;
  last_batch_ = batch;
  return batch;
}

}  // namespace sluice::source
