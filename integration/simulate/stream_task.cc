// StreamTask: the loop.

#include "integration/simulate/stream_task.h"

#include <algorithm>
#include <utility>

#include "integration/simulate/world.h"

namespace sluice::simulate {
namespace {

constexpr size_t kMarkersKept = 4;
constexpr Micros kLongPoll = kSecond;
constexpr Micros kBackoff = 200 * kMilli;

}  // namespace

bool StreamTask::HasMarker(const std::string& marker) const {
  return std::find(row_.markers.begin(), row_.markers.end(), marker) != row_.markers.end();
}

bool StreamTask::Ended() {
  if (stopping_ && !committing_) {
    End();
  }
  return !running_ || stopping_;
}

void StreamTask::End() {
  running_ = false;
  if (stopped_) {
    agent_.process.Later(0, std::exchange(stopped_, nullptr));
  }
}

void StreamTask::Stop(Action then) {
  stopping_ = true;
  if (!committing_) {
    running_ = false;
    then();
    return;
  }
  stopped_ = std::move(then);
}

void StreamTask::Start() {
  agent_.process.Later(agent_.world().random.Between(100, 2 * kMilli),
                       [self = shared_from_this()] { self->Claim(); });
}

// A new session takes the stream over from all earlier ones.
void StreamTask::Claim() {
  if (Ended()) {
    return;
  }
  committing_ = true;
  const auto claim = [this]() -> absl::StatusOr<Tx> {
    const StreamRow* row = agent_.mysqld().FindStream(id_);
    if (row == nullptr || !row->running) {
      return absl::AbortedError("not to be run any more");
    }
    Tx tx;
    tx.author = Author::kStream;
    tx.rest = [id = id_, version = row->version + 1](Data& data) {
      const auto found = data.streams.find(id);
      if (found != data.streams.end()) {
        found->second.version = version;
      }
    };
    return tx;
  };
  agent_.Write(claim, [self = shared_from_this()](const absl::Status& status) {
    self->committing_ = false;
    if (self->Ended()) {
      return;
    }
    const StreamRow* row = self->agent_.mysqld().FindStream(self->id_);
    if (row == nullptr || !row->running) {
      return self->End();
    }
    if (!status.ok()) {
      return self->agent_.process.Later(kBackoff, [self] { self->Claim(); });
    }
    self->row_ = *row;
    for (uint8_t table = 0; table < kTables; ++table) {
      self->under_closed_name_.at(table) =
          ObjectUnder(self->agent_.mysqld().data(), table, true) == gate::Object::kTable;
    }
    self->at_ = {.position = row->position};
    self->Fetch();
  });
}

void StreamTask::Fetch() {
  if (Ended()) {
    return;
  }
  World& world = agent_.world();
  Agent& source = world.SourceOf(agent_.mysqld().shard(), row_.from_side);
  world.network.Call(
      {.from = agent_.process, .to = source.process, .timeout = 2 * kLongPoll},
      [&source, request = at_, until = world.scheduler.now() + kLongPoll](Respond respond) {
        source.ReadBinlog(request, until, std::move(respond));
      },
      [self = shared_from_this()](const Answer& answer) { self->Take(answer); });
}

void StreamTask::Retry() {
  at_.uuid = 0;
  agent_.process.Later(agent_.world().random.Between(20 * kMilli, 200 * kMilli),
                       [self = shared_from_this()] { self->Fetch(); });
}

void StreamTask::Take(const Answer& answer) {
  if (Ended()) {
    return;
  }
  if (answer.status.code() == absl::StatusCode::kDataLoss) {
    return Fail(answer.status);
  }
  if (!answer.status.ok() || answer.batch == nullptr) {
    return Retry();
  }
  Apply(*answer.batch);
}

// One group: the last image of each row wins, rows and position are one commit. What is of a
// closed name was written by the stream the other way.
void StreamTask::Apply(const Batch& batch) {
  auto group = std::make_shared<Tx>();
  group->author = Author::kStream;
  StreamRow after = row_;
  bool worth = false;
  std::map<std::pair<uint8_t, uint32_t>, RowChange> last;
  for (const TxPointer& tx : batch.transactions) {
    worth = worth || tx->author == Author::kClient;
    for (const RowChange& change : tx->rows) {
      if (!change.by_closed_name) {
        last[{change.table, change.key}] = change;
      }
    }
    if (!tx->marker.empty()) {
      after.markers.push_back(tx->marker);
      group->marker = tx->marker;  // only to say that there is one
    }
    after.position.Add(tx->gtid);
  }
  if (after.markers.size() > kMarkersKept) {
    after.markers.erase(after.markers.begin(), after.markers.end() - kMarkersKept);
  }
  for (const auto& [key, change] : last) {
    group->rows.push_back(change);
  }
  at_ = {.position = after.position, .uuid = batch.uuid, .next = batch.next};
  const Micros now = agent_.world().scheduler.now();
  const bool due = worth && now - saved_ >= kSecond;
  if (group->rows.empty() && group->marker.empty() && !due) {
    row_.position = after.position;
    agent_.process.Later(agent_.world().random.Between(20, 200),
                         [self = shared_from_this()] { self->Fetch(); });
    return;
  }
  group->marker.clear();
  saved_ = now;
  Commit(group, after);
}

absl::StatusOr<Tx> StreamTask::Make(const Tx& group, const StreamRow& after) const {
  const Mysqld& mysqld = agent_.mysqld();
  const StreamRow* row = mysqld.FindStream(id_);
  if (row == nullptr || row->version != row_.version) {
    return absl::AbortedError("the stream was taken over");
  }
  if (!mysqld.LooksPrimary()) {
    return absl::UnavailableError("the target's mysqld is read-only");
  }
  Tx tx = group;
  for (RowChange& change : tx.rows) {
    const bool closed = under_closed_name_.at(change.table);
    if (ObjectUnder(mysqld.data(), change.table, closed) != gate::Object::kTable) {
      return absl::UnavailableError("1146: no table under the name that it had");
    }
    change.by_closed_name = closed;
    const auto& rows = mysqld.data().rows.at(change.table);
    const auto before = rows.find(change.key);
    change.before = before == rows.end() ? Row() : before->second;
  }
  tx.rest = [after, version = row->version + 1](Data& data) {
    const auto found = data.streams.find(after.id);
    if (found != data.streams.end()) {
      found->second.position = after.position;
      found->second.markers = after.markers;
      found->second.version = version;
    }
  };
  return tx;
}

void StreamTask::Commit(const std::shared_ptr<Tx>& group, const StreamRow& after) {
  committing_ = true;
  Mysqld& mysqld = agent_.mysqld();
  const auto self = shared_from_this();
  const SessionId session = mysqld.process.up() ? agent_.Connect() : 0;
  const Done over = agent_.Guard([self, session, after](const absl::Status& status) {
    self->committing_ = false;
    self->agent_.mysqld().Close(session);
    if (self->Ended()) {
      return;
    }
    if (!status.ok()) {  // nobody knows, or taken over: what is durable tells
      return self->agent_.process.Later(kBackoff, [self] { self->Claim(); });
    }
    const uint64_t version = self->row_.version + 1;
    self->row_ = after;
    self->row_.version = version;
    self->Fetch();
  });
  if (session == 0) {
    return over(absl::UnavailableError("mysqld is down"));
  }
  const auto make = [self, group, after] { return self->Make(*group, after); };
  if (group->rows.empty()) {
    return mysqld.Commit(session, make, over);
  }
  mysqld.LockTables(session, false, 5 * kSecond,
                    [&mysqld, session, make, over](const absl::Status& locked) {
                      if (!locked.ok()) {
                        return over(locked);
                      }
                      mysqld.Commit(session, make, over);
                    });
}

// For people; somebody starts it again, or nobody.
void StreamTask::Fail(const absl::Status& why) {
  agent_.world().StreamFailed(agent_.mysqld().shard(), why);
  committing_ = true;
  agent_.Write(
      [id = id_, text = std::string(why.message())]() -> absl::StatusOr<Tx> {
        Tx tx;
        tx.rest = [id, text](Data& data) {
          const auto found = data.streams.find(id);
          if (found != data.streams.end()) {
            found->second.running = false;
            found->second.error = text;
          }
        };
        return tx;
      },
      [self = shared_from_this()](const absl::Status& /*status*/) {
        self->committing_ = false;
        self->End();
      });
}

}  // namespace sluice::simulate
