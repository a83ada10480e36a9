// Our own wire: frames of requests and answers, and the bodies as agents and proxies read them.
//
// Input: what the frame is (1 byte; the highest bit puts it at an odd address), then the frame.

#include <capnp/message.h>

#include <algorithm>

#include "agent/source/cell_codec.h"
#include "agent/source/event_splitter.h"
#include "agent/target/stream_spec.h"
#include "common/base/check.h"
#include "common/rpc/frame.h"
#include "common/wire/wire.h"
#include "coordinator/topology/tablet.h"
#include "coordinator/workflow/agents_codec.h"
#include "proxy/rules/rule_snapshot.h"
#include "schemas/control.capnp.h"
#include "schemas/data.capnp.h"
#include "schemas/envelope.capnp.h"
#include "tests/fuzz/exact.h"
#include "tests/fuzz/target.h"

namespace sluice::fuzz {
namespace {

using schemas::Method;
using wire::Str;
using wire::Strs;

enum Kind : uint8_t { kRequest, kRows, kEvents, kRules, kStreams, kTables, kKinds };

// Whatever an agent reports of its tablets is taken whole.
size_t Count(const std::vector<topology::TabletReport>& reports) {
  SLUICE_CHECK(!reports.empty());
  size_t count = 0;
  for (const topology::TabletReport& report : reports) {
    SLUICE_CHECK(report.tablet.agent_url == reports.front().tablet.agent_url);
    for (const topology::StreamInfo& stream : report.streams) {
      SLUICE_CHECK(stream.tablet == report.tablet.alias);
      SLUICE_CHECK(!topology::StreamStateName(stream.state).empty());
    }
    count += report.streams.size() + report.tables.size();
  }
  return count;
}

// A specification that is written comes back as it was read.
void ReadSpec(schemas::StreamSpec::Reader reader) {
  const target::StreamSpec spec = target::ReadStreamSpec(reader);
  (void)target::CheckStreamSpec(spec).ok();
  const auto again = target::DecodeStreamSpec(target::EncodeStreamSpec(spec));
  SLUICE_CHECK_OK(again.status());
  SLUICE_CHECK(*again == spec);
}

size_t ReadRequestBody(schemas::Request::Reader request) {
  const auto body = request.getBody();
  switch (request.getMethod()) {
    case Method::CREATE_STREAM:
      ReadSpec(body.getAs<schemas::CreateStreamRequest>().getSpec());
      return 0;
    case Method::OPEN_SNAPSHOT: {
      const auto open = body.getAs<schemas::OpenSnapshotRequest>();
      return Str(open.getDatabase()).size() + Str(open.getNotBefore()).size() +
             Strs(open.getTables()).size();
    }
    case Method::FETCH_ROWS: {
      const auto fetch = body.getAs<schemas::FetchRowsRequest>();
      return Strs(fetch.getColumns()).size() + Strs(fetch.getKeyColumns()).size() +
             Str(fetch.getAfterKey()).size() + Str(fetch.getEndKey()).size();
    }
    case Method::OPEN_BINLOG: {
      const auto open = body.getAs<schemas::OpenBinlogRequest>();
      return Strs(open.getTables()).size() + Str(open.getPosition()).size();
    }
    case Method::FETCH_EVENTS:
      return Str(body.getAs<schemas::FetchEventsRequest>().getSession()).size();
    case Method::REGISTER_TABLET:
      return Count(topology::DecodeReport(body.getAs<schemas::RegisterTabletRequest>()));
    case Method::REPORT_TABLET:
      return Count(topology::DecodeReport(body.getAs<schemas::ReportTabletRequest>()));
    case Method::PICK_SOURCE:
      return wire::TypesOf(body.getAs<schemas::PickSourceRequest>().getTypes()).size();
    default:
      return 0;
  }
}

size_t ReadRequest(rpc::FrameReader& frame) {
  const auto request = frame.root<schemas::Request>();
  return Str(request.getCaller()).size() + Str(request.getIdempotencyId()).size() +
         Str(request.getTraceparent()).size() + ReadRequestBody(request);
}

size_t ReadRows(schemas::FetchRowsReply::Reader reply) {
  const std::string rows = Str(reply.getRows());
  source::CellReader reader(rows);
  std::vector<mysql::Cell> row;
  size_t count = 0;
  while (!reader.done() && reader.ReadRow(3, row).ok()) {
    ++count;
  }
  return count + Str(reply.getLastKey()).size();
}

size_t ReadEvents(schemas::FetchEventsReply::Reader reply) {
  const std::string events = Str(reply.getEvents());
  absl::string_view rest = events;
  while (!rest.empty()) {
    const auto event = source::NextEvent(rest);
    if (!event.ok()) {
      break;
    }
    rest.remove_prefix(event->size());
  }
  return rest.size();
}

// What a snapshot promises, whatever it was made of.
size_t ReadRules(schemas::PollRulesReply::Reader reply) {
  const auto snapshot = proxy::RuleSnapshot::Create(reply.getRules());
  if (!snapshot.ok()) {
    return 0;
  }
  const proxy::RuleSnapshot& rules = **snapshot;
  SLUICE_CHECK(rules.epoch() > 0);
  SLUICE_CHECK(std::is_sorted(rules.keyspaces().begin(), rules.keyspaces().end()));
  for (const proxy::Tablet& tablet : rules.tablets()) {
    SLUICE_CHECK(rules.HasKeyspace(tablet.keyspace));
    SLUICE_CHECK(!rules.ShardsOf(tablet.keyspace).empty());
    const proxy::Place place{tablet.keyspace, tablet.shard};
    const proxy::Place served = rules.ServedAt(place);
    SLUICE_CHECK(rules.HasKeyspace(served.keyspace) && served.shard == place.shard);
    // Two sides never stand for each other.
    SLUICE_CHECK(served == place || rules.ServedAt(served) != place);
    SLUICE_CHECK(!tablet.serving || !rules.Serving(place, tablet.type).empty());
    SLUICE_CHECK(!tablet.serving || tablet.port != 0);
  }
  return rules.tablets().size();
}

size_t ReadAnswer(Kind kind, rpc::FrameReader& frame) {
  const auto response = frame.root<schemas::Response>();
  const size_t read = Str(response.getMessage()).size() + Str(response.getSubject()).size();
  const auto body = response.getBody();
  switch (kind) {
    case kRows:
      return read + ReadRows(body.getAs<schemas::FetchRowsReply>());
    case kEvents:
      return read + ReadEvents(body.getAs<schemas::FetchEventsReply>());
    case kRules:
      return read + ReadRules(body.getAs<schemas::PollRulesReply>());
    case kTables: {
      std::vector<workflow::TableDescription> tables;
      for (const auto table : body.getAs<schemas::DescribeTablesReply>().getTables()) {
        tables.push_back(workflow::DecodeTable(table));
      }
      return read + tables.size();
    }
    default: {
      std::vector<topology::StreamInfo> streams;
      for (const auto stream : body.getAs<schemas::ListStreamsReply>().getStreams()) {
        streams.push_back(topology::DecodeStream(stream));
      }
      return read + streams.size();
    }
  }
}

void Run(absl::string_view input) {
  if (input.empty()) {
    return;
  }
  const auto head = static_cast<uint8_t>(input[0]);
  const auto kind = static_cast<Kind>((head & 0x7fU) % kKinds);
  const bool odd = (head & 0x80U) != 0;
  const Exact bytes(odd ? input : input.substr(1));
  const absl::string_view frame_bytes = odd ? bytes.view().substr(1) : bytes.view();
  const absl::Status status = rpc::Guard("frame", [&]() -> absl::Status {
    rpc::FrameReader frame(frame_bytes);
    (void)(kind == kRequest ? ReadRequest(frame) : ReadAnswer(kind, frame));
    return absl::OkStatus();
  });
  // Nothing else than malformed data, or too much of it, can be the matter.
  SLUICE_CHECK(status.ok() || status.code() == absl::StatusCode::kInvalidArgument ||
               status.code() == absl::StatusCode::kResourceExhausted);
}

std::string Frame(Kind kind, capnp::MessageBuilder& builder) {
  rpc::Message message;
  SLUICE_CHECK_OK(rpc::Encode(builder, rpc::kFrameBytesMax, message));
  std::string frame(1, static_cast<char>(kind));
  return frame + std::string(rpc::BodyOf(message));
}

template <typename Body, typename Fill>
std::string Request(Method method, const Fill& fill) {
  capnp::MallocMessageBuilder builder;
  auto request = builder.initRoot<schemas::Request>();
  request.setProtocolVersion(schemas::PROTOCOL_VERSION);
  request.setMethod(method);
  request.setDeadlineMs(5000);
  request.setTraceparent("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01");
  request.setIdempotencyId("id-1");
  request.setCaller("agent zone1-100");
  fill(request.getBody().initAs<Body>());
  return Frame(kRequest, builder);
}

template <typename Body, typename Fill>
std::string Answer(Kind kind, const Fill& fill) {
  capnp::MallocMessageBuilder builder;
  auto response = builder.initRoot<schemas::Response>();
  response.setProtocolVersion(schemas::PROTOCOL_VERSION);
  fill(response.getBody().initAs<Body>());
  return Frame(kind, builder);
}

void FillSpec(schemas::StreamSpec::Builder spec) {
  spec.setId(5);
  spec.setWorkflow("customer.move");
  spec.setSourceDatabase("vt_commerce");
  spec.setTargetDatabase("vt_customer");
  wire::Fill(spec.initTables(2), {"corder", "customer"});
  spec.initSourceTypes(1).set(0, schemas::TabletType::REPLICA);
}

void FillStatus(schemas::StreamStatus::Builder stream) {
  stream.setId(5);
  stream.setWorkflow("customer.move");
  stream.setState(schemas::StreamState::COPYING);
  auto copy = stream.initCopy(1)[0];
  copy.setTable("customer");
  copy.setRowsCopied(7);
  wire::Fill(stream.initTables(1), {"customer"});
}

void FillRules(schemas::PollRulesReply::Builder reply) {
  reply.setChanged(true);
  auto rules = reply.initRules();
  rules.setEpoch(3);
  wire::Fill(rules.initKeyspaces(2), {"commerce", "customer"});
  auto rule = rules.initTableRules(1)[0];
  rule.setFromTable("commerce.customer@replica");
  rule.setToTable("customer.customer");
  auto hold = rules.initHolds(1)[0];
  hold.setCutoverId("c1");
  hold.setLeaseMs(1000);
  wire::Fill(hold.initTables(1), {"commerce.customer"});
  wire::Fill(hold.initShards(2), {"commerce/0", "customer/0"});
  auto tablet = rules.initTablets(1)[0];
  tablet.setAlias("zone1-100");
  tablet.setKeyspace("commerce");
  tablet.setShard("0");
  tablet.setType(schemas::TabletType::PRIMARY);
  tablet.setHost("localhost");
  tablet.setPort(3306);
  tablet.setDatabase("vt_commerce");
  tablet.setServing(true);
  auto shard = rules.initShardRules(1)[0];
  shard.setFromKeyspace("commerce");
  shard.setShard("0");
  shard.setToKeyspace("customer");
}

std::vector<std::string> Seeds() {
  std::vector<std::string> seeds = {
      Request<schemas::CreateStreamRequest>(Method::CREATE_STREAM,
                                            [](auto body) { FillSpec(body.initSpec()); }),
      Request<schemas::OpenSnapshotRequest>(
          Method::OPEN_SNAPSHOT,
          [](auto body) {
            body.setDatabase("vt_commerce");
            wire::Fill(body.initTables(2), {"corder", "customer"});
          }),
      Request<schemas::FetchRowsRequest>(Method::FETCH_ROWS,
                                         [](auto body) {
                                           wire::Fill(body.initColumns(2), {"id", "name"});
                                           body.setAfterKey(
                                               wire::Bytes("\x01"
                                                           "7"));
                                         }),
      Request<schemas::OpenBinlogRequest>(
          Method::OPEN_BINLOG, [](auto body) { wire::Fill(body.initTables(1), {"customer"}); }),
      Request<schemas::RegisterTabletRequest>(
          Method::REGISTER_TABLET,
          [](auto body) {
            body.initHealth().setProblem("binlog_format is STATEMENT");
            FillStatus(body.initStreams(1)[0]);
            body.initIdentity().setAgentUrl("tcp://localhost:15100");
            FillStatus(body.initOthers(1)[0].initStreams(1)[0]);
          }),
      Request<schemas::PickSourceRequest>(Method::PICK_SOURCE,
                                          [](auto body) {
                                            wire::Fill(body.initTypes(2),
                                                       {routing::TabletType::kReplica,
                                                        routing::TabletType::kPrimary});
                                          }),
      Answer<schemas::FetchRowsReply>(kRows,
                                      [](auto body) {
                                        body.setRows(
                                            wire::Bytes("\x01"
                                                        "1\x02"
                                                        "ab\xfb"));
                                      }),
      Answer<schemas::FetchEventsReply>(
          kEvents, [](auto body) { body.setEvents(wire::Bytes(std::string(40, '\x13'))); }),
      Answer<schemas::PollRulesReply>(kRules, FillRules),
      Answer<schemas::ListStreamsReply>(kStreams,
                                        [](auto body) { FillStatus(body.initStreams(1)[0]); }),
      Answer<schemas::DescribeTablesReply>(kTables,
                                           [](auto body) {
                                             auto table = body.initTables(1)[0];
                                             table.setName("customer");
                                             table.setCreateStatement(
                                                 "CREATE TABLE `customer` (…)");
                                             wire::Fill(table.initKeyColumns(1), {"id"});
                                             table.setGateState(schemas::GateState::CLOSED);
                                           }),
  };
  seeds.push_back(seeds.front());
  seeds.back()[0] = static_cast<char>(0x80);
  return seeds;
}

}  // namespace

const Target kRpcFrame = {
    .run = Run, .seeds = Seeds, .memory_bytes = size_t{32} << 20U, .memory_per_byte = 1024};

}  // namespace sluice::fuzz
