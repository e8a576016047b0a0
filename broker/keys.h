/* keys.h - every Redis key name, once: here, and nowhere else.
 *
 * embed-scripts reads these rows too: a script that says KEY_JOB gets a text: the prefix (setting
 * --prefix) and the name. Rows that end in ':' are families; what follows the colon is
 * said in the comment, whose first word is the type (number: a text of digits).
 */
#ifndef DARKROOM_BROKER_KEYS_H
#define DARKROOM_BROKER_KEYS_H

/* truth */
#define KEY_JOB "job:"       /* <id>  hash: the record of a job */
#define KEY_WORKER "worker:" /* <name> hash: generation, state, seen, via, slots, models, hello, */
                             /* token, host, since, trouble; lone, past:<line> (claim.lua) */
#define KEY_MODEL "models"   /* hash: model -> packed ModelInfo, kept after its workers have left */
#define KEY_DEFAULT_MODEL "default_model" /* text */

/* counters that only grow */
#define KEY_CLOCK "clk"             /* number: the logical clock in ms, of leases and deadlines */
#define KEY_CLOCK_WALL "clk:wall"   /* number: Redis's own time in ms at the last tick */
#define KEY_FENCE "fence"           /* number: the last fence given out */
#define KEY_SEQUENCE "sequence"     /* number: the last place in line given out */
#define KEY_GENERATION "generation" /* number: the last worker generation given out */
#define KEY_RUN "run"               /* text: the Redis run that boot has seen last */

/* indexes, all derived from the records */
#define KEY_JOBS "jobs"        /* zset: every job by the order of submission */
#define KEY_STATE "state:"     /* <STATE> zset: the jobs of that state, in the same order */
#define KEY_READY "ready:"     /* <level>:<tenant>:<model> zset: the line of one tenant, by place */
#define KEY_TENANTS "tenants:" /* <level>:<model> zset: tenants with a line, by virtual start */
#define KEY_READY_MODELS "ready_models" /* set: models with any line */
#define KEY_AGEING "ageing"   /* zset: QUEUED jobs below the top level, by the time they move up */
#define KEY_LEASES "leases"   /* zset: ASSIGNED and RUNNING jobs by the end of their lease */
#define KEY_HELD "held:"      /* <worker> set: the jobs it has a lease on */
#define KEY_DELAYED "delayed" /* zset: DELAYED jobs by the time they are due */
#define KEY_DEADLINES "deadlines"    /* zset: QUEUED and DELAYED jobs that have a deadline, by it */
#define KEY_ENDED "ended"            /* zset: jobs ended for ever by the time they ended */
#define KEY_QUARANTINE "quarantine"  /* zset: QUARANTINED jobs by the time they count as FAILED */
#define KEY_WORKERS "workers"        /* zset: worker names by the time they were last heard */
#define KEY_WORKERS_OF "workers_of:" /* <model> set: workers that have it */

/* bookkeeping */
#define KEY_SERVICE "service" /* hash: <level>:<tenant> -> virtual start; <level> -> its now */
#define KEY_COUNT "count"     /* hash: <STATE> -> jobs that ended so, ever; less those taken out */
                              /* of quarantine; depth:<class> -> QUEUED now */

/* channel */
#define KEY_EVENTS "events" /* what happened, for the watchers of every broker, and WAKE */

#endif
