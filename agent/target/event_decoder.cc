// EventDecoder: the order of events, table maps, and what is refused.

#include "agent/target/event_decoder.h"

#include <algorithm>
#include <optional>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "agent/gate/marker_name.h"
#include "agent/source/event_splitter.h"
#include "common/base/status.h"
#include "common/base/status_macros.h"
#include "common/binlog/json_patch.h"

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

bool OfRows(EventType type) {
  return type == EventType::kTableMap || type == EventType::kWriteRows ||
         type == EventType::kUpdateRows || type == EventType::kDeleteRows ||
         type == EventType::kPartialUpdateRows;
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
    return absl::InvalidArgumentError(absl::StrCat(
        "the event ", binlog::EventTypeName(header.raw_type), " outside a transaction"));
  }
  if (xid_.has_value() && OfRows(header.type)) {
    if (xa_events_.size() + event.size() > kPreparedBytesMax) {
      return prepared_.TooLarge(*xid_, xa_events_.size() + event.size());
    }
    xa_events_.append(event.data(), event.size());
    return absl::OkStatus();
  }
  switch (header.type) {
    case EventType::kQuery:
      return FeedQuery(event);
    case EventType::kTableMap:
      return FeedTableMap(event);
    case EventType::kWriteRows:
    case EventType::kUpdateRows:
    case EventType::kDeleteRows:
    case EventType::kPartialUpdateRows:
      return FeedRows(event);
    case EventType::kXaPrepare:
      return FeedXaPrepare(event);
    case EventType::kXid:
      return End();
    default:
      return absl::InvalidArgumentError(
          absl::StrCat("the event ", binlog::EventTypeName(header.raw_type), " from the source"));
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
  gtid_ = gtid.gtid;
  xid_.reset();
  open_.clear();
  if (maps_.size() > kKnownMapsMax) {
    maps_.clear();
  }
  return sink_.OnBegin(gtid);
}

absl::Status EventDecoder::FeedQuery(absl::string_view event) {
  SLUICE_ASSIGN_OR_RETURN(const binlog::QueryEvent query, binlog::DecodeQuery(event));
  absl::string_view sql = query.sql;
  if (sql == "BEGIN") {
    begun_ = true;
    return absl::OkStatus();
  }
  if (sql == "COMMIT") {
    return End();
  }
  if (absl::ConsumePrefix(&sql, "XA ")) {
    if (absl::ConsumePrefix(&sql, "START ")) {
      begun_ = true;
      xid_ = std::string(sql);
      xa_events_.clear();
    }
    const bool commit = absl::ConsumePrefix(&sql, "COMMIT ");
    return commit || absl::ConsumePrefix(&sql, "ROLLBACK ") ? Decide(sql, commit)
                                                            : absl::OkStatus();
  }
  if (sql == "ROLLBACK" || absl::StartsWithIgnoreCase(sql, "ROLLBACK TO")) {
    if (has_rows_ || !xa_events_.empty()) {
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
  SLUICE_ASSIGN_OR_RETURN(const binlog::EventHeader header, binlog::DecodeHeader(event));
  return FeedStatement(query, header.timestamp);
}

absl::Status EventDecoder::FeedStatement(const binlog::QueryEvent& query, uint32_t seconds) {
  const StatementEffect effect = JudgeStatement(watched_, query.database, query.sql);
  const bool of_definition =
      effect == StatementEffect::kDefinition || effect == StatementEffect::kTables;
  if (watched_.on_ddl == DdlPolicy::kHandOver && of_definition && !begun_) {
    sink_.OnDdl({.gtid = gtid_, .query = query, .seconds = seconds});
    return absl::OkStatus();
  }
  if (watched_.on_ddl != DdlPolicy::kIgnore || effect != StatementEffect::kDefinition) {
    SLUICE_RETURN_IF_ERROR(RefuseStatement(effect, query.sql));
  }
  return begun_ ? absl::OkStatus() : End();
}

absl::Status EventDecoder::FeedXaPrepare(absl::string_view event) {
  if (!xid_.has_value()) {
    return End();  // without rows of ours, XA START does not come
  }
  SLUICE_ASSIGN_OR_RETURN(const bool one_phase, binlog::DecodeXaPrepareIsOnePhase(event));
  auto events = std::make_shared<const std::string>(std::move(xa_events_));
  const std::string xid = *std::exchange(xid_, std::nullopt);
  xa_events_.clear();
  if (one_phase) {
    SLUICE_RETURN_IF_ERROR(Replay(events));
    return End();
  }
  in_transaction_ = false;
  sink_.OnHeld();
  return prepared_.Keep(xid, {gtid_, std::move(events)});
}

// What is not kept had no rows of ours, or was decided before the first snapshot was opened.
absl::Status EventDecoder::Decide(absl::string_view xid, bool commit) {
  const std::optional<PreparedTransactions::Prepared> prepared = prepared_.Take(xid);
  if (prepared.has_value()) {
    sink_.OnDecided(prepared->gtid);
    if (commit) {
      SLUICE_RETURN_IF_ERROR(Replay(prepared->events));
    }
  }
  return End();
}

absl::Status EventDecoder::Replay(const std::shared_ptr<const std::string>& events) {
  sink_.OnKeep(events);
  absl::string_view rest = *events;
  while (!rest.empty()) {
    SLUICE_ASSIGN_OR_RETURN(const absl::string_view event, source::NextEvent(rest));
    rest.remove_prefix(event.size());
    SLUICE_RETURN_IF_ERROR(Feed(event));
  }
  return absl::OkStatus();
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
      const TablePlan& plan = *known.plan;
      SLUICE_RETURN_IF_ERROR(
          CheckImage(plan, plan.HasKey() ? plan.key : plan.written, *rows_.before()));
    }
    const binlog::RowImage* after = rows_.after();
    if (after != nullptr) {
      SLUICE_RETURN_IF_ERROR(CheckImage(*known.plan, known.plan->written, *after));
      SLUICE_RETURN_IF_ERROR(CheckImage(*known.plan, known.plan->key, *after));
    }
    if (rows.type == EventType::kPartialUpdateRows) {
      SLUICE_RETURN_IF_ERROR(MakeWhole(*known.plan, *rows_.before(), *after));
      after = &whole_;
    }
    SLUICE_RETURN_IF_ERROR(sink_.OnChange(*known.plan, known.map, rows_.before(), after));
  }
}

absl::Status EventDecoder::MakeWhole(const TablePlan& plan, const binlog::RowImage& before,
                                     const binlog::RowImage& after) {
  whole_ = after;
  for (size_t i = 0; i < whole_.size(); ++i) {
    binlog::ImageCell& cell = whole_[i];
    if (!cell.present || !cell.partial) {
      continue;
    }
    cell.partial = false;
    if (cell.null || plan.schema.columns[i].is_generated) {
      continue;
    }
    if (!before[i].present) {
      return NotWhole(plan, i);
    }
    auto document = before[i].null ? absl::InvalidArgumentError("a partial update of NULL")
                                   : binlog::ApplyJsonDiffs(before[i].bytes, cell.bytes);
    if (!document.ok()) {
      return WithSubject(
          Annotate(document.status(),
                   absl::StrCat("column ", plan.schema.columns[i].name, " of ", plan.table)),
          plan.table);
    }
    auto kept = std::make_shared<const std::string>(*std::move(document));
    cell.bytes = *kept;
    sink_.OnKeep(std::move(kept));
  }
  return absl::OkStatus();
}

absl::Status EventDecoder::FeedMarker(const binlog::RowImage* after) {
  if (after == nullptr) {
    return absl::OkStatus();  // an old marker is cleared away
  }
  if (after->empty() || !after->front().present || after->front().null) {
    return absl::InvalidArgumentError("a marker without an id");
  }
  std::optional<std::string> id = gate::MarkerIdFor(after->front().bytes, watched_.database);
  if (id.has_value()) {
    sink_.OnMarker(*std::move(id));
  }
  return absl::OkStatus();
}

absl::Status EventDecoder::End() {
  if (xid_.has_value()) {
    return absl::InvalidArgumentError(
        absl::StrCat("the XA transaction ", *xid_, " ends without being prepared"));
  }
  in_transaction_ = false;
  return sink_.OnEnd();
}

}  // namespace sluice::target
