// KeylessCopier: finding a snapshot whose position is known, and copying it.

#include "agent/target/keyless_copier.h"

#include <limits>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "agent/source/event_splitter.h"
#include "agent/target/copied_row_writer.h"
#include "agent/target/event_feed.h"
#include "common/base/log.h"
#include "common/base/status.h"
#include "common/base/status_macros.h"
#include "common/binlog/event.h"
#include "common/gtid/gtid_set.h"

namespace sluice::target {
namespace {

constexpr int kAttemptsMax = 200;
constexpr uint64_t kDeleteRows = 10'000;  // per commit
constexpr uint32_t kFetchRows = 100'000;
constexpr uint32_t kFetchBytes = 8U << 20U;
// A transaction that owns a GTID may take long to commit, as an applier's does, or never do so.
constexpr absl::Duration kUnsureWait = absl::Seconds(10);
constexpr absl::Duration kEventWait = absl::Milliseconds(200);
constexpr absl::Duration kThrottleLook = absl::Milliseconds(100);
constexpr absl::string_view kSidecar = "_sluice";

// What the events of a batch say: which transactions there were, and whether a table of the
// stream's was touched.
struct Seen {
  gtid::GtidSet transactions;
  bool touched = false;
};

absl::Status Look(absl::string_view events, const gtid::GtidSet& of_interest, bool& counts,
                  Seen& seen) {
  while (!events.empty()) {
    SLUICE_ASSIGN_OR_RETURN(const absl::string_view event, source::NextEvent(events));
    events.remove_prefix(event.size());
    SLUICE_ASSIGN_OR_RETURN(const binlog::EventHeader header, binlog::DecodeHeader(event));
    if (header.type == binlog::EventType::kGtid || header.type == binlog::EventType::kGtidTagged) {
      SLUICE_ASSIGN_OR_RETURN(const binlog::GtidEvent gtid, binlog::DecodeGtid(event));
      seen.transactions.Add(gtid.gtid);
      counts = of_interest.Contains(gtid.gtid);
    } else if (counts && header.type == binlog::EventType::kTableMap) {
      SLUICE_ASSIGN_OR_RETURN(const binlog::TableName name, binlog::PeekTableMap(event));
      seen.touched = seen.touched || name.database != kSidecar;
    } else if (counts && header.type == binlog::EventType::kQuery) {
      SLUICE_ASSIGN_OR_RETURN(const binlog::QueryEvent query, binlog::DecodeQuery(event));
      seen.touched = seen.touched || (query.sql != "BEGIN" && query.sql != "COMMIT");
    }
  }
  return absl::OkStatus();
}

}  // namespace

absl::Status KeylessCopier::CheckStopping() const {
  return context_.retry.stopping.HasBeenNotified()
             ? absl::CancelledError("the stream is being stopped")
             : absl::OkStatus();
}

absl::Status KeylessCopier::AwaitTurn() {
  SLUICE_RETURN_IF_ERROR(CheckStopping());
  while (context_.throttle.CopyMustWait()) {
    context_.retry.stopping.WaitForNotificationWithTimeout(kThrottleLook);
    SLUICE_RETURN_IF_ERROR(CheckStopping());
  }
  return absl::OkStatus();
}

template <typename Request>
std::invoke_result_t<Request> KeylessCopier::Ask(const Request& request) {
  SLUICE_RETURN_IF_ERROR(AwaitTurn());
  auto answer = request();
  while (IsThrottled(answer.status())) {
    context_.throttle.CopyIsClosed();
    SLUICE_RETURN_IF_ERROR(AwaitTurn());
    answer = request();  // the source has waited before it answered
  }
  return answer;
}

// Transactions that `up_to` has and `position` has not may or may not be in the snapshot; each of
// them is in the binlog.
absl::StatusOr<bool> KeylessCopier::IsExact(const std::string& table,
                                            const OpenedSnapshot& snapshot) {
  SLUICE_ASSIGN_OR_RETURN(const gtid::GtidSet position, gtid::GtidSet::Parse(snapshot.position));
  SLUICE_ASSIGN_OR_RETURN(gtid::GtidSet unsure, gtid::GtidSet::Parse(snapshot.up_to));
  unsure.Subtract(position);
  if (unsure.empty()) {
    return true;
  }
  SLUICE_ASSIGN_OR_RETURN(const auto feed,
                          EventFeed::Open(context_.source, context_.record.spec.source_database,
                                          {table}, snapshot.position, {.wait = kEventWait}));
  Seen seen;
  bool counts = false;
  const absl::Time deadline = absl::Now() + kUnsureWait;
  while (!seen.touched && absl::Now() < deadline) {
    SLUICE_RETURN_IF_ERROR(CheckStopping());
    SLUICE_ASSIGN_OR_RETURN(const FetchedEvents batch, feed->Next());
    SLUICE_RETURN_IF_ERROR(Look(*batch.events, unsure, counts, seen));
    // A GTID event comes before its rows, so the last one's are not all seen before the next one.
    if (seen.transactions.Contains(unsure) && (batch.caught_up || !counts)) {
      return !seen.touched;
    }
  }
  return false;
}

absl::StatusOr<OpenedSnapshot> KeylessCopier::OpenExact(const std::string& table) {
  const StreamRecord& record = context_.record;
  const SnapshotRequest wanted{.database = record.spec.source_database,
                               .tables = {table},
                               .not_before = record.position.position->set.ToString(),
                               .wait = context_.snapshot_wait,
                               .readers = 1};
  for (int attempt = 0; attempt < kAttemptsMax; ++attempt) {
    SLUICE_ASSIGN_OR_RETURN(OpenedSnapshot snapshot,
                            Ask([&] { return context_.source.OpenSnapshot(wanted); }));
    SLUICE_ASSIGN_OR_RETURN(const bool exact, IsExact(table, snapshot));
    if (exact) {
      return snapshot;
    }
    context_.source.CloseSession(snapshot.session);
  }
  return absl::AbortedError(
      absl::StrCat("table ", table,
                   " has no key and is written so often that no snapshot of it at "
                   "a known position was found; trying again"));
}

absl::Status KeylessCopier::Empty(const TablePlan& plan) {
  uint64_t deleted = kDeleteRows;
  while (deleted == kDeleteRows) {
    SLUICE_RETURN_IF_ERROR(CheckStopping());
    const absl::Status committed = RunWithRetries(context_.retry, [&]() -> absl::Status {
      SLUICE_RETURN_IF_ERROR(context_.retry.store.Begin());
      SLUICE_ASSIGN_OR_RETURN(
          deleted, context_.retry.connection.Execute(
                       absl::StrCat("DELETE FROM ", mysql::QuoteTable(plan.database, plan.physical),
                                    " LIMIT ", kDeleteRows)));
      return context_.retry.store.FinishPart(context_.record.position, CommitKind::kCopy);
    });
    SLUICE_RETURN_IF_ERROR(committed);
  }
  return absl::OkStatus();
}

absl::Status KeylessCopier::WriteAndCommit(const TablePlan& plan, const FetchedRows& rows,
                                           const CopyProgress& progress) {
  return RunWithRetries(context_.retry, [&]() -> absl::Status {
    SLUICE_RETURN_IF_ERROR(context_.retry.store.Begin());
    CopiedRowWriter writer(context_.retry.connection,
                           {.statement_bytes_max = context_.options.statement_bytes_max,
                            .statement_time = context_.options.commit_time / 2,
                            .load_rows_min = std::numeric_limits<uint64_t>::max()});
    CopyVerb verb = CopyVerb::kInsert;
    SLUICE_RETURN_IF_ERROR(writer.Write(plan, rows.rows, rows.row_count, verb));
    return context_.retry.store.FinishCopy(context_.record.position, {progress});
  });
}

absl::Status KeylessCopier::CopyRows(size_t ordinal, const TablePlan& plan,
                                     const OpenedSnapshot& snapshot) {
  CopyTable& table = context_.record.copy[ordinal];
  CopyProgress progress{.ordinal = ordinal, .table = table.table, .range = {}};
  RowsRequest request;
  request.session = snapshot.session;
  request.table = plan.table;
  request.columns = plan.WrittenNames();
  // Each fetch passes over all rows before its own, so there should be few of them.
  request.rows_max = kFetchRows;
  request.bytes_max = kFetchBytes;
  while (!progress.range.done) {
    SLUICE_ASSIGN_OR_RETURN(FetchedRows rows,
                            Ask([&] { return context_.source.FetchRows(request); }));
    if (!rows.whole()) {
      SLUICE_RETURN_IF_ERROR(context_.source.FetchRest(request.session, rows));
    }
    request.after_key = rows.last_key;
    progress.range.done = rows.end_of_table;
    progress.range.rows += rows.row_count;
    progress.range.bytes += rows.rows.size();
    progress.range.last_key = rows.end_of_table ? snapshot.position : "";
    progress.rows_estimate = rows.rows_estimate;
    progress.bytes_estimate = rows.bytes_estimate;
    SLUICE_RETURN_IF_ERROR(WriteAndCommit(plan, rows, progress));
    table.started = true;
    table.ranges = {progress.range};
    table.rows_estimate = progress.rows_estimate;
    table.bytes_estimate = progress.bytes_estimate;
    table.Sum();
    context_.on_commit(table);
  }
  return absl::OkStatus();
}

absl::Status KeylessCopier::Copy(size_t ordinal) {
  const std::string name = context_.record.copy[ordinal].table;
  const TablePlan* plan = context_.retry.plans.Find(name);
  if (plan == nullptr) {
    return absl::InternalError(absl::StrCat("table ", name, " has no plan"));
  }
  SLUICE_RETURN_IF_ERROR(Empty(*plan));
  SLUICE_ASSIGN_OR_RETURN(const OpenedSnapshot snapshot, OpenExact(name));
  SLUICE_LOG(
      kInfo, "copying a table without a key from one snapshot",
      {{"stream", context_.record.spec.id}, {"table", name}, {"position", snapshot.position}});
  SLUICE_RETURN_IF_ERROR(CopyRows(ordinal, *plan, snapshot));
  context_.source.CloseSession(snapshot.session);
  return absl::OkStatus();
}

}  // namespace sluice::target
