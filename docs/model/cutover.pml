/*
 * The protocol of a cutover: two shards, two proxies, a coordinator that dies and comes back, agents
 * that die half-way, answers that are lost, requests that come late or twice, a network that is cut.
 *
 * Written by hand from docs/design.md, not from the code, so that each checks the other; README.md
 * says which name here is which there. docs/model/check runs spin over it.
 *
 * Time does not exist: whatever a clock could end may end at any moment. Clients are hostile: they
 * write past the proxies too, whenever a gate is open. Nothing here can happen for ever, each loop
 * uses something up, so a run that does not come to an end is one that stands still, and spin
 * reports that as an invalid end state.
 */

#define SHARDS  2
#define PROXIES 2
#ifndef CRASHES
#define CRASHES 1 /* of the coordinator */
#endif
#ifndef FAULTS
#define FAULTS 1 /* of messages, agents and the store */
#endif

/* The one record of the cutover in the coordinator's store. */
mtype = { nothing, preparing, fence, committed, undone, done };
mtype stored = nothing;

/* Gates, each durable in its mysqld with the epoch of the last request that it obeyed: 1 is that of
 * requests up to the commit, 2 of those behind it and of undoing. */
bool a_open[SHARDS];
bool b_open[SHARDS];
byte a_epoch[SHARDS];

/* Rows. */
bool lacks[SHARDS];     /* a write acknowledged on A is not on B */
bool b_written[SHARDS]; /* clients wrote on B */

/* The marker in A's binlog, and whether B has applied all that stands before it. */
mtype = { none, fresh, stale };
mtype marker[SHARDS];
bool applied[SHARDS];

/* Streams. */
mtype = { running, stopped, frozen };
mtype forward[SHARDS];
byte forward_epoch[SHARDS];
bool reverse_there[SHARDS];
bool reverse_runs[SHARDS];
bool reverse_late[SHARDS]; /* it would leave out a write on B */

/* What the newest rules say, and what each proxy obeys. */
mtype = { to_a, held, to_b };
mtype wanted = to_a;
mtype rule[PROXIES];
bool lease_over[PROXIES]; /* nothing was heard for too long: statements fail */

byte crashes = 0;
byte faults = 0;

/* Requests that nobody waits for any more and that may still arrive. */
bool late_close[SHARDS];
bool late_stop[SHARDS];
bool late_open[SHARDS];

/* What the coordinator remembers in its memory. */
bool closed[SHARDS];
bool sealed[SHARDS];
bool is_stopped[SHARDS];
bool opened[SHARDS];
bool reopened[SHARDS];
bool position_late[SHARDS]; /* in memory up to the commit … */
bool stored_late[SHARDS];   /* … and in the record */

#define ALL(what) (what[0] && what[1])
#define FAULT     (faults < FAULTS)

/* Agents. Of clients only the worst moments count: the last write before a gate closes comes after
 * all that was shipped, the first one comes as soon as it opens. The rename comes first, then the marker from the same session. */
inline obey_close(s, half) {
  if
  :: a_epoch[s] <= 1 ->
     a_epoch[s] = 1;
     lacks[s] = lacks[s] || a_open[s];
     a_open[s] = false;
     if
     :: !half && marker[s] == none -> marker[s] = fresh
     :: else
     fi
  :: else
  fi
}
inline obey_reopen(s) {
  a_epoch[s] = 2;
  a_open[s] = true;
  lacks[s] = true;
  if
  :: marker[s] == fresh -> marker[s] = stale
  :: else
  fi
}
inline obey_open(s) {
  b_open[s] = true;
  b_written[s] = true
}
inline obey_stop(s) {
  if
  :: forward_epoch[s] <= 1 -> forward_epoch[s] = 1; forward[s] = stopped
  :: else
  fi
}
inline obey_stream(s, mode) {
  forward_epoch[s] = 2;
  forward[s] = mode
}

/* Ships all there is, whenever it likes, the marker included. */
proctype Forward(byte s) {
end:
  do
  :: atomic {
       forward[s] == running && (lacks[s] || (marker[s] != none && !applied[s])) ->
       lacks[s] = false;
       applied[s] = (marker[s] != none)
     }
  od
}

/* Hears the rules late or never: then the lease of a hold runs out. */
proctype Proxy(byte p) {
end:
  do
  :: atomic {
       rule[p] != wanted ->
       rule[p] = wanted;
       lease_over[p] = false
     }
  :: atomic { rule[p] == held && !lease_over[p] -> lease_over[p] = true }
  od
}

proctype Network() {
end:
  do
  :: atomic { late_close[0] -> late_close[0] = false; obey_close(0, false) }
  :: atomic { late_close[1] -> late_close[1] = false; obey_close(1, false) }
  :: atomic { late_stop[0] -> late_stop[0] = false; obey_stop(0) }
  :: atomic { late_stop[1] -> late_stop[1] = false; obey_stop(1) }
  :: atomic { late_open[0] -> late_open[0] = false; obey_open(0) }
  :: atomic { late_open[1] -> late_open[1] = false; obey_open(1) }
  od
}

/* A request and what can become of it: done and answered; done, and the answer lost; given up while
 * it is still on its way; half done, because the agent dies. Whoever got no answer asks again. */
#define CLOSE_GATE(n)                                                                     \
  :: atomic { !closed[n] -> obey_close(n, false); closed[n] = (marker[n] == fresh) }      \
  :: atomic { !closed[n] && FAULT -> faults++; obey_close(n, false) }                     \
  :: atomic { !closed[n] && FAULT -> faults++; obey_close(n, true) }                      \
  :: atomic { !closed[n] && FAULT && !late_close[n] -> faults++; late_close[n] = true }

#define SEAL(n)                                                                            \
  :: atomic { !sealed[n] && applied[n] -> sealed[n] = true; position_late[n] = b_written[n] }

/* One that is frozen refuses the older command, and is as still as could be wished. */
#define STOPPED(n) (forward[n] != running)
#define STOP_STREAM(n)                                                                     \
  :: atomic { ALL(sealed) && !is_stopped[n] -> obey_stop(n); is_stopped[n] = STOPPED(n) }  \
  :: atomic { ALL(sealed) && !is_stopped[n] && FAULT -> faults++; obey_stop(n) }           \
  :: atomic { ALL(sealed) && !is_stopped[n] && FAULT && !late_stop[n] ->                   \
              faults++; late_stop[n] = true }

#define OPEN_GATE(n)                                                                       \
  :: atomic { ALL(is_stopped) && !opened[n] -> obey_open(n); opened[n] = true }            \
  :: atomic { ALL(is_stopped) && !opened[n] && FAULT -> faults++; obey_open(n) }           \
  :: atomic { ALL(is_stopped) && !opened[n] && FAULT && !late_open[n] ->                   \
              faults++; late_open[n] = true }

#define BEHIND_OPEN(n)                                                                     \
  :: atomic { ALL(opened) && forward[n] != frozen -> obey_stream(n, frozen) }              \
  :: atomic { ALL(opened) && reverse_there[n] && !reverse_runs[n] ->                       \
              reverse_late[n] = stored_late[n]; reverse_runs[n] = true }

#define REOPEN_GATE(n)                                                                     \
  :: atomic { !reopened[n] -> obey_reopen(n); reopened[n] = true }                         \
  :: atomic { !reopened[n] && FAULT -> faults++; obey_reopen(n) }

#define BEHIND_REOPEN(n)                                                                   \
  :: atomic { ALL(reopened) && (forward[n] != running || forward_epoch[n] != 2) ->         \
              obey_stream(n, running) }                                                    \
  :: atomic { reverse_there[n] -> reverse_there[n] = false }

/* What was sent and not answered may arrive when nobody waits for it any more. */
#define LEAVE_BEHIND(n)                                                                    \
  late_close[n] = late_close[n] || (stored == fence && wanted == held && !closed[n]);      \
  late_stop[n] = late_stop[n] || (ALL(sealed) && !is_stopped[n])

/* What it had sent goes on without it; what it knew is forgotten. */
#define DIES                                                                               \
  :: atomic {                                                                              \
       crashes < CRASHES -> crashes++;                                                     \
       LEAVE_BEHIND(0);                                                                    \
       LEAVE_BEHIND(1);                                                                    \
       late_open[0] = late_open[0] || (stored == committed && ALL(is_stopped) && !opened[0]); \
       late_open[1] = late_open[1] || (stored == committed && ALL(is_stopped) && !opened[1]); \
       goto comes_back                                                                     \
     }

proctype Coordinator() {
  stored = preparing;

  /* Before anybody waits. */
  do
  :: atomic { !reverse_there[0] -> reverse_there[0] = true }
  :: atomic { !reverse_there[1] -> reverse_there[1] = true }
  :: atomic { ALL(reverse_there) -> stored = fence; break }
  :: goto undo /* refused, or out of time */
  DIES
  od;

  /* Inside the fence: hold, then close and seal the shards in any order. */
  do
  :: atomic { wanted != held -> wanted = held }
  DIES
  :: wanted == held -> break
  od;
  do
  CLOSE_GATE(0)
  CLOSE_GATE(1)
  SEAL(0)
  SEAL(1)
  STOP_STREAM(0)
  STOP_STREAM(1)
  :: atomic {
       /* the commit point: one record with the positions */
       ALL(closed) && ALL(sealed) ->
       stored_late[0] = position_late[0];
       stored_late[1] = position_late[1];
       stored = committed;
       goto go_on
     }
  :: atomic { LEAVE_BEHIND(0); LEAVE_BEHIND(1); goto undo } /* refused, or out of time */
  DIES
  od;

comes_back:
  atomic {
    closed[0] = false;
    closed[1] = false;
    sealed[0] = false;
    sealed[1] = false;
    is_stopped[0] = false;
    is_stopped[1] = false;
    opened[0] = false;
    opened[1] = false;
    reopened[0] = false;
    reopened[1] = false;
    position_late[0] = false;
    position_late[1] = false
  };
  if
  :: stored == committed -> goto go_on
  :: stored == preparing || stored == fence -> goto undo
  :: else -> goto over
  fi;

undo:
  /* The old side serves again before clients are let go. */
  do
  REOPEN_GATE(0)
  REOPEN_GATE(1)
  BEHIND_REOPEN(0)
  BEHIND_REOPEN(1)
  :: atomic { ALL(reopened) && wanted != to_a -> wanted = to_a }
  :: atomic {
       ALL(reopened) && wanted == to_a && !reverse_there[0] && !reverse_there[1] &&
       forward[0] == running && forward[1] == running && forward_epoch[0] == 2 &&
       forward_epoch[1] == 2 ->
       stored = undone;
       goto over
     }
  DIES
  od;

go_on:
  do
  :: atomic { !is_stopped[0] -> obey_stop(0); is_stopped[0] = STOPPED(0) }
  :: atomic { !is_stopped[1] -> obey_stop(1); is_stopped[1] = STOPPED(1) }
  OPEN_GATE(0)
  OPEN_GATE(1)
  :: atomic { ALL(opened) && wanted != to_b -> wanted = to_b }
  BEHIND_OPEN(0)
  BEHIND_OPEN(1)
  :: atomic {
       ALL(opened) && wanted == to_b && ALL(reverse_runs) && forward[0] == frozen &&
       forward[1] == frozen ->
       stored = done;
       goto over
     }
  DIES
  od;

over:
  assert(stored == undone || stored == done)
}

#define BROKEN(s)                                                                     \
  ((a_open[s] && b_open[s])                       /* two open gates */                \
   || (b_open[s] && (!applied[s] || marker[s] != fresh || lacks[s])) /* a lost write */ \
   || (b_open[s] && forward[s] == running)        /* fed from both sides */           \
   || (reverse_runs[s] && a_open[s])                                                  \
   || (reverse_runs[s] && reverse_late[s])        /* a write that can't go back */    \
   || (wanted == to_b && !b_open[s])                                                  \
   || (wanted == to_a && b_open[s])                                                   \
   || (wanted == to_a && !a_open[s]))             /* nobody holds the clients */
#define EXPIRED(p)                                                                    \
  ((rule[p] == to_b && !ALL(b_open)) || (lease_over[p] && rule[p] != held))
#define ENDED_WRONG                                                                   \
  ((stored == done && (!ALL(b_open) || a_open[0] || a_open[1])) ||                    \
   (stored == undone && (!ALL(a_open) || b_open[0] || b_open[1])))

/* Can move only when a promise is broken. */
proctype Promises() {
end:
  do
  :: BROKEN(0) || BROKEN(1) -> assert(false)
  :: EXPIRED(0) || EXPIRED(1) -> assert(false)
  :: ENDED_WRONG -> assert(false)
  od
}

init {
  atomic {
    a_open[0] = true;
    a_open[1] = true;
    lacks[0] = true;
    lacks[1] = true;
    marker[0] = none;
    marker[1] = none;
    forward[0] = running;
    forward[1] = running;
    rule[0] = to_a;
    rule[1] = to_a;
    run Forward(0);
    run Forward(1);
    run Proxy(0);
    run Proxy(1);
    run Network();
    run Promises();
    run Coordinator()
  }
}
