// EventFeed: one batch in flight while the last one is used.

#include "agent/target/event_feed.h"

#include <utility>

#include "common/base/status_macros.h"

namespace sluice::target {

EventFeed::EventFeed(SourceClient& client, std::string session, EventFeedOptions options)
    : client_(client), session_(std::move(session)), options_(options) {
  Fetch();
}

absl::StatusOr<std::unique_ptr<EventFeed>> EventFeed::Open(SourceClient& client,
                                                           const std::string& database,
                                                           const std::vector<std::string>& tables,
                                                           const std::string& position,
                                                           EventFeedOptions options) {
  SLUICE_ASSIGN_OR_RETURN(std::string session, client.OpenBinlog(database, tables, position));
  return std::unique_ptr<EventFeed>(new EventFeed(client, std::move(session), options));
}

EventFeed::~EventFeed() {
  Close();
}

void EventFeed::Close() {
  // Also makes a call in flight return at once.
  client_.CloseSession(session_);
}

void EventFeed::Fetch() {
  ++number_;
  call_.Start([this, number = number_] {
    return client_.FetchEvents(session_, number, options_.bytes_max, options_.wait);
  });
}

absl::StatusOr<FetchedEvents> EventFeed::Next() {
  if (!call_.started()) {
    return absl::FailedPreconditionError("the feed has ended");
  }
  absl::StatusOr<FetchedEvents> batch = call_.Take();
  if (batch.ok()) {
    Fetch();
  }
  return batch;
}

}  // namespace sluice::target
