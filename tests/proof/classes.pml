/* classes.pml - which class a free device serves: a person's job that waits is next, but a bulk job that waits is owed one unit of
 * BULK_OF of what others are given, and goes first when it is owed that. Jobs come at any moment; one unit each.
 *
 * PROPERTY(name, truth), and MISTAKE_<name> as in lease.pml:
 *   promptly    while an interactive job waits, at most one start goes to another class before one of its own
 *   bulk_share  while a bulk job waits, at most BULK_OF - 1 units go to others before the next one of bulk
 *   no_debt     what bulk was not owed while it had nothing waiting does not count
 *   busy        the device stands still only while nothing waits
 */
#define BULK_OF 20
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
#define busy 4

byte waiting[3];
byte owed; /* units others were given while bulk waited, since its last one */

/* Known from outside. */
byte passed_over; /* starts of other classes while an interactive job waits, since the last interactive one */
byte without;     /* units to others while bulk waits, since its last one or since it came */

#define is_owed (waiting[BULK] > 0 && owed >= BULK_OF - 1)

inline submit(c) {
  if
#ifndef MISTAKE_no_debt
  :: c == BULK && waiting[BULK] == 0 -> owed = 0; without = 0
#else
  :: c == BULK && waiting[BULK] == 0 -> without = 0
#endif
  :: else
  fi;
  waiting[c]++
}

inline serve(c) {
  PROPERTY(no_debt, !(c == BULK && waiting[INTERACTIVE] > 0 && without < BULK_OF - 1));
  if
  :: c != BULK && waiting[BULK] > 0 -> without++
  :: c == BULK -> without = 0
  :: else
  fi;
  if
#ifdef MISTAKE_no_debt
  :: c != BULK && owed < BULK_OF -> owed++ /* also while no bulk job waits */
#else
  :: c != BULK && waiting[BULK] > 0 -> owed++
#endif
  :: c == BULK -> owed = 0
  :: else
  fi;
  if
  :: c != INTERACTIVE && waiting[INTERACTIVE] > 0 -> passed_over++
  :: else -> passed_over = 0
  fi;
  waiting[c]--;
  PROPERTY(promptly, passed_over <= 1);
  PROPERTY(bulk_share, without <= BULK_OF - 1)
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
#ifdef MISTAKE_promptly
       :: waiting[BULK] > 0 && owed > 0 -> serve(BULK) /* it takes turns */
#else
#ifndef MISTAKE_bulk_share
       :: is_owed -> serve(BULK)
#endif
#endif
#ifdef MISTAKE_promptly
       :: !(waiting[BULK] > 0 && owed > 0) && waiting[INTERACTIVE] > 0 ->
          if
          :: waiting[STANDARD] > 0 -> serve(STANDARD) /* and so does standard */
          :: serve(INTERACTIVE)
          fi
#else
#ifdef MISTAKE_bulk_share
       :: waiting[INTERACTIVE] > 0 -> serve(INTERACTIVE)
#else
       :: !is_owed && waiting[INTERACTIVE] > 0 -> serve(INTERACTIVE)
#endif
#endif
       :: !is_owed && waiting[INTERACTIVE] == 0 && waiting[STANDARD] > 0 -> serve(STANDARD)
#ifndef MISTAKE_busy
       :: waiting[INTERACTIVE] == 0 && waiting[STANDARD] == 0 && !is_owed -> serve(BULK)
#endif
       :: else -> served = false
       fi;
       PROPERTY(busy, served);
       served = false
     }
  od
}
