// Statements on a mysqld: locks, then the names, then the rows.

#include "integration/simulate/statements.h"

#include <utility>

namespace sluice::simulate {
namespace {

constexpr Micros kTableWait = 20 * kSecond;
constexpr Micros kRowWait = 10 * kSecond;
// A server gives a client's transaction up when nothing comes for so long.
constexpr Micros kIdleMax = 8 * kSecond;

uint8_t TableOf(OperationKind kind) {
  return kind == OperationKind::kInsert || kind == OperationKind::kDelete ? kOrders : kAccounts;
}

bool Reads(OperationKind kind) {
  return kind == OperationKind::kRead || kind == OperationKind::kReadReplica;
}

absl::Status Allowed(const Mysqld& mysqld, const Operation& operation) {
  const gate::Object object = ObjectUnder(mysqld.data(), TableOf(operation.kind), false);
  if (Reads(operation.kind)) {
    return object == gate::Object::kTable || object == gate::Object::kGateView
               ? absl::OkStatus()
               : absl::FailedPreconditionError("1146");
  }
  if (object == gate::Object::kGateView || object == gate::Object::kGuard) {
    return absl::FailedPreconditionError("1356");
  }
  if (object != gate::Object::kTable) {
    return absl::FailedPreconditionError("1146");
  }
  return mysqld.read_only() ? absl::FailedPreconditionError("1290") : absl::OkStatus();
}

Row RowAt(const Mysqld& mysqld, uint8_t table, uint32_t key) {
  const auto& rows = mysqld.data().rows.at(table);
  const auto found = rows.find(key);
  return found == rows.end() ? Row() : found->second;
}

RowChange Update(const Mysqld& mysqld, uint32_t key, uint64_t token) {
  const Row before = RowAt(mysqld, kAccounts, key);
  return {.table = kAccounts,
          .key = key,
          .row = {.version = before.version + 1, .token = token},
          .before = before};
}

Tx NewTx(const ServerStatement& statement, uint32_t term) {
  Tx tx;
  tx.author = Author::kClient;
  tx.token = statement.operation.token;
  tx.term = term;
  return tx;
}

absl::StatusOr<Tx> MakeTx(const Mysqld& mysqld, const ServerStatement& statement, uint32_t id,
                          uint32_t term) {
  const Operation& operation = statement.operation;
  Tx tx = NewTx(statement, term);
  switch (operation.kind) {
    case OperationKind::kInsert:
      tx.rows.push_back({.table = kOrders,
                         .key = id,
                         .row = {.version = 1, .token = operation.token},
                         .before = {}});
      break;
    case OperationKind::kDelete: {
      const Row before = RowAt(mysqld, kOrders, operation.key);
      if (before.version == 0) {
        return absl::NotFoundError("no such row");
      }
      tx.rows.push_back({.table = kOrders, .key = operation.key, .row = {}, .before = before});
      break;
    }
    case OperationKind::kTransaction:
      tx.rows.push_back(Update(mysqld, operation.key, operation.token));
      tx.rows.push_back(Update(mysqld, operation.key + 1, operation.token));
      break;
    default:
      tx.rows.push_back(Update(mysqld, operation.key, operation.token));
      break;
  }
  return tx;
}

struct Served {
  Mysqld& mysqld;
  ServerStatement statement;
  SessionId session;
  std::function<uint32_t()> term;
  Respond respond;
};
using ServedPointer = std::shared_ptr<Served>;

void End(const ServedPointer& served, Answer answer) {
  served->mysqld.EndWrite(served->session);
  served->mysqld.Close(served->session);
  served->respond(std::move(answer));
}

void CommitRows(const ServedPointer& served, uint32_t id) {
  Mysqld& mysqld = served->mysqld;
  mysqld.Commit(
      served->session,
      [served, id] { return MakeTx(served->mysqld, served->statement, id, served->term()); },
      [served, id](const absl::Status& status) { End(served, {.status = status, .number = id}); });
}

void WithRow(const ServedPointer& served) {
  Mysqld& mysqld = served->mysqld;
  if (!served->statement.in_transaction) {
    return CommitRows(served, served->statement.operation.key);
  }
  mysqld.EndWrite(served->session);
  // Open, until the other half comes or nobody is there any more.
  mysqld.process.Later(kIdleMax + served->statement.operation.thinks,
                       [served] { served->mysqld.Close(served->session); });
  served->respond({.number = served->session});
}

void WithTables(const ServedPointer& served, Random& random) {
  Mysqld& mysqld = served->mysqld;
  const Operation& operation = served->statement.operation;
  if (const absl::Status allowed = Allowed(mysqld, operation); !allowed.ok()) {
    return End(served, {.status = allowed});
  }
  if (Reads(operation.kind)) {
    const Row row = RowAt(mysqld, kAccounts, operation.key);
    return End(served, {.number = row.token,
                        .version = row.version,
                        .may_lag = mysqld.read_only() || mysqld.LeftOpen()});
  }
  if (operation.kind == OperationKind::kInsert) {
    return CommitRows(served, mysqld.TakeOrder(random.OneIn(20)));
  }
  const bool second = served->statement.session != 0;
  mysqld.LockRow(served->session, TableOf(operation.kind), operation.key + (second ? 1 : 0),
                 kRowWait, [served](const absl::Status& status) {
                   if (!status.ok()) {
                     return End(served, {.status = status});
                   }
                   WithRow(served);
                 });
}

}  // namespace

void Serve(Mysqld& mysqld, Random& random, const ServerStatement& statement,
           const std::function<uint32_t()>& term, const Respond& respond) {
  const SessionId session = statement.session != 0 ? statement.session : mysqld.Connect();
  if (!mysqld.Alive(session)) {
    return respond({.status = absl::AbortedError("2013: the transaction was rolled back")});
  }
  auto served = std::make_shared<Served>(Served{mysqld, statement, session, term, respond});
  const Action lock = [served, &random] {
    served->mysqld.LockTables(served->session, false, kTableWait,
                              [served, &random](const absl::Status& status) {
                                if (!status.ok()) {
                                  return End(served, {.status = status});
                                }
                                WithTables(served, random);
                              });
  };
  mysqld.process.Later(random.Between(20, 200), [served, lock] {
    if (Reads(served->statement.operation.kind)) {
      return lock();
    }
    served->mysqld.BeginWrite(served->session, lock);
  });
}

}  // namespace sluice::simulate
