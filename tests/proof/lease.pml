/* lease.pml - who holds a job: two workers whose messages are lost, repeated and late, a sweep that takes back what lapsed, a
 * client that cancels. The scripts of broker/lua, less everything that is no question of who holds what: each atomic block
 * is one script's call.
 *
 * What must hold, as asserts where it is decided and as never-claims by test_10_models.py:
 *   one_lease      a job is held by one attempt at a time, and only that attempt's word counts
 *   fence_grows    every attempt has a greater fence than all before
 *   terminal       a job that has ended stays as it is
 *   old_fence      a COMPLETE of an attempt that is not the live one is refused
 *   kept           a job is in line, held, or ended: never nowhere and never in two places
 *   ends           with workers that come back, every job ends (liveness, weakly fair)
 *
 * -DMISTAKE_<name> plants one that the property of that name must find.
 */
#define JOBS 2
#define WORKERS 2
#define FENCES 4 /* attempts altogether; then nothing more is given out, so that the space is finite */

mtype = {QUEUED, ASSIGNED, RUNNING, SUCCEEDED, CANCELLED, FAILED};

typedef Record {
  mtype state;
  byte fence;   /* of the last attempt */
  byte worker;
  bool cancel;
  bool in_line;
  bool leased;
  byte result;  /* the fence whose COMPLETE was accepted */
};
Record job[JOBS];
byte fence;             /* the last that was given out */
byte generation[WORKERS];
byte accepted[JOBS];    /* COMPLETEs answered OK */

/* What a worker believes that it holds: its own memory, which may be long out of date. */
typedef Memory { byte fence; byte generation; bool has; };
typedef Row { Memory of[JOBS]; };
Row mind[WORKERS];

#define ended(j) (job[j].state == SUCCEEDED || job[j].state == CANCELLED || job[j].state == FAILED)
#define held(j) (job[j].state == ASSIGNED || job[j].state == RUNNING)

/* The live attempt: fence, worker and generation as the record has them (generation: a restart closes what it held). */
#ifdef MISTAKE_old_fence
#define live(w, j) (held(j) && job[j].worker == w)
#else
#define live(w, j) (held(j) && job[j].worker == w && job[j].fence == mind[w].of[j].fence && \
                    generation[w] == mind[w].of[j].generation)
#endif

inline to_line(j) {
  job[j].state = QUEUED;
#ifndef MISTAKE_kept
  job[j].in_line = true;
#endif
#ifndef MISTAKE_one_lease
  job[j].leased = false;
#endif
}

inline end(j, how) {
#ifndef MISTAKE_terminal
  assert(!ended(j)); /* terminal */
#endif
  job[j].state = how;
  job[j].leased = false;
  job[j].in_line = false;
}

/* A lapse, a worker started again, a hand-back. */
inline take_back(j) {
  if
  :: job[j].cancel -> end(j, CANCELLED)
  :: else -> to_line(j)
  fi
}

inline claim(w, j) {
  if
  :: job[j].state == QUEUED && job[j].in_line && fence < FENCES ->
#ifndef MISTAKE_fence_grows
     fence++;
#else
     fence = 1 + job[j].fence; /* counted by job, where the counter is the queue's */
#endif
     assert(!job[j].leased);       /* one_lease */
     job[j].state = ASSIGNED;
     job[j].in_line = false;
     job[j].leased = true;
     job[j].fence = fence;
     job[j].worker = w;
     /* The assignment may be lost on its way: then the worker knows of nothing. */
     if
     :: mind[w].of[j].has = true; mind[w].of[j].fence = fence; mind[w].of[j].generation = generation[w]
     :: skip
     fi
  :: else
  fi
}

inline start(w, j) {
  if
  :: live(w, j) && job[j].state == ASSIGNED && job[j].cancel -> end(j, CANCELLED)
  :: live(w, j) && job[j].state == ASSIGNED && !job[j].cancel -> job[j].state = RUNNING
  :: else
  fi
}

inline complete(w, j) {
  if
#ifdef MISTAKE_terminal
  :: (live(w, j) || (job[j].state == CANCELLED && job[j].fence == mind[w].of[j].fence)) && !job[j].cancel ->
#else
  :: live(w, j) && !job[j].cancel ->
#endif
     assert(mind[w].of[j].fence == job[j].fence && generation[w] == mind[w].of[j].generation); /* old_fence */
     assert(!ended(j)); /* terminal */
     end(j, SUCCEEDED);
     job[j].result = mind[w].of[j].fence;
     accepted[j]++;
     assert(accepted[j] == 1) /* terminal */
  :: live(w, j) && job[j].cancel -> end(j, CANCELLED)
  :: else
  fi
  /* The answer may be lost: then it is said again. */
  if
  :: mind[w].of[j].has = false
  :: skip
  fi
}
