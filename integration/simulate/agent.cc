// Agent: its sessions and the smaller requests.

#include "integration/simulate/agent.h"

#include <utility>

#include "integration/simulate/stream_task.h"
#include "integration/simulate/world.h"

namespace sluice::simulate {

Agent::Agent(World& world, Mysqld& mysqld, const std::string& name)
    : process(world.scheduler, name, mysqld.number()), world_(world), mysqld_(mysqld) {}

Agent::~Agent() = default;

SessionId Agent::Connect() {
  const SessionId session = mysqld_.Connect(Mysqld::Account::kAgent);
  sessions_.insert(session);
  return session;
}

Done Agent::Guard(Done done) {
  const uint64_t number = next_guard_++;
  guarded_[number] = std::move(done);
  return [this, number, life = process.life()](const absl::Status& status) {
    if (!process.up() || process.life() != life || !guarded_.contains(number)) {
      return;
    }
    process.Later(world_.random.Between(5, 60), [this, number, status] {
      const auto found = guarded_.find(number);
      if (found != guarded_.end()) {
        const Done told = std::move(found->second);
        guarded_.erase(found);
        told(status);
      }
    });
  };
}

void Agent::MysqldLost() {
  const std::map<uint64_t, Done> lost = std::exchange(guarded_, {});
  for (const auto& [number, done] : lost) {
    process.Later(world_.random.Between(100, 2 * kMilli),
                  [told = done] { told(absl::UnavailableError("mysqld was lost")); });
  }
  sessions_.clear();
}

// The server notices after a while that nobody holds its connections any more.
void Agent::Crash() {
  process.Die();
  for (const SessionId session : std::exchange(sessions_, {})) {
    mysqld_.process.Later(world_.random.Between(0, 100 * kMilli),
                          [this, session] { mysqld_.Close(session); });
  }
  guarded_.clear();
  tasks_.clear();
  busy_streams_.clear();
  deleted_.clear();
  gate_busy_ = false;
  reign_ = 0;
  taken_ = taking_ = resumed_ = false;
}

void Agent::Write(std::function<absl::StatusOr<Tx>()> make, const Done& done) {
  if (!mysqld_.process.up()) {
    process.Later(world_.random.Between(100, kMilli),
                  [done] { done(absl::UnavailableError("mysqld is down")); });
    return;
  }
  const SessionId session = Connect();
  mysqld_.Commit(session, std::move(make), Guard([this, session, done](const absl::Status& status) {
                   mysqld_.Close(session);
                   sessions_.erase(session);
                   done(status);
                 }));
}

void Agent::ProbeGate(const Respond& respond) {
  if (!mysqld_.serves()) {
    return respond({.status = absl::UnavailableError("mysqld is down")});
  }
  if (world_.LongTransactionOn(mysqld_)) {
    return respond({.status = absl::AbortedError("the tables are used")});
  }
  respond({});
}

void Agent::CheckStream(uint64_t id, const Respond& respond) {
  if (!Runs(id)) {
    return respond({.status = absl::FailedPreconditionError("the stream is not running")});
  }
  respond({});
}

void Agent::ReadCounter(const Respond& respond) {
  if (!mysqld_.serves()) {
    return respond({.status = absl::UnavailableError("mysqld is down")});
  }
  respond({.number = mysqld_.data().next_order});
}

void Agent::RaiseCounter(uint32_t at_least, const Respond& respond) {
  Write(
      [at_least]() -> absl::StatusOr<Tx> {
        Tx tx;
        tx.rest = [at_least](Data& data) { data.next_order = std::max(data.next_order, at_least); };
        return tx;
      },
      [respond](const absl::Status& status) { respond({.status = status}); });
}

void Agent::ReadPosition(const Respond& respond) {
  if (!mysqld_.process.up()) {
    return respond({.status = absl::UnavailableError("mysqld is down")});
  }
  respond({.value = mysqld_.data().executed.Text()});
}

void Agent::AwaitPosition(const Gtids& position, Micros deadline, Respond respond) {
  if (mysqld_.process.up() && mysqld_.data().executed.Contains(position)) {
    return respond({});
  }
  if (world_.scheduler.now() >= deadline) {
    return respond({.status = absl::DeadlineExceededError("not executed yet")});
  }
  process.Later(5 * kMilli, [this, position, deadline, respond = std::move(respond)] {
    AwaitPosition(position, deadline, respond);
  });
}

void Agent::WriteJournal(const std::string& cutover, const Respond& respond) {
  Write(
      [cutover]() -> absl::StatusOr<Tx> {
        Tx tx;
        tx.rest = [cutover](Data& data) { data.journal.insert(cutover); };
        return tx;
      },
      [respond](const absl::Status& status) { respond({.status = status}); });
}

// What the stream has applied and this server has not: it may still come, or is lost for good.
void Agent::ReadBinlog(const BinlogRequest& request, Micros deadline, Respond respond) {
  if (!mysqld_.process.up()) {
    return respond({.status = absl::UnavailableError("mysqld is down")});
  }
  const std::vector<TxPointer>& binlog = mysqld_.binlog();
  size_t from = request.next;
  if (request.uuid != mysqld_.uuid()) {
    for (const Gtid& last : request.position.last()) {
      if (last.server != mysqld_.uuid() && !mysqld_.data().executed.Has(last)) {
        return respond(
            {.status = mysqld_.read_only()
                           ? absl::UnavailableError("this server lacks what was applied")
                           : absl::DataLossError("what was applied is lost in a failover")});
      }
    }
    from = mysqld_.first();
  }
  if (from < mysqld_.first() || !request.position.Contains(mysqld_.purged())) {
    return respond({.status = absl::DataLossError("1236: the binlog is purged")});
  }
  auto batch = std::make_shared<Batch>();
  while (from < binlog.size() && batch->transactions.size() < kBatchMax) {
    const TxPointer& tx = binlog[from++];
    if (!request.position.Has(tx->gtid)) {
      batch->transactions.push_back(tx);
    }
  }
  batch->uuid = mysqld_.uuid();
  batch->next = from;
  if (!batch->transactions.empty() || world_.scheduler.now() >= deadline) {
    return respond({.batch = batch});
  }
  const BinlogRequest rest = {.position = request.position, .uuid = batch->uuid, .next = from};
  world_.WhenBinlogGrows(mysqld_, process, deadline,
                         [this, rest, deadline, respond = std::move(respond)] {
                           ReadBinlog(rest, deadline, respond);
                         });
}

}  // namespace sluice::simulate
