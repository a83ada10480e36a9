# Data plane: rows and binlog events that the target role pulls from the source role.
@0x9d36f8c21a50c056;

using Cxx = import "/capnp/c++.capnp";
$Cxx.namespace("sluice::schemas");

# What the source's mysqld may show before reading for a copy waits (agent/throttle/limits.h). What
# has no limit is not measured. While it shows more, openSnapshot and fetchRows answer
# RESOURCE_EXHAUSTED with the subject "throttled" and the reason, after a while in which it might have
# ended: to be asked again.
struct ThrottleLimits {
  hasLag @0 :Bool;
  lagMs @1 :Float64;
  hasThreads @2 :Bool;
  threads @3 :Float64;
  hasDisk @4 :Bool;
  diskUs @5 :Float64;
  query @6 :Text;              # empty: none
  queryMax @7 :Float64;
}

# Reads gtid_executed (P) first, then opens consistent snapshots that are at P or later, each on a
# connection of its own; they need not be at one point.
struct OpenSnapshotRequest {
  streamId @0 :UInt64;
  database @1 :Text;
  notBefore @2 :Text;          # GTID set that the snapshots must contain
  waitMs @3 :UInt32;
  tables @4 :List(Text);       # that will be read: their definitions are looked up at once
  readers @5 :UInt32;          # snapshots, hence chunks that are read at once; 0 is 1
  throttle @6 :ThrottleLimits; # of the snapshot's life
}

struct TableEstimate {
  table @0 :Text;
  rows @1 :UInt64;
  bytes @2 :UInt64;
}

struct OpenSnapshotReply {
  session @0 :Text;
  position @1 :Text;           # P
  upTo @2 :Text;               # GTID set; no snapshot holds a transaction that is not in it
  estimates @3 :List(TableEstimate);  # of the tables asked for, as information_schema has them
}

# The next rows of a table in key order, from whichever snapshot of the session is free. A request
# that is repeated may get the rows of another snapshot, which is at P or later too.
struct FetchRowsRequest {
  session @0 :Text;
  table @1 :Text;
  columns @2 :List(Text);      # stored columns, in the order wanted
  keyColumns @3 :List(Text);   # empty: in the order in which the server has them, which stays
                               # the same in one snapshot only; keys are numbers of rows then
  afterKey @4 :Data;           # one row of key cells in the rows encoding; empty: from the start
  maxRows @5 :UInt32;
  maxBytes @6 :UInt32;
  endKey @7 :Data;             # the last key wanted; empty: to the end of the table
  skipRows @8 :UInt64;         # not 0: no rows, only lastKey, the key of the row so many rows on
  held @9 :UInt64;             # not 0: no new rows, but more of those that an answer left out,
  offset @10 :UInt64;          # from here on; at their end, the source lets them go
}

# rows: for each row, for each column, one cell of the MySQL text protocol: 0xFB for NULL, else a
# length-encoded integer and that many bytes.
struct FetchRowsReply {
  rows @0 :Data;
  rowCount @1 :UInt32;
  lastKey @2 :Data;
  endOfTable @3 :Bool;         # proven: nothing follows up to endKey, or to the table's end
  tableRowsEstimate @4 :UInt64;   # of the whole table, as information_schema has it
  tableBytesEstimate @5 :UInt64;
  # Not 0: `rows` is the first part of heldBytes bytes, to be fetched by this number. A source keeps
  # few of them; one that it has given up is NOT_FOUND.
  held @6 :UInt64;
  heldBytes @7 :UInt64;
}

struct OpenBinlogRequest {
  streamId @0 :UInt64;
  database @1 :Text;
  tables @2 :List(Text);
  position @3 :Text;           # GTID set already applied; events follow it
  throttle @4 :ThrottleLimits; # absent: the answers do not tell of it
}

struct OpenBinlogReply {
  session @0 :Text;
}

# Batches are numbered from 1. A request acknowledges all numbers below `number`; the source keeps
# the rest and answers a repeated number with the same bytes.
struct FetchEventsRequest {
  session @0 :Text;
  number @1 :UInt64;
  maxBytes @2 :UInt32;
  waitMs @3 :UInt32;           # how long to wait for the first event
}

# events: binlog events as mysqld wrote them, without checksum: GTID events of every transaction, and
# of those that touch a wanted table also TABLE_MAP, rows, QUERY and XID; of the others QUERY or XID
# that ends them. Compressed transactions are unpacked. A large event may go on in the next batches.
struct FetchEventsReply {
  events @0 :Data;
  sourceTimeUs @1 :UInt64;     # wall clock of the source at answering, microseconds since 1970
  caughtUp @2 :Bool;           # nothing more was waiting in the source's binlog
  throttled @3 :Text;          # why a copy would wait now; the events come all the same
}

struct CloseSessionRequest {
  session @0 :Text;
}
