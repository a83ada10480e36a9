// BinlogFilter: which events pass, and the end of each transaction.

#include "agent/source/binlog_filter.h"

#include <algorithm>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "common/base/status.h"
#include "common/base/status_macros.h"
#include "common/binlog/payload_reader.h"

namespace sluice::source {
namespace {

using binlog::EventType;

constexpr absl::string_view kSidecar = "_sluice";
constexpr absl::string_view kMarker = "marker";
constexpr size_t kLengthOffset = 9;
constexpr size_t kInnerEventBytesMax = size_t{1} << 30U;
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

// Appends an event, or the first piece of one, that is `length` bytes long.
void Append(absl::string_view event, size_t length, std::string& out) {
  const size_t at = out.size();
  out.append(event.data(), event.size());
  // The header may still count a checksum that was taken off.
  for (size_t i = 0; i < 4; ++i) {
    out[at + kLengthOffset + i] = static_cast<char>(length & 0xFFU);
    length >>= 8U;
  }
}

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
    : database_(std::move(database)), tables_(std::move(tables)) {}

std::optional<gtid::Gtid> BinlogFilter::TakeCompleted() {
  return std::exchange(completed_, std::nullopt);
}

absl::Status BinlogFilter::Feed(absl::string_view event, std::string& out, const Drain& drain) {
  SLUICE_ASSIGN_OR_RETURN(const binlog::EventHeader header, binlog::DecodeHeader(event));
  drain_ = drain ? &drain : nullptr;
  switch (header.type) {
    case EventType::kFormatDescription: {
      SLUICE_ASSIGN_OR_RETURN(checksums_, binlog::DecodeFormatDescriptionHasChecksum(event));
      return absl::OkStatus();
    }
    // The first ROTATE comes before the format description, so whether it has a checksum is
    // unknown.
    case EventType::kRotate:
    case EventType::kHeartbeatV1:
    case EventType::kHeartbeatV2:
    case EventType::kStop:
    case EventType::kPreviousGtids:
    case EventType::kIgnorable:
    case EventType::kRowsQuery:
      return absl::OkStatus();
    default:
      break;
  }
  absl::string_view body = event;
  if (checksums_) {
    SLUICE_ASSIGN_OR_RETURN(body, binlog::VerifyAndStripChecksum(event));
  }
  return header.type == EventType::kTransactionPayload ? FeedPayload(body, out)
                                                       : FeedBody(header, body, out);
}

absl::Status BinlogFilter::FeedBody(const binlog::EventHeader& header, absl::string_view event,
                                    std::string& out) {
  switch (header.type) {
    case EventType::kGtid:
    case EventType::kGtidTagged: {
      SLUICE_ASSIGN_OR_RETURN(binlog::GtidEvent gtid, binlog::DecodeGtid(event));
      BeginGtid(std::move(gtid.gtid));
      Append(event, event.size(), out);
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
      Append(event, event.size(), out);
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

absl::Status BinlogFilter::FeedPayload(absl::string_view event, std::string& out) {
  SLUICE_ASSIGN_OR_RETURN(binlog::PayloadReader reader, binlog::PayloadReader::Open(event));
  while (true) {
    SLUICE_ASSIGN_OR_RETURN(const absl::string_view inner, reader.Next(kInnerEventBytesMax));
    if (inner.empty()) {
      return absl::OkStatus();
    }
    SLUICE_ASSIGN_OR_RETURN(const binlog::EventHeader header, binlog::DecodeHeader(inner));
    SLUICE_RETURN_IF_ERROR(FeedBody(header, inner, out));
    if (drain_ != nullptr && out.size() >= kDrainBytes && !completed_.has_value()) {
      SLUICE_RETURN_IF_ERROR((*drain_)(out));
    }
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
    Append(event, event.size(), out);
    EndTransaction();
    return absl::OkStatus();
  }
  // These matter only where rows of ours are in the transaction.
  if (absl::StartsWithIgnoreCase(sql, "SAVEPOINT ") ||
      absl::StartsWithIgnoreCase(sql, "ROLLBACK TO") || absl::StartsWithIgnoreCase(sql, "XA END")) {
    if (begun_ && pending_begin_.empty()) {
      Append(event, event.size(), out);
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
  if (!Wanted(name)) {
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
    Append(pending_begin_, pending_begin_.size(), out);
    pending_begin_.clear();
  }
  Append(event, length, out);
}

void BinlogFilter::EndTransaction() {
  completed_ = std::exchange(current_, std::nullopt);
  begun_ = false;
  pending_begin_.clear();
  wanted_ids_.clear();
}

bool BinlogFilter::Wanted(const binlog::TableName& name) const {
  if (name.database == kSidecar) {
    return name.table == kMarker;
  }
  return name.database == database_ && tables_.contains(name.table);
}

}  // namespace sluice::source
