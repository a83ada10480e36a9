# Stored forms of the coordinator: what its store keeps as bytes.
@0xe1355017f24f819f;

using Cxx = import "/capnp/c++.capnp";
using Control = import "control.capnp";
using Routing = import "routing.capnp";
$Cxx.namespace("sluice::schemas");

enum WorkflowPhase {
  creating @0;
  active @1;
  frozen @2;
  completing @3;
  cancelling @4;
}

struct StoredStream {
  id @0 :UInt64;
  sourceShard @1 :Text;
  targetShard @2 :Text;
  sourceDatabase @3 :Text;
  targetDatabase @4 :Text;
}

struct StoredWorkflow {
  keyspace @0 :Text;
  name @1 :Text;
  type @2 :Text;
  subType @3 :Text;
  sourceKeyspace @4 :Text;
  targetKeyspace @5 :Text;
  tables @6 :List(Text);
  sourceShards @7 :List(Text);
  targetShards @8 :List(Text);
  streams @9 :List(StoredStream);
  phase @10 :WorkflowPhase;
  replicaSwitched @11 :Bool;
  rdonlySwitched @12 :Bool;
  writesSwitched @13 :Bool;
  sourceTypes @14 :List(Routing.TabletType);
  stopAfterCopy @15 :Bool;
  autoStart @16 :Bool;
  reverseOf @17 :Text;
  createdAtMs @18 :Int64;
  undoing @19 :Bool;
  startPending @20 :Bool;
  message @21 :Text;
  options @22 :Control.StreamOptions;
  throttled @23 :Text;
  updatePending @24 :Bool;
  # Cells whose reads are not where replicaSwitched and rdonlySwitched say.
  replicaExceptions @25 :List(Text);
  rdonlyExceptions @26 :List(Text);
}

# The rules as they stand; epoch and topology are kept elsewhere.
struct StoredRules {
  tableRules @0 :List(Routing.TableRule);
  shardRules @1 :List(Routing.ShardRule);
  holds @2 :List(Routing.Hold);
  homes @3 :List(Routing.TableHome);  # explicit ones
}
