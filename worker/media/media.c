/* media.c - lists under one lock: what waits to be done by the disk's threads and by the store's,
 * and what is done; an eventfd rings for the last. */
#include "worker/media/media.h"

#include <assert.h>
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/limits.h"
#include "worker/media/finish.h"

struct list {
  struct media_task *first, **last;
};

/* Who does a task. */
enum lane { LANE_DISK, LANE_STORE, LANES };

struct media;

struct thread {
  struct media *media;
  enum lane lane;
  struct store *store; /* of the lane that needs one */
  pthread_t id;
};

struct media {
  struct media_settings settings;
  pthread_mutex_t lock;
  pthread_cond_t more[LANES];
  struct list waiting[LANES];
  struct list done;
  bool ending;
  atomic_bool leaving; /* the same for libcurl, which asks without the lock */
  int bell;            /* eventfd */
  int threads;         /* started */
  struct thread thread[LANES * MEDIA_THREADS_MAX];
};

static enum lane lane_of(const struct media_task *task) {
  bool store = task->kind == MEDIA_STORE || task->kind == MEDIA_CHECK || task->image_count > 0;
  return store ? LANE_STORE : LANE_DISK;
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
  bytes_close(&task->assign);
  bytes_close(&task->payload);
  bytes_close(&task->pixels);
  bytes_close(&task->file);
  free(task);
  *pointer = NULL;
}

/* a thread ------------------------------------------------------------------------------------- */

/* The next task, NULL when the pool ends. */
static struct media_task *wait_for_task(struct media *media, enum lane lane) {
  pthread_mutex_lock(&media->lock);
  while (media->waiting[lane].first == NULL && !media->ending) {
    pthread_cond_wait(&media->more[lane], &media->lock);
  }
  struct media_task *task = media->ending ? NULL : list_take(&media->waiting[lane]);
  pthread_mutex_unlock(&media->lock);
  return task;
}

static void hand_back(struct media *media, struct media_task *task) {
  pthread_mutex_lock(&media->lock);
  list_put(&media->done, task);
  pthread_mutex_unlock(&media->lock);
  uint64_t one = 1;
  ssize_t rung = write(media->bell, &one, sizeof one);
  assert(rung == sizeof one || errno == EAGAIN); /* a counter at its maximum is readable too */
}

static void *run(void *context) {
  struct thread *thread = context;
  struct media *media = thread->media;
  struct finish finish = {
      .store = thread->store,
      .spool = media->settings.spool,
      .worker = media->settings.worker,
      .version = media->settings.version,
  };
  for (struct media_task *task = wait_for_task(media, thread->lane); task != NULL;
       task = wait_for_task(media, thread->lane)) {
    finish_task(&finish, task);
    hand_back(media, task);
  }
  return NULL;
}

/* the pool ---------------------------------------------------------------------------------- */

static enum status start_thread(struct media *media, enum lane lane) {
  struct thread *thread = &media->thread[media->threads];
  *thread = (struct thread){.media = media, .lane = lane};
  if (lane == LANE_STORE) {
    TRY(store_open(&media->settings.store, &thread->store));
  }
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
  for (int i = 0; i < LANES * media->settings.threads; i++) {
    TRY(start_thread(media, (enum lane)(i % LANES)));
  }
  return OK;
}

enum status media_open(const struct media_settings *settings, struct media **out) {
  assert(settings->threads >= 1 && settings->threads <= MEDIA_THREADS_MAX);
  struct media *media = calloc(1, sizeof *media);
  if (media == NULL) {
    return fail(EXHAUSTED, "no memory for the media pool");
  }
  media->settings = *settings;
  media->settings.store.s3.leaving = &media->leaving;
  pthread_mutex_init(&media->lock, NULL);
  for (int lane = 0; lane < LANES; lane++) {
    pthread_cond_init(&media->more[lane], NULL);
    list_open(&media->waiting[lane]);
  }
  list_open(&media->done);
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
  for (int lane = 0; lane < LANES; lane++) {
    pthread_cond_broadcast(&media->more[lane]);
  }
  pthread_mutex_unlock(&media->lock);
  for (int i = 0; i < media->threads; i++) {
    pthread_join(media->thread[i].id, NULL);
    store_close(&media->thread[i].store);
  }
  for (int lane = 0; lane < LANES; lane++) {
    list_close(&media->waiting[lane]);
    pthread_cond_destroy(&media->more[lane]);
  }
  list_close(&media->done);
  if (media->bell >= 0) {
    close(media->bell);
  }
  pthread_mutex_destroy(&media->lock);
  free(media);
  *pointer = NULL;
}

void media_send(struct media *media, struct media_task *task) {
  pthread_mutex_lock(&media->lock);
  list_put(&media->waiting[lane_of(task)], task);
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
