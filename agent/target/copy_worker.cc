// CopyWorker: fetching ahead, writing, commits and splitting.

#include "agent/target/copy_worker.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "agent/target/local_session.h"
#include "agent/target/transaction_retry.h"
#include "common/base/crash_point.h"
#include "common/base/status.h"
#include "common/base/status_macros.h"

namespace sluice::target {
namespace {

// Of a part that is split off: enough that reading the keys ahead is small beside the copy.
constexpr uint64_t kPartRowsMin = 1000;
// In a commit, each of a table or more.
constexpr size_t kPortionsMax = 512;
// Rows of this size on average are copied by one worker at a time.
constexpr uint64_t kLargeRowBytes = uint64_t{4} << 20U;
// A snapshot that is not read from is held no longer: it keeps the source from purging old rows.
constexpr absl::Duration kThrottledSnapshotMax = absl::Seconds(10);
// About as often as mysqld is measured.
constexpr absl::Duration kThrottleLook = absl::Milliseconds(50);

RowsRequest RequestFor(const CopyWorkerContext& context, const TablePlan& plan,
                       const CopyRange& range) {
  RowsRequest request;
  request.session = context.session;
  request.table = plan.table;
  request.columns = plan.WrittenNames();
  request.key_columns = plan.KeyNames();
  request.after_key = range.last_key;
  request.end_key = range.end_key;
  request.rows_max = context.options.rows_max;
  request.bytes_max = context.options.bytes_max;
  return request;
}

// Rows of about part_bytes, by what was copied, else by the estimate.
uint64_t PartRows(const CopyProgress& tail, uint64_t part_bytes) {
  const bool copied = tail.range.rows > 0;
  const uint64_t rows = copied ? tail.range.rows : tail.rows_estimate;
  const uint64_t bytes = copied ? tail.range.bytes : tail.bytes_estimate;
  return rows == 0 ? kPartRowsMin : std::max(kPartRowsMin, part_bytes / (bytes / rows + 1));
}

}  // namespace

bool CopyWorker::MustStop() const {
  return context_.stopping.HasBeenNotified() || absl::Now() >= context_.deadline ||
         context_.queue.stopped();
}

absl::Status CopyWorker::Run() {
  absl::Status status = Work();
  if (!status.ok()) {
    context_.queue.Stop();
    if (call_.started()) {
      call_.Take().rows.status().IgnoreError();
    }
    if (open_) {
      store_->Rollback();
    }
  }
  return status;
}

absl::Status CopyWorker::Connect() {
  if (connection_ != nullptr) {
    return absl::OkStatus();
  }
  mysql::ConnectionOptions options = context_.local;
  options.loads_rows = true;
  SLUICE_ASSIGN_OR_RETURN(connection_, ConnectLocal(options));
  store_ = std::make_unique<StreamStore>(*connection_);
  writer_ = std::make_unique<CopiedRowWriter>(
      *connection_,
      CopiedRowWriterOptions{.statement_bytes_max = context_.options.statement_bytes_max,
                             .statement_time = context_.options.commit_time / 2,
                             .load_rows_min = context_.options.load_rows_min});
  return absl::OkStatus();
}

absl::Status CopyWorker::Work() {
  while (true) {
    if (!in_hand_.has_value()) {
      SLUICE_RETURN_IF_ERROR(TakeNext(true));
      if (!in_hand_.has_value()) {
        return absl::OkStatus();
      }
    }
    SLUICE_ASSIGN_OR_RETURN(const bool goes_on, AwaitThrottle());
    if (!goes_on) {
      // What was fetched is not written; the next snapshots read it again.
      context_.queue.Stop();
      if (call_.started()) {
        call_.Take().rows.status().IgnoreError();
      }
      return absl::OkStatus();
    }
    if (large_) {
      SLUICE_RETURN_IF_ERROR(CopyLargeRows(std::nullopt));
      continue;
    }
    absl::StatusOr<FetchedRows> rows = TakeFetched();
    if (IsThrottled(rows.status())) {
      SLUICE_RETURN_IF_ERROR(NoteThrottled());
      Fetch();  // the source has waited before it answered
      continue;
    }
    if (!rows.ok()) {
      return Annotate(rows.status(), absl::StrCat("copying table ", plan_->table));
    }
    NoteOpen();
    SLUICE_RETURN_IF_ERROR(rows->whole() ? WriteNext(*std::move(rows))
                                         : CopyLargeRows(*std::move(rows)));
  }
}

absl::StatusOr<FetchedRows> CopyWorker::TakeFetched() {
  const absl::Time begun = absl::Now();
  Fetched fetched = call_.Take();
  if (!IsThrottled(fetched.rows.status())) {
    times_.waiting += absl::Now() - begun;
    times_.hand_off +=
        std::max(absl::ZeroDuration(), begun - std::max(fetched.ready, throttled_until_));
  }
  return std::move(fetched.rows);
}

// No transaction is left open while it waits.
absl::Status CopyWorker::NoteThrottled() {
  throttled_since_ = std::min(throttled_since_, absl::Now());
  if (context_.throttle != nullptr) {
    context_.throttle->CopyIsClosed();
  }
  return Commit();
}

void CopyWorker::NoteOpen() {
  if (throttled_since_ != absl::InfiniteFuture()) {
    throttled_since_ = absl::InfiniteFuture();
    if (context_.throttle != nullptr) {
      context_.throttle->CopyIsClosed();
    }
  }
}

absl::StatusOr<bool> CopyWorker::AwaitThrottle() {
  const auto must_end = [this] {
    return MustStop() || absl::Now() - throttled_since_ > kThrottledSnapshotMax;
  };
  while (context_.throttle != nullptr && context_.throttle->CopyMustWait()) {
    SLUICE_RETURN_IF_ERROR(NoteThrottled());
    if (must_end()) {
      return false;
    }
    context_.stopping.WaitForNotificationWithTimeout(kThrottleLook);
    throttled_until_ = absl::Now();
  }
  return throttled_since_ == absl::InfiniteFuture() || !must_end();
}

absl::Status CopyWorker::WriteNext(FetchedRows rows) {
  Portion portion = Received(std::move(rows));
  const bool stop = MustStop();
  portion.give_back = portion.give_back || stop;
  if (stop) {
    context_.queue.Stop();
  }
  if (!portion.give_back) {
    Fetch();
  } else {
    in_hand_.reset();
    SLUICE_RETURN_IF_ERROR(TakeNext(false));
  }
  SLUICE_RETURN_IF_ERROR(Write(std::move(portion)));
  SLUICE_CRASH_POINT("copy.rows_written");
  return IsFull() ? Commit() : absl::OkStatus();
}

// Whoever waits here has no transaction open, so that the one who is served waits for nobody.
absl::Status CopyWorker::CopyLargeRows(std::optional<FetchedRows> begun) {
  SLUICE_RETURN_IF_ERROR(Commit());
  const absl::MutexLock lock(&context_.large_rows);
  if (!begun.has_value() && context_.throttle != nullptr && context_.throttle->CopyMustWait()) {
    return absl::OkStatus();  // it was closed while others were served
  }
  const absl::Time asked = absl::Now();
  absl::StatusOr<FetchedRows> rows =
      begun.has_value()
          ? *std::move(begun)
          : context_.source.FetchRows(RequestFor(context_, *plan_, in_hand_->progress.range));
  if (IsThrottled(rows.status())) {
    return NoteThrottled();
  }
  absl::Status status = rows.status();
  if (status.ok() && !rows->whole()) {
    status = context_.source.FetchRest(context_.session, *rows);
  }
  if (!status.ok()) {
    return Annotate(status, absl::StrCat("copying table ", plan_->table));
  }
  NoteOpen();
  times_.waiting += absl::Now() - asked;
  Portion portion = Received(*std::move(rows));
  if (MustStop()) {
    context_.queue.Stop();
    portion.give_back = true;
  }
  const bool give_back = portion.give_back;
  SLUICE_RETURN_IF_ERROR(Write(std::move(portion)));
  SLUICE_RETURN_IF_ERROR(Commit());
  if (give_back) {
    in_hand_.reset();
    large_ = false;
  } else {
    Fetch();
  }
  return absl::OkStatus();
}

void CopyWorker::LearnSize(uint64_t rows, uint64_t bytes) {
  large_ = rows > 0 && bytes / rows >= kLargeRowBytes;
}

bool CopyWorker::IsFull() const {
  return pending_.size() >= portions_max_ || pending_rows_ >= context_.options.rows_max ||
         pending_bytes_ >= context_.options.commit_bytes ||
         server_time_ >= context_.options.commit_time;
}

absl::Status CopyWorker::TakeNext(bool wait) {
  std::optional<CopyWork> work = context_.queue.Take(false);
  if (!work.has_value() && wait) {
    // Others may wait for the ranges that the commit gives back.
    SLUICE_RETURN_IF_ERROR(Commit());
    work = context_.queue.Take(true);
  }
  if (!work.has_value()) {
    return absl::OkStatus();
  }
  SLUICE_RETURN_IF_ERROR(Connect());
  plan_ = context_.plans.Find(work->progress.table);
  if (plan_ == nullptr) {
    return absl::FailedPreconditionError(absl::StrCat("no plan for table ", work->progress.table));
  }
  if (work->split) {
    SLUICE_ASSIGN_OR_RETURN(const bool goes_on, SplitWhenOpen(*work));
    if (!goes_on) {
      context_.queue.Stop();
      return absl::OkStatus();
    }
  }
  in_hand_ = *std::move(work);
  part_bytes_ = 0;
  verb_ = CopyVerb::kInsert;
  const CopyProgress& progress = in_hand_->progress;
  LearnSize(progress.range.rows > 0 ? progress.range.rows : progress.rows_estimate,
            progress.range.rows > 0 ? progress.range.bytes : progress.bytes_estimate);
  Fetch();
  return absl::OkStatus();
}

absl::StatusOr<bool> CopyWorker::SplitWhenOpen(CopyWork& work) {
  while (true) {
    SLUICE_ASSIGN_OR_RETURN(const bool goes_on, AwaitThrottle());
    if (!goes_on) {
      return false;
    }
    const absl::Status status = Split(work);
    if (!IsThrottled(status)) {
      SLUICE_RETURN_IF_ERROR(Annotate(status, absl::StrCat("copying table ", work.progress.table)));
      NoteOpen();
      return true;
    }
    SLUICE_RETURN_IF_ERROR(NoteThrottled());
  }
}

// Only between transactions. A part is durable before anybody goes on behind it, so that no crash
// leaves a gap.
absl::Status CopyWorker::Split(CopyWork& work) {
  RowsRequest request = RequestFor(context_, *plan_, work.progress.range);
  request.skip_rows = PartRows(work.progress, context_.options.part_bytes);
  SLUICE_ASSIGN_OR_RETURN(const FetchedRows boundary, context_.source.FetchRows(request));
  work.progress.rows_estimate = std::max(work.progress.rows_estimate, boundary.rows_estimate);
  work.progress.bytes_estimate = std::max(work.progress.bytes_estimate, boundary.bytes_estimate);
  if (boundary.last_key.empty()) {
    return absl::OkStatus();  // the tail is no larger than a part
  }
  const CopyQueue::Split split = context_.queue.PlanSplit(work, boundary.last_key);
  const absl::Status committed = WithRetries([&]() -> absl::Status {
    SLUICE_RETURN_IF_ERROR(store_->Begin());
    open_ = true;
    return store_->FinishCopy(context_.position, {split.tail, split.part});
  });
  SLUICE_RETURN_IF_ERROR(committed);
  open_ = false;
  SLUICE_CRASH_POINT("copy.after_split");
  work = context_.queue.HaveSplit(split);
  return absl::OkStatus();
}

// Large rows are fetched when it is this worker's turn.
void CopyWorker::Fetch() {
  if (large_) {
    return;
  }
  call_.Start([&source = context_.source,
               request = RequestFor(context_, *plan_, in_hand_->progress.range)] {
    absl::StatusOr<FetchedRows> rows = source.FetchRows(request);
    return Fetched{.rows = std::move(rows), .ready = absl::Now()};
  });
}

CopyWorker::Portion CopyWorker::Received(FetchedRows rows) {
  LearnSize(rows.row_count, rows.rows.size());
  CopyProgress& progress = in_hand_->progress;
  progress.range.done = rows.end_of_table;
  if (rows.row_count > 0) {
    progress.range.last_key = std::move(rows.last_key);
  }
  progress.range.rows += rows.row_count;
  progress.range.bytes += rows.rows.size();
  progress.rows_estimate = rows.rows_estimate;
  progress.bytes_estimate = rows.bytes_estimate;
  part_bytes_ += rows.rows.size();
  const bool part_is_over = in_hand_->in_part && part_bytes_ >= context_.options.part_bytes;
  Portion portion;
  portion.plan = plan_;
  portion.give_back = rows.end_of_table || part_is_over;
  portion.after = progress;
  portion.rows = std::move(rows);
  return portion;
}

absl::Status CopyWorker::Write(Portion portion) {
  pending_rows_ += portion.rows.row_count;
  pending_bytes_ += portion.rows.rows.size();
  pending_.push_back(std::move(portion));
  return WithRetries([this] { return WritePending(); });
}

absl::Status CopyWorker::WritePending() {
  if (!open_) {
    SLUICE_RETURN_IF_ERROR(store_->Begin());
    open_ = true;
  }
  for (; written_ < pending_.size(); ++written_) {
    const Portion& portion = pending_[written_];
    const absl::Status written =
        writer_->Write(*portion.plan, portion.rows.rows, portion.rows.row_count, verb_);
    const CopiedRowWriter::Times times = writer_->TakeTimes();
    times_.building += times.building;
    times_.server += times.server;
    server_time_ += times.server;
    SLUICE_RETURN_IF_ERROR(written);
  }
  return absl::OkStatus();
}

absl::Status CopyWorker::Commit() {
  if (pending_.empty()) {
    return absl::OkStatus();
  }
  SLUICE_RETURN_IF_ERROR(WithRetries([this] { return CommitPending(); }));
  open_ = false;
  std::vector<CopyProgress> progress;
  for (Portion& portion : pending_) {
    progress.push_back(std::move(portion.after));
  }
  context_.queue.Committed(progress);
  for (size_t i = 0; i < pending_.size(); ++i) {
    if (pending_[i].give_back) {
      context_.queue.GiveBack(progress[i].ordinal, progress[i].range.slot);
    }
  }
  pending_.clear();
  portions_max_ = std::min(2 * portions_max_, kPortionsMax);
  TellTimes();
  written_ = 0;
  pending_rows_ = 0;
  pending_bytes_ = 0;
  server_time_ = absl::ZeroDuration();
  return absl::OkStatus();
}

void CopyWorker::TellTimes() {
  ++times_.writes;
  const WriteTimes before = std::exchange(told_, times_);
  if (context_.on_times) {
    context_.on_times({.writes = times_.writes - before.writes,
                       .waiting = times_.waiting - before.waiting,
                       .building = times_.building - before.building,
                       .server = times_.server - before.server,
                       .hand_off = times_.hand_off - before.hand_off});
  }
}

absl::Status CopyWorker::CommitPending() {
  SLUICE_RETURN_IF_ERROR(WritePending());
  std::vector<CopyProgress> progress;
  for (size_t i = 0; i < pending_.size(); ++i) {
    // Later rows of the same range say the same and more.
    const bool last = i + 1 == pending_.size() ||
                      pending_[i].after.table != pending_[i + 1].after.table ||
                      pending_[i].after.range.slot != pending_[i + 1].after.range.slot;
    if (last) {
      progress.push_back(pending_[i].after);
    }
  }
  const absl::Time begun = absl::Now();
  absl::Status status = store_->FinishCopy(context_.position, progress);
  times_.server += absl::Now() - begun;
  return status;
}

absl::Status CopyWorker::WithRetries(const std::function<absl::Status()>& step) {
  for (int attempt = 1;; ++attempt) {
    absl::Status status = step();
    if (status.ok()) {
      return status;
    }
    open_ = false;
    written_ = 0;
    if (writer_ != nullptr && writer_->TookBack()) {
      store_->Rollback();
      continue;
    }
    SLUICE_RETURN_IF_ERROR(RollBackForRetry(*store_, context_.stopping, status, attempt));
  }
}

}  // namespace sluice::target
