// FakeAgent: an agent that speaks the real protocol over a scripted set of tables.

#include "tests/coordinator/testing/fake_agent.h"

#include <gtest/gtest.h>

#include <set>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "common/base/check.h"
#include "common/base/status_macros.h"
#include "common/wire/wire.h"
#include "coordinator/workflow/agents_codec.h"

namespace sluice::testing {

using schemas::Method;
using wire::Str;
using wire::Strs;

FakeAgent::FakeAgent(FakeAgentOptions options)
    : options_(std::move(options)), server_({.url = "tcp://127.0.0.1:0", .contexts = 8}) {
  RegisterHandlers();
  SLUICE_CHECK_OK(server_.Start());
}

FakeAgent::~FakeAgent() {
  server_.Stop();
}

std::string FakeAgent::alias() const {
  return absl::StrCat(options_.cell, "-", options_.uid);
}

workflow::TableDescription& FakeAgent::AddTable(const std::string& name) {
  const absl::MutexLock lock(&mutex_);
  workflow::TableDescription& table = tables_[name];
  table.name = name;
  table.exists = true;
  table.create_statement = absl::StrCat("CREATE TABLE `", name, "` (id int primary key)");
  table.key_columns = {"id"};
  table.gate_state = workflow::GateState::kOpen;
  return table;
}

void FakeAgent::Fail(Method method, const absl::Status& status, int times) {
  const absl::MutexLock lock(&mutex_);
  failures_[method] = {status, times};
}

absl::Status FakeAgent::Injected(Method method) {
  const absl::MutexLock lock(&mutex_);
  const auto found = failures_.find(method);
  if (found == failures_.end() || found->second.second == 0) {
    return absl::OkStatus();
  }
  --found->second.second;
  return found->second.first;
}

void FakeAgent::Note(std::string call) {
  const absl::MutexLock lock(&mutex_);
  calls_.push_back(std::move(call));
}

topology::TabletReport FakeAgent::Report() const {
  topology::TabletReport report;
  topology::TabletInfo& tablet = report.tablet;
  tablet.alias = alias();
  tablet.cell = options_.cell;
  tablet.uid = options_.uid;
  tablet.keyspace = options_.keyspace;
  tablet.shard = options_.shard;
  tablet.database = absl::StrCat("vt_", options_.keyspace);
  tablet.agent_url = server_.url();
  tablet.mysql_host = "127.0.0.1";
  tablet.mysql_port = static_cast<uint16_t>(options_.uid);
  tablet.configured_type = options_.type;
  tablet.type = options_.type;
  tablet.incarnation = options_.incarnation;
  tablet.reachable = true;
  const absl::MutexLock lock(&mutex_);
  for (const auto& [id, stream] : streams_) {
    report.streams.push_back(stream);
  }
  if (options_.type == routing::TabletType::kPrimary) {
    for (const auto& [name, table] : tables_) {
      if (table.gate_state == workflow::GateState::kOpen) {
        report.tables.push_back(name);
      }
    }
  }
  return report;
}

std::vector<std::string> FakeAgent::Calls() const {
  const absl::MutexLock lock(&mutex_);
  return calls_;
}

std::vector<std::string> FakeAgent::TableNames() const {
  const absl::MutexLock lock(&mutex_);
  std::vector<std::string> names;
  for (const auto& [name, table] : tables_) {
    names.push_back(name);
  }
  return names;
}

size_t FakeAgent::StreamCount() const {
  const absl::MutexLock lock(&mutex_);
  return streams_.size();
}

void FakeAgent::SetStream(const topology::StreamInfo& stream) {
  const absl::MutexLock lock(&mutex_);
  streams_[stream.id] = stream;
}

void FakeAgent::Describe(schemas::DescribeTablesRequest::Reader request,
                         schemas::DescribeTablesReply::Builder reply) {
  const absl::MutexLock lock(&mutex_);
  std::vector<workflow::TableDescription> found;
  std::set<std::string> asked;
  for (const std::string& name : Strs(request.getTables())) {
    EXPECT_TRUE(asked.insert(name).second) << name << ": an agent describes a table once";
    const auto known = tables_.find(name);
    workflow::TableDescription missing;
    missing.name = name;
    found.push_back(known == tables_.end() ? missing : known->second);
  }
  if (request.getTables().size() == 0) {
    for (const auto& [name, table] : tables_) {
      if (!table.is_view) {
        found.push_back(table);
      }
    }
  }
  auto list = reply.initTables(wire::Size(found));
  for (unsigned i = 0; i < list.size(); ++i) {
    workflow::EncodeTable(found[i], list[i]);
  }
}

absl::Status FakeAgent::Prepare(schemas::PrepareTargetRequest::Reader request) {
  std::vector<std::string> names;
  for (const auto table : request.getTables()) {
    names.push_back(Str(table.getName()));
    const absl::MutexLock lock(&mutex_);
    workflow::TableDescription& created = tables_[names.back()];
    created = workflow::DecodeTable(table);
    created.gate_state = workflow::GateState::kClosed;
    created.has_rows = false;
  }
  Note(absl::StrCat("prepare ", Str(request.getWorkflow()), " ", absl::StrJoin(names, ",")));
  return absl::OkStatus();
}

absl::Status FakeAgent::Create(schemas::CreateStreamRequest::Reader request) {
  const auto spec = request.getSpec();
  topology::StreamInfo stream;
  stream.id = spec.getId();
  stream.tablet = alias();
  stream.workflow = Str(spec.getWorkflow());
  stream.state =
      request.getStart() ? topology::StreamState::kCopying : topology::StreamState::kStopped;
  Note(absl::StrCat("create stream ", stream.id, " of ", stream.workflow, " from ",
                    Str(spec.getSourceKeyspace()), "/", Str(spec.getSourceShard())));
  SetStream(stream);
  return absl::OkStatus();
}

absl::Status FakeAgent::Control(schemas::ControlStreamRequest::Reader request) {
  const absl::MutexLock lock(&mutex_);
  const auto found = streams_.find(request.getStreamId());
  if (found == streams_.end()) {
    return absl::NotFoundError(absl::StrCat("no stream ", request.getStreamId()));
  }
  if (request.getAction() == schemas::StreamAction::DELETE) {
    calls_.push_back(absl::StrCat("delete stream ", request.getStreamId()));
    streams_.erase(found);
  } else if (request.getAction() == schemas::StreamAction::START) {
    calls_.push_back(absl::StrCat("start stream ", request.getStreamId()));
    found->second.state = topology::StreamState::kRunning;
  }
  return absl::OkStatus();
}

void FakeAgent::Drop(schemas::DropTablesRequest::Reader request) {
  const absl::MutexLock lock(&mutex_);
  const std::vector<std::string> names = Strs(request.getTables());
  for (const std::string& name : names) {
    const auto found = tables_.find(name);
    if (found != tables_.end() && found->second.gate_state == workflow::GateState::kClosed) {
      tables_.erase(found);
    }
  }
  calls_.push_back(
      absl::StrCat("drop ", Str(request.getWorkflow()), " ", absl::StrJoin(names, ",")));
}

void FakeAgent::RegisterHandlers() {
  using rpc::RequestContext;
  server_.Register<schemas::DescribeTablesRequest, schemas::DescribeTablesReply>(
      Method::DESCRIBE_TABLES,
      [this](const RequestContext&, auto request, auto reply) -> absl::Status {
        SLUICE_RETURN_IF_ERROR(Injected(Method::DESCRIBE_TABLES));
        Describe(request, reply);
        return absl::OkStatus();
      });
  server_.Register<schemas::PrepareTargetRequest, schemas::Empty>(
      Method::PREPARE_TARGET, [this](const RequestContext&, auto request, auto) -> absl::Status {
        SLUICE_RETURN_IF_ERROR(Injected(Method::PREPARE_TARGET));
        return Prepare(request);
      });
  server_.Register<schemas::CreateStreamRequest, schemas::Empty>(
      Method::CREATE_STREAM, [this](const RequestContext&, auto request, auto) -> absl::Status {
        SLUICE_RETURN_IF_ERROR(Injected(Method::CREATE_STREAM));
        return Create(request);
      });
  server_.Register<schemas::ControlStreamRequest, schemas::ControlStreamReply>(
      Method::CONTROL_STREAM, [this](const RequestContext&, auto request, auto) -> absl::Status {
        SLUICE_RETURN_IF_ERROR(Injected(Method::CONTROL_STREAM));
        return Control(request);
      });
  server_.Register<schemas::UpdateStreamRequest, schemas::ControlStreamReply>(
      Method::UPDATE_STREAM, [this](const RequestContext&, auto request, auto) -> absl::Status {
        SLUICE_RETURN_IF_ERROR(Injected(Method::UPDATE_STREAM));
        std::string tuning;
        for (const auto item : request.getOptions().getTuning()) {
          absl::StrAppend(&tuning, " ", Str(item.getName()), "=", Str(item.getValue()));
        }
        Note(absl::StrCat("update stream ", request.getStreamId(), tuning, " cells ",
                          absl::StrJoin(wire::Strs(request.getOptions().getCells()), ","),
                          " throttled '", Str(request.getThrottled()), "'"));
        return absl::OkStatus();
      });
  server_.Register<schemas::DropTablesRequest, schemas::DropTablesReply>(
      Method::DROP_TABLES, [this](const RequestContext&, auto request, auto) -> absl::Status {
        SLUICE_RETURN_IF_ERROR(Injected(Method::DROP_TABLES));
        Drop(request);
        return absl::OkStatus();
      });
}

}  // namespace sluice::testing
