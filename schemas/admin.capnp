# What the CLI asks of the coordinator. Answers are JSON documents in the shapes our users know.
@0xe2370dfd9d2b4065;

using Cxx = import "/capnp/c++.capnp";
using Control = import "control.capnp";
using Routing = import "routing.capnp";
$Cxx.namespace("sluice::schemas");

struct AdminRequest {
  union {
    keyspaceCreate @0 :KeyspaceCreate;
    keyspaceList @1 :Void;
    keyspaceShow @2 :Text;
    tabletList @3 :Void;
    moveTablesCreate @4 :MoveTablesCreate;
    workflowList @5 :Text;       # keyspace
    workflowShow @6 :WorkflowRef;
    workflowStatus @7 :WorkflowRef;
    workflowStart @8 :WorkflowRef;
    workflowStop @9 :WorkflowRef;
    switchTraffic @10 :SwitchTraffic;
    reverseTraffic @11 :SwitchTraffic;
    complete @12 :FinishWorkflow;
    cancel @13 :FinishWorkflow;
    workflowDelete @14 :FinishWorkflow;
    getRoutingRules @15 :Void;
    applyRoutingRules @16 :ApplyRoutingRules;
    cutoverShow @17 :WorkflowRef;  # recorded attempts with their steps in microseconds
    proxyList @18 :Void;
    workflowUpdate @19 :WorkflowUpdate;
    throttle @20 :Throttle;
    throttleShow @21 :Void;
    getShardRoutingRules @22 :Void;
    applyShardRoutingRules @23 :ApplyRoutingRules;
    cutoverRelease @24 :WorkflowRef;
    cutoverAbort @25 :WorkflowRef;
    workflowDiagnose @26 :WorkflowRef;
    workflowRepair @27 :WorkflowRepair;
  }
}

struct AdminReply {
  json @0 :Text;
}

struct WorkflowRef {
  keyspace @0 :Text;
  name @1 :Text;
  shards @2 :List(Text);         # show, status, start, stop: only streams into these; empty: all
  attempt @3 :UInt32;            # cutover show: this one, 1 is the newest; 0: all
}

struct KeyspaceCreate {
  name @0 :Text;
  shards @1 :List(Text);         # empty: one shard, "0"
}

struct MoveTablesCreate {
  workflow @0 :WorkflowRef;
  sourceKeyspace @1 :Text;
  tables @2 :List(Text);
  allTables @3 :Bool;
  excludeTables @4 :List(Text);
  sourceTypes @5 :List(Routing.TabletType);
  autoStart @6 :Bool = true;
  stopAfterCopy @7 :Bool;
  dryRun @8 :Bool;
  options @9 :Control.StreamOptions;  # without targetTimeZone, which is UTC
  sourceShards @10 :List(Text);  # not empty: only these, with all their tables
  parallelism @11 :UInt32;       # shards that are prepared at once; 0: the coordinator's default
}

# What is not said stays as it is; at least one thing is.
struct WorkflowUpdate {
  workflow @0 :WorkflowRef;
  sourceTypes @1 :List(Routing.TabletType);  # empty: as they are
  # Of these: cells (empty: as they are; "*": any cell), onDdl where changeOnDdl says so, and tuning
  # (the value "default" takes one away).
  options @2 :Control.StreamOptions;
  changeOnDdl @3 :Bool;
}

# The operator's switch of a workflow's copy, or of all copies.
struct Throttle {
  workflow @0 :WorkflowRef;      # without a name: all
  reason @1 :Text;               # empty: not throttled
}

struct SwitchTraffic {
  workflow @0 :WorkflowRef;
  types @1 :List(Routing.TabletType);  # empty: all
  timeoutMs @2 :UInt32;
  maxLagMs @3 :UInt32;
  dryRun @4 :Bool;
  enableReverse @5 :Bool = true;
  hold @6 :Bool;
  raiseCounters @7 :Bool;
  killBlockersAfterMs @8 :UInt32;
  killBlockersRows @9 :UInt64;   # 0: the default
  serverGate @10 :Bool;          # of older programs: as gate = server
  force @11 :Bool;                # in spite of lag and of what does not serve
  parallelism @12 :UInt32;       # as in MoveTablesCreate
  cells @13 :List(Text);         # whose reads move; empty: all
  gate @14 :GateChoice;
}

# How the old side is closed.
enum GateChoice {
  auto @0;                       # each mysqld as a whole where nothing stands against it
  tables @1;
  server @2;                     # as whole mysqlds, or not at all
}

struct WorkflowRepair {
  workflow @0 :WorkflowRef;
  yes @1 :Bool;                  # also what can't be taken back
}

struct FinishWorkflow {
  workflow @0 :WorkflowRef;
  keepData @1 :Bool;
  keepRoutingRules @2 :Bool;
  renameTables @3 :Bool;
  dryRun @4 :Bool;
}

struct ApplyRoutingRules {
  rulesJson @0 :Text;
  dryRun @1 :Bool;
}
