/* classes.pml - which class a free device serves. The first that waits is next: interactive, standard, bulk; but a lower class
 * that waits is owed a part of what is given, and goes first when it is owed a whole job: one of BULK_OF, one of STANDARD_OF. Whoever
 * is given a job, for whatever reason, is owed that much less. Jobs come at any moment; one unit each.
 *
 * PROPERTY(name, truth), and MISTAKE_<name> as in lease.pml:
 *   promptly    while an interactive job waits, each lower class has one start at most before one of its own
 *   bulk_share  while a bulk job waits, at most BULK_OF - 1 units go to others before the next one of bulk
 *   no_debt     bulk goes before a person only if it has had less than its part: its own turns count
 *   standard    has its part as well (one unit late at most, when bulk is owed at the same moment)
 *   busy        the device stands still only while nothing waits
 */
#define BULK_OF 20
#define STANDARD_OF 5
#define WAITING_MAX 2
#define INTERACTIVE 0
#define STANDARD 1
#define BULK 2

#ifdef ONLY
#define PROPERTY(name, truth) assert(!(ONLY == name) || (truth))
#else
#define PROPERTY(name, truth) assert(truth)
#endif
#define promptly 1
#define bulk_share 2
#define no_debt 3
#define standard 4
#define busy 5

byte waiting[3];
byte owed[3]; /* units that others were given while it waited, not paid yet */

/* Known from outside. */
byte passed[3];  /* starts of this class while an interactive job waits, since the last interactive one */
byte without[3]; /* units to others while this class waits, since its last one or since it came */

#define part_of(c) (c == BULK -> BULK_OF : STANDARD_OF)
#define is_owed(c) (waiting[c] > 0 && owed[c] >= part_of(c) - 1)

inline submit(c) {
  without[c] = (waiting[c] == 0 -> 0 : without[c]);
  waiting[c]++
}

/* What it means for a class d that class c is served. is_owed_way: c goes before its turn. */
inline pass(d, c, is_owed_way) {
  if
  :: d != c && waiting[d] > 0 -> without[d]++
  :: d == c -> without[d] = 0
  :: else
  fi;
  if
#ifdef MISTAKE_bulk_share
  :: d > c && waiting[d] > 0 && !is_owed_way && owed[d] < part_of(d) - 1 -> owed[d]++ /* only first classes count */
#else
  :: d != c && waiting[d] > 0 && owed[d] < part_of(d) - 1 -> owed[d]++
#endif
#ifdef MISTAKE_no_debt
  :: d == c && is_owed_way -> owed[d] = 0 /* a turn of its own pays nothing */
#else
  :: d == c -> owed[d] = 0
#endif
  :: else
  fi
}

inline serve(c, is_owed_way) {
  PROPERTY(no_debt, !(c == BULK && waiting[INTERACTIVE] > 0 && without[BULK] < BULK_OF - 1));
  if
  :: c == INTERACTIVE -> passed[STANDARD] = 0; passed[BULK] = 0
  :: c != INTERACTIVE && waiting[INTERACTIVE] > 0 -> passed[c]++
  :: else -> passed[STANDARD] = 0; passed[BULK] = 0
  fi;
  pass(STANDARD, c, is_owed_way);
  pass(BULK, c, is_owed_way);
  waiting[c]--;
  PROPERTY(promptly, passed[STANDARD] <= 1 && passed[BULK] <= 1);
  PROPERTY(bulk_share, without[BULK] <= BULK_OF - 1);
  PROPERTY(standard, without[STANDARD] <= STANDARD_OF)
}

active proctype queue() {
  bool served;
  do
  :: atomic { waiting[INTERACTIVE] < WAITING_MAX -> submit(INTERACTIVE) }
  :: atomic { waiting[STANDARD] < WAITING_MAX -> submit(STANDARD) }
  :: atomic { waiting[BULK] < WAITING_MAX -> submit(BULK) }
  :: atomic { /* claim */
       waiting[INTERACTIVE] + waiting[STANDARD] + waiting[BULK] > 0 ->
       served = true;
       if
       :: is_owed(BULK) -> serve(BULK, true)
       :: else ->
          if
#ifdef MISTAKE_promptly
          :: waiting[STANDARD] > 0 && waiting[INTERACTIVE] > 0 -> serve(STANDARD, true) /* they take turns, by chance */
#endif
#ifndef MISTAKE_standard
          :: is_owed(STANDARD) -> serve(STANDARD, true)
          :: !is_owed(STANDARD) && waiting[INTERACTIVE] > 0 -> serve(INTERACTIVE, false)
#else
          :: waiting[INTERACTIVE] > 0 -> serve(INTERACTIVE, false)
#endif
          :: waiting[INTERACTIVE] == 0 && waiting[STANDARD] > 0 -> serve(STANDARD, false)
#ifndef MISTAKE_busy
          :: waiting[INTERACTIVE] == 0 && waiting[STANDARD] == 0 -> serve(BULK, false)
#endif
          :: else -> served = false
          fi
       fi;
       PROPERTY(busy, served);
       served = false
     }
  od
}
