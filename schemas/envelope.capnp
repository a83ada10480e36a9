# The frame around every request and response on every nng socket.
@0x8d50074d9bc83b11;

using Cxx = import "/capnp/c++.capnp";
$Cxx.namespace("sluice::schemas");

# Peers of another protocol version are refused with UNIMPLEMENTED and both numbers.
const protocolVersion :UInt16 = 1;

struct Request {
  protocolVersion @0 :UInt16;  # zero is refused: a message of all defaults is not a request
  method @1 :Method;
  deadlineMs @2 :UInt32;       # remaining budget of the caller, milliseconds; zero is refused
  traceparent @3 :Text;        # W3C Trace Context; empty when not traced
  idempotencyId @4 :Text;      # same id, same work: done once, answered twice
  caller @5 :Text;             # "agent zone1-100", "coordinator", "proxy p1", "cli"
  body @6 :AnyPointer;
}

struct Response {
  protocolVersion @0 :UInt16;
  code @1 :UInt16;             # absl::StatusCode
  message @2 :Text;
  subject @3 :Text;            # the thing concerned: a table, workflow, tablet, …
  body @4 :AnyPointer;         # absent unless code is OK
}

enum Method {
  unknown @0;

  # agent or proxy -> coordinator
  registerTablet @1;           # control.RegisterTabletRequest / RegisterTabletReply
  reportTablet @2;             # control.ReportTabletRequest / ReportTabletReply
  pickSource @3;               # control.PickSourceRequest / PickSourceReply
  pollRules @4;                # routing.PollRulesRequest / PollRulesReply (long poll)

  # cli -> coordinator
  admin @5;                    # admin.AdminRequest / AdminReply

  # coordinator -> agent
  pingAgent @6;                # Empty / control.AgentInfo
  describeTables @7;           # control.DescribeTablesRequest / DescribeTablesReply
  prepareTarget @8;            # control.PrepareTargetRequest / Empty
  createStream @9;             # control.CreateStreamRequest / Empty
  controlStream @10;           # control.ControlStreamRequest / ControlStreamReply
  listStreams @11;             # control.ListStreamsRequest / ListStreamsReply
  setGate @12;                 # control.SetGateRequest / SetGateReply
  readGate @13;                # control.ReadGateRequest / ReadGateReply
  awaitMarker @14;             # control.AwaitMarkerRequest / AwaitMarkerReply (long poll)
  readPosition @15;            # Empty-like control.ReadPositionRequest / ReadPositionReply
  awaitPosition @16;           # control.AwaitPositionRequest / Empty (long poll)
  writeJournal @17;            # control.WriteJournalRequest / Empty
  dropTables @18;              # control.DropTablesRequest / DropTablesReply

  # agent -> agent (data plane; answered by the source role)
  openSnapshot @19;            # data.OpenSnapshotRequest / OpenSnapshotReply
  fetchRows @20;               # data.FetchRowsRequest / FetchRowsReply
  openBinlog @21;              # data.OpenBinlogRequest / OpenBinlogReply
  fetchEvents @22;             # data.FetchEventsRequest / FetchEventsReply (long poll)
  closeSession @23;            # data.CloseSessionRequest / Empty

  # coordinator -> agent
  updateStream @24;            # control.UpdateStreamRequest / ControlStreamReply
  probeGate @25;               # control.ProbeGateRequest / ProbeGateReply
  raiseCounters @26;           # control.RaiseCountersRequest / RaiseCountersReply
  readJournal @27;             # control.ReadJournalRequest / ReadJournalReply
}

struct Empty {}
