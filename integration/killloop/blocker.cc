// Blocker: a session whose end lets go of its locks.

#include "integration/killloop/blocker.h"

#include "common/base/status_macros.h"

namespace sluice::killloop {

absl::StatusOr<std::unique_ptr<Blocker>> Blocker::Start(std::unique_ptr<mysql::Connection> session,
                                                        Of what, absl::Duration length) {
  if (what == Of::kCommits) {
    SLUICE_RETURN_IF_ERROR(session->Execute("BEGIN").status());
    SLUICE_RETURN_IF_ERROR(
        session->Execute("SELECT * FROM _sluice.stream_position FOR UPDATE").status());
  } else {
    SLUICE_RETURN_IF_ERROR(session->Execute("LOCK TABLES _sluice_closed_corder WRITE").status());
  }
  return std::unique_ptr<Blocker>(new Blocker(std::move(session), length));
}

Blocker::Blocker(std::unique_ptr<mysql::Connection> session, absl::Duration length)
    : session_(std::move(session)), thread_([this, length] {
        over_.WaitForNotificationWithTimeout(length);
        session_.reset();
      }) {}

Blocker::~Blocker() {
  over_.Notify();
}

}  // namespace sluice::killloop
