// ClientLoad: one thread a client, statements by dice.

#include "integration/bench/client_load.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/time/clock.h"
#include "common/base/status_macros.h"

namespace sluice::bench {
namespace {

constexpr size_t kErrorsKept = 5;
constexpr uint64_t kRangeRows = 100;

}  // namespace

struct ClientLoad::Client {
  struct Session {
    mysql::ConnectionOptions options;
    std::unique_ptr<mysql::Connection> connection;
  };

  size_t index = 0;
  std::vector<Session> sessions;
  size_t turn = 0;
  std::mt19937_64 random;
  // Guarded by the load's mutex.
  absl::Time next = absl::InfinitePast();
  uint64_t steps = 0;
};

ClientLoad::ClientLoad(ClientLoadOptions options) : options_(std::move(options)) {}

absl::StatusOr<std::unique_ptr<ClientLoad>> ClientLoad::Start(ClientLoadOptions options) {
  if (options.sessions.size() < options.clients || options.tables.empty() ||
      options.rows < options.clients + kRangeRows) {
    return absl::InvalidArgumentError("fewer sessions or rows than clients");
  }
  std::unique_ptr<ClientLoad> load(new ClientLoad(std::move(options)));
  for (size_t i = 0; i < load->options_.clients; ++i) {
    auto client = std::make_unique<Client>();
    client->index = i;
    client->random.seed(i + 1);
    load->clients_.push_back(std::move(client));
  }
  for (size_t i = 0; i < load->options_.sessions.size(); ++i) {
    Client::Session session = {.options = load->options_.sessions[i], .connection = nullptr};
    SLUICE_ASSIGN_OR_RETURN(session.connection, mysql::Connection::Connect(session.options));
    load->clients_[i % load->clients_.size()]->sessions.push_back(std::move(session));
  }
  for (const auto& client : load->clients_) {
    load->threads_.emplace_back([self = load.get(), own = client.get()] { self->Run(*own); });
  }
  return load;
}

ClientLoad::~ClientLoad() {
  {
    const absl::MutexLock lock(&mutex_);
    stopped_ = true;
  }
  threads_.clear();
}

void ClientLoad::SetRate(double per_second) {
  const absl::MutexLock lock(&mutex_);
  interval_ = per_second <= 0 ? absl::ZeroDuration()
                              : absl::Seconds(static_cast<double>(options_.clients) / per_second);
}

void ClientLoad::Pause() {
  const absl::MutexLock lock(&mutex_);
  paused_ = true;
  const auto quiet = [this]() ABSL_SHARED_LOCKS_REQUIRED(mutex_) { return busy_ == 0; };
  mutex_.Await(absl::Condition(&quiet));
}

void ClientLoad::Resume() {
  const absl::MutexLock lock(&mutex_);
  paused_ = false;
}

absl::Status ClientLoad::AwaitRound(absl::Duration timeout) {
  const absl::MutexLock lock(&mutex_);
  std::vector<uint64_t> wanted;
  for (const auto& client : clients_) {
    // One of them was begun before.
    wanted.push_back(client->steps + client->sessions.size() + 1);
  }
  const auto done = [&]() ABSL_SHARED_LOCKS_REQUIRED(mutex_) {
    for (size_t i = 0; i < clients_.size(); ++i) {
      if (clients_[i]->steps < wanted[i]) {
        return false;
      }
    }
    return true;
  };
  return mutex_.AwaitWithTimeout(absl::Condition(&done), timeout)
             ? absl::OkStatus()
             : absl::DeadlineExceededError("a client gets no statement through");
}

uint64_t ClientLoad::statements() const {
  const absl::MutexLock lock(&mutex_);
  return statements_;
}

double ClientLoad::TakeLongestPauseMs() {
  const absl::MutexLock lock(&mutex_);
  return std::exchange(longest_ms_, 0);
}

uint64_t ClientLoad::errors() const {
  const absl::MutexLock lock(&mutex_);
  return errors_;
}

std::string ClientLoad::FirstErrors() const {
  const absl::MutexLock lock(&mutex_);
  return absl::StrJoin(first_errors_, "; ");
}

bool ClientLoad::Enter(Client& client) {
  const absl::MutexLock lock(&mutex_);
  const auto may_go = [this]() ABSL_SHARED_LOCKS_REQUIRED(mutex_) { return !paused_ || stopped_; };
  if (interval_ > absl::ZeroDuration() && !stopped_) {
    client.next = std::max(client.next + interval_, absl::Now());
    mutex_.AwaitWithDeadline(absl::Condition(&stopped_), client.next);
  }
  mutex_.Await(absl::Condition(&may_go));
  busy_ += stopped_ ? 0 : 1;
  return !stopped_;
}

void ClientLoad::Leave(Client& client) {
  const absl::MutexLock lock(&mutex_);
  --busy_;
  ++client.steps;
}

void ClientLoad::Run(Client& client) {
  while (Enter(client)) {
    Step(client);
    Leave(client);
    client.turn = (client.turn + 1) % client.sessions.size();
  }
}

bool ClientLoad::Execute(Client& client, const std::string& sql) {
  Client::Session& session = client.sessions[client.turn];
  absl::Status status;
  const absl::Time begin = absl::Now();
  if (session.connection == nullptr) {
    auto connected = mysql::Connection::Connect(session.options);
    status = connected.status();
    if (connected.ok()) {
      session.connection = *std::move(connected);
    }
  }
  if (status.ok()) {
    status = session.connection->Execute(sql).status();
  }
  const double took_ms = absl::ToDoubleMilliseconds(absl::Now() - begin);
  if (absl::IsUnavailable(status)) {
    session.connection.reset();
  }
  const absl::MutexLock lock(&mutex_);
  ++statements_;
  longest_ms_ = std::max(longest_ms_, took_ms);
  if (!status.ok()) {
    ++errors_;
    if (first_errors_.size() < kErrorsKept) {
      first_errors_.push_back(
          absl::StrCat(sql.substr(0, 60), " (", took_ms, " ms): ", status.ToString()));
    }
  }
  return status.ok();
}

// Of twenty steps fourteen read a row, two a range, two change a row, one an indexed column, and
// one deletes a row and puts it back. Rows are changed by one client only.
void ClientLoad::Step(Client& client) {
  const auto dice = [&client](uint64_t sides) { return client.random() % sides; };
  const std::string table = mysql::QuoteName(options_.tables[dice(options_.tables.size())]);
  const uint64_t any = 1 + dice(options_.rows);
  const uint64_t own = 1 + client.index + options_.clients * dice(options_.rows / options_.clients);
  const uint64_t kind = dice(20);
  if (kind < 14) {
    Execute(client, absl::StrCat("SELECT c FROM ", table, " WHERE id = ", any));
  } else if (kind < 16) {
    Execute(client, absl::StrCat("SELECT SUM(k) FROM ", table, " WHERE id BETWEEN ", any, " AND ",
                                 any + kRangeRows - 1));
  } else if (kind < 18) {
    Execute(client, absl::StrCat("UPDATE ", table, " SET c = SHA2('", client.random(),
                                 "', 256) WHERE id = ", own));
  } else if (kind < 19) {
    Execute(client, absl::StrCat("UPDATE ", table, " SET k = k + 1 WHERE id = ", own));
  } else if (Execute(client, absl::StrCat("DELETE FROM ", table, " WHERE id = ", own))) {
    Execute(client, absl::StrCat("INSERT INTO ", table, " (id, k, c, pad) VALUES (", own, ", ", any,
                                 ", SHA2('", client.random(), "', 256), 'pad')"));
  }
}

}  // namespace sluice::bench
