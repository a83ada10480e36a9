// Blocker: a session whose end lets go of its locks.

#include "integration/killloop/blocker.h"

#include <string>
#include <vector>

#include "common/base/status_macros.h"

namespace sluice::killloop {

absl::StatusOr<std::unique_ptr<Blocker>> Blocker::Start(std::unique_ptr<mysql::Connection> session,
                                                        Of what, absl::Duration length) {
  std::vector<std::string> statements;
  switch (what) {
    case Of::kCommits:
      statements = {"BEGIN", "SELECT * FROM _sluice.stream_position FOR UPDATE"};
      break;
    case Of::kViews:
      statements = {"LOCK TABLES _sluice_closed_corder WRITE"};
      break;
    case Of::kRecords:
      statements = {"BEGIN", "SELECT * FROM _sluice.gate FOR UPDATE"};
      break;
  }
  for (const std::string& statement : statements) {
    SLUICE_RETURN_IF_ERROR(session->Execute(statement).status());
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
