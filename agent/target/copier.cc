// Copier: chunks, their commits, and fetching ahead.

#include "agent/target/copier.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "common/base/status.h"
#include "common/base/status_macros.h"

namespace sluice::target {
namespace {

// As many rows as will about fill a chunk, judged by the last one: a limit far above that makes the
// source's server send rows that are thrown away.
uint32_t NextLimit(const FetchedRows& rows, const CopierOptions& options) {
  if (rows.row_count == 0) {
    return options.rows_max;
  }
  const size_t row_bytes = rows.rows.size() / rows.row_count + 1;
  return static_cast<uint32_t>(
      std::clamp<size_t>(options.bytes_max / row_bytes + 1, 1, options.rows_max));
}

}  // namespace

Copier::Copier(const CopierContext& context, CopierOptions options)
    : context_(context), options_(options), writer_(context.retry.connection, options.writer) {}

absl::Status Copier::CopyUntil(const std::string& session, absl::Time deadline) {
  for (CopyTable& table : context_.record.copy) {
    if (table.done) {
      continue;
    }
    const absl::Status status = CopyTableUntil(session, table, deadline);
    if (!status.ok()) {
      return Annotate(status, absl::StrCat("copying table ", table.table));
    }
    if (!table.done) {
      return absl::OkStatus();
    }
  }
  return absl::OkStatus();
}

void Copier::Fetch(const RowsRequest& request) {
  call_.Start([this, request] { return context_.source.FetchRows(request); });
}

absl::Status Copier::CopyTableUntil(const std::string& session, CopyTable& table,
                                    absl::Time deadline) {
  const TablePlan* plan = context_.retry.plans.Find(table.table);
  if (plan == nullptr) {
    return absl::FailedPreconditionError(absl::StrCat("no plan for table ", table.table));
  }
  RowsRequest request;
  request.session = session;
  request.table = table.table;
  request.columns = plan->WrittenNames();
  request.key_columns = plan->KeyNames();
  request.after_key = table.last_key;
  request.rows_max = options_.rows_max;
  request.bytes_max = options_.bytes_max;
  Fetch(request);
  while (true) {
    SLUICE_ASSIGN_OR_RETURN(const FetchedRows rows, call_.Take());
    const bool more =
        !rows.end_of_table && absl::Now() < deadline && !context_.retry.stopping.HasBeenNotified();
    if (more) {
      request.after_key = rows.last_key;
      request.rows_max = NextLimit(rows, options_);
      Fetch(request);
    }
    absl::Status status = Commit(table, *plan, rows);
    if (!status.ok()) {
      if (call_.started()) {
        call_.Take().status().IgnoreError();
      }
      return status;
    }
    if (!more) {
      return context_.retry.stopping.HasBeenNotified()
                 ? absl::CancelledError("the stream is being stopped")
                 : absl::OkStatus();
    }
  }
}

absl::Status Copier::Commit(CopyTable& table, const TablePlan& plan, const FetchedRows& rows) {
  CopyTable next = table;
  next.started = true;
  next.done = rows.end_of_table;
  if (rows.row_count > 0) {
    next.last_key = rows.last_key;
  }
  next.rows += rows.row_count;
  next.bytes += rows.rows.size();
  next.rows_estimate = std::max(rows.rows_estimate, next.rows);
  next.bytes_estimate = std::max(rows.bytes_estimate, next.bytes);
  StreamRecord& record = context_.record;
  const absl::Status committed = RunWithRetries(context_.retry, [&]() -> absl::Status {
    StreamStore& store = context_.retry.store;
    SLUICE_RETURN_IF_ERROR(store.Begin());
    SLUICE_RETURN_IF_ERROR(writer_.WriteCopied(plan, rows.rows, rows.row_count));
    SLUICE_RETURN_IF_ERROR(store.WriteCopyTable(record.spec.id, next));
    return store.Finish(record.position, CommitKind::kCopy);
  });
  SLUICE_RETURN_IF_ERROR(committed);
  table = std::move(next);
  context_.on_commit(table);
  return absl::OkStatus();
}

}  // namespace sluice::target
