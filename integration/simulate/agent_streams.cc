// Agent: commands on streams, in the steps of agent/target's StreamManager.

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "integration/simulate/agent.h"
#include "integration/simulate/stream_task.h"
#include "integration/simulate/world.h"

namespace sluice::simulate {
namespace {

absl::Status TooOld(const StreamCommand& command, uint64_t obeyed) {
  return absl::FailedPreconditionError(absl::StrCat("the command for stream ", command.id,
                                                    " is of epoch ", command.epoch, ", but one of ",
                                                    obeyed, " was obeyed already"));
}

absl::Status Change(const StreamCommand& command, StreamRow& row) {
  switch (command.action) {
    case StreamAction::kStart:
      if (row.frozen || row.awaits_position) {
        return absl::FailedPreconditionError(row.frozen ? "frozen" : "waits for its position");
      }
      row.running = true;
      row.error.clear();
      return absl::OkStatus();
    case StreamAction::kStop:
      if (!row.frozen) {
        row.running = false;
        row.error.clear();
      }
      return absl::OkStatus();
    case StreamAction::kFreeze:
      row.frozen = true;
      row.running = false;
      return absl::OkStatus();
    case StreamAction::kDelete:
      break;
  }
  return absl::InvalidArgumentError("not a change");
}

}  // namespace

bool Agent::Runs(uint64_t stream) const {
  const auto found = tasks_.find(stream);
  return mysqld_.serves() && found != tasks_.end() && found->second->running();
}

void Agent::StartTask(uint64_t id) {
  const auto found = tasks_.find(id);
  if (found != tasks_.end() && found->second->running()) {
    return;
  }
  tasks_[id] = std::make_shared<StreamTask>(*this, id);
  tasks_[id]->Start();
}

void Agent::StopTask(uint64_t id, const Action& then) {
  const auto found = tasks_.find(id);
  if (found == tasks_.end()) {
    return then();
  }
  found->second->Stop(then);
}

void Agent::StopStreams() {
  for (const auto& [id, task] : tasks_) {
    task->Stop([] {});
  }
}

// One command on a stream at a time.
void Agent::Exclusively(uint64_t stream, const std::function<void(Action)>& work) {
  if (busy_streams_.contains(stream)) {
    process.Later(kMilli, [this, stream, work] { Exclusively(stream, work); });
    return;
  }
  busy_streams_.insert(stream);
  work([this, stream] { busy_streams_.erase(stream); });
}

void Agent::CreateStream(const StreamRow& stream, Micros deadline, const Respond& respond) {
  Exclusively(stream.id, [this, stream, deadline, respond](const Action& release) {
    const Respond answer = [release, respond](const Answer& told) {
      release();
      respond(told);
    };
    if (!mysqld_.serves()) {
      return answer({.status = absl::UnavailableError("mysqld is down")});
    }
    if (deleted_.contains(stream.id) || world_.scheduler.now() > deadline) {
      return answer({.status = absl::FailedPreconditionError("deleted, or too late")});
    }
    if (mysqld_.FindStream(stream.id) != nullptr) {
      return answer({});
    }
    Write(
        [stream]() -> absl::StatusOr<Tx> {
          Tx tx;
          tx.rest = [stream](Data& data) { data.streams.emplace(stream.id, stream); };
          return tx;
        },
        [answer](const absl::Status& status) { answer({.status = status}); });
  });
}

void Agent::Control(const StreamCommand& command, Respond respond) {
  Exclusively(command.id, [this, command, respond = std::move(respond)](const Action& release) {
    Obey(command, [release, respond](const Answer& told) {
      release();
      respond(told);
    });
  });
}

void Agent::Obey(const StreamCommand& command, const Respond& respond) {
  if (!mysqld_.serves()) {
    return respond({.status = absl::UnavailableError("mysqld is down, or read-only")});
  }
  const StreamRow* row = mysqld_.FindStream(command.id);
  if (row == nullptr) {
    if (command.action == StreamAction::kDelete) {
      return DeleteStream(command.id, respond);
    }
    return respond({.status = absl::NotFoundError(kNoSuchStream)});
  }
  if (command.epoch < row->epoch) {
    return respond({.status = TooOld(command, row->epoch)});
  }
  const bool keeps_running = command.action == StreamAction::kStart && Runs(command.id);
  if (keeps_running) {
    return ObeyStopped(command, true, respond);
  }
  StopTask(command.id, [this, command, respond] {
    if (command.action == StreamAction::kDelete) {
      return DeleteStream(command.id, respond);
    }
    ObeyStopped(command, false, respond);
  });
}

void Agent::ObeyStopped(const StreamCommand& command, bool keeps_running, const Respond& respond) {
  const auto go_on = [this, command, keeps_running, respond](const absl::Status& status) {
    const StreamRow* row = mysqld_.FindStream(command.id);
    if (!status.ok() || row == nullptr) {
      return respond({.status = status.ok() ? absl::NotFoundError(kNoSuchStream) : status});
    }
    if (command.epoch < row->epoch) {
      return respond({.status = TooOld(command, row->epoch)});
    }
    world_.MayStandStill(*this);
    process.Later(world_.random.Between(20, 400),
                  [this, command, record = *row, keeps_running, respond] {
                    UpdateStream(command, record, keeps_running, respond);
                  });
  };
  if (keeps_running) {
    return go_on(absl::OkStatus());
  }
  Write(
      [this, id = command.id]() -> absl::StatusOr<Tx> {
        const StreamRow* row = mysqld_.FindStream(id);
        if (row == nullptr) {
          return absl::NotFoundError(kNoSuchStream);
        }
        Tx tx;
        tx.rest = [id, version = row->version + 1](Data& data) {
          const auto found = data.streams.find(id);
          if (found != data.streams.end()) {
            found->second.version = version;
          }
        };
        return tx;
      },
      go_on);
}

void Agent::UpdateStream(const StreamCommand& command, StreamRow record, bool keeps_running,
                         const Respond& respond) {
  const bool begins = record.awaits_position && !command.position.empty();
  if (begins) {
    record.awaits_position = false;
    record.position = Gtids::Parse(command.position);
    world_.oracle.ReversePlaced(mysqld_, record);
  }
  if (const absl::Status changed = Change(command, record); !changed.ok()) {
    return respond({.status = changed});
  }
  record.epoch = command.epoch;
  Write(
      [this, record, begins, keeps_running]() -> absl::StatusOr<Tx> {
        const StreamRow* row = mysqld_.FindStream(record.id);
        if (row == nullptr) {
          return absl::NotFoundError(kNoSuchStream);
        }
        Tx tx;
        tx.rest = [record, begins, keeps_running](Data& data) {
          const auto found = data.streams.find(record.id);
          if (found == data.streams.end()) {
            return;
          }
          found->second.epoch = record.epoch;
          if (!keeps_running) {
            found->second.running = record.running;
            found->second.frozen = record.frozen;
            found->second.error = record.error;
          }
          if (begins) {
            found->second.awaits_position = false;
            found->second.position = record.position;
          }
        };
        return tx;
      },
      [this, record, command, respond](const absl::Status& status) {
        world_.trace.Note(process.name(), "stream", command.id, " action ",
                          static_cast<int>(command.action), " epoch ", command.epoch, " ",
                          status.ok() ? "done" : "failed");
        if (status.ok() && record.running) {
          StartTask(record.id);
        }
        respond({.status = status});
      });
}

void Agent::DeleteStream(uint64_t id, const Respond& respond) {
  Write(
      [id]() -> absl::StatusOr<Tx> {
        Tx tx;
        tx.rest = [id](Data& data) { data.streams.erase(id); };
        return tx;
      },
      [this, id, respond](const absl::Status& status) {
        if (status.ok()) {
          tasks_.erase(id);
          deleted_.insert(id);
        }
        respond({.status = status});
      });
}

void Agent::AwaitMarker(uint64_t stream, const std::string& marker, Micros deadline,
                        Respond respond) {
  const auto found = tasks_.find(stream);
  if (!mysqld_.process.up() || found == tasks_.end()) {
    return respond({.status = absl::UnavailableError("the stream is not at work")});
  }
  if (found->second->HasMarker(marker)) {
    return respond({.value = mysqld_.data().executed.Text()});
  }
  if (world_.scheduler.now() >= deadline || !found->second->running()) {
    return respond({.status = absl::DeadlineExceededError("the marker has not come")});
  }
  process.Later(2 * kMilli, [this, stream, marker, deadline, respond = std::move(respond)] {
    AwaitMarker(stream, marker, deadline, respond);
  });
}

}  // namespace sluice::simulate
