# What the coordinator keeps in its store about a running cutover or teardown.
@0xb7a4f0c9d2e85a31;

using Cxx = import "/capnp/c++.capnp";
using Control = import "control.capnp";
using Routing = import "routing.capnp";
$Cxx.namespace("sluice::schemas");

# The state kept for a workflow while one of its commands is under way.
struct StoredOperation {
  formatVersion @0 :UInt16;    # 2; zero is refused: bytes of all defaults are not a state
  union {
    cutover @1 :CutoverState;
    teardown @2 :TeardownState;
  }
}

struct CutoverSide {
  keyspace @0 :Text;
  shard @1 :Text;
  database @2 :Text;
}

struct CutoverStream {
  source @0 :UInt32;           # index into sources
  target @1 :UInt32;           # index into targets
  forwardId @2 :UInt64;
  reverseId @3 :UInt64;
}

struct CutoverStaleStream {
  source @0 :UInt32;
  id @1 :UInt64;
}

struct CutoverPlan {
  id @0 :Text;
  kind @1 :UInt16;             # cutover::Kind
  workflow @2 :Text;
  forward @3 :Text;
  backward @4 :Text;
  reversal @5 :Bool;
  tables @6 :List(Text);
  sources @7 :List(CutoverSide);
  targets @8 :List(CutoverSide);
  streams @9 :List(CutoverStream);
  stale @10 :List(CutoverStaleStream);
  sourceTypes @11 :List(Routing.TabletType);
  epoch @12 :UInt64;
  timeoutMs @13 :UInt32;
  holdMs @14 :UInt32;
  startReverse @15 :Bool;
  sourceReadable @16 :Bool;
  moveReplica @17 :Bool;
  moveRdonly @18 :Bool;
  makeReadable @19 :Bool;
  restoreClosed @20 :Bool;
  closeBehind @21 :Bool;
  reverseOptions @22 :Control.StreamOptions;
  awaitRelease @23 :Bool;
  raiseCounters @24 :Bool;
  lockWaitMs @25 :UInt32;
  blockerAgeMs @26 :UInt32;
  killBlockersAfterMs @27 :UInt32;
  killRowsMax @28 :UInt64;
  maxLagMs @29 :UInt32;
  serverGate @30 :Bool;        # of older coordinators: every gate is of kind server
  parallelism @31 :UInt32 = 16;
  cells @32 :List(Text);       # whose reads move; empty: all, those yet to come included
  gates @33 :List(CutoverGate);  # per source, of one that moves writes
}

# How the gate of a source closes, as the checks have found.
struct CutoverGate {
  server @0 :Bool;             # as a whole mysqld; else table by table
  reason @1 :Text;             # of the latter, where it was a choice: why not as a whole
  beside @2 :List(Text);       # of the former: the mysqld's other databases, which close too
}

struct CutoverSlot {
  effect @0 :UInt16;           # cutover::EffectKind
  index @1 :UInt32;
  attempt @2 :UInt32;
  progress @3 :UInt16;         # cutover::Progress
  message @4 :Text;
}

struct CutoverState {
  plan @0 :CutoverPlan;
  phase @1 :UInt16;            # cutover::Phase
  slots @2 :List(CutoverSlot);
  positions @3 :List(Text);    # per target
  failure @4 :Text;
  startedUs @5 :Int64;         # since 1970
  locksNotGranted @6 :Bool;
}

enum TeardownKind {
  complete @0;
  cancel @1;
}

struct TeardownState {
  kind @0 :TeardownKind;
  keepData @1 :Bool;
  keepRoutingRules @2 :Bool;
  renameTables @3 :Bool;
  epoch @4 :UInt64;
}
