// BinlogSession: the reader thread, its bounded queue, and the numbered batches.

#include "agent/source/binlog_session.h"

#include <algorithm>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "agent/source/event_splitter.h"
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
// A fetch whose time is up waits so long for what the reader has put off.
constexpr absl::Duration kHurry = absl::Milliseconds(50);
// How often a session with a dump of its own looks whether it may join the tail.
constexpr absl::Duration kJoinInterval = absl::Milliseconds(20);

absl::Status Explain(const absl::Status& end) {
  if (!absl::IsDataLoss(end)) {
    return end;
  }
  return absl::StrContains(end.message(), "purged")
             ? Annotate(end,
                        "the source has purged binlogs that this stream still needs; raise "
                        "binlog_expire_logs_seconds there, then cancel the workflow and create it "
                        "anew")
             : Annotate(end,
                        "the source has lost transactions that this stream has applied; cancel "
                        "the workflow and create it anew");
}

}  // namespace

BinlogSession::BinlogSession(BinlogSessionOptions options, BinlogTail& tail)
    : options_(std::move(options)),
      tail_(tail),
      seat_(tail.Enter(options_.wanted)),
      read_(options_.position),
      reader_([this] { Read(); }) {}

BinlogSession::~BinlogSession() {
  Close();
}

void BinlogSession::Close() {
  {
    const absl::MutexLock lock(&mutex_);
    closed_ = true;
    if (stream_ != nullptr) {
      stream_->Interrupt();
    }
  }
  seat_->Close();
}

void BinlogSession::Read() {
  absl::Status end;
  for (bool joined = Join(true); end.ok(); joined = !joined) {
    end = joined ? ReadTail() : ReadAlone();
  }
  const absl::MutexLock lock(&mutex_);
  ended_ = Explain(end);
}

bool BinlogSession::Join(bool begins) {
  gtid::GtidSet read;
  {
    const absl::MutexLock lock(&mutex_);
    read = read_;
  }
  return seat_->Join(read, begins);
}

absl::Status BinlogSession::ReadAlone() {
  mysql::BinlogStreamOptions stream_options;
  stream_options.connection = options_.connection;
  stream_options.server_id = options_.server_id;
  stream_options.heartbeat = options_.heartbeat;
  {
    const absl::MutexLock lock(&mutex_);
    if (closed_) {
      return absl::CancelledError("the binlog session is closed");
    }
    stream_options.position = read_;
  }
  SLUICE_ASSIGN_OR_RETURN(const auto stream, mysql::BinlogStream::Open(stream_options));
  {
    const absl::MutexLock lock(&mutex_);
    if (closed_) {
      return absl::CancelledError("the binlog session is closed");
    }
    stream_ = stream.get();
  }
  absl::Status end = ReadUntilJoined(*stream);
  const absl::MutexLock lock(&mutex_);
  stream_ = nullptr;
  return end;
}

absl::Status BinlogSession::ReadUntilJoined(mysql::BinlogStream& stream) {
  BinlogFilter filter(options_.wanted);
  // Before it has read a transaction by itself it would come at once to what it left the tail for.
  bool got_on = false;
  absl::Time looked = absl::InfinitePast();
  while (true) {
    SLUICE_ASSIGN_OR_RETURN(const absl::string_view event, stream.Next());
    const bool was_in_transaction = filter.in_transaction();
    SLUICE_RETURN_IF_ERROR(Feed(event, filter));
    if (filter.in_transaction()) {
      continue;
    }
    got_on = got_on || was_in_transaction;
    // Heartbeats come when nothing else does.
    if (got_on && absl::Now() - looked >= kJoinInterval) {
      looked = absl::Now();
      if (Join(false)) {
        return absl::OkStatus();
      }
    }
  }
}

absl::Status BinlogSession::ReadTail() {
  BinlogFilter filter(options_.wanted);
  while (true) {
    SLUICE_ASSIGN_OR_RETURN(const BinlogTail::Part part, seat_->Next());
    for (const auto& transaction : part.transactions) {
      SLUICE_RETURN_IF_ERROR(TakeIn(*transaction, filter));
    }
    if (!completed_.empty()) {
      SLUICE_RETURN_IF_ERROR(Queue(chunk_, true));
    }
    if (part.leave) {
      return absl::OkStatus();
    }
  }
}

absl::Status BinlogSession::TakeIn(const TailTransaction& transaction, BinlogFilter& filter) {
  if (!transaction.Touches(options_.wanted)) {
    chunk_ += transaction.skeleton;
    completed_.push_back(transaction.gtid);
    return chunk_.size() >= kChunkBytes ? Queue(chunk_, true) : absl::OkStatus();
  }
  absl::string_view events = transaction.events;
  while (!events.empty()) {
    SLUICE_ASSIGN_OR_RETURN(const absl::string_view event, NextEvent(events));
    SLUICE_RETURN_IF_ERROR(Feed(event, filter));
    events.remove_prefix(event.size());
  }
  return absl::OkStatus();
}

absl::Status BinlogSession::Feed(absl::string_view event, BinlogFilter& filter) {
  const BinlogFilter::Drain drain = [this](std::string& part) { return Queue(part, false); };
  SLUICE_RETURN_IF_ERROR(filter.Feed(event, chunk_, drain));
  std::optional<gtid::Gtid> completed = filter.TakeCompleted();
  const bool complete = completed.has_value();
  if (complete) {
    completed_.push_back(*std::move(completed));
  }
  return complete || chunk_.size() >= kChunkBytes ? Queue(chunk_, complete) : absl::OkStatus();
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
  within_transaction_ = !transaction_complete;
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
  const absl::Condition worth_an_answer(this, &BinlogSession::WorthAnAnswer);
  if (!mutex_.AwaitWithDeadline(worth_an_answer, arguments.deadline) && seat_->Hurry()) {
    // Delay: kHurry
    mutex_.AwaitWithTimeout(worth_an_answer, kHurry);
  }
  if (queued_bytes_ > 0) {
    // Delay: kGathering
    mutex_.AwaitWithTimeout(absl::Condition(this, &BinlogSession::WorthNoDelay), kGathering);
  }
}

absl::StatusOr<std::shared_ptr<const EventBatch>> BinlogSession::TakeBatch(
    const FetchEventsArguments& arguments) {
  auto batch = std::make_shared<EventBatch>();
  const absl::Time asked = absl::Now();
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
    batch->caught_up = CaughtUp(asked);
  }
  return batch;
}

bool BinlogSession::CaughtUp(absl::Time since) {
  const absl::StatusOr<gtid::GtidSet> executed = tail_.Executed(since);
  const absl::MutexLock lock(&mutex_);
  return executed.ok() && chunks_.empty() && !within_transaction_ && read_.Contains(*executed);
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
