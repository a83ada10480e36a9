# Rules, holds and topology as the proxies receive them.
@0x9af9d7a643ad2563;

using Cxx = import "/capnp/c++.capnp";
$Cxx.namespace("sluice::schemas");

enum TabletType {
  unknown @0;
  primary @1;
  replica @2;
  rdonly @3;
}

# "customer@replica" -> "commerce.customer". An empty toTable disables the table. A rule of
# "customer@replica:zone1" (replica or rdonly) is for the proxies of that cell alone, and for them it
# goes before the one without a cell.
struct TableRule {
  fromTable @0 :Text;
  toTable @1 :Text;
}

struct ShardRule {
  fromKeyspace @0 :Text;
  shard @1 :Text;
  toKeyspace @2 :Text;
}

# New statements on these tables wait while the hold stands. Both spellings of a moving table are
# listed ("commerce.customer", "customer.customer"); a statement is matched after routing.
struct Hold {
  cutoverId @0 :Text;
  tables @1 :List(Text);       # keyspace.table
  leaseMs @2 :UInt32;          # from receipt; when it runs out and the coordinator is silent the
                               # held statements fail with a retryable error
  shards @3 :List(Text);       # keyspace/shard, of both sides; only statements that go to one of them
                               # wait. Empty: all shards
}

struct TabletRoute {
  alias @0 :Text;              # zone1-100
  keyspace @1 :Text;
  shard @2 :Text;
  type @3 :TabletType;         # as mysqld itself says
  host @4 :Text;
  port @5 :UInt16;
  database @6 :Text;           # the MySQL schema that holds the shard
  serving @7 :Bool;
  cell @8 :Text;
}

# Where a table name goes that no rule names, in a session without a keyspace. An empty keyspace: the
# name stands in several keyspaces and is ambiguous.
struct TableHome {
  table @0 :Text;
  keyspace @1 :Text;
}

struct RuleSet {
  epoch @0 :UInt64;
  tableRules @1 :List(TableRule);
  shardRules @2 :List(ShardRule);
  holds @3 :List(Hold);
  tablets @4 :List(TabletRoute);
  keyspaces @5 :List(Text);
  homes @6 :List(TableHome);
}

# A long poll: answered as soon as an epoch above haveEpoch exists, or at waitMs with changed = false.
# Each poll also carries the proxy's acknowledgements.
struct PollRulesRequest {
  proxyId @0 :Text;
  haveEpoch @1 :UInt64;        # obeyed from now on, for every new statement
  drainedEpoch @2 :UInt64;     # at this epoch no statement or transaction that touches a held
                               # table is open any more
  refusedEpoch @3 :UInt64;     # zero, or the epoch refused for refusedReason
  refusedReason @4 :Text;
  waitMs @5 :UInt32;
  heldStatements @6 :UInt32;
  openTransactions @7 :UInt32; # still open on held tables
  address @8 :Text;            # host:port where clients connect
  cell @9 :Text;               # where it is; empty: in none that a rule may name
}

struct PollRulesReply {
  changed @0 :Bool;
  rules @1 :RuleSet;           # the full set
}
