// BinlogTail: the dump's thread.

#include "agent/source/binlog_tail.h"

#include <algorithm>
#include <utility>

#include "common/base/log.h"
#include "common/base/status_macros.h"

namespace sluice::source {
namespace {

// A session that lacks only some of the last transactions of the server is worth beginning there;
// one that lacks an older one would make all others wait while mysqld reads old binlogs.
constexpr uint64_t kCloseBehind = 10'000;
// Between two dumps that fail.
constexpr absl::Duration kPause = absl::Seconds(1);
// A session that begins waits so long for a dump that begins.
constexpr absl::Duration kOpeningWait = absl::Seconds(2);
// So long a session waits with transactions that are none of its own: each costs it an answer.
constexpr absl::Duration kForeignDelay = absl::Milliseconds(200);
// Of one Next; what a session has in hand stays in memory.
constexpr size_t kPartTransactions = 256;
constexpr size_t kPartBytes = 256U << 10U;

}  // namespace

BinlogTail::Seat::~Seat() {
  const absl::MutexLock lock(&tail_.mutex_);
  tail_.seats_.erase(this);
  tail_.alone_since_ = absl::Now();
}

bool BinlogTail::Seat::Settled() const {
  return closed_ || tail_.stopped_ || tail_.state_ == State::kOpen ||
         tail_.state_ == State::kFailed;
}

bool BinlogTail::Seat::HasSomething() const {
  return closed_ || !joined_ || !end_.ok() || place_ < tail_.window_.end() || leave_at_ == place_;
}

bool BinlogTail::Seat::MayNotWait() const {
  return closed_ || !joined_ || !end_.ok() || hurry_ || urgent_end_ > place_ ||
         leave_at_.has_value() || place_ < tail_.window_.begin() ||
         tail_.window_.BytesFrom(place_) > tail_.window_.bytes_max() / 4;
}

bool BinlogTail::Seat::Join(const gtid::GtidSet& held, bool begins) {
  const absl::MutexLock lock(&tail_.mutex_);
  if (begins) {
    wish_ = held;
    tail_.mutex_.AwaitWithTimeout(absl::Condition(this, &Seat::Settled), kOpeningWait);
    wish_.reset();
  }
  if (closed_ || tail_.state_ != State::kOpen) {
    return false;
  }
  const std::optional<uint64_t> place = tail_.window_.PlaceFor(held);
  if (!place.has_value()) {
    return false;
  }
  // Who has fallen behind before would soon do so again.
  if (!begins && tail_.window_.BytesFrom(*place) > tail_.window_.bytes_max() / 2) {
    return false;
  }
  held_ = held;
  joined_ = true;
  place_ = *place;
  urgent_end_ = tail_.window_.end();
  leave_at_.reset();
  end_ = absl::OkStatus();
  return true;
}

absl::StatusOr<BinlogTail::Part> BinlogTail::Seat::Next() {
  while (true) {
    absl::StatusOr<Part> part;
    {
      const absl::MutexLock lock(&tail_.mutex_);
      tail_.mutex_.Await(absl::Condition(this, &Seat::HasSomething));
      // Delay: kForeignDelay
      tail_.mutex_.AwaitWithTimeout(absl::Condition(this, &Seat::MayNotWait), kForeignDelay);
      part = Take();
    }
    SLUICE_RETURN_IF_ERROR(part.status());
    auto& transactions = part->transactions;
    transactions.erase(
        std::remove_if(transactions.begin(), transactions.end(),
                       [this](const auto& one) { return held_.Contains(one->gtid); }),
        transactions.end());
    if (part->leave || !transactions.empty()) {
      return part;
    }
  }
}

absl::StatusOr<BinlogTail::Part> BinlogTail::Seat::Take() {
  hurry_ = false;
  if (leave_at_ < place_) {  // an empty one is less than any
    leave_at_.reset();
  }
  if (closed_) {
    return absl::CancelledError("the binlog session is closed");
  }
  Part part;
  if (!joined_ || place_ < tail_.window_.begin()) {
    part.leave = true;
  }
  size_t bytes = 0;
  while (!part.leave && place_ < tail_.window_.end() &&
         part.transactions.size() < kPartTransactions && bytes < kPartBytes) {
    const auto& next = tail_.window_.At(place_);
    part.leave = !next->kept && next->Touches(wanted_) && !held_.Contains(next->gtid);
    if (!part.leave) {
      bytes += next->Bytes();
      part.transactions.push_back(next);
      ++place_;
    }
  }
  if (part.transactions.empty() && !part.leave) {
    if (absl::IsUnavailable(end_)) {
      joined_ = false;
      return end_;
    }
    part.leave = true;  // the dump has ended, or a large transaction comes
  }
  joined_ = joined_ && !part.leave;
  return part;
}

bool BinlogTail::Seat::Hurry() {
  const absl::MutexLock lock(&tail_.mutex_);
  hurry_ = joined_ && place_ < tail_.window_.end();
  return hurry_;
}

void BinlogTail::Seat::Close() {
  const absl::MutexLock lock(&tail_.mutex_);
  closed_ = true;
}

BinlogTail::BinlogTail(BinlogTailOptions options)
    : options_(std::move(options)),
      window_(gtid::GtidSet(), options_.window_bytes_max),
      reader_([this] { Run(); }) {}

BinlogTail::~BinlogTail() {
  Stop();
}

void BinlogTail::Stop() {
  {
    const absl::MutexLock lock(&mutex_);
    stopped_ = true;
    if (stream_ != nullptr) {
      stream_->Interrupt();
    }
  }
  if (reader_.joinable()) {
    reader_.join();
  }
}

size_t BinlogTail::joined() const {
  const absl::MutexLock lock(&mutex_);
  return static_cast<size_t>(
      std::count_if(seats_.begin(), seats_.end(), [](const Seat* seat) { return seat->joined_; }));
}

absl::StatusOr<gtid::GtidSet> BinlogTail::Executed(absl::Time since) {
  const absl::MutexLock lock(&executed_mutex_);
  if (executed_at_ <= since) {
    executed_at_ = absl::Now();
    executed_ = AskExecuted();
    if (!executed_.ok()) {
      executed_at_ = absl::Now();  // so that not all who wait here wait for a server that hangs
    }
  }
  return executed_;
}

absl::StatusOr<gtid::GtidSet> BinlogTail::AskExecuted() {
  if (control_ == nullptr || !control_->healthy()) {
    SLUICE_ASSIGN_OR_RETURN(control_, mysql::Connection::Connect(options_.connection));
  }
  SLUICE_ASSIGN_OR_RETURN(const std::string text,
                          control_->QueryScalar("SELECT @@GLOBAL.gtid_executed"));
  return gtid::GtidSet::Parse(text);
}

std::unique_ptr<BinlogTail::Seat> BinlogTail::Enter(WantedTables wanted) {
  std::unique_ptr<Seat> seat(new Seat(*this, std::move(wanted)));
  const absl::MutexLock lock(&mutex_);
  seats_.insert(seat.get());
  return seat;
}

void BinlogTail::Run() {
  while (true) {
    {
      const absl::MutexLock lock(&mutex_);
      mutex_.Await(absl::Condition(this, &BinlogTail::HasWork));
      if (stopped_) {
        return;
      }
      state_ = State::kOpening;
    }
    const absl::Time begun = absl::Now();
    const absl::Status end = Follow();
    const absl::MutexLock lock(&mutex_);
    if (!end.ok() && !stopped_) {
      SLUICE_LOG_EVERY(absl::Seconds(10), kWarning, "binlog tail ended", {{"reason", end}});
    }
    if (!end.ok() && absl::Now() - begun < kPause) {
      state_ = State::kFailed;
      // Delay: kPause
      mutex_.AwaitWithTimeout(absl::Condition(&stopped_), kPause);
    }
    state_ = State::kIdle;
  }
}

absl::Status BinlogTail::Follow() {
  SLUICE_ASSIGN_OR_RETURN(const gtid::GtidSet executed, Executed(absl::Now()));
  gtid::GtidSet floor = ChooseFloor(executed);
  mysql::BinlogStreamOptions options;
  options.connection = options_.connection;
  options.server_id = options_.server_id;
  options.position = floor;
  options.heartbeat = options_.heartbeat;
  SLUICE_ASSIGN_OR_RETURN(const auto stream, mysql::BinlogStream::Open(options));
  OpenWindow(std::move(floor), *stream);
  SLUICE_LOG(kInfo, "binlog tail opened", {});
  absl::Status end = ReadUntilAlone(*stream);
  Ended(end);
  return end;
}

// Never more than the server has executed, so nothing that it will still write is left out; less
// where somebody who waits is a little behind.
gtid::GtidSet BinlogTail::ChooseFloor(const gtid::GtidSet& executed) {
  const absl::MutexLock lock(&mutex_);
  gtid::GtidSet floor = executed;
  for (const Seat* seat : seats_) {
    if (seat->wish_.has_value() && seat->wish_->IsCloseBehind(executed, kCloseBehind)) {
      gtid::GtidSet lacking = executed;
      lacking.Subtract(*seat->wish_);
      floor.Subtract(lacking);
    }
  }
  return floor;
}

void BinlogTail::OpenWindow(gtid::GtidSet floor, mysql::BinlogStream& stream) {
  const absl::MutexLock lock(&mutex_);
  // Who has not read the last window to its end goes on without this one.
  for (Seat* seat : seats_) {
    seat->joined_ = false;
  }
  window_ = TailWindow(std::move(floor), options_.window_bytes_max);
  state_ = State::kOpen;
  alone_since_ = absl::Now();
  stream_ = &stream;
  if (stopped_) {
    stream.Interrupt();
  }
}

absl::Status BinlogTail::ReadUntilAlone(mysql::BinlogStream& stream) {
  TailTransactionBuilder builder(options_.transaction_bytes_max);
  size_t announced = 0;  // tables of the large transaction at hand
  absl::Time looked = absl::Now();
  while (true) {
    SLUICE_ASSIGN_OR_RETURN(const absl::string_view event, stream.Next());
    SLUICE_ASSIGN_OR_RETURN(auto transaction, builder.Feed(event));
    if (transaction != nullptr) {
      Append(std::move(transaction));
      announced = 0;
    } else if (!builder.unfinished().kept && builder.unfinished().tables.size() > announced) {
      announced = builder.unfinished().tables.size();
      AnnounceLarge(builder.unfinished());
    }
    // Heartbeats come when nothing else does.
    if (absl::Now() - looked >= options_.heartbeat) {
      looked = absl::Now();
      if (AloneForLong()) {
        return absl::OkStatus();
      }
    }
  }
}

bool BinlogTail::AloneForLong() {
  const absl::MutexLock lock(&mutex_);
  return seats_.empty() && absl::Now() - alone_since_ > options_.linger;
}

void BinlogTail::Append(std::shared_ptr<const TailTransaction> transaction) {
  const absl::MutexLock lock(&mutex_);
  for (Seat* seat : seats_) {
    if (seat->joined_ && transaction->IsUrgentFor(seat->wanted_)) {
      seat->urgent_end_ = window_.end() + 1;
    }
  }
  window_.Append(std::move(transaction));
}

// So that who wants it begins to read it while it is still coming here.
void BinlogTail::AnnounceLarge(const TailTransaction& transaction) {
  const absl::MutexLock lock(&mutex_);
  for (Seat* seat : seats_) {
    if (seat->joined_ && transaction.Touches(seat->wanted_)) {
      seat->leave_at_ = window_.end();
    }
  }
}

// In one step, so that nobody joins a window that has ended.
void BinlogTail::Ended(const absl::Status& end) {
  const absl::MutexLock lock(&mutex_);
  stream_ = nullptr;
  state_ = State::kIdle;
  for (Seat* seat : seats_) {
    if (seat->joined_) {
      seat->end_ = end.ok() ? absl::AbortedError("the binlog tail has ended") : end;
    }
  }
}

}  // namespace sluice::source
