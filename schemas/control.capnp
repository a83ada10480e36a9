# Control plane between the coordinator and the agents.
@0xce1f4e431a3b1629;

using Cxx = import "/capnp/c++.capnp";
using Routing = import "routing.capnp";
$Cxx.namespace("sluice::schemas");

struct TabletIdentity {
  cell @0 :Text;
  uid @1 :UInt32;
  keyspace @2 :Text;
  shard @3 :Text;
  database @4 :Text;
  agentUrl @5 :Text;           # where other agents and the coordinator dial this agent
  mysqlHost @6 :Text;          # where proxies reach the mysqld
  mysqlPort @7 :UInt16;
  configuredType @8 :Routing.TabletType;  # REPLICA and RDONLY differ only by configuration
}

struct TabletHealth {
  reachable @0 :Bool;          # the agent has a working session on its mysqld
  type @1 :Routing.TabletType; # PRIMARY when mysqld is writable and no replica; else configured
  readOnly @2 :Bool;
  replicaLagMs @3 :Int64;      # -1 unknown or not a replica
  problem @4 :Text;            # empty when it can serve; else named, with the remedy
  serverUuid @5 :Text;
  serverVersion @6 :Text;
  gtidExecuted @7 :Text;
}

struct RegisterTabletRequest {
  identity @0 :TabletIdentity;
  health @1 :TabletHealth;
  streams @2 :List(StreamStatus);
  incarnation @3 :UInt64;      # start time of the agent process, microseconds since 1970
  tables @4 :List(Text);       # base tables that stand under their names in the database
  others @5 :List(TabletShare);  # the agent's further tablets
}

# One more tablet of an agent that serves several shards of its mysqld. What is not here (cell,
# addresses, what mysqld says of itself) is the same for all of them.
struct TabletShare {
  uid @0 :UInt32;
  keyspace @1 :Text;
  shard @2 :Text;
  database @3 :Text;
  configuredType @4 :Routing.TabletType;
  type @5 :Routing.TabletType; # this and the next as in TabletHealth
  problem @6 :Text;
  streams @7 :List(StreamStatus);  # whose target database is this one
  tables @8 :List(Text);       # as in RegisterTabletRequest
}

# What the throttles of an agent need to know of the cluster.
struct ClusterView {
  throttled @0 :Text;          # not empty: no workflow may copy, for this reason of the operator
  replicaLagMs @1 :Int64;      # the largest one of the tablet's shard; 0 without replicas
  replica @2 :Text;            # alias of the tablet that it is of
  replicaProblem @3 :Text;     # not empty: why its lag can't be known
}

struct RegisterTabletReply {
  reportIntervalMs @0 :UInt32;
  cluster @1 :ClusterView;
  others @2 :List(ClusterView);  # for the request's others, in their order
  refusals @3 :List(Text);     # of the tablet and the others, in their order: why it is not
                               # registered, or empty; an empty list: all are. When none is, the
                               # answer is an error
}

struct ReportTabletRequest {
  identity @0 :TabletIdentity;
  health @1 :TabletHealth;
  streams @2 :List(StreamStatus);
  incarnation @3 :UInt64;
  tables @4 :List(Text);       # as in RegisterTabletRequest
  others @5 :List(TabletShare);
}

struct ReportTabletReply {
  cluster @0 :ClusterView;
  others @1 :List(ClusterView);  # as in RegisterTabletReply
}

struct PickSourceRequest {
  keyspace @0 :Text;
  shard @1 :Text;
  types @2 :List(Routing.TabletType);  # in order of preference
  cells @3 :List(Text);        # not empty: only tablets of these
  nearCell @4 :Text;           # where the asker is; its own cell is preferred
}

struct PickSourceReply {
  alias @0 :Text;
  agentUrl @1 :Text;
}

struct AgentInfo {
  identity @0 :TabletIdentity; # of the first tablet of the agent's configuration
  health @1 :TabletHealth;
  version @2 :Text;
  others @3 :List(TabletShare);  # its further ones, without streams and tables
}

# Tables of one database, with what a move must know before it starts.
struct DescribeTablesRequest {
  database @0 :Text;           # here and below: empty where the agent serves one only
  tables @1 :List(Text);       # empty: every base table
  timeZone @2 :Text;           # not empty: refused unless mysqld knows it, and the DATETIMEs of the
                               # tables can be converted between it and UTC
}

struct TableDescription {
  name @0 :Text;
  createStatement @1 :Text;    # SHOW CREATE TABLE, empty when the table does not exist
  exists @2 :Bool;
  isView @3 :Bool;
  rowsEstimate @4 :UInt64;
  bytesEstimate @5 :UInt64;
  hasRows @6 :Bool;
  keyColumns @7 :List(Text);   # the primary key, else the best NOT NULL unique key; empty if none
  triggers @8 :List(Text);
  foreignKeyParents @9 :List(Text);   # tables that its foreign keys refer to ("table" or "db.table")
  foreignKeyChildren @10 :List(Text); # tables whose foreign keys refer to it
  gateState @11 :GateState;    # closed: it stands under its closed name
  cascades @12 :List(Text);    # its foreign keys by which a change of the parent changes it
  views @14 :List(Text);       # that read it ("view" or "db.view")
  cascadeParents @15 :List(Text);     # the tables that those refer to
  programs @16 :List(Text);    # of its schema that name it: "event e", "procedure p", "function f"
  cascadesLogged @13 :Bool;    # this server's binlog holds such changes; also of an absent table
}

struct DescribeTablesReply {
  tables @0 :List(TableDescription);
}

enum GateState {
  open @0;                     # tables stand under their names
  closed @1;                   # renamed to _sluice_closed_<t>; the name does not exist
  readable @2;                 # renamed, and a view that may only SELECT stands under the name
  absent @3;                   # neither name exists
  mixed @4;                    # the tables of the gate disagree (or both names exist)
}

# Creates, behind a closed gate, each table that does not exist yet. Refuses non-empty or already
# open tables. Idempotent for the same workflow.
struct PrepareTargetRequest {
  workflow @0 :Text;           # keyspace.name
  database @1 :Text;
  tables @2 :List(TableDescription);
}

# What to do about a DDL statement of the source that names a table of the stream.
enum OnDdl {
  ignore @0;                   # pass over it
  stop @1;                     # stop before it, in state error
  exec @2;                     # run it on the target; a failure stops the stream
  execIgnore @3;               # run it on the target; go on when it fails
}

# Whether secondary keys are left out of a table until its rows are copied.
enum DeferKeys {
  auto @0;                     # where the table is large enough to gain
  always @1;
  never @2;
}

struct NamedValue {
  name @0 :Text;
  value @1 :Text;
}

# What an operator may say of the streams of a workflow.
struct StreamOptions {
  onDdl @0 :OnDdl = stop;
  allowNoKey @1 :Bool;         # tables without a usable key may be moved
  deferSecondaryKeys @2 :DeferKeys;
  cells @3 :List(Text);        # not empty: only tablets of these are read from
  sourceTimeZone @4 :Text;     # not empty: DATETIMEs are converted from this zone …
  tuning @5 :List(NamedValue); # this workflow's values where they differ from the agent's
  targetTimeZone @6 :Text;     # … to this one; both are empty or neither
  dropForeignKeys @7 :Bool;    # the target's tables lack foreign keys to tables that are not moved
}

struct StreamSpec {
  id @0 :UInt64;               # given by the coordinator, unique in the cluster
  workflow @1 :Text;           # keyspace.name of the workflow that it belongs to
  sourceKeyspace @2 :Text;
  sourceShard @3 :Text;
  sourceDatabase @4 :Text;
  targetKeyspace @5 :Text;
  targetShard @6 :Text;
  targetDatabase @7 :Text;
  tables @8 :List(Text);
  sourceTypes @9 :List(Routing.TabletType);
  startPosition @10 :Text;     # not empty: no copy, apply from this GTID set on
  stopAfterCopy @11 :Bool;
  workflowType @12 :Text;      # MoveTables
  options @13 :StreamOptions;
  throttled @14 :Text;         # not empty: by hand, for this reason; its copy waits
  awaitsPosition @15 :Bool;    # no copy: where to begin is said by the command that starts it
}

struct CreateStreamRequest {
  spec @0 :StreamSpec;
  start @1 :Bool;
}

enum StreamAction {
  start @0;
  stop @1;                     # answered after the last commit of the stream is over
  freeze @2;                   # stop, and refuse start until unfrozen; message FROZEN
  unfreeze @3;
  delete @4;                   # stop and forget every trace but the tables
}

# Gives a stream other values while it runs; it goes on from its position. A frozen or stopped one
# keeps them for later.
struct UpdateStreamRequest {
  streamId @0 :UInt64;
  epoch @1 :UInt64;            # as in ControlStreamRequest
  sourceTypes @2 :List(Routing.TabletType);
  options @3 :StreamOptions;
  throttled @4 :Text;          # as in StreamSpec
}

struct ControlStreamRequest {
  streamId @0 :UInt64;
  action @1 :StreamAction;
  epoch @2 :UInt64;            # requests of an older epoch than the last obeyed one are refused
  startPosition @3 :Text;      # start, stop: of a stream that awaits one; else empty
}

struct ControlStreamReply {
  status @0 :StreamStatus;
}

struct CopyProgress {
  table @0 :Text;
  done @1 :Bool;
  started @2 :Bool;
  rowsCopied @3 :UInt64;
  bytesCopied @4 :UInt64;
  rowsEstimate @5 :UInt64;
  bytesEstimate @6 :UInt64;
  keysOwed @7 :List(Text);     # names of secondary keys that are added when all tables are copied
}

enum StreamState {
  init @0;
  copying @1;
  running @2;
  stopped @3;
  error @4;
}

struct StreamStatus {
  id @0 :UInt64;
  workflow @1 :Text;
  state @2 :StreamState;
  message @3 :Text;            # FROZEN, or why it stands in error
  position @4 :Text;           # applied, durable
  sourceTablet @5 :Text;       # alias now read from; empty when none
  lagMs @6 :Int64;             # -1 unknown
  transactionTimestamp @7 :Int64;  # seconds; commit time on the source of the last applied one
  timeUpdated @8 :Int64;       # seconds; last time that the source was heard
  copy @9 :List(CopyProgress);
  rowsCopied @10 :UInt64;
  sourceKeyspace @11 :Text;
  sourceShard @12 :Text;
  targetDatabase @13 :Text;
  tables @14 :List(Text);
  stopAfterCopy @15 :Bool;
  frozen @16 :Bool;
  workflowType @17 :Text;
  transactionsApplied @18 :UInt64;
  rowsApplied @19 :UInt64;
  timeThrottled @20 :Int64;    # seconds; when it last had to wait; 0 never
  componentThrottled @21 :Text;  # "copy" or "apply" while it waits; else empty
  reasonThrottled @22 :Text;   # why it waits
  copyTimes @23 :WriteTimes;
  applyTimes @24 :WriteTimes;
}

# Where the time of a stream's writes has gone since its agent runs it, summed over its sessions.
struct WriteTimes {
  writes @0 :UInt64;           # commits
  waitingUs @1 :UInt64;        # for the source
  buildingUs @2 :UInt64;       # of statements
  serverUs @3 :UInt64;         # until mysqld had run and committed them
  handOffUs @4 :UInt64;        # for which fetched rows lay ready
}

struct ListStreamsRequest {
  workflow @0 :Text;           # empty: all
}

struct ListStreamsReply {
  streams @0 :List(StreamStatus);
}

# Moves the gate of these tables of one database to a state, durably, in mysqld. Idempotent: asks the
# database first. Each request carries an epoch; older epochs than the recorded one are refused.
struct SetGateRequest {
  workflow @0 :Text;           # keyspace.name, names the gate
  database @1 :Text;
  tables @2 :List(Text);
  state @3 :GateState;         # open, closed or readable
  epoch @4 :UInt64;
  lockWaitMs @5 :UInt32;       # bound of one attempt to get the metadata locks
  markerId @6 :Text;           # not empty: after the state is reached, a marker row in _sluice.marker
                               # from the same session; up to 63 bytes, without '@'
  cutoverId @7 :Text;          # not empty: before the gate changes, the journal's record of this
  journal @8 :Text;            # cutover (JSON) is kept in this mysqld
  kind @9 :GateKind;           # how an open gate is closed; it is opened as it was closed
  beside @10 :List(Text);      # kind server: the mysqld's other databases, which close with this one
}

enum GateKind {
  tables @0;                   # by renaming the tables
  server @1;                   # by read_only of the whole mysqld, kept over its restarts
}

# Who sits on the tables of a gate, before anybody is asked to wait for it.
struct ProbeGateRequest {
  workflow @0 :Text;
  database @1 :Text;
  tables @2 :List(Text);
  ageMs @3 :UInt32;            # only who has been there that long counts
  killAfterMs @4 :UInt32;      # not 0: transactions that old are ended …
  killRowsMax @5 :UInt64;      # … unless they changed more rows; never DDL, backups, prepared XA.
                               # Without killAfterMs: nobody is ended, but the account must be able
}

struct ProbeGateReply {
  blockers @0 :List(Blocker);  # who is still there
  killed @1 :List(Blocker);
}

# The AUTO_INCREMENT counters of tables, wherever they stand, raised where they are lower.
struct RaiseCountersRequest {
  workflow @0 :Text;
  database @1 :Text;
  tables @2 :List(Text);
  atLeast @3 :List(UInt64);    # per table; 0: as it is. Empty: all as they are
}

struct RaiseCountersReply {
  counters @0 :List(UInt64);   # per table, as they are now; 0 for a table without one
}

struct Blocker {
  connectionId @0 :UInt64;
  user @1 :Text;
  host @2 :Text;
  ageMs @3 :UInt64;
  statement @4 :Text;
}

# An attempt that ran into its lock wait answers with code ABORTED, blockers named in the message.
struct SetGateReply {
  state @0 :GateState;
  position @1 :Text;           # gtid_executed read after the change, in the same session
  blockers @2 :List(Blocker);
  tookUs @3 :UInt64;
  keptBy @4 :List(Text);       # of a gate that is open by itself: databases whose gates still keep
                               # the mysqld read-only; the last of them opens it
}

struct ReadGateRequest {
  workflow @0 :Text;
  database @1 :Text;
  tables @2 :List(Text);
  askServer @3 :Bool;          # could the mysqld be closed as a whole for this gate …
  askEnd @4 :Bool;             # could dropTables end this gate …
  endMode @5 :DropMode;        # … in this way?
  beside @6 :List(Text);       # with askServer: … together with those of these databases?
}

struct ReadGateReply {
  state @0 :GateState;
  epoch @1 :UInt64;
  serverObstacles @2 :List(Text);  # where asked: why not; empty: it could
  endObstacles @3 :List(Text); # likewise
  kind @4 :GateKind;           # by what it is closed
  keptBy @5 :List(Text);       # as in SetGateReply
}

struct AwaitMarkerRequest {
  streamId @0 :UInt64;
  markerId @1 :Text;
  waitMs @2 :UInt32;           # answers DEADLINE_EXCEEDED when not applied by then
}

struct AwaitMarkerReply {
  position @0 :Text;           # applied position of the stream, the marker included
  gtidExecuted @1 :Text;       # of the target's mysqld, read after that
}

struct ReadPositionRequest {
  dummy @0 :Void;
}

struct ReadPositionReply {
  gtidExecuted @0 :Text;
}

# Waits until this mysqld has executed the set (WAIT_FOR_EXECUTED_GTID_SET).
struct AwaitPositionRequest {
  gtidSet @0 :Text;
  waitMs @1 :UInt32;
}

# The commit record of a cutover, kept in every mysqld concerned.
struct WriteJournalRequest {
  cutoverId @0 :Text;
  workflow @1 :Text;
  record @2 :Text;             # JSON
  guardDatabase @3 :Text;      # not empty: the workflow's closed gate in it is closed for good, so
                               # the names of its tables are kept taken
}

# Drops or renames tables of a workflow that stand behind a closed gate; never an open table.
struct DropTablesRequest {
  workflow @0 :Text;
  database @1 :Text;
  tables @2 :List(Text);
  mode @3 :DropMode;
  epoch @4 :UInt64;
}

enum DropMode {
  drop @0;
  renameOld @1;                # to _<first 59 characters>_old
  keep @2;                     # gives the tables their names back (and forgets the gate); open ones stay as they are
}

struct DropTablesReply {
  dropped @0 :List(Text);
}

# What a mysqld keeps of a workflow's cutovers. Locks nothing.
struct ReadJournalRequest {
  workflow @0 :Text;
  database @1 :Text;
  limit @2 :UInt32;            # entries at most; 0: one
}

struct JournalEntry {
  cutoverId @0 :Text;
  record @1 :Text;             # as in WriteJournalRequest
  writtenUs @2 :Int64;         # since 1970
}

struct ReadJournalReply {
  entries @0 :List(JournalEntry);  # the newest first
  gateState @1 :Text;          # of this database's gate as it was recorded last; empty: never was
  gateWanted @2 :Text;
  gateEpoch @3 :UInt64;
}
