// BinlogFilter: which events pass, and the end of each transaction.

#include "agent/source/binlog_filter.h"

#include <algorithm>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "common/base/status.h"
#include "common/base/status_macros.h"

namespace sluice::source {
namespace {

using binlog::EventType;

constexpr size_t kDrainBytes = size_t{64} << 10U;
// An event of more is handed on in pieces of this size.
constexpr size_t kPieceBytes = size_t{1} << 20U;

// Event types without a name in EventType (binlog_event.h).
constexpr uint8_t kIntvar = 5;
constexpr uint8_t kRand = 13;
constexpr uint8_t kUserVar = 14;
constexpr uint8_t kBeginLoadQuery = 17;
constexpr uint8_t kExecuteLoadQuery = 18;
constexpr uint8_t kIncident = 26;
constexpr uint8_t kTransactionContext = 36;
constexpr uint8_t kViewChange = 37;

absl::Status Refuse(uint8_t raw_type) {
  switch (raw_type) {
    case kBeginLoadQuery:
    case kExecuteLoadQuery:
      return absl::FailedPreconditionError(
          "LOAD DATA stands as a statement in the source's binlog; set binlog_format=ROW for the "
          "session that runs it, and copy the tables again");
    case kIncident:
      return absl::DataLossError(
          "the source's binlog holds an incident event: it has lost changes; copy the tables "
          "again");
    default:
      return absl::UnimplementedError(
          absl::StrCat("the source's binlog holds an event that cannot be followed: ",
                       binlog::EventTypeName(raw_type), "; cancel the workflow"));
  }
}

bool Harmless(const binlog::EventHeader& header) {
  return header.ignorable() || header.raw_type == kIntvar || header.raw_type == kRand ||
         header.raw_type == kUserVar || header.raw_type == kTransactionContext ||
         header.raw_type == kViewChange;
}

}  // namespace

BinlogFilter::BinlogFilter(std::string database, absl::flat_hash_set<std::string> tables)
    : BinlogFilter(WantedTables{.database = std::move(database), .tables = std::move(tables)}) {}

BinlogFilter::BinlogFilter(WantedTables wanted) : wanted_(std::move(wanted)) {}

std::optional<gtid::Gtid> BinlogFilter::TakeCompleted() {
  return std::exchange(completed_, std::nullopt);
}

absl::Status BinlogFilter::Feed(absl::string_view event, std::string& out, const Drain& drain) {
  drain_ = drain ? &drain : nullptr;
  return unwrapper_.Feed(event, [&](const binlog::EventHeader& header, absl::string_view body) {
    SLUICE_RETURN_IF_ERROR(FeedBody(header, body, out));
    // A compressed transaction goes on.
    return drain_ != nullptr && out.size() >= kDrainBytes && !completed_.has_value()
               ? (*drain_)(out)
               : absl::OkStatus();
  });
}

absl::Status BinlogFilter::FeedBare(const binlog::EventHeader& header, absl::string_view event,
                                    std::string& out) {
  drain_ = nullptr;
  return FeedBody(header, event, out);
}

absl::Status BinlogFilter::FeedBody(const binlog::EventHeader& header, absl::string_view event,
                                    std::string& out) {
  switch (header.type) {
    case EventType::kGtid:
    case EventType::kGtidTagged: {
      SLUICE_ASSIGN_OR_RETURN(binlog::GtidEvent gtid, binlog::DecodeGtid(event));
      BeginGtid(std::move(gtid.gtid));
      AppendBare(event, event.size(), out);
      return absl::OkStatus();
    }
    case EventType::kAnonymousGtid:
      return absl::FailedPreconditionError(
          "the source's binlog holds a transaction without a GTID; set gtid_mode=ON there");
    case EventType::kQuery:
      return FeedQuery(event, out);
    case EventType::kTableMap:
      return FeedTableMap(event, out);
    case EventType::kWriteRows:
    case EventType::kUpdateRows:
    case EventType::kDeleteRows:
    case EventType::kPartialUpdateRows:
      return FeedRows(event, out);
    case EventType::kXid:
    case EventType::kXaPrepare:
      AppendBare(event, event.size(), out);
      EndTransaction();
      return absl::OkStatus();
    case EventType::kTransactionPayload:
      return absl::InvalidArgumentError("a transaction payload inside a transaction payload");
    case EventType::kRotate:
    case EventType::kStop:
    case EventType::kIgnorable:
    case EventType::kRowsQuery:
      return absl::OkStatus();
    default:
      return Harmless(header) ? absl::OkStatus() : Refuse(header.raw_type);
  }
}

absl::Status BinlogFilter::FeedQuery(absl::string_view event, std::string& out) {
  SLUICE_ASSIGN_OR_RETURN(const binlog::QueryEvent query, binlog::DecodeQuery(event));
  const absl::string_view sql = query.sql;
  if (sql == "BEGIN" || absl::StartsWithIgnoreCase(sql, "XA START")) {
    begun_ = true;
    pending_begin_ = std::string(event);
    return absl::OkStatus();
  }
  if (sql == "COMMIT" || sql == "ROLLBACK") {
    AppendBare(event, event.size(), out);
    EndTransaction();
    return absl::OkStatus();
  }
  // These matter only where rows of ours are in the transaction.
  if (absl::StartsWithIgnoreCase(sql, "SAVEPOINT ") ||
      absl::StartsWithIgnoreCase(sql, "ROLLBACK TO") || absl::StartsWithIgnoreCase(sql, "XA END")) {
    if (begun_ && pending_begin_.empty()) {
      AppendBare(event, event.size(), out);
    }
    return absl::OkStatus();
  }
  EmitInTransaction(event, event.size(), out);
  if (!begun_) {
    EndTransaction();
  }
  return absl::OkStatus();
}

absl::Status BinlogFilter::FeedTableMap(absl::string_view event, std::string& out) {
  SLUICE_ASSIGN_OR_RETURN(const binlog::TableName name, binlog::PeekTableMap(event));
  if (!wanted_.Contains(name.database, name.table)) {
    // A table id may come to mean another table within one transaction.
    wanted_ids_.erase(name.table_id);
    return absl::OkStatus();
  }
  wanted_ids_.insert(name.table_id);
  EmitInTransaction(event, event.size(), out);
  return absl::OkStatus();
}

absl::Status BinlogFilter::FeedRows(absl::string_view event, std::string& out) {
  if (wanted_ids_.empty()) {
    return absl::OkStatus();
  }
  SLUICE_ASSIGN_OR_RETURN(const uint64_t id, binlog::PeekRowsTableId(event));
  return wanted_ids_.contains(id) ? EmitRows(event, out) : absl::OkStatus();
}

absl::Status BinlogFilter::EmitRows(absl::string_view event, std::string& out) {
  const bool whole = drain_ == nullptr || event.size() <= kPieceBytes;
  const absl::string_view first = whole ? event : event.substr(0, kPieceBytes);
  EmitInTransaction(first, event.size(), out);
  for (size_t at = first.size(); at < event.size(); at += kPieceBytes) {
    SLUICE_RETURN_IF_ERROR((*drain_)(out));
    const absl::string_view piece = event.substr(at, kPieceBytes);
    out.append(piece.data(), piece.size());
  }
  return absl::OkStatus();
}

void BinlogFilter::BeginGtid(gtid::Gtid gtid) {
  EndTransaction();
  completed_.reset();
  current_ = std::move(gtid);
}

void BinlogFilter::EmitInTransaction(absl::string_view event, size_t length, std::string& out) {
  if (!pending_begin_.empty()) {
    AppendBare(pending_begin_, pending_begin_.size(), out);
    pending_begin_.clear();
  }
  AppendBare(event, length, out);
}

void BinlogFilter::EndTransaction() {
  completed_ = std::exchange(current_, std::nullopt);
  begun_ = false;
  pending_begin_.clear();
  wanted_ids_.clear();
}

}  // namespace sluice::source
