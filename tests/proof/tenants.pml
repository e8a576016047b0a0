/* tenants.pml - two tenants of one class take turns by cost (start-time fair queueing): broker/lua/_ready.lua, with jobs that come
 * at any moment and cost one or DEAREST.
 *
 * A tenant's virtual start grows by the cost of what it is given; the least is served; who had nothing waiting enters at the
 * present virtual time; a job that comes back unharmed is paid back.
 *
 * PROPERTY(name, truth), and MISTAKE_<name> as in lease.pml:
 *   in_turn    while both wait, what they were given differs by at most one of the dearest jobs of each
 *   no_credit  the same from the moment on that one comes who was away: nothing was saved up
 *   paid_back  a job that came back and went out again is charged once
 */
#define DEAREST 3
#define WAITING_MAX 2
#define FAR 40 /* starts are told apart up to here */

#ifdef ONLY
#define PROPERTY(name, truth) assert(!(ONLY == name) || (truth))
#else
#define PROPERTY(name, truth) assert(truth)
#endif
#define in_turn 1
#define no_credit 2
#define paid_back 3

byte waiting[2];
byte start[2];
byte now;

/* Known from outside: units given since both wait. */
short ahead; /* of tenant 0 over tenant 1 */
byte out_cost; /* a job that is out and may come back: its cost, of tenant out_of */
byte out_of;

/* Only differences matter: all are moved down together. Who has nothing waiting is moved up here already, where it is told apart
 * from one that was away for longer by nothing. */
inline move_down() {
  d_step {
#ifndef MISTAKE_no_credit
    start[0] = (waiting[0] == 0 && start[0] < now -> now : start[0]);
    start[1] = (waiting[1] == 0 && start[1] < now -> now : start[1]);
#endif
    least = (start[1] < start[0] -> start[1] : start[0]);
    least = (now < least -> now : least);
    start[0] = start[0] - least;
    start[1] = start[1] - least;
    now = now - least;
    least = 0
  }
}

inline judge() {
#ifndef ONLY
  assert(start[0] < FAR && start[1] < FAR); /* or not everything has been looked at */
#endif
  if
  :: waiting[0] > 0 && waiting[1] > 0 ->
     PROPERTY(in_turn, ahead <= 2 * DEAREST && ahead >= -2 * DEAREST);
     PROPERTY(no_credit, ahead <= 2 * DEAREST && ahead >= -2 * DEAREST);
     PROPERTY(paid_back, ahead <= 2 * DEAREST && ahead >= -2 * DEAREST)
  :: else -> ahead = 0
  fi
}

inline enter(t) {
  if
#ifndef MISTAKE_no_credit
  :: waiting[t] == 0 && start[t] < now -> start[t] = now
#endif
  :: else
  fi;
  waiting[t]++
}

inline give(t, cost) {
  waiting[t]--;
  now = (start[t] > now -> start[t] : now);
#ifdef MISTAKE_in_turn
  start[t] = start[t] + 1; /* by jobs, and not by their cost */
#else
  start[t] = start[t] + cost;
#endif
  ahead = ahead + (t == 0 -> cost : -cost);
  out_of = t;
  out_cost = cost
}

active proctype queue() {
  byte t, cost, least;
end: /* at FAR nothing more is given: only with a mistake */
  do
  :: atomic { /* submit */
       waiting[0] < WAITING_MAX || waiting[1] < WAITING_MAX ->
       if
       :: waiting[0] < WAITING_MAX -> t = 0
       :: waiting[1] < WAITING_MAX -> t = 1
       fi;
       enter(t);
       judge();
       t = 0
     }
  :: atomic { /* claim */
       (waiting[0] > 0 || waiting[1] > 0) && start[0] < FAR && start[1] < FAR ->
       if
       :: waiting[0] > 0 && (waiting[1] == 0 || start[0] <= start[1]) -> t = 0
       :: waiting[1] > 0 && (waiting[0] == 0 || start[1] <= start[0]) -> t = 1
       fi;
       if
       :: cost = 1
       :: cost = DEAREST
       fi;
       give(t, cost);
       move_down();
       judge();
       t = 0;
       cost = 0
     }
  :: atomic { /* release: what was given last comes back without work done */
       out_cost > 0 && waiting[out_of] < WAITING_MAX && waiting[out_of] > 0 ->
       waiting[out_of]++;
#ifndef MISTAKE_paid_back
       start[out_of] = (start[out_of] > out_cost -> start[out_of] - out_cost : 0);
#endif
       ahead = ahead - (out_of == 0 -> out_cost : -out_cost);
       out_cost = 0;
       judge()
     }
  od
}
