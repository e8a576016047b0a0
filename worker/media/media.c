/* media.c - lists under one lock: what waits to be done by the disk's threads and by the store's,
 * and what is done; an eventfd rings for the last. */
#include "worker/media/media.h"

#include <assert.h>
#include <errno.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/limits.h"
#include "worker/media/cache.h"
#include "worker/media/fetch.h"
#include "worker/media/finish.h"
#include "worker/media/pace.h"

struct list {
  struct media_task *first, **last;
};

/* Who does a task; what waits for whom: the last list is for LANE_FETCH, too. */
enum lane { LANE_DISK, LANE_STORE, LANE_FETCH, LANES, LIST_AGAIN = LANES, LISTS };

struct media;

struct thread {
  struct media *media;
  enum lane lane;
  struct store *store;           /* of the lane that needs one */
  struct reader reader;          /* of the lane that fetches */
  const struct media_task *task; /* that it fetches for; under the lock */
  bool gives_way;                /* it has given its task up for one that waits; under the lock */
  struct pace pace;
  enum pace_verdict given_up; /* why its transfer was */
  atomic_bool abandoned;      /* the same for libcurl, which asks without the lock */
  pthread_t id;
};

struct media {
  struct media_settings settings;
  pthread_mutex_t lock;
  pthread_cond_t more[LANES];
  struct list waiting[LISTS];
  size_t fresh;      /* in the list of LANE_FETCH */
  size_t giving_way; /* threads that make room for those */
  sem_t preparing;
  struct list done;
  struct cache *cache;
  bool ending;
  atomic_bool leaving; /* the same for libcurl, which asks without the lock */
  int bell;            /* eventfd */
  int threads;         /* started */
  struct thread thread[2 * MEDIA_THREADS_MAX + MEDIA_FETCH_THREADS_MAX];
};

static enum lane lane_of(const struct media_task *task) {
  if (task->kind == MEDIA_FETCH) {
    return task->at_hand ? LANE_DISK : LANE_FETCH;
  }
  bool store = task->kind == MEDIA_STORE || task->kind == MEDIA_CHECK || task->image_count > 0;
  return store ? LANE_STORE : LANE_DISK;
}

static size_t list_of(const struct media_task *task) {
  enum lane lane = lane_of(task);
  return lane == LANE_FETCH && task->again ? LIST_AGAIN : lane;
}

static void list_open(struct list *list) { *list = (struct list){NULL, &list->first}; }

static void list_put(struct list *list, struct media_task *task) {
  task->next = NULL;
  *list->last = task;
  list->last = &task->next;
}

static struct media_task *list_take(struct list *list) {
  struct media_task *task = list->first;
  if (task != NULL) {
    list->first = task->next;
    if (list->first == NULL) {
      list->last = &list->first;
    }
  }
  return task;
}

static void list_close(struct list *list) {
  for (struct media_task *task = list_take(list); task != NULL; task = list_take(list)) {
    media_task_close(&task);
  }
}

/* tasks ------------------------------------------------------------------------------------- */

struct media_task *media_task(enum media_kind kind, const char *id, uint64_t fence) {
  struct media_task *task = calloc(1, sizeof *task);
  if (task == NULL) {
    fail(EXHAUSTED, "no memory for a media task");
    return NULL;
  }
  task->kind = kind;
  task->fence = fence;
  snprintf(task->id, sizeof task->id, "%s", id);
  task->descriptor = -1;
  bytes_open(&task->assign, FRAME_BYTES_MAX);
  bytes_open(&task->payload, FRAME_BYTES_MAX);
  bytes_open(&task->pixels, IMAGE_FILE_BYTES_MAX);
  bytes_open(&task->file, IMAGE_FILE_BYTES_MAX);
  return task;
}

void media_task_close(struct media_task **pointer) {
  if (pointer == NULL || *pointer == NULL) {
    return;
  }
  struct media_task *task = *pointer;
  if (task->descriptor >= 0) {
    close(task->descriptor);
  }
  bytes_close(&task->assign);
  bytes_close(&task->payload);
  bytes_close(&task->pixels);
  bytes_close(&task->file);
  free(task);
  *pointer = NULL;
}

/* a thread ------------------------------------------------------------------------------------- */

/* Those that were never tried go first. */
static struct media_task *take_waiting(struct media *media, enum lane lane) {
  struct media_task *task = list_take(&media->waiting[lane]);
  if (lane != LANE_FETCH) {
    return task;
  }
  media->fresh -= task != NULL;
  return task != NULL ? task : list_take(&media->waiting[LIST_AGAIN]);
}

/* The next task, NULL when the pool ends. */
static struct media_task *wait_for_task(struct thread *thread) {
  struct media *media = thread->media;
  struct media_task *task = NULL;
  pthread_mutex_lock(&media->lock);
  while (!media->ending && (task = take_waiting(media, thread->lane)) == NULL) {
    pthread_cond_wait(&media->more[thread->lane], &media->lock);
  }
  thread->task = task;
  thread->given_up = PACE_GOES_ON;
  atomic_store(&thread->abandoned, media->ending);
  pthread_mutex_unlock(&media->lock);
  return task;
}

static void ring(const struct media *media) {
  uint64_t one = 1;
  ssize_t rung = write(media->bell, &one, sizeof one);
  assert(rung == sizeof one || errno == EAGAIN); /* a counter at its maximum is readable too */
}

static void hand_back(struct thread *thread, struct media_task *task) {
  struct media *media = thread->media;
  pthread_mutex_lock(&media->lock);
  thread->task = NULL;
  media->giving_way -= thread->gives_way;
  thread->gives_way = false;
  list_put(&media->done, task);
  pthread_mutex_unlock(&media->lock);
  ring(media);
}

/* Whether this thread is to make room: each that waits is made room for by one. */
static bool give_way(struct thread *thread) {
  struct media *media = thread->media;
  pthread_mutex_lock(&media->lock);
  if (!thread->gives_way && media->fresh > media->giving_way) {
    thread->gives_way = true;
    media->giving_way++;
  }
  bool gives_way = thread->gives_way;
  pthread_mutex_unlock(&media->lock);
  return gives_way;
}

/* libcurl asks, from the thread itself, for as long as a transfer lasts. */
static bool give_up(void *context, uint64_t bytes) {
  struct thread *thread = context;
  enum pace_verdict verdict = pace_look(&thread->pace, clock_ms(), bytes);
  if (verdict == PACE_GOES_ON || (verdict == PACE_MAY_GIVE_WAY && !give_way(thread))) {
    return false;
  }
  thread->given_up = verdict;
  return true;
}

static void *run(void *context) {
  struct thread *thread = context;
  struct media *media = thread->media;
  bool fetches = thread->lane == LANE_FETCH;
  struct fetch fetch = {.reader = &thread->reader,
                        .cache = media->cache,
                        .bytes_max = JOB_INPUT_BYTES_MAX,
                        .pace = fetches ? &thread->pace : NULL,
                        .given_up = fetches ? &thread->given_up : NULL,
                        .preparing = fetches ? &media->preparing : NULL};
  struct finish finish = {
      .store = thread->store,
      .fetch = &fetch,
      .spool = media->settings.spool,
      .worker = media->settings.worker,
      .version = media->settings.version,
  };
  for (struct media_task *task = wait_for_task(thread); task != NULL;
       task = wait_for_task(thread)) {
    finish_task(&finish, task);
    hand_back(thread, task);
  }
  return NULL;
}

/* How many it had. */
static size_t abandon_waiting(struct media *media, struct list *waiting, const char *id,
                              uint64_t fence) {
  struct list kept;
  size_t count = 0;
  list_open(&kept);
  for (struct media_task *task = list_take(waiting); task != NULL; task = list_take(waiting)) {
    bool meant = task->fence == fence && strcmp(task->id, id) == 0;
    task->status = meant ? UNAVAILABLE : task->status;
    count += meant;
    list_put(meant ? &media->done : &kept, task);
  }
  for (struct media_task *task = list_take(&kept); task != NULL; task = list_take(&kept)) {
    list_put(waiting, task);
  }
  return count;
}

/* One that waits comes back as it is; one that is under way finds its transfer ended. */
void media_abandon(struct media *media, const char *id, uint64_t fence) {
  pthread_mutex_lock(&media->lock);
  media->fresh -= abandon_waiting(media, &media->waiting[LANE_FETCH], id, fence);
  (void)abandon_waiting(media, &media->waiting[LIST_AGAIN], id, fence);
  for (int i = 0; i < media->threads; i++) {
    struct thread *thread = &media->thread[i];
    const struct media_task *task = thread->lane == LANE_FETCH ? thread->task : NULL;
    if (task != NULL && task->fence == fence && strcmp(task->id, id) == 0) {
      atomic_store(&thread->abandoned, true);
    }
  }
  pthread_mutex_unlock(&media->lock);
  ring(media);
}

/* the pool ---------------------------------------------------------------------------------- */

static enum status start_thread(struct media *media, enum lane lane) {
  struct thread *thread = &media->thread[media->threads];
  *thread = (struct thread){.media = media, .lane = lane};
  atomic_init(&thread->abandoned, false);
  if (lane == LANE_STORE) {
    TRY(store_open(&media->settings.store, &thread->store));
  }
  struct s3_settings settings = media->settings.store.s3;
  settings.leaving = &thread->abandoned;
  settings.give_up = lane == LANE_FETCH ? give_up : NULL;
  settings.give_up_context = thread;
  reader_open(&settings, &media->settings.places, &thread->reader);
  int error = pthread_create(&thread->id, NULL, run, thread);
  if (error != 0) {
    store_close(&thread->store);
    return fail(EXHAUSTED, "no media thread: %s", strerror(error));
  }
  media->threads++;
  return OK;
}

static enum status start(struct media *media) {
  media->bell = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
  if (media->bell < 0) {
    return fail(EXHAUSTED, "no eventfd: %s", strerror(errno));
  }
  TRY(cache_open(media->settings.cache_bytes, &media->cache));
  const int threads[LANES] = {[LANE_DISK] = media->settings.threads,
                              [LANE_STORE] = media->settings.threads,
                              [LANE_FETCH] = media->settings.fetch_threads};
  for (int lane = 0; lane < LANES; lane++) {
    for (int i = 0; i < threads[lane]; i++) {
      TRY(start_thread(media, (enum lane)lane));
    }
  }
  return OK;
}

enum status media_open(const struct media_settings *settings, struct media **out) {
  assert(settings->threads >= 1 && settings->threads <= MEDIA_THREADS_MAX);
  assert(settings->fetch_threads >= 1 && settings->fetch_threads <= MEDIA_FETCH_THREADS_MAX);
  struct media *media = calloc(1, sizeof *media);
  if (media == NULL) {
    return fail(EXHAUSTED, "no memory for the media pool");
  }
  media->settings = *settings;
  media->settings.store.s3.leaving = &media->leaving;
  pthread_mutex_init(&media->lock, NULL);
  for (int lane = 0; lane < LANES; lane++) {
    pthread_cond_init(&media->more[lane], NULL);
  }
  for (int list = 0; list < LISTS; list++) {
    list_open(&media->waiting[list]);
  }
  list_open(&media->done);
  sem_init(&media->preparing, 0, (unsigned)settings->threads);
  enum status status = start(media);
  if (status != OK) {
    media_close(&media);
    return status;
  }
  *out = media;
  return OK;
}

void media_close(struct media **pointer) {
  if (pointer == NULL || *pointer == NULL) {
    return;
  }
  struct media *media = *pointer;
  pthread_mutex_lock(&media->lock);
  media->ending = true;
  atomic_store(&media->leaving, true);
  for (int i = 0; i < media->threads; i++) {
    atomic_store(&media->thread[i].abandoned, true);
  }
  for (int lane = 0; lane < LANES; lane++) {
    pthread_cond_broadcast(&media->more[lane]);
  }
  pthread_mutex_unlock(&media->lock);
  for (int i = 0; i < media->threads; i++) {
    pthread_join(media->thread[i].id, NULL);
    store_close(&media->thread[i].store);
    reader_close(&media->thread[i].reader);
  }
  cache_close(&media->cache);
  for (int lane = 0; lane < LANES; lane++) {
    pthread_cond_destroy(&media->more[lane]);
  }
  for (int list = 0; list < LISTS; list++) {
    list_close(&media->waiting[list]);
  }
  list_close(&media->done);
  sem_destroy(&media->preparing);
  if (media->bell >= 0) {
    close(media->bell);
  }
  pthread_mutex_destroy(&media->lock);
  free(media);
  *pointer = NULL;
}

void media_send(struct media *media, struct media_task *task) {
  pthread_mutex_lock(&media->lock);
  list_put(&media->waiting[list_of(task)], task);
  media->fresh += list_of(task) == LANE_FETCH;
  pthread_cond_signal(&media->more[lane_of(task)]);
  pthread_mutex_unlock(&media->lock);
}

struct media_task *media_take(struct media *media) {
  pthread_mutex_lock(&media->lock);
  struct media_task *task = list_take(&media->done);
  if (task == NULL) {
    uint64_t rings = 0;
    ssize_t silenced = read(media->bell, &rings, sizeof rings);
    (void)silenced; /* EAGAIN: it was silent already */
  }
  pthread_mutex_unlock(&media->lock);
  return task;
}

int media_descriptor(const struct media *media) { return media->bell; }
