// StreamWorld: starting the two sides, and the calls of a coordinator.

#include "tests/agent/target/stream_world.h"

#include <capnp/message.h>
#include <gtest/gtest.h>

#include <utility>

#include "absl/strings/str_cat.h"
#include "agent/target/sidecar_tables.h"
#include "common/base/status_macros.h"

namespace sluice::testing {
namespace {

constexpr uint32_t kBinlogServerIdBase = 1000;
constexpr absl::Duration kPollInterval = absl::Milliseconds(10);

void Run(const Mysqld& server, const std::string& database,
         const std::vector<std::string>& statements) {
  const auto connection = ConnectTo(server, database);
  ASSERT_NE(connection, nullptr);
  for (const std::string& statement : statements) {
    const absl::Status status = connection->Execute(statement).status();
    ASSERT_TRUE(status.ok()) << statement << ": " << status;
  }
}

throttle::Reading NoLag() {
  return {.value = 0, .detail = ""};
}

target::WriteTimes TimesOf(schemas::WriteTimes::Reader reader) {
  const auto micros = [](uint64_t value) {
    return absl::Microseconds(static_cast<int64_t>(value));
  };
  return {.writes = reader.getWrites(),
          .waiting = micros(reader.getWaitingUs()),
          .building = micros(reader.getBuildingUs()),
          .server = micros(reader.getServerUs()),
          .hand_off = micros(reader.getHandOffUs())};
}

SeenStatus Seen(schemas::StreamStatus::Reader reader) {
  return {.state = reader.getState(),
          .message = reader.getMessage().cStr(),
          .position = reader.getPosition().cStr(),
          .lag_ms = reader.getLagMs(),
          .rows_copied = reader.getRowsCopied(),
          .rows_applied = reader.getRowsApplied(),
          .frozen = reader.getFrozen(),
          .throttled_component = reader.getComponentThrottled().cStr(),
          .throttled_reason = reader.getReasonThrottled().cStr(),
          .time_throttled = reader.getTimeThrottled(),
          .copy_times = TimesOf(reader.getCopyTimes()),
          .apply_times = TimesOf(reader.getApplyTimes())};
}

}  // namespace

std::unique_ptr<mysql::Connection> ConnectTo(const Mysqld& server, const std::string& database) {
  mysql::ConnectionOptions options = server.Root();
  options.database = database;
  auto connection = mysql::Connection::Connect(options);
  EXPECT_TRUE(connection.ok()) << connection.status();
  return connection.ok() ? *std::move(connection) : nullptr;
}

std::unique_ptr<StreamWorld> StreamWorld::Start(target::StreamTuning tuning,
                                                std::vector<std::string> source_options,
                                                std::vector<std::string> target_options) {
  std::unique_ptr<StreamWorld> world(new StreamWorld(tuning));
  // A commit survives kill -9 of mysqld, as it does in production.
  const std::string durable = "--innodb-flush-log-at-trx-commit=2";
  source_options.insert(source_options.end(), {"--server-id=1", durable});
  target_options.insert(target_options.end(), {"--server-id=2", durable});
  auto source = Mysqld::Launch(source_options);
  auto target = Mysqld::Launch(target_options);
  EXPECT_TRUE(source.ok()) << source.status();
  EXPECT_TRUE(target.ok()) << target.status();
  if (!source.ok() || !target.ok()) {
    return nullptr;
  }
  for (Mysqld* server : {source->get(), target->get()}) {
    const absl::Status started = server->AwaitReady();
    EXPECT_TRUE(started.ok()) << started;
    if (!started.ok()) {
      return nullptr;
    }
  }
  world->source_mysqld_ = *std::move(source);
  world->target_mysqld_ = *std::move(target);
  Run(*world->source_mysqld_, "", {absl::StrCat("CREATE DATABASE ", kSourceDatabase)});
  Run(*world->target_mysqld_, "", {absl::StrCat("CREATE DATABASE ", kTargetDatabase)});
  std::vector<std::string> sidecar = {"CREATE DATABASE _sluice"};
  for (const absl::string_view statement : target::kStreamTables) {
    sidecar.emplace_back(statement);
  }
  world->OnTarget(sidecar);
  world->OnSource(
      {"CREATE DATABASE _sluice",
       "CREATE TABLE _sluice.marker (id VARCHAR(64) PRIMARY KEY, workflow VARCHAR(255), "
       "seq BIGINT, written_at TIMESTAMP(6))"});
  world->StartSource();
  world->StartTarget();
  return world;
}

StreamWorld::~StreamWorld() {
  StopTarget();
  StopSource();
}

void StreamWorld::StartSource() {
  source_sampler_ = std::make_unique<throttle::Sampler>(
      throttle::SamplerOptions{.connection = source_mysqld_->Root(), .lag = &NoLag});
  source_ = std::make_unique<source::SourceService>(
      source::SourceOptions{.connection = source_mysqld_->Root(),
                            .server_id_base = kBinlogServerIdBase,
                            .sampler = source_sampler_.get()});
  source_server_ = std::make_unique<rpc::Server>(rpc::ServerOptions{.url = source_url_});
  source_->Register(*source_server_);
  const absl::Status status = source_server_->Start();
  ASSERT_TRUE(status.ok()) << status;
  source_url_ = source_server_->url();
}

void StreamWorld::StopSource() {
  if (source_ != nullptr) {
    source_->Stop();
    source_server_->Stop();
    source_server_.reset();
    source_.reset();
    source_sampler_.reset();
  }
}

void StreamWorld::TellSwitch(const std::string& throttled) {
  capnp::MallocMessageBuilder message;
  auto view = message.initRoot<schemas::ClusterView>();
  view.setThrottled(throttled);
  cluster_->Told({view.asReader()}, absl::Now());
}

void StreamWorld::StartTarget() {
  target_sampler_ = std::make_unique<throttle::Sampler>(
      throttle::SamplerOptions{.connection = target_mysqld_->Root(), .lag = &NoLag});
  cluster_ = std::make_unique<throttle::ClusterView>();
  TellSwitch("");
  throttles_ = std::make_unique<target::Throttles>(
      target::Throttles{.sampler = *target_sampler_, .cluster = *cluster_});
  manager_ = std::make_unique<target::StreamManager>(target::StreamManagerOptions{
      .local = target_mysqld_->Root(),
      .agent_name = "zone1-200",
      .pick_source = [this](const auto&) -> absl::StatusOr<target::SourceAddress> {
        return target::SourceAddress{.alias = "zone1-100", .agent_url = source_url_};
      },
      .on_change = [] {},
      .tuning = tuning_,
      .throttles = throttles_.get()});
  target_server_ = std::make_unique<rpc::Server>(rpc::ServerOptions{.url = target_url_});
  manager_->Register(*target_server_);
  absl::Status status = target_server_->Start();
  ASSERT_TRUE(status.ok()) << status;
  target_url_ = target_server_->url();
  status = manager_->LoadAndResume();
  ASSERT_TRUE(status.ok()) << status;
  auto client = rpc::Client::Dial(target_url_, "coordinator");
  ASSERT_TRUE(client.ok()) << client.status();
  client_ = *std::move(client);
}

void StreamWorld::StopTarget() {
  if (manager_ != nullptr) {
    manager_->Stop();
    target_server_->Stop();
    target_server_.reset();
    manager_.reset();
    client_.reset();
    throttles_.reset();
    target_sampler_.reset();
    cluster_.reset();
  }
}

void StreamWorld::OnSource(const std::vector<std::string>& statements) {
  Run(*source_mysqld_, kSourceDatabase, statements);
}

void StreamWorld::OnTarget(const std::vector<std::string>& statements) {
  Run(*target_mysqld_, kTargetDatabase, statements);
}

void StreamWorld::CreateTable(const std::string& definition) {
  OnSource({"CREATE TABLE " + definition});
  OnTarget({"CREATE TABLE " + definition});
}

target::StreamSpec StreamWorld::Spec(uint64_t id, std::vector<std::string> tables) {
  target::StreamSpec spec;
  spec.id = id;
  spec.workflow = "target.move";
  spec.source_keyspace = "source";
  spec.source_shard = "0";
  spec.source_database = kSourceDatabase;
  spec.target_keyspace = "target";
  spec.target_shard = "0";
  spec.target_database = kTargetDatabase;
  spec.tables = std::move(tables);
  spec.source_types = {schemas::TabletType::PRIMARY};
  spec.workflow_type = "MoveTables";
  return spec;
}

absl::Status StreamWorld::Call(schemas::Method method,
                               const std::function<void(capnp::AnyPointer::Builder)>& build,
                               const std::function<absl::Status(capnp::AnyPointer::Reader)>& read,
                               absl::Duration timeout) {
  return client_->CallAny(method, build, read,
                          {.timeout = timeout, .idempotency_id = {}, .traceparent = {}});
}

absl::Status StreamWorld::Create(const target::StreamSpec& spec, bool start) {
  return Call(
      schemas::Method::CREATE_STREAM,
      [&](capnp::AnyPointer::Builder any) {
        auto request = any.initAs<schemas::CreateStreamRequest>();
        target::WriteStreamSpec(spec, request.initSpec());
        request.setStart(start);
      },
      [](auto) { return absl::OkStatus(); }, absl::Seconds(10));
}

absl::StatusOr<SeenStatus> StreamWorld::Update(const target::StreamSpec& spec, uint64_t epoch) {
  SeenStatus seen;
  const absl::Status status = Call(
      schemas::Method::UPDATE_STREAM,
      [&](capnp::AnyPointer::Builder any) {
        auto request = any.initAs<schemas::UpdateStreamRequest>();
        request.setStreamId(spec.id);
        request.setEpoch(epoch);
        auto types = request.initSourceTypes(static_cast<unsigned>(spec.source_types.size()));
        for (unsigned i = 0; i < types.size(); ++i) {
          types.set(i, spec.source_types[i]);
        }
        stream::WriteStreamOptions(spec.options, request.initOptions());
        request.setThrottled(spec.throttled);
      },
      [&](capnp::AnyPointer::Reader any) {
        seen = Seen(any.getAs<schemas::ControlStreamReply>().getStatus());
        return absl::OkStatus();
      },
      absl::Seconds(60));
  return status.ok() ? absl::StatusOr<SeenStatus>(seen) : status;
}

absl::StatusOr<SeenStatus> StreamWorld::Control(uint64_t id, schemas::StreamAction action,
                                                uint64_t epoch) {
  SeenStatus seen;
  const absl::Status status = Call(
      schemas::Method::CONTROL_STREAM,
      [&](capnp::AnyPointer::Builder any) {
        auto request = any.initAs<schemas::ControlStreamRequest>();
        request.setStreamId(id);
        request.setAction(action);
        request.setEpoch(epoch);
      },
      [&](capnp::AnyPointer::Reader any) {
        seen = Seen(any.getAs<schemas::ControlStreamReply>().getStatus());
        return absl::OkStatus();
      },
      absl::Seconds(60));
  if (!status.ok()) {
    return status;
  }
  return seen;
}

absl::StatusOr<SeenStatus> StreamWorld::Status(uint64_t id) {
  absl::StatusOr<SeenStatus> seen = absl::NotFoundError("not listed");
  const absl::Status status = Call(
      schemas::Method::LIST_STREAMS,
      [](capnp::AnyPointer::Builder any) { any.initAs<schemas::ListStreamsRequest>(); },
      [&](capnp::AnyPointer::Reader any) {
        for (const auto stream : any.getAs<schemas::ListStreamsReply>().getStreams()) {
          if (stream.getId() == id) {
            seen = Seen(stream);
          }
        }
        return absl::OkStatus();
      },
      absl::Seconds(5));
  return status.ok() ? seen : status;
}

SeenStatus StreamWorld::AwaitStatus(uint64_t id,
                                    const std::function<bool(const SeenStatus&)>& wanted,
                                    absl::Duration timeout) {
  const absl::Time deadline = absl::Now() + timeout;
  SeenStatus last;
  while (absl::Now() < deadline) {
    const auto status = Status(id);
    if (status.ok()) {
      last = *status;
      if (wanted(last)) {
        return last;
      }
    }
    absl::SleepFor(kPollInterval);  // Delay: statuses are only to be asked for, as a person would
  }
  ADD_FAILURE() << "stream " << id << " stays in state " << static_cast<int>(last.state) << ": "
                << last.message;
  return last;
}

SeenStatus StreamWorld::AwaitState(uint64_t id, schemas::StreamState state) {
  return AwaitStatus(id, [state](const SeenStatus& status) { return status.state == state; });
}

absl::StatusOr<std::string> StreamWorld::AwaitMarker(uint64_t id, const std::string& marker,
                                                     absl::Duration wait) {
  std::string position;
  const absl::Status status = Call(
      schemas::Method::AWAIT_MARKER,
      [&](capnp::AnyPointer::Builder any) {
        auto request = any.initAs<schemas::AwaitMarkerRequest>();
        request.setStreamId(id);
        request.setMarkerId(marker);
        request.setWaitMs(static_cast<uint32_t>(absl::ToInt64Milliseconds(wait)));
      },
      [&](capnp::AnyPointer::Reader any) {
        position = any.getAs<schemas::AwaitMarkerReply>().getPosition().cStr();
        return absl::OkStatus();
      },
      wait + absl::Seconds(5));
  if (!status.ok()) {
    return status;
  }
  return position;
}

void StreamWorld::Drain(uint64_t id) {
  const std::string marker = absl::StrCat("marker-", ++markers_);
  OnSource({absl::StrCat("INSERT INTO _sluice.marker VALUES ('", marker,
                         "', 'target.move', 1, NOW(6)) ON DUPLICATE KEY UPDATE seq = seq + 1")});
  const auto position = AwaitMarker(id, marker, absl::Seconds(60));
  ASSERT_TRUE(position.ok()) << position.status();
}

std::vector<std::string> StreamWorld::Dump(const Mysqld& server, const std::string& database,
                                           const std::string& table) {
  std::vector<std::string> rows;
  const auto connection = ConnectTo(server, database);
  if (connection == nullptr) {
    return rows;
  }
  EXPECT_TRUE(mysql::ConfigureDataSession(*connection).ok());
  const auto result = connection->Query(
      absl::StrCat("SELECT * FROM ", mysql::QuoteTable(database, table), " ORDER BY 1, 2"));
  EXPECT_TRUE(result.ok()) << result.status();
  if (result.ok()) {
    for (const mysql::Row& row : result->rows) {
      std::string text;
      for (const auto& cell : row) {
        absl::StrAppend(&text, cell.has_value() ? mysql::QuoteString(*cell) : "NULL", ",");
      }
      rows.push_back(std::move(text));
    }
  }
  return rows;
}

void StreamWorld::ExpectSame(const std::string& table, const std::string& target_table) {
  const auto source = Dump(*source_mysqld_, kSourceDatabase, table);
  const auto target =
      Dump(*target_mysqld_, kTargetDatabase, target_table.empty() ? table : target_table);
  EXPECT_FALSE(source.empty());
  ASSERT_EQ(source.size(), target.size()) << table;
  for (size_t i = 0; i < source.size(); ++i) {
    ASSERT_EQ(source[i], target[i]) << table << " row " << i;
  }
}

}  // namespace sluice::testing
