// Session: a statement on its way to a backend, through holds, closed gates and lost connections.

#include <algorithm>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "common/base/log.h"
#include "common/base/status.h"
#include "common/base/status_macros.h"
#include "proxy/backend/result.h"
#include "proxy/session/session.h"

namespace sluice::proxy {
namespace {

// A closed gate is looked at again this often while no new epoch comes.
constexpr absl::Duration kGateStep = absl::Milliseconds(20);
// Rules that stand unchanged this long, and that the coordinator confirms, are right: the table is
// not there.
constexpr absl::Duration kGatePatience = absl::Seconds(1);
constexpr absl::Duration kConnectStep = absl::Milliseconds(50);

// What mysqld says of a table behind a closed gate, or when it has stopped being writable. The
// gate's table may have another name now, with nothing or a view under its own; all of this is said
// before the statement has changed anything.
bool MeansClosedGate(const ErrorPacket& error) {
  switch (error.code) {
    case 1051:  // DROP TABLE: unknown table
    case 1146:
    case 1176:  // an index hint: the view has no such key
    case 1345:  // EXPLAIN of a view whose definer may not do that
    case 1356:  // the view's definer may not do that
    case 1836:  // read-only mode
      return true;
    case 1288:  // "The target table t of the LOAD is not updatable", among other statements
      return absl::StrContains(error.message, "of the LOAD");
    case 1290:  // "running with the --read-only option", among other options
      return absl::StrContains(error.message, "read-only") ||
             absl::StrContains(error.message, "read_only");
    case 1347:  // ALTER TABLE, CREATE INDEX, …: "is not BASE TABLE", or is not VIEW
      return absl::StrContains(error.message, "BASE TABLE");
    default:
      return false;
  }
}

// "customer2/-80 (customer/-80 by its shard rule)".
std::string PlaceOf(const Plan& plan) {
  return absl::StrCat(NameOf(plan.place),
                      plan.via.empty() ? "" : absl::StrCat(" (", plan.via, " by its shard rule)"));
}

}  // namespace

absl::Status Session::Execute(const Work& work) {
  WaitingPlace place(services_.traffic, work.text.size());
  const absl::Time deadline = absl::Now() + services_.limits.window;
  ClosedGate gate;
  while (true) {
    const auto snapshot = services_.traffic.snapshot();
    if (const absl::Status kept = CheckKept(*snapshot); !kept.ok()) {
      return End(kept);
    }
    SettleInsertId(work);
    const auto home = HomeFor(work);
    if (!home.ok()) {
      return Fail(home.status());
    }
    if (*home != nullptr) {
      SLUICE_ASSIGN_OR_RETURN(const bool again, RunAtHome(work, *snapshot, *home));
      if (again) {
        continue;
      }
      return absl::OkStatus();
    }
    const auto plan = MakePlan(work.statement, target_, *snapshot);
    if (!plan.ok()) {
      return SendError(plan.status());
    }
    auto admitted = services_.traffic.Admit(
        {*plan, transaction_.work, deadline, [this] { return ClientIsGone(); }}, place);
    if (!admitted.ok()) {
      if (admitted.status().code() == absl::StatusCode::kCancelled) {
        return absl::AbortedError("the client is gone");
      }
      place.Leave();
      return SendError(admitted.status());
    }
    if (!admitted->has_value()) {
      continue;  // the rules have changed: another plan
    }
    OpenWork open = *std::move(*admitted);
    const auto backend = BackendFor(*plan, *snapshot);
    if (!backend.ok()) {
      open.Reset();
      SLUICE_ASSIGN_OR_RETURN(const bool again,
                              WaitForTablet(backend.status(), snapshot->epoch(), deadline, place));
      if (again) {
        continue;
      }
      place.Leave();
      return SendError(backend.status());
    }
    if (const absl::Status ready = Prepare(work, *backend); !ready.ok()) {
      if (ready.code() == absl::StatusCode::kUnavailable && absl::Now() < deadline) {
        continue;  // the backend was lost before anything of the statement was sent
      }
      place.Leave();
      return Fail(ready);
    }
    place.Leave();  // what is sent waits no more
    // What a procedure did before it met the gate is committed.
    const bool may_keep_back = plan->by_rule && transaction_.backend == nullptr && !gate.is_final &&
                               work.statement.kind != sql::StatementKind::kCall;
    SLUICE_ASSIGN_OR_RETURN(const bool again,
                            Attempt(work, *snapshot, *backend, std::move(open), may_keep_back));
    if (!again) {
      return absl::OkStatus();
    }
    SLUICE_RETURN_IF_ERROR(WaitForGate(plan->epoch, deadline, place, gate));
  }
}

absl::Status Session::WaitForGate(uint64_t epoch, absl::Time deadline, WaitingPlace& place,
                                  ClosedGate& gate) {
  const absl::Time now = absl::Now();
  if (gate.epoch != epoch) {
    gate.epoch = epoch;
    gate.since = now;
  }
  const bool patient = now - gate.since < kGatePatience;
  const bool confirmed =
      !patient && services_.traffic.ConfirmEpoch(std::min(deadline, now + kGatePatience));
  gate.is_final = !place.Take().ok() || now >= deadline ||
                  (confirmed && services_.traffic.snapshot()->epoch() == gate.epoch);
  if (ClientIsGone()) {
    return absl::AbortedError("the client is gone");
  }
  if (!gate.is_final) {
    services_.traffic.AwaitOtherEpoch(epoch, std::min(deadline, now + kGateStep));
  }
  return absl::OkStatus();
}

absl::StatusOr<bool> Session::WaitForTablet(const absl::Status& reason, uint64_t epoch,
                                            absl::Time deadline, WaitingPlace& place) {
  if (reason.code() != absl::StatusCode::kUnavailable || transaction_.backend != nullptr ||
      absl::Now() >= deadline || !place.Take().ok()) {
    return false;
  }
  if (ClientIsGone()) {
    return absl::AbortedError("the client is gone");
  }
  services_.traffic.AwaitOtherEpoch(epoch, std::min(deadline, absl::Now() + kConnectStep));
  return !services_.stopping.load(std::memory_order_relaxed);
}

absl::StatusOr<Backend*> Session::BoundBackend(const Plan& plan) const {
  const Tablet& tablet = transaction_.backend->tablet();
  const Place bound{tablet.keyspace, tablet.shard};
  if (plan.has_tables && (plan.place != bound || plan.type != tablet.type)) {
    return MysqlError(1105, absl::StrCat("a transaction is open on ", NameOf(bound), " (tablet ",
                                         tablet.alias, "); the statement needs ", PlaceOf(plan),
                                         "@", routing::TabletTypeName(plan.type),
                                         ": end the transaction first, it can't span two"));
  }
  return transaction_.backend;
}

absl::StatusOr<Backend*> Session::BackendFor(const Plan& plan, const RuleSnapshot& snapshot) {
  if (transaction_.backend != nullptr) {
    return BoundBackend(plan);
  }
  std::vector<const Tablet*> candidates;
  if (plan.place.keyspace.empty()) {
    for (const Tablet& tablet : snapshot.tablets()) {
      if (tablet.serving && tablet.type == plan.type) {
        candidates.push_back(&tablet);
      }
    }
  } else {
    candidates = snapshot.Serving(plan.place, plan.type);
  }
  if (candidates.empty()) {
    const std::string text =
        absl::StrCat("no serving ", routing::TabletTypeName(plan.type), " tablet",
                     plan.place.keyspace.empty() ? "" : absl::StrCat(" in ", PlaceOf(plan)));
    const bool exists = std::any_of(
        snapshot.tablets().begin(), snapshot.tablets().end(), [&](const Tablet& tablet) {
          return tablet.keyspace == plan.place.keyspace && tablet.shard == plan.place.shard &&
                 tablet.type == plan.type;
        });
    // A primary that is down for a moment is waited for.
    return exists && plan.type == routing::TabletType::kPrimary
               ? WithMysqlErrno(absl::UnavailableError(text), 1105)
               : MysqlError(1105, text);
  }
  for (const Tablet* tablet : candidates) {
    if (backends_.Find(*tablet) != nullptr) {
      candidates = {tablet};
      break;
    }
  }
  const Tablet& tablet = services_.chooser.Choose(candidates);
  if (Backend* outdated = backends_.Outdated(tablet); outdated != nullptr) {
    Drop(outdated);
  }
  return backends_.Get(tablet, settings_);
}

absl::StatusOr<bool> Session::BindTransaction(Backend* backend) {
  std::vector<std::string> texts = next_transaction_;
  texts.insert(texts.end(), transaction_.pending.begin(), transaction_.pending.end());
  for (const std::string& text : texts) {
    SLUICE_ASSIGN_OR_RETURN(const Response response, backend->Run(text));
    if (response.is_error) {
      transaction_.pending.clear();
      next_transaction_.clear();
      return MysqlError(response.error.code, response.error.message);
    }
  }
  return !transaction_.pending.empty();
}

absl::StatusOr<bool> Session::Attempt(const Work& work, const RuleSnapshot& snapshot,
                                      Backend* backend, OpenWork open, bool may_keep_back) {
  bool bound_now = false;
  if (transaction_.backend == nullptr && !work.is_outside) {
    const auto bound = BindTransaction(backend);
    if (!bound.ok() && bound.status().code() == absl::StatusCode::kUnavailable) {
      Drop(backend);  // nothing of the statement was sent: another try
      return true;
    }
    if (!bound.ok()) {
      SLUICE_RETURN_IF_ERROR(SendError(bound.status()));
      return false;
    }
    bound_now = *bound;
  }
  const std::string text = work.is_final_text ? std::string(work.text)
                                              : RewriteFor(work.text, work.statement, snapshot,
                                                           backend->tablet().database);
  services_.registry.SetRunning(id_, backend->tablet(), backend->connection_id());
  Response response;
  const Wait backend_wait{.peer_fd = client_.fd()};
  absl::Status status = backend->SendQuery(work.attributes, text, backend_wait);
  const bool nothing_sent = backend->channel().sent() == 0;
  if (status.ok()) {
    Forwarding forwarding{backend->channel(),
                          backend->capabilities(),
                          client_,
                          login_.capabilities,
                          backend_wait,
                          ClientWait(),
                          nullptr};
    forwarding.keep_back = [may_keep_back](const ErrorPacket& error) {
      return may_keep_back && MeansClosedGate(error);
    };
    status = ForwardResult(forwarding, response);
  }
  services_.registry.ClearRunning(id_);
  if (status.code() == absl::StatusCode::kAborted) {
    backend->Kill();  // nothing lingers for a client that is gone
    return status;
  }
  if (!status.ok()) {
    if (nothing_sent && transaction_.backend == nullptr) {
      Drop(backend);
      return true;
    }
    transaction_.backend = bound_now ? backend : transaction_.backend;
    SLUICE_RETURN_IF_ERROR(LostBackend(backend, response, status));
    return false;
  }
  if (response.is_error && !response.forwarded) {
    return AfterKeptBack(backend, bound_now);
  }
  state_.Ran(backends_.SessionOf(backend), target_, work.statement,
             {.failed = response.is_error, .insert_id = response.insert_id});
  if (work.is_outside) {
    return false;
  }
  const bool in_doubt = bound_now || transaction_.backend != nullptr || !autocommit_;
  SLUICE_RETURN_IF_ERROR(AfterResponse(backend, response, std::move(open), in_doubt));
  return false;
}

// The statement has not happened. A transaction that it was to begin begins anew elsewhere.
absl::StatusOr<bool> Session::AfterKeptBack(Backend* backend, bool bound_now) {
  if (bound_now) {
    const auto response = backend->Run("ROLLBACK");
    if (!response.ok() || response->is_error) {
      Drop(backend);
    }
  }
  return true;
}

absl::Status Session::LostBackend(Backend* backend, const Response& response,
                                  const absl::Status& why) {
  const Tablet tablet = backend->tablet();
  const bool in_transaction = transaction_.backend == backend;
  SLUICE_LOG(kWarning, "backend lost", {{"tablet", tablet.alias}, {"reason", why}});
  if (in_transaction) {
    ForgetTransaction();
  } else {
    Drop(backend);
  }
  if (response.forwarded) {
    return absl::UnavailableError("the backend was lost in the middle of a result");
  }
  SLUICE_RETURN_IF_ERROR(SendError(MysqlError(
      2013, absl::StrCat("Lost connection to tablet ", tablet.alias,
                         " during the statement: whether it was executed is not known"))));
  // What follows must not run outside the transaction that the client believes in, nor without its
  // temporary tables and locks.
  return in_transaction || !state_.broken().ok()
             ? absl::UnavailableError("the session's backend was lost")
             : absl::OkStatus();
}

absl::Status Session::AfterResponse(Backend* backend, const Response& response, OpenWork open,
                                    bool in_doubt) {
  transaction_.pending.clear();
  next_transaction_.clear();
  uint16_t status = response.status;
  if (response.is_error && in_doubt) {
    // An error packet does not say whether the transaction is still open.
    const auto asked = backend->AskStatus();
    if (!asked.ok()) {
      transaction_.backend = backend;
      ForgetTransaction();
      return asked.status();
    }
    status = *asked;
  }
  if (!response.is_error) {
    tokenizer_.no_backslash_escapes = (status & kStatusNoBackslashEscapes) != 0;
  }
  if ((status & kStatusInTransaction) != 0) {
    transaction_.backend = backend;
    transaction_.work.Absorb(std::move(open));
  } else {
    transaction_.backend = nullptr;
    transaction_.work.Reset();
  }
  return absl::OkStatus();
}

// A statement about the transaction itself: it goes where the transaction is, whatever the rules.
absl::Status Session::RunBound(const Work& work) {
  const auto snapshot = services_.traffic.snapshot();
  return Attempt(work, *snapshot, transaction_.backend, OpenWork(), false).status();
}

}  // namespace sluice::proxy
