/* cordon.c - ends laid at doors, and counted. */
#include "worker/cordon.h"

#include <stdio.h>
#include <string.h>

/* The driver's words for what went wrong (docs.nvidia.com/deploy/xid-errors, the catalogue). Fatal
 * are those after which what the GPU computes cannot be trusted, or nothing comes, until it is
 * reset, drained or repaired. Of the others most are a program's own fault, and they end the engine
 * that has them anyway. */
static const struct {
  uint32_t number;
  bool fatal;
  const char *meaning;
} xids[] = {
    {0, true, "the driver reaches it no more"},
    {13, false, "a fault of what was computed, or of the GPU's engine"},
    {31, false, "a memory fault of what was computed"},
    {43, false, "it stopped work that was at fault"},
    {45, false, "it cleared away work after an earlier error"},
    {48, true, "an error in its memory that could not be corrected"},
    {62, true, "its controller has halted"},
    {63, true, "bad memory was taken out of use: it wants a reset"},
    {64, true, "bad memory could not be taken out of use"},
    {74, true, "an error of NVLink"},
    {79, true, "it has fallen off the bus"},
    {92, false, "many errors in its memory, all corrected"},
    {94, true, "an error in its memory, contained to one program"},
    {95, true, "an error in its memory that was not contained"},
    {109, false, "it took too long to change from one program to another"},
    {119, true, "its system processor does not answer"},
    {120, true, "its system processor has failed"},
    {140, true, "errors in its memory that were not recovered"},
    {143, true, "it could not be set up"},
};

const char *xid_meaning(uint32_t number, bool *fatal) {
  *fatal = false;
  for (size_t i = 0; i < sizeof xids / sizeof xids[0]; i++) {
    if (xids[i].number == number) {
      *fatal = xids[i].fatal;
      return xids[i].meaning;
    }
  }
  return "";
}

/* counting ------------------------------------------------------------------------------------- */

static bool recent(const struct cordon_death *death, int64_t now_ms) {
  return now_ms - death->at_ms < CORDON_WINDOW_MS;
}

static bool was_inside(const struct cordon_death *death, uint64_t job) {
  for (size_t i = 0; i < death->count; i++) {
    if (death->job[i] == job) {
      return true;
    }
  }
  return false;
}

/* How many of the deaths that still want an explanation this job explains. */
static int explains(const struct cordon *cordon, const bool *open, uint64_t job) {
  int explained = 0;
  for (size_t i = 0; i < cordon->count; i++) {
    explained += open[i] && was_inside(&cordon->death[i], job);
  }
  return explained;
}

/* Of those that were inside the first: the one that explains most. */
static void blame_one(const struct cordon *cordon, size_t first, bool *open) {
  uint64_t blamed = cordon->death[first].job[0];
  int most = 0;
  for (size_t i = 0; i < cordon->death[first].count; i++) {
    int explained = explains(cordon, open, cordon->death[first].job[i]);
    if (explained > most) {
      most = explained;
      blamed = cordon->death[first].job[i];
    }
  }
  for (size_t i = 0; i < cordon->count; i++) {
    open[i] = open[i] && !was_inside(&cordon->death[i], blamed);
  }
}

int cordon_count(const struct cordon *cordon, int64_t now_ms) {
  bool open[CORDON_DEATHS_MAX] = {false};
  int against = 0;
  for (size_t i = 0; i < cordon->count; i++) {
    const struct cordon_death *death = &cordon->death[i];
    bool counts = recent(death, now_ms);
    against += counts && death->count == 0;
    open[i] = counts && death->count > 0 && !death->elsewhere && !death->answered;
  }
  for (size_t i = 0; i < cordon->count; i++) {
    if (open[i]) {
      blame_one(cordon, i, open);
      against++;
    }
  }
  return against;
}

static bool close_for(struct cordon *cordon, int64_t now_ms, const char *reason) {
  bool closes = !cordon->closed;
  if (closes) {
    cordon->closed = true;
    cordon->since_ms = now_ms;
    snprintf(cordon->reason, sizeof cordon->reason, "%s", reason);
  }
  return closes;
}

static bool judge(struct cordon *cordon, int64_t now_ms, const char *what) {
  int against = cordon_count(cordon, now_ms);
  char reason[CORDON_REASON_BYTES_MAX];
  if (cordon->limit == 0 || against < cordon->limit) {
    return false;
  }
  snprintf(reason, sizeof reason,
           "its engine has died %d times in %d minutes and no job explains it%s%s", against,
           CORDON_WINDOW_MS / 60000, what[0] != '\0' ? "; the last time: " : "", what);
  return close_for(cordon, now_ms, reason);
}

/* what happens --------------------------------------------------------------------------------- */

/* A job that had not been lost here before, and came alone, had been lost elsewhere. */
static bool came_as_suspect(const struct cordon *cordon, const struct cordon_death *death) {
  bool known = false;
  for (size_t i = 0; i < cordon->count && death->count == 1; i++) {
    known = known || was_inside(&cordon->death[i], death->job[0]);
  }
  return death->elsewhere && death->count == 1 && !known;
}

bool cordon_died(struct cordon *cordon, const struct cordon_death *death, const char *what) {
  bool elsewhere = came_as_suspect(cordon, death);
  if (cordon->count == CORDON_DEATHS_MAX) {
    memmove(&cordon->death[0], &cordon->death[1], --cordon->count * sizeof cordon->death[0]);
  }
  struct cordon_death *kept = &cordon->death[cordon->count++];
  *kept = *death;
  kept->elsewhere = elsewhere;
  kept->answered = false;
  return judge(cordon, death->at_ms, what);
}

static void acquit(struct cordon_death *death, uint64_t job) {
  size_t left = 0;
  for (size_t i = 0; i < death->count; i++) {
    if (death->job[i] != job) {
      death->job[left++] = death->job[i];
    }
  }
  death->count = left;
}

bool cordon_finished(struct cordon *cordon, uint64_t job, bool here, int64_t now_ms) {
  for (size_t i = 0; i < cordon->count; i++) {
    acquit(&cordon->death[i], job);
    cordon->death[i].answered = cordon->death[i].answered || here;
  }
  return judge(cordon, now_ms, "");
}

bool cordon_xid(struct cordon *cordon, uint32_t number, int64_t now_ms) {
  bool fatal = false;
  char reason[CORDON_REASON_BYTES_MAX];
  const char *meaning = xid_meaning(number, &fatal);
  if (!fatal) {
    return false;
  }
  if (number == 0) {
    snprintf(reason, sizeof reason, "%s", meaning);
  } else {
    snprintf(reason, sizeof reason, "Xid %u: %s", number, meaning);
  }
  return close_for(cordon, now_ms, reason);
}

void cordon_open(struct cordon *cordon, int limit) { *cordon = (struct cordon){.limit = limit}; }
