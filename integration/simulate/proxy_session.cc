// Proxy: a client's statement, from the question to the rules to the answer of the server, in the
// steps of the proxy's Session.

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "integration/simulate/proxy.h"
#include "integration/simulate/world.h"

namespace sluice::simulate {
namespace {

constexpr Micros kWindow = 10 * kSecond;
constexpr Micros kGateStep = 20 * kMilli;
constexpr Micros kServerTimeout = 15 * kSecond;

}  // namespace

void Proxy::Execute(const Operation& operation, std::function<void(Reply)> done) {
  auto work = std::make_shared<Work>();
  work->number = next_work_++;
  work->operation = operation;
  work->done = std::move(done);
  work->deadline = world_.scheduler.now() + kWindow;
  works_[work->number] = work;
  process.Later(world_.random.Between(10, 100), [this, work] { Ask(work); });
}

Mysqld& Proxy::ServerFor(const Operation& operation, const RuleSet& plan) const {
  const bool replica = operation.kind == OperationKind::kReadReplica;
  const uint8_t side = replica ? plan.reads : plan.writes;
  const uint8_t primary = plan.primaries.at(side).at(operation.shard);
  return world_.Server(side, operation.shard, replica ? 1U - primary : primary);
}

void Proxy::Ask(const WorkPointer& work) {
  if (obeyed_ == nullptr) {
    return End(work, {.kind = Reply::Kind::kFailed, .status = absl::UnavailableError("no rules")});
  }
  work->plan = obeyed_;
  if (work->operation.kind == OperationKind::kReadReplica) {
    return Send(work, 0);  // holds are of PRIMARYs
  }
  // Other rules may come between plan and question.
  process.Later(world_.random.Between(1, 30), [this, work] { AskRules(work); });
}

void Proxy::AskRules(const WorkPointer& work) {
  const proxy::Touched& touched = world_.TouchedBy(work->operation.shard);
  const proxy::RulesEffect verdict =
      machine_
          .Step(proxy::StatementAsks{
              .epoch = work->plan->epoch,
              .touched = &touched,
              .transaction = work->transaction,
              .now = Now(),
              .deadline = absl::UnixEpoch() + absl::Hours(1) + absl::Microseconds(work->deadline)})
          .front();
  switch (verdict.kind) {
    case proxy::RulesEffect::Kind::kLetIn:
      JudgeLetIn(*work, touched);
      LeavePlace(work);
      return Send(work, verdict.number);
    case proxy::RulesEffect::Kind::kPlanAnew:
      return Ask(work);
    case proxy::RulesEffect::Kind::kWait:
      return Wait(work, verdict.until);
    default:
      break;
  }
  End(work, {.kind = Reply::Kind::kFailed, .status = absl::AbortedError("1205: try again")});
}

// Judged by what this proxy has been told, and when, whatever its machine thinks.
void Proxy::JudgeLetIn(const Work& work, const proxy::Touched& touched) {
  const Micros now = world_.scheduler.now();
  if (work.plan != obeyed_) {
    world_.oracle.Violate(absl::StrCat(id(), " routes by rules that are not in force"));
  }
  for (const proxy::Hold& hold : obeyed_->holds) {
    const bool named = std::find(hold.shards.begin(), hold.shards.end(), touched.places.front()) !=
                       hold.shards.end();
    if (named && now - heard_ >= absl::ToInt64Microseconds(hold.lease)) {
      world_.oracle.Violate(absl::StrCat(id(), " routes by an expired rule"));
    }
    if (named && work.transaction == 0) {
      world_.oracle.Violate(absl::StrCat(id(), " lets in what a hold names"));
    }
  }
}

void Proxy::LeavePlace(const WorkPointer& work) {
  if (std::exchange(work->has_place, false)) {
    Step(proxy::PlaceLeft{1});
  }
}

void Proxy::Wait(const WorkPointer& work, absl::Time until) {
  if (!work->has_place) {
    if (machine_.Step(proxy::PlaceWanted{1}).front().kind ==
        proxy::RulesEffect::Kind::kBufferFull) {
      return End(work, {.kind = Reply::Kind::kFailed, .status = absl::AbortedError("1203")});
    }
    work->has_place = true;
  }
  ++world_.counts.held;
  waiting_[work->number] = [this, work] { Ask(work); };
  const Micros wait = absl::ToInt64Microseconds(until - Now());
  process.Later(std::max(wait, Micros{1}), [this, work] {
    if (waiting_.erase(work->number) > 0) {
      Ask(work);
    }
  });
}

void Proxy::Send(const WorkPointer& work, uint64_t opened) {
  Mysqld& server =
      work->server != nullptr ? *work->server : ServerFor(work->operation, *work->plan);
  ServerStatement statement = {.operation = work->operation};
  const bool transaction = work->operation.kind == OperationKind::kTransaction;
  statement.session = work->session;
  statement.in_transaction = transaction && work->session == 0;
  if (opened != 0 && work->transaction != 0) {
    Step(proxy::WorkJoins{work->transaction, opened});
    opened = 0;
  }
  work->server = &server;
  world_.network.Call(
      {.from = process,
       .to = server.process,
       .timeout = kServerTimeout,
       .transport = Transport::kSession},
      [this, &server, statement](const Respond& respond) {
        Serve(
            server, world_.random, statement, [this] { return world_.oracle.term(); }, respond);
      },
      [this, work, opened](const Answer& answer) { Take(work, opened, answer); });
}

void Proxy::Take(const WorkPointer& work, uint64_t opened, const Answer& answer) {
  const bool first_half = work->operation.kind == OperationKind::kTransaction &&
                          work->session == 0 && answer.status.ok();
  if (first_half) {
    work->session = answer.number;
    work->transaction = opened;
    ++world_.counts.transactions;
    world_.NoteTransaction(*work->server, work->operation.thinks);
    process.Later(work->operation.thinks, [this, work] { Ask(work); });
    return;
  }
  if (opened != 0) {
    Step(proxy::WorkEnds{opened});
  }
  if (answer.status.ok()) {
    return End(work, {.kind = Reply::Kind::kOk,
                      .number = answer.number,
                      .version = answer.version,
                      .may_lag = answer.may_lag,
                      .server = work->server});
  }
  const absl::StatusCode code = answer.status.code();
  const bool in_transaction = work->transaction != 0;
  if (code == absl::StatusCode::kFailedPrecondition && !in_transaction &&
      world_.scheduler.now() < work->deadline) {
    return Again(work);
  }
  const bool surely_not = code == absl::StatusCode::kFailedPrecondition ||
                          code == absl::StatusCode::kAborted || code == absl::StatusCode::kNotFound;
  End(work,
      {.kind = surely_not ? Reply::Kind::kFailed : Reply::Kind::kUnknown, .status = answer.status});
}

// A gate is in the way, which the next rules may go around.
void Proxy::Again(const WorkPointer& work) {
  ++world_.counts.met_gate;
  work->server = nullptr;
  waiting_[work->number] = [this, work] { Ask(work); };
  process.Later(kGateStep, [this, work] {
    if (waiting_.erase(work->number) > 0) {
      Ask(work);
    }
  });
}

void Proxy::End(const WorkPointer& work, Reply result) {
  LeavePlace(work);
  if (work->transaction != 0) {
    Step(proxy::WorkEnds{work->transaction});
    if (result.kind == Reply::Kind::kFailed && work->server != nullptr) {
      Mysqld& server = *work->server;  // rolled back
      world_.network.Call(
          {.from = process,
           .to = server.process,
           .timeout = kSecond,
           .transport = Transport::kSession},
          [&server, session = work->session](const Respond& respond) {
            server.Close(session);
            respond({});
          },
          [](const Answer& /*answer*/) {});
    }
  }
  works_.erase(work->number);
  work->done(std::move(result));
}

}  // namespace sluice::simulate
