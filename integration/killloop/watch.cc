// Watch: a look at one side between two looks at the other.

#include "integration/killloop/watch.h"

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "common/base/status_macros.h"

namespace sluice::killloop {
namespace {

constexpr absl::Duration kPause = absl::Milliseconds(20);

// Before anything of a gate changes, its record does.
absl::StatusOr<std::string> ReadRecords(mysql::Connection& session) {
  return session.QueryScalar(
      "SELECT COALESCE(GROUP_CONCAT(workflow, ' ', state, ' ', epoch ORDER BY workflow), '') FROM"
      " _sluice.gate WHERE database_name = DATABASE()");
}

absl::Status Connect(const mysql::ConnectionOptions& address,
                     std::unique_ptr<mysql::Connection>& session) {
  if (session == nullptr || !session->healthy()) {
    SLUICE_ASSIGN_OR_RETURN(session, mysql::Connection::Connect(address));
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<bool> IsOpen(mysql::Connection& session) {
  SLUICE_ASSIGN_OR_RETURN(
      const mysql::QueryResult result,
      session.Query("SELECT COUNT(*), MAX(@@GLOBAL.read_only) FROM information_schema.tables WHERE"
                    " table_schema = DATABASE() AND table_name IN ('corder', 'customer')"
                    " AND table_type = 'BASE TABLE'"));
  const std::string tables = result.rows.at(0)[0].value_or("");
  if (tables == "1") {
    return absl::DataLossError("one of two tables stands under its name");
  }
  return tables == "2" && result.rows.at(0)[1] == "0";
}

std::unique_ptr<Watch> Watch::Start(const mysql::ConnectionOptions& one,
                                    const mysql::ConnectionOptions& other) {
  std::unique_ptr<Watch> self(new Watch);
  self->sides_[0].address = one;
  self->sides_[1].address = other;
  self->thread_ = std::jthread([own = self.get()] { own->Loop(); });
  return self;
}

Watch::~Watch() {
  {
    const absl::MutexLock lock(&mutex_);
    stopped_ = true;
  }
  thread_.join();
}

std::string Watch::finding() const {
  const absl::MutexLock lock(&mutex_);
  return finding_;
}

uint64_t Watch::looks() const {
  const absl::MutexLock lock(&mutex_);
  return looks_;
}

void Watch::Loop() {
  for (size_t turn = 0;; ++turn) {
    {
      const absl::MutexLock lock(&mutex_);
      if (mutex_.AwaitWithTimeout(absl::Condition(&stopped_), kPause)) {
        return;
      }
    }
    // A side that ends, or is being changed, is looked at again.
    Look(sides_[turn % 2], sides_[(turn + 1) % 2]).IgnoreError();
  }
}

// Who is open before and after, while its records say the same, was open all the time between:
// whoever closes writes his intent first.
absl::Status Watch::Look(Side& first, Side& second) {
  for (Side* side : {&first, &second}) {
    SLUICE_RETURN_IF_ERROR(Connect(side->address, side->session));
  }
  SLUICE_ASSIGN_OR_RETURN(const std::string before, ReadRecords(*first.session));
  SLUICE_ASSIGN_OR_RETURN(const bool was_open, IsOpen(*first.session));
  SLUICE_ASSIGN_OR_RETURN(const bool both, IsOpen(*second.session));
  SLUICE_ASSIGN_OR_RETURN(const bool is_open, IsOpen(*first.session));
  SLUICE_ASSIGN_OR_RETURN(const std::string after, ReadRecords(*first.session));
  if (!was_open || !is_open || before != after) {
    return absl::OkStatus();
  }
  const absl::MutexLock lock(&mutex_);
  ++looks_;
  if (both && finding_.empty()) {
    finding_ = absl::StrCat("both sides are open at once: ", second.address.database, ", and ",
                            first.address.database, " (its gates: ", before, ")");
  }
  return absl::OkStatus();
}

}  // namespace sluice::killloop
