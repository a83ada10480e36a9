// ChangeFeed: decoding into the group that is taken next.

#include "agent/target/change_feed.h"

#include <algorithm>
#include <utility>

#include "absl/time/clock.h"
#include "common/base/status_macros.h"

namespace sluice::target {
namespace {

// An event above this is received only when the group that was taken last is done with.
constexpr size_t kLargeEventBytes = size_t{24} << 20U;

}  // namespace

absl::StatusOr<std::unique_ptr<ChangeFeed>> ChangeFeed::Open(const Source& source,
                                                             const std::vector<std::string>& tables,
                                                             const std::string& position,
                                                             const ChangeFeedOptions& options) {
  SLUICE_ASSIGN_OR_RETURN(
      std::unique_ptr<EventFeed> events,
      EventFeed::Open(source.client, source.watched.database, tables, position, options.events));
  return std::unique_ptr<ChangeFeed>(new ChangeFeed(source, std::move(events), options));
}

ChangeFeed::ChangeFeed(const Source& source, std::unique_ptr<EventFeed> events,
                       const ChangeFeedOptions& options)
    : events_(std::move(events)),
      builder_(source.watched, source.plans, options.group),
      reader_([this] { Read(); }) {}

ChangeFeed::~ChangeFeed() {
  {
    const absl::MutexLock lock(&mutex_);
    closed_ = true;
  }
  events_->Close();
}

void ChangeFeed::Read() {
  while (true) {
    const absl::StatusOr<FetchedEvents> batch = events_->Next();
    const absl::Status status = batch.ok() ? Add(*batch) : batch.status();
    if (!status.ok()) {
      const absl::MutexLock lock(&mutex_);
      failure_ = status;
      return;
    }
  }
}

absl::Status ChangeFeed::Add(const FetchedEvents& batch) {
  joiner_.Add(batch.events);
  while (true) {
    SLUICE_ASSIGN_OR_RETURN(const source::EventJoiner::Event event, joiner_.Next());
    if (event.bytes.empty()) {
      break;
    }
    const absl::MutexLock lock(&mutex_);
    mutex_.Await(absl::Condition(this, &ChangeFeed::HasRoomOrClosed));
    if (closed_) {
      return absl::CancelledError("the feed is closed");
    }
    SLUICE_RETURN_IF_ERROR(builder_.Add(event.bytes, event.buffer));
    NoteReady();
  }
  if (joiner_.waited_for() > kLargeEventBytes) {
    const absl::MutexLock lock(&mutex_);
    mutex_.Await(absl::Condition(this, &ChangeFeed::IsAskedOrClosed));
  }
  const absl::MutexLock lock(&mutex_);
  builder_.Heard(batch.source_time_us, batch.caught_up);
  NoteReady();
  return absl::OkStatus();
}

void ChangeFeed::NoteReady() {
  if (ready_ == absl::InfiniteFuture() && builder_.WorthTaking()) {
    ready_ = absl::Now();
  }
}

void ChangeFeed::LimitChanges(size_t changes_max) {
  const absl::MutexLock lock(&mutex_);
  builder_.LimitChanges(changes_max);
}

absl::StatusOr<ChangeGroup> ChangeFeed::Next() {
  const absl::Time begun = absl::Now();
  const absl::MutexLock lock(&mutex_);
  asked_ = true;
  mutex_.Await(absl::Condition(this, &ChangeFeed::HasSomething));
  asked_ = false;
  if (failure_.has_value() && !builder_.Whole()) {
    return *failure_;
  }
  ChangeGroup group = builder_.Take();
  group.waiting = absl::Now() - begun;
  group.hand_off = std::max(begun - ready_, absl::ZeroDuration());
  ready_ = absl::InfiniteFuture();
  return group;
}

}  // namespace sluice::target
