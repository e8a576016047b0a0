/* lease.pml - who holds a job. What is said of attempts may be late, said twice, or never; leases lapse at any moment; workers
 * are started again; a client cancels. Every atomic block is one call of a script of broker/lua, less what is no question of
 * who holds what.
 *
 * Properties, each in PROPERTY(name, truth); test_10_models.py plants MISTAKE_<name>, which that property alone must find:
 *   one_lease    a job has a lease of its live attempt while it is held, and no other
 *   fence_grows  an attempt's fence is greater than those of all before, of any job
 *   terminal     a job that has ended stays as it ended, and ends once
 *   kept         a job is in line, held, or ended: never nowhere, never in two places
 *   old_fence    a COMPLETE is accepted of the attempt that was given out last, by the worker's life that it was given to
 *   cancelled    a job does not succeed after its cancel was answered
 *   ends         every job ends (as long as somebody asks for work)
 */
#define JOBS 2
#define WORKERS 2
#define LOSSES_MAX 2
#define ATTEMPTS_MAX 4 /* JOBS * LOSSES_MAX */
#define LIVES_MAX 2

#ifdef ONLY
#define PROPERTY(name, truth) assert(!(ONLY == name) || (truth))
#else
#define PROPERTY(name, truth) assert(truth)
#endif
#define one_lease 1
#define fence_grows 2
#define terminal 3
#define kept 4
#define old_fence 5
#define cancelled 6
#define ends 7

mtype = {QUEUED, ASSIGNED, RUNNING, SUCCEEDED, CANCELLED, FAILED};

typedef Record {
  mtype state = QUEUED;
  byte fence, worker, generation, losses;
  bool cancel;
};
Record job[JOBS];
bool in_line[JOBS] = true;
byte leases[JOBS]; /* rows in the index of leases */
byte fence;
byte generation[WORKERS];

/* What was ever given out: a worker may say a word about any of it at any time. */
typedef Attempt { byte job, fence, worker, generation; };
Attempt attempt[ATTEMPTS_MAX];
byte attempts;

/* What is known from outside, to judge by. */
byte last_attempt[JOBS]; /* its number + 1 */
mtype final[JOBS];
bool cancel_answered[JOBS];

#define is_held(j) (job[j].state == ASSIGNED || job[j].state == RUNNING)
#define is_ended(j) (job[j].state == SUCCEEDED || job[j].state == CANCELLED || job[j].state == FAILED)

inline judge(j) {
  PROPERTY(one_lease, leases[j] == (is_held(j) -> 1 : 0));
  PROPERTY(terminal, final[j] == 0 || job[j].state == final[j]);
  PROPERTY(kept, (in_line[j] -> 1 : 0) + (is_held(j) -> 1 : 0) + (is_ended(j) -> 1 : 0) == 1);
  PROPERTY(kept, in_line[j] == (job[j].state == QUEUED));
  PROPERTY(cancelled, !(cancel_answered[j] && job[j].state == SUCCEEDED))
}

inline job_end(j, how) {
  if
  :: is_held(j) -> leases[j]--
  :: else
  fi;
  in_line[j] = false;
  job[j].state = how;
  if
  :: final[j] == 0 -> final[j] = how
  :: else
  fi
}

/* An attempt is over without an end of the job: a lapse, a worker started again. */
inline job_lose(j) {
  if
  :: job[j].cancel -> job_end(j, CANCELLED)
  :: !job[j].cancel && job[j].losses + 1 >= LOSSES_MAX -> job_end(j, FAILED)
  :: !job[j].cancel && job[j].losses + 1 < LOSSES_MAX ->
     job[j].losses++;
#ifndef MISTAKE_one_lease
     leases[j]--;
#endif
#ifndef MISTAKE_kept
     in_line[j] = true;
#endif
     job[j].state = QUEUED
  fi
}

#ifdef MISTAKE_old_fence
#define is_live(a) (is_held(attempt[a].job) && job[attempt[a].job].worker == attempt[a].worker)
#else
#define is_live(a) (is_held(attempt[a].job) && job[attempt[a].job].fence == attempt[a].fence && \
                    job[attempt[a].job].worker == attempt[a].worker && \
                    job[attempt[a].job].generation == attempt[a].generation)
#endif

/* claim: some worker asks for one of the jobs in line. */
active proctype claims() {
  byte j, w;
  do
  :: atomic {
       in_line[0] || in_line[1] ->
       if
       :: in_line[0] -> j = 0
       :: in_line[1] -> j = 1
       fi;
       if
       :: w = 0
       :: w = 1
       fi;
#ifdef MISTAKE_fence_grows
       fence = job[j].fence + 1; /* counted by the job */
#else
       fence++;
#endif
       PROPERTY(fence_grows, attempts == 0 || fence > attempt[(attempts == 0 -> 0 : attempts - 1)].fence);
       in_line[j] = false;
       leases[j]++;
       job[j].state = ASSIGNED;
       job[j].fence = fence;
       job[j].worker = w;
       job[j].generation = generation[w];
       attempt[attempts].job = j;
       attempt[attempts].fence = fence;
       attempt[attempts].worker = w;
       attempt[attempts].generation = generation[w];
       attempts++;
       last_attempt[j] = attempts;
       judge(j);
       j = 0;
       w = 0
     }
  od
}

/* start, complete, fail: about any attempt that there ever was. */
active proctype says() {
  byte a, j;
  do
  :: atomic {
       attempts > 0 ->
       a = 0;
       do
       :: a + 1 < attempts -> a++
       :: break
       od;
       j = attempt[a].job;
       if
       :: is_live(a) && job[j].cancel -> job_end(j, CANCELLED)
#ifdef MISTAKE_cancelled
       :: is_live(a) && job[j].cancel -> job_end(j, SUCCEEDED) /* the work is done, after all */
#endif
       :: is_live(a) && !job[j].cancel && job[j].state == ASSIGNED -> job[j].state = RUNNING
       :: is_live(a) && !job[j].cancel -> /* COMPLETE, also of one whose START was lost */
          PROPERTY(old_fence, last_attempt[j] == a + 1 && generation[attempt[a].worker] == attempt[a].generation);
          job_end(j, SUCCEEDED)
       :: is_live(a) && !job[j].cancel -> job_lose(j)
#ifdef MISTAKE_terminal
       :: is_ended(j) && job[j].fence == attempt[a].fence -> job_end(j, SUCCEEDED) /* whatever the state */
#endif
       :: !is_live(a) -> skip /* STALE, ALREADY, GONE */
       fi;
       judge(j);
       a = 0;
       j = 0
     }
  od
}

#ifdef MISTAKE_ends
#define is_due(j) (job[j].state == RUNNING) /* an assignment that was lost on its way is forgotten */
#else
#define is_due(j) is_held(j)
#endif

/* sweep: a lease lapses, whether its worker is dead, frozen, cut off or only slow. */
active proctype sweep() {
  do
  :: atomic { is_due(0) -> job_lose(0); judge(0) }
  :: atomic { is_due(1) -> job_lose(1); judge(1) }
  od
}

/* worker_hello: another life of the same name; what the last one held is closed. */
active proctype hello() {
  byte w;
  do
  :: atomic {
       generation[0] < LIVES_MAX || generation[1] < LIVES_MAX ->
       if
       :: generation[0] < LIVES_MAX -> w = 0
       :: generation[1] < LIVES_MAX -> w = 1
       fi;
       if
       :: is_held(0) && job[0].worker == w -> job_lose(0)
       :: else
       fi;
       if
       :: is_held(1) && job[1].worker == w -> job_lose(1)
       :: else
       fi;
       generation[w]++;
       judge(0);
       judge(1);
       w = 0
     }
  od
}

/* cancel: at once, or a mark that the next word closes; a job that has ended is left as it is. */
active proctype client() {
  atomic {
    if
    :: is_ended(0) -> skip
    :: is_held(0) -> job[0].cancel = true; cancel_answered[0] = true
    :: job[0].state == QUEUED -> job_end(0, CANCELLED); cancel_answered[0] = true
    fi;
    judge(0)
  }
}

ltl all_end { <> (is_ended(0) && is_ended(1)) }
