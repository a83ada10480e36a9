// TailTransaction: names, events and skeleton of a transaction.

#include "agent/source/tail_transaction.h"

#include <algorithm>
#include <optional>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "common/base/status_macros.h"

namespace sluice::source {
namespace {

using binlog::EventType;

constexpr size_t kTablesMax = 256;
// Of the objects, their strings' heads and the table names; about.
constexpr size_t kOwnBytes = 512;
constexpr size_t kTableBytes = 160;
constexpr char kMarkerSeparator = '@';

bool IsRows(EventType type) {
  return type == EventType::kWriteRows || type == EventType::kUpdateRows ||
         type == EventType::kDeleteRows || type == EventType::kPartialUpdateRows;
}

}  // namespace

bool TailTransaction::Touches(const WantedTables& wanted) const {
  return any_table || std::any_of(tables.begin(), tables.end(), [&wanted](const auto& name) {
           return wanted.Contains(name.first, name.second);
         });
}

bool TailTransaction::IsUrgentFor(const WantedTables& wanted) const {
  const auto is_urgent = [&](const auto& name) {
    if (name.first != WantedTables::kSidecar) {
      return wanted.Contains(name.first, name.second);
    }
    // A marker's name ends with the database whose gate was closed. Bytes that look like it cost a
    // moment at most.
    return name.second == WantedTables::kMarker &&
           (!absl::StrContains(events, kMarkerSeparator) ||
            absl::StrContains(events,
                              absl::StrCat(std::string(1, kMarkerSeparator), wanted.database)));
  };
  return any_table || std::any_of(tables.begin(), tables.end(), is_urgent);
}

size_t TailTransaction::Bytes() const {
  return kOwnBytes + events.capacity() + skeleton.capacity() + kTableBytes * tables.size();
}

absl::StatusOr<std::shared_ptr<const TailTransaction>> TailTransactionBuilder::Feed(
    absl::string_view event) {
  SLUICE_RETURN_IF_ERROR(
      unwrapper_.Feed(event, [this](const binlog::EventHeader& header, absl::string_view body) {
        return Take(header, body);
      }));
  std::optional<gtid::Gtid> completed = filter_.TakeCompleted();
  if (!completed.has_value()) {
    return nullptr;
  }
  current_.gtid = *std::move(completed);
  return std::make_shared<const TailTransaction>(std::exchange(current_, TailTransaction()));
}

absl::Status TailTransactionBuilder::Take(const binlog::EventHeader& header,
                                          absl::string_view event) {
  if (header.type == EventType::kGtid || header.type == EventType::kGtidTagged) {
    current_ = TailTransaction();
  }
  if (!IsRows(header.type)) {  // which a filter without tables passes over, whatever they hold
    SLUICE_RETURN_IF_ERROR(filter_.FeedBare(header, event, current_.skeleton));
  }
  if (header.type == EventType::kTableMap) {
    SLUICE_ASSIGN_OR_RETURN(const binlog::TableName name, binlog::PeekTableMap(event));
    current_.tables.emplace(std::string(name.database), std::string(name.table));
    if (current_.tables.size() > kTablesMax) {
      current_.any_table = true;
      current_.tables.clear();
    }
  }
  Keep(event);
  return absl::OkStatus();
}

void TailTransactionBuilder::Keep(absl::string_view event) {
  if (current_.kept && current_.events.size() + event.size() <= bytes_max_) {
    AppendBare(event, event.size(), current_.events);
  } else if (current_.kept) {
    GiveUp();
  }
  // Statements as text may be as large as rows.
  if (current_.skeleton.size() > bytes_max_) {
    GiveUp();
    current_.any_table = true;
    current_.skeleton = std::string();
  }
}

void TailTransactionBuilder::GiveUp() {
  current_.kept = false;
  current_.events = std::string();
}

}  // namespace sluice::source
