// How the scripted agents answer about streams.

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "common/base/check.h"
#include "tests/coordinator/traffic/fake_cluster.h"
#include "tests/coordinator/traffic/fake_parts.h"

namespace sluice::traffic::testing {
namespace {

using topology::StreamState;
using workflow::AgentRef;
using workflow::CallBudget;
using workflow::StreamAction;

}  // namespace

absl::Status FakeCluster::CreateStream(const AgentRef& agent, const workflow::StreamSpec& spec,
                                       bool start, const CallBudget& /*budget*/) {
  return Request("create_stream", agent, [&](FakeServer& server, FakeServer&) {
    if (Find(server, spec.id) != nullptr) {
      return absl::OkStatus();
    }
    SLUICE_CHECK(server.stream_count < kStreamsMax);
    FakeStream& stream = server.streams[server.stream_count++];
    stream = FakeStream();
    stream.id = spec.id;
    Copy(stream.workflow, spec.workflow);
    stream.state = Number(start ? StreamState::kRunning : StreamState::kStopped);
    stream.awaits_position = spec.awaits_position;
    stream.from = spec.awaits_position ? 0 : WritesIn(spec.start_position);
    return absl::OkStatus();
  });
}

absl::StatusOr<topology::StreamInfo> FakeCluster::ControlStream(const AgentRef& agent,
                                                                uint64_t stream_id,
                                                                StreamAction action, uint64_t epoch,
                                                                const CallBudget& /*budget*/) {
  topology::StreamInfo info;
  const absl::Status status =
      Request(absl::StrCat("control_stream ", workflow::StreamActionName(action)), agent,
              [&](FakeServer& server, FakeServer&) -> absl::Status {
                FakeStream* stream = Find(server, stream_id);
                if (stream == nullptr) {
                  return absl::NotFoundError(absl::StrCat("stream ", stream_id, " does not exist"));
                }
                if (epoch < stream->epoch) {
                  return absl::FailedPreconditionError(absl::StrCat("epoch ", epoch, " is old"));
                }
                stream->epoch = epoch;
                switch (action) {
                  case StreamAction::kStart:
                    if (stream->frozen || stream->awaits_position) {
                      return absl::FailedPreconditionError(
                          stream->frozen ? "the stream is frozen" : "it awaits its position");
                    }
                    stream->state = Number(StreamState::kRunning);
                    break;
                  case StreamAction::kStop:
                    stream->state = Number(StreamState::kStopped);
                    break;
                  case StreamAction::kFreeze:
                    stream->state = Number(StreamState::kStopped);
                    stream->frozen = true;
                    break;
                  case StreamAction::kUnfreeze:
                    stream->frozen = false;
                    break;
                  case StreamAction::kDelete:
                    Erase(server, stream_id);
                    return absl::OkStatus();
                }
                info = InfoOf(*stream);
                return absl::OkStatus();
              });
  if (!status.ok()) {
    return status;
  }
  return info;
}

topology::StreamInfo FakeCluster::InfoOf(const FakeStream& stream) const {
  topology::StreamInfo info;
  info.id = stream.id;
  info.workflow = stream.workflow;
  info.state = static_cast<StreamState>(stream.state);
  info.frozen = stream.frozen;
  info.lag_ms = lag_ms;
  info.position = stream.awaits_position ? "" : PositionOf(stream.from);
  info.message = stream.frozen ? "FROZEN" : stream_message;
  topology::CopyProgress& copy = info.copy.emplace_back();
  copy.table = "customer";
  copy.keys_owed = keys_owed;
  return info;
}

absl::StatusOr<topology::StreamInfo> FakeCluster::UpdateStream(const AgentRef& agent,
                                                               const workflow::StreamUpdate& update,
                                                               const CallBudget& /*budget*/) {
  topology::StreamInfo info;
  info.id = update.stream_id;
  const absl::Status status =
      Request("update_stream", agent, [](FakeServer&, FakeServer&) { return absl::OkStatus(); });
  return status.ok() ? absl::StatusOr<topology::StreamInfo>(info) : status;
}

absl::StatusOr<std::vector<topology::StreamInfo>> FakeCluster::ListStreams(
    const AgentRef& agent, const std::string& workflow, const CallBudget& /*budget*/) {
  std::vector<topology::StreamInfo> streams;
  const absl::Status status = Request("list_streams", agent, [&](FakeServer& server, FakeServer&) {
    for (int i = 0; i < server.stream_count; ++i) {
      if (workflow.empty() || workflow == server.streams[i].workflow) {
        streams.push_back(InfoOf(server.streams[i]));
        streams.back().target_database = absl::StrCat("vt_", agent.keyspace);
      }
    }
    return absl::OkStatus();
  });
  if (!status.ok()) {
    return status;
  }
  return streams;
}

absl::Status FakeCluster::PlaceStream(const AgentRef& agent, uint64_t stream_id,
                                      const std::string& position, StreamAction action,
                                      uint64_t epoch, const CallBudget& budget) {
  const absl::Status told =
      Request("place_stream", agent, [&](FakeServer& server, FakeServer&) -> absl::Status {
        FakeStream* stream = Find(server, stream_id);
        if (stream != nullptr && stream->awaits_position && epoch >= stream->epoch) {
          stream->from = WritesIn(position);
          stream->awaits_position = false;
        }
        return absl::OkStatus();
      });
  return told.ok() ? ControlStream(agent, stream_id, action, epoch, budget).status() : told;
}

// The marker may be asked for before it is written, so this waits for it.
absl::StatusOr<workflow::MarkerReached> FakeCluster::AwaitMarker(const AgentRef& agent,
                                                                 uint64_t stream_id,
                                                                 const std::string& marker_id,
                                                                 const CallBudget& budget) {
  workflow::MarkerReached reached = {.applied = "applied", .gtid_executed = ""};
  const absl::Time until = absl::Now() + budget.timeout;
  const auto is_there = [&]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    return marker_id == world_->source.marker || marker_id == world_->target.marker;
  };
  {
    const absl::MutexLock lock(&mutex_);
    mutex_.AwaitWithDeadline(absl::Condition(&is_there), until);
  }
  const absl::Status status =
      Request("await_marker", agent, [&](FakeServer& server, FakeServer& other) -> absl::Status {
        FakeStream* stream = Find(server, stream_id);
        if (stream == nullptr || stream->state != Number(StreamState::kRunning) ||
            marker_id != other.marker) {
          return absl::DeadlineExceededError("the marker has not come");
        }
        server.has_other = other.marker_at;
        reached.gtid_executed = PositionOf(server.writes);
        return absl::OkStatus();
      });
  if (!status.ok()) {
    return status;
  }
  return reached;
}

}  // namespace sluice::traffic::testing
