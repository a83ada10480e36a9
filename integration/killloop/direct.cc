// DirectClients: inserts, and transactions that add one, all day long.

#include "integration/killloop/direct.h"

#include <map>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/time/time.h"
#include "common/base/status_macros.h"

namespace sluice::killloop {
namespace {

constexpr uint64_t kKeysOfAClient = 1'000'000;
constexpr absl::Duration kThink = absl::Milliseconds(20);

absl::Status InTransaction(mysql::Connection& session, const std::string& sql) {
  for (const std::string& statement : {std::string("BEGIN"), sql, std::string("COMMIT")}) {
    absl::Status status = session.Execute(statement).status();
    if (!status.ok()) {
      // One whose COMMIT was refused is still open.
      session.Execute("ROLLBACK").IgnoreError();
      return status;
    }
  }
  return absl::OkStatus();
}

}  // namespace

std::unique_ptr<DirectClients> DirectClients::Start(
    const std::vector<mysql::ConnectionOptions>& mysqlds, uint64_t first_key) {
  std::unique_ptr<DirectClients> self(new DirectClients);
  for (const mysql::ConnectionOptions& address : mysqlds) {
    auto client = std::make_unique<Client>();
    client->address = address;
    client->counter_key = first_key + kKeysOfAClient * self->clients_.size();
    client->next_key = client->counter_key + 1;
    self->clients_.push_back(std::move(client));
  }
  for (const auto& client : self->clients_) {
    self->threads_.emplace_back([own = self.get(), one = client.get()] { own->Loop(*one); });
  }
  return self;
}

DirectClients::~DirectClients() {
  {
    const absl::MutexLock lock(&mutex_);
    stopped_ = true;
  }
  threads_.clear();
}

void DirectClients::Pause() {
  const absl::MutexLock lock(&mutex_);
  paused_ = true;
  const auto quiet = [this]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) { return busy_ == 0; };
  mutex_.Await(absl::Condition(&quiet));
}

void DirectClients::Resume() {
  const absl::MutexLock lock(&mutex_);
  paused_ = false;
}

bool DirectClients::Enter() {
  const absl::MutexLock lock(&mutex_);
  mutex_.AwaitWithTimeout(absl::Condition(&stopped_), kThink);
  const auto may = [this]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) { return !paused_ || stopped_; };
  mutex_.Await(absl::Condition(&may));
  busy_ += stopped_ ? 0 : 1;
  return !stopped_;
}

void DirectClients::Leave() {
  const absl::MutexLock lock(&mutex_);
  --busy_;
}

void DirectClients::Loop(Client& client) {
  while (Enter()) {
    if (client.session == nullptr) {
      auto session = mysql::Connection::Connect(client.address);
      if (session.ok()) {
        client.session = *std::move(session);
      }
    }
    if (client.session != nullptr) {
      client.has_counter ? Step(client) : MakeCounter(client);
    }
    Leave();
  }
}

void DirectClients::MakeCounter(Client& client) {
  const absl::Status made =
      client.session
          ->Execute(absl::StrCat("INSERT INTO corder (order_id, customer_id, sku, price) VALUES (",
                                 client.counter_key, ", 1, '', 0)"))
          .status();
  client.has_counter = made.ok() || absl::IsAlreadyExists(made);
  if (!client.session->healthy()) {
    client.session.reset();
  }
}

void DirectClients::Step(Client& client) {
  if (++client.steps % 2 == 0) {
    const std::string value = absl::StrCat("d", client.next_key);
    client.oracle.BeginPut(client.next_key, value);
    Settle(client, client.session
                       ->Execute(absl::StrCat(
                           "INSERT INTO corder (order_id, customer_id, sku, price) VALUES (",
                           client.next_key++, ", 1, '", value, "', 1)"))
                       .status());
  } else {
    client.oracle.BeginIncrement(client.counter_key);
    Settle(client,
           InTransaction(*client.session, absl::StrCat("UPDATE corder SET price = price + 1 WHERE"
                                                       " order_id = ",
                                                       client.counter_key)));
  }
}

void DirectClients::Settle(Client& client, const absl::Status& outcome) {
  if (outcome.ok()) {
    client.oracle.Acknowledged();
  } else if (absl::IsUnavailable(outcome)) {
    client.oracle.Unknown();
  } else {
    client.oracle.Refused();
  }
  if (!client.session->healthy()) {
    client.session.reset();
  }
  const absl::MutexLock lock(&mutex_);
  counts_.acknowledged += outcome.ok() ? 1U : 0U;
  counts_.refused += outcome.ok() || absl::IsUnavailable(outcome) ? 0U : 1U;
}

absl::Status DirectClients::Judge(mysql::Connection& owner) {
  std::vector<std::string> findings;
  uint64_t wrong = 0;
  for (const auto& client : clients_) {
    SLUICE_ASSIGN_OR_RETURN(
        const mysql::QueryResult rows,
        owner.Query(absl::StrCat("SELECT order_id, IF(order_id = ", client->counter_key,
                                 ", price, sku) FROM corder WHERE order_id BETWEEN ",
                                 client->counter_key, " AND ",
                                 client->counter_key + kKeysOfAClient - 1)));
    std::map<uint64_t, std::string> found;
    for (const mysql::Row& row : rows.rows) {
      found[std::stoull(row[0].value_or("0"))] = row[1].value_or("");
    }
    if (client->has_counter && !found.contains(client->counter_key)) {
      ++wrong;
      findings.push_back(absl::StrCat("row ", client->counter_key, " is gone"));
    }
    // One that was never added to is a row that the oracle does not know.
    if (found.contains(client->counter_key) && found[client->counter_key] == "0") {
      found.erase(client->counter_key);
    }
    const workload::Oracle::Verdict verdict = client->oracle.Judge(found);
    wrong += verdict.lost + verdict.duplicated;
    findings.insert(findings.end(), verdict.findings.begin(), verdict.findings.end());
  }
  return wrong == 0 ? absl::OkStatus()
                    : absl::DataLossError(absl::StrCat(
                          wrong, " writes past the proxies lost, doubled, or refused and there: ",
                          absl::StrJoin(findings, "; ")));
}

DirectClients::Counts DirectClients::counts() const {
  const absl::MutexLock lock(&mutex_);
  return counts_;
}

}  // namespace sluice::killloop
