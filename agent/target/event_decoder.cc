// EventDecoder: the order of events, table maps, and what is refused.

#include "agent/target/event_decoder.h"

#include <algorithm>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "common/base/status.h"
#include "common/base/status_macros.h"

namespace sluice::target {
namespace {

using binlog::EventType;

constexpr absl::string_view kSidecar = "_sluice";
// Ids are never reused by one server process, so a long stream would gather them.
constexpr size_t kKnownMapsMax = 4096;

absl::Status NotWhole(const TablePlan& plan, size_t ordinal) {
  return WithSubject(
      absl::FailedPreconditionError(absl::StrCat(
          "a row of ", plan.table, " comes without column ", plan.schema.columns[ordinal].name,
          "; set binlog_row_image=FULL on the source, cancel the workflow and create it anew")),
      plan.table);
}

absl::Status CheckImage(const TablePlan& plan, const std::vector<size_t>& ordinals,
                        const binlog::RowImage& image) {
  for (const size_t ordinal : ordinals) {
    if (ordinal >= image.size() || !image[ordinal].present) {
      return NotWhole(plan, ordinal);
    }
  }
  return absl::OkStatus();
}

}  // namespace

absl::Status CheckTableMap(const TablePlan& plan, const binlog::TableMapEvent& map) {
  const auto& columns = plan.schema.columns;
  absl::Status status;
  if (map.columns.size() != columns.size()) {
    status = absl::FailedPreconditionError(
        absl::StrCat("table ", map.database, ".", map.table, " has ", map.columns.size(),
                     " columns on the source, ", plan.database, ".", plan.schema.name, " has ",
                     columns.size(), " on the target"));
  }
  const size_t named = std::min(map.column_names.size(), columns.size());
  for (size_t i = 0; i < named; ++i) {
    if (!absl::EqualsIgnoreCase(map.column_names[i], columns[i].name)) {
      status = absl::FailedPreconditionError(
          absl::StrCat("column ", i + 1, " of table ", map.table, " is ", map.column_names[i],
                       " on the source and ", columns[i].name, " on the target"));
      break;
    }
  }
  return status.ok() ? status : WithSubject(status, plan.table);
}

absl::Status EventDecoder::Feed(absl::string_view event) {
  SLUICE_ASSIGN_OR_RETURN(const binlog::EventHeader header, binlog::DecodeHeader(event));
  if (header.type == EventType::kGtid || header.type == EventType::kGtidTagged) {
    return FeedGtid(event);
  }
  if (!in_transaction_) {
    return absl::InvalidArgumentError(
        absl::StrCat("event type ", static_cast<int>(header.raw_type), " outside a transaction"));
  }
  switch (header.type) {
    case EventType::kQuery:
      return FeedQuery(event);
    case EventType::kTableMap:
      return FeedTableMap(event);
    case EventType::kWriteRows:
    case EventType::kUpdateRows:
    case EventType::kDeleteRows:
      return FeedRows(event);
    case EventType::kPartialUpdateRows:
      return absl::FailedPreconditionError(
          "the source writes partial JSON updates of a moving table; set "
          "binlog_row_value_options='' there, cancel the workflow and create it anew");
    case EventType::kXid:
    case EventType::kXaPrepare:  // with rows of ours, XA START has been refused before
      return End();
    default:
      return absl::InvalidArgumentError(
          absl::StrCat("event type ", static_cast<int>(header.raw_type), " from the source"));
  }
}

absl::Status EventDecoder::FeedGtid(absl::string_view event) {
  if (in_transaction_) {
    return absl::InvalidArgumentError("a GTID event within a transaction");
  }
  SLUICE_ASSIGN_OR_RETURN(const binlog::GtidEvent gtid, binlog::DecodeGtid(event));
  in_transaction_ = true;
  begun_ = false;
  has_rows_ = false;
  open_.clear();
  if (maps_.size() > kKnownMapsMax) {
    maps_.clear();
  }
  return sink_.OnBegin(gtid);
}

absl::Status EventDecoder::FeedQuery(absl::string_view event) {
  SLUICE_ASSIGN_OR_RETURN(const binlog::QueryEvent query, binlog::DecodeQuery(event));
  const absl::string_view sql = query.sql;
  if (sql == "BEGIN") {
    begun_ = true;
    return absl::OkStatus();
  }
  if (sql == "COMMIT") {
    return End();
  }
  if (absl::StartsWithIgnoreCase(sql, "XA START")) {
    return absl::FailedPreconditionError(
        "an XA transaction on the source touches a moving table, and XA transactions cannot be "
        "followed; end the use of XA there, cancel the workflow and create it anew");
  }
  if (sql == "ROLLBACK" || absl::StartsWithIgnoreCase(sql, "ROLLBACK TO")) {
    if (has_rows_) {
      return absl::FailedPreconditionError(
          "a transaction of the source that touches a moving table and was rolled back stands in "
          "its "
          "binlog, as when it also writes a table without transactions; cancel the workflow and "
          "create it anew without such tables in these transactions");
    }
    return sql == "ROLLBACK" ? End() : absl::OkStatus();
  }
  if (absl::StartsWithIgnoreCase(sql, "SAVEPOINT ")) {
    return absl::OkStatus();
  }
  SLUICE_RETURN_IF_ERROR(CheckStatement(watched_, query.database, sql));
  return begun_ ? absl::OkStatus() : End();
}

absl::Status EventDecoder::FeedTableMap(absl::string_view event) {
  SLUICE_ASSIGN_OR_RETURN(const binlog::TableName name, binlog::PeekTableMap(event));
  const absl::string_view body = event.substr(binlog::kHeaderBytes);
  KnownMap& known = maps_[name.table_id];
  if (known.map == nullptr || known.bytes != body) {
    SLUICE_ASSIGN_OR_RETURN(binlog::TableMapEvent map, binlog::DecodeTableMap(event));
    const TablePlan* plan = nullptr;
    if (name.database != kSidecar) {
      plan = plans_.Find(name.table);
      if (plan == nullptr) {
        return absl::InvalidArgumentError(absl::StrCat("the source sent rows of ", name.database,
                                                       ".", name.table,
                                                       ", which the stream does not move"));
      }
      SLUICE_RETURN_IF_ERROR(CheckTableMap(*plan, map));
    }
    SLUICE_ASSIGN_OR_RETURN(known.layout, binlog::TableLayout::Create(map));
    known.bytes = std::string(body);
    known.map = std::make_shared<const binlog::TableMapEvent>(std::move(map));
    known.plan = plan;
  }
  open_[name.table_id] = &known;
  return absl::OkStatus();
}

absl::Status EventDecoder::FeedRows(absl::string_view event) {
  SLUICE_ASSIGN_OR_RETURN(const binlog::RowsEvent rows, binlog::DecodeRows(event));
  const auto found = open_.find(rows.table_id);
  if (found == open_.end()) {
    return absl::InvalidArgumentError(
        absl::StrCat("rows of table id ", rows.table_id, " without a table map"));
  }
  const KnownMap& known = *found->second;
  SLUICE_RETURN_IF_ERROR(rows_.Start(*known.layout, rows));
  has_rows_ = true;
  while (true) {
    SLUICE_ASSIGN_OR_RETURN(const bool more, rows_.Next());
    if (!more) {
      return absl::OkStatus();
    }
    if (known.plan == nullptr) {
      SLUICE_RETURN_IF_ERROR(FeedMarker(rows_.after()));
      continue;
    }
    if (rows_.before() != nullptr) {
      SLUICE_RETURN_IF_ERROR(CheckImage(*known.plan, known.plan->key, *rows_.before()));
    }
    if (rows_.after() != nullptr) {
      SLUICE_RETURN_IF_ERROR(CheckImage(*known.plan, known.plan->written, *rows_.after()));
      SLUICE_RETURN_IF_ERROR(CheckImage(*known.plan, known.plan->key, *rows_.after()));
    }
    SLUICE_RETURN_IF_ERROR(sink_.OnChange(*known.plan, known.map, rows_.before(), rows_.after()));
  }
}

absl::Status EventDecoder::FeedMarker(const binlog::RowImage* after) {
  if (after == nullptr) {
    return absl::OkStatus();  // an old marker is cleared away
  }
  if (after->empty() || !after->front().present || after->front().null) {
    return absl::InvalidArgumentError("a marker without an id");
  }
  sink_.OnMarker(std::string(after->front().bytes));
  return absl::OkStatus();
}

absl::Status EventDecoder::End() {
  in_transaction_ = false;
  return sink_.OnEnd();
}

}  // namespace sluice::target
