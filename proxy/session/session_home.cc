// Session: what of the client's session lives on one server only, when statements go to several.

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "common/base/status.h"
#include "common/base/status_macros.h"
#include "proxy/session/session.h"

namespace sluice::proxy {

void Session::Drop(Backend* backend) {
  state_.Lost(backends_.SessionOf(backend).number);
  backends_.Drop(backend);
}

absl::Status Session::End(const absl::Status& why) {
  SLUICE_RETURN_IF_ERROR(SendError(why));
  return absl::UnavailableError(why.message());
}

absl::Status Session::Fail(const absl::Status& why) {
  return state_.broken().ok() ? SendError(why) : End(state_.broken());
}

absl::StatusOr<Backend*> Session::HomeFor(const Work& work) {
  const sql::Statement& statement = work.statement;
  const sql::SessionUse& use = statement.session;
  const bool reads_session = (statement.is_read && !use.unknown_calls) || use.diagnostics;
  if (transaction_.backend != nullptr || !reads_session || !statement.tables.empty() ||
      !statement.qualifiers.empty()) {
    return nullptr;
  }
  SLUICE_ASSIGN_OR_RETURN(const uint64_t number, state_.HomeOf(use));
  Backend* home = number == 0 ? nullptr : backends_.Find(number);
  if (home != nullptr && home->IsStale()) {
    Drop(home);
    SLUICE_RETURN_IF_ERROR(state_.broken());
    SLUICE_RETURN_IF_ERROR(state_.HomeOf(use).status());  // what is lost with it
    home = nullptr;
  }
  return home;
}

absl::StatusOr<bool> Session::RunAtHome(Work work, const RuleSnapshot& snapshot, Backend* home) {
  work.is_outside = true;
  return Attempt(work, snapshot, home, OpenWork(), false);
}

void Session::SettleInsertId(const Work& work) {
  const uint64_t number = state_.DoubtfulInsert();
  if (number == 0 || work.statement.session.diagnostics) {
    return;
  }
  Backend* backend = backends_.Find(number);
  std::string text;
  uint64_t id = 0;
  const auto asked = backend->Run("SELECT LAST_INSERT_ID()", &text);
  if (asked.ok() && !asked->is_error && absl::SimpleAtoi(text, &id)) {
    state_.Settle(id);
  } else if (backend != transaction_.backend) {
    Drop(backend);
  } else {
    state_.Lost(number);  // the statement itself will find that out
  }
}

absl::Status Session::Prepare(const Work& work, Backend* backend) {
  const sql::SessionUse& use = work.statement.session;
  SLUICE_RETURN_IF_ERROR(state_.broken());
  SLUICE_RETURN_IF_ERROR(state_.Check(use, backends_.SessionOf(backend)));
  const uint64_t from = state_.InsertIdFrom(use, backends_.SessionOf(backend).number);
  return from == 0 ? absl::OkStatus() : CarryInsertId(backends_.Find(from), backend);
}

absl::Status Session::CarryInsertId(Backend* from, Backend* to) {
  const ServerSession server = backends_.SessionOf(to);
  std::string id;
  const auto asked = from->Run("SELECT LAST_INSERT_ID()", &id);
  if (!asked.ok() || asked->is_error) {
    Drop(from);
    sql::SessionUse use;
    use.last_insert_id = true;
    return state_.Check(use, server);  // says that it is lost
  }
  const auto set = to->Run(absl::StrCat("SET last_insert_id = ", id));
  if (set.ok() && !set->is_error) {
    state_.InsertIdIsOn(server);
    return absl::OkStatus();
  }
  if (set.ok()) {
    return MysqlError(set->error.code, set->error.message);
  }
  if (transaction_.backend != to) {
    Drop(to);
    return set.status();
  }
  // What follows must not run outside the transaction that the client believes in.
  over_ = true;
  ForgetTransaction();
  return MysqlError(2013, absl::StrCat("Lost connection to tablet ", server.alias,
                                       ": the transaction is rolled back"));
}

absl::Status Session::CheckKept(const RuleSnapshot& snapshot) {
  SLUICE_RETURN_IF_ERROR(state_.broken());
  if (state_.kept().empty() || kept_epoch_ == snapshot.epoch()) {
    return absl::OkStatus();
  }
  const std::vector<SessionState::Kept> all = state_.kept();
  for (const SessionState::Kept& kept : all) {
    if (IsServed(kept, snapshot)) {
      continue;
    }
    Backend* backend = backends_.Find(kept.server.number);
    if (kept.temporary.empty() && backend != nullptr) {
      // Only the server knows whether a lock is held; this lets go of it.
      std::string released;
      const auto asked = backend->Run("SELECT RELEASE_ALL_LOCKS()", &released);
      if (asked.ok() && !asked->is_error && released == "0") {
        state_.ForgetLocks(kept.server.number);
        continue;
      }
    }
    return SessionEnds(
        kept, absl::StrCat("that place is served elsewhere since epoch ", snapshot.epoch()));
  }
  kept_epoch_ = snapshot.epoch();
  return absl::OkStatus();
}

}  // namespace sluice::proxy
