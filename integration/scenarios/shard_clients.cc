// ShardClients: one writer a shard, and the judgement of what it wrote.

#include "integration/scenarios/shard_clients.h"

#include <algorithm>
#include <array>
#include <set>
#include <utility>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "common/base/status.h"
#include "common/base/status_macros.h"

namespace sluice::scenario {
namespace {

constexpr unsigned kNoSuchTable = 1146;
constexpr unsigned kViewInvalid = 1356;
constexpr unsigned kReadOnly = 1290;
constexpr absl::Duration kThink = absl::Milliseconds(5);
constexpr absl::Duration kReconnect = absl::Milliseconds(50);

}  // namespace

ShardClients::ShardClients(std::vector<ShardSides> shards) : shards_(std::move(shards)) {
  {
    const absl::MutexLock lock(&mutex_);
    written_.resize(shards_.size());
  }
  for (size_t i = 0; i < shards_.size(); ++i) {
    threads_.emplace_back([this, i] { Run(i); });
  }
}

ShardClients::~ShardClients() {
  Stop();
}

void ShardClients::Stop() {
  {
    const absl::MutexLock lock(&mutex_);
    stopped_ = true;
  }
  threads_.clear();
}

void ShardClients::Pause() {
  const auto quiet = [this]() ABSL_SHARED_LOCKS_REQUIRED(mutex_) {
    return std::none_of(written_.begin(), written_.end(),
                        [](const Written& each) { return each.writing; });
  };
  const absl::MutexLock lock(&mutex_);
  paused_ = true;
  mutex_.Await(absl::Condition(&quiet));
}

void ShardClients::Resume() {
  const absl::MutexLock lock(&mutex_);
  paused_ = false;
}

bool ShardClients::MayWrite(size_t shard) {
  const auto may = [this]() ABSL_SHARED_LOCKS_REQUIRED(mutex_) { return stopped_ || !paused_; };
  const absl::MutexLock lock(&mutex_);
  written_[shard].writing = false;
  mutex_.Await(absl::Condition(&may));
  written_[shard].writing = !stopped_;
  return !stopped_;
}

void ShardClients::Rest(absl::Duration duration) {
  const absl::MutexLock lock(&mutex_);
  mutex_.AwaitWithTimeout(absl::Condition(&stopped_), duration);
}

void ShardClients::Run(size_t shard) {
  uint64_t id = kFirstId;
  size_t side = 0;
  // Both stay open: those who look for the open side must not burden the servers by connecting.
  std::array<std::unique_ptr<mysql::Connection>, 2> connections;
  const std::array<const mysql::ConnectionOptions*, 2> options = {&shards_[shard].source,
                                                                  &shards_[shard].target};
  while (MayWrite(shard)) {
    std::unique_ptr<mysql::Connection>& connection = connections.at(side);
    if (connection == nullptr) {
      auto connected = mysql::Connection::Connect(*options.at(side));
      if (!connected.ok()) {
        Rest(kReconnect);
        continue;
      }
      connection = *std::move(connected);
    }
    const absl::Status status =
        connection
            ->Execute(absl::StrCat("INSERT INTO corder (order_id, shard, payload) VALUES (", id,
                                   ", ", shard, ", SHA2('", id, "', 256))"))
            .status();
    const unsigned number = MysqlErrnoOf(status);
    if (number == kNoSuchTable || number == kViewInvalid || number == kReadOnly) {
      side = 1 - side;  // the same row once more, where the shard may be now
      Rest(kThink);
      continue;
    }
    {
      const absl::MutexLock lock(&mutex_);
      (status.ok() ? written_[shard].acknowledged : written_[shard].unknown).push_back(id);
    }
    ++id;
    if (!status.ok()) {
      connection.reset();
    }
    Rest(kThink);
  }
}

absl::Status ShardClients::AwaitWrites(uint64_t more, absl::Duration timeout) {
  const absl::MutexLock lock(&mutex_);
  std::vector<size_t> wanted;
  for (const Written& each : written_) {
    wanted.push_back(each.acknowledged.size() + more);
  }
  const auto behind = [&]() ABSL_SHARED_LOCKS_REQUIRED(mutex_) {
    size_t i = 0;
    while (i < wanted.size() && written_[i].acknowledged.size() >= wanted[i]) {
      ++i;
    }
    return i;
  };
  const auto enough = [&]()
                          ABSL_SHARED_LOCKS_REQUIRED(mutex_) { return behind() == wanted.size(); };
  if (mutex_.AwaitWithTimeout(absl::Condition(&enough), timeout)) {
    return absl::OkStatus();
  }
  return absl::DeadlineExceededError(
      absl::StrCat("the client of shard ", behind(), " gets no writes through"));
}

absl::StatusOr<std::string> ShardClients::Judge(size_t shard, mysql::Connection& owner) const {
  Written written;
  {
    const absl::MutexLock lock(&mutex_);
    written = written_[shard];
  }
  SLUICE_ASSIGN_OR_RETURN(
      const mysql::QueryResult result,
      owner.Query(absl::StrCat("SELECT order_id, shard, payload = SHA2(order_id, 256) FROM corder "
                               "WHERE order_id >= ",
                               kFirstId)));
  std::set<uint64_t> found;
  for (const mysql::Row& row : result.rows) {
    uint64_t id = 0;
    if (!absl::SimpleAtoi(row[0].value_or(""), &id) || row[1] != absl::StrCat(shard) ||
        row[2] != "1") {
      return absl::StrCat("a row of another shard or with other bytes: ", row[0].value_or(""));
    }
    found.insert(id);
  }
  for (const uint64_t id : written.acknowledged) {
    if (found.erase(id) == 0) {
      return absl::StrCat("acknowledged write ", id, " of shard ", shard, " is lost");
    }
  }
  for (const uint64_t id : written.unknown) {
    found.erase(id);
  }
  return found.empty() ? std::string()
                       : absl::StrCat("row ", *found.begin(), " was written by nobody");
}

}  // namespace sluice::scenario
