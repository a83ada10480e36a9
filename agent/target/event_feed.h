// EventFeed: the batches of one binlog session, each next one fetched while the last is applied.

#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "agent/target/background_call.h"
#include "agent/target/source_client.h"

namespace sluice::target {

struct EventFeedOptions {
  uint32_t bytes_max = 1U << 20U;  // per batch
  absl::Duration wait;             // for the first event of a batch
};

// Owned by one thread, but for Close.
class EventFeed {
 public:
  // Opens a session at `position`. `client` outlives the feed.
  static absl::StatusOr<std::unique_ptr<EventFeed>> Open(SourceClient& client,
                                                         const std::string& database,
                                                         const std::vector<std::string>& tables,
                                                         const std::string& position,
                                                         EventFeedOptions options);
  EventFeed(const EventFeed&) = delete;
  EventFeed& operator=(const EventFeed&) = delete;
  ~EventFeed();  // Close()

  // Ends the session; a Next that waits returns soon, and every later one fails. Thread-safe.
  void Close();

  // The next batch; without events when none came in time. After an error the feed is of no more
  // use.
  absl::StatusOr<FetchedEvents> Next();

 private:
  EventFeed(SourceClient& client, std::string session, EventFeedOptions options);
  void Fetch();

  SourceClient& client_;
  const std::string session_;
  const EventFeedOptions options_;
  uint64_t number_ = 0;  // of the last batch asked for
  BackgroundCall<absl::StatusOr<FetchedEvents>> call_;
};

}  // namespace sluice::target
