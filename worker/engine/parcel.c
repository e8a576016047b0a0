/* parcel.c - one mapping for all inputs of a job; it can no longer change or shrink (its seals say
 * so), so that what was checked stays as it was. */
#include "worker/engine/parcel.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define SEALS (F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE)

static enum status map(int fd, struct parcel *parcel) {
  struct stat found;
  int seals = fcntl(fd, F_GET_SEALS);
  if (fstat(fd, &found) != 0 || found.st_size <= 0 || seals < 0 || (seals & SEALS) != SEALS) {
    return fail(BAD_INPUT, "inputs come in sealed memory");
  }
  void *memory = mmap(NULL, (size_t)found.st_size, PROT_READ, MAP_SHARED, fd, 0);
  if (memory == MAP_FAILED) {
    return fail(EXHAUSTED, "a job's inputs cannot be mapped: %s", strerror(errno));
  }
  parcel->memory = memory;
  parcel->bytes = (size_t)found.st_size;
  return OK;
}

static enum status kind_of(Darkroom__V1__BlobKind kind, enum input_kind *out) {
  static const struct {
    Darkroom__V1__BlobKind said;
    enum input_kind kind;
  } rows[] = {{DARKROOM__V1__BLOB_KIND__BLOB_IMAGE, INPUT_IMAGE},
              {DARKROOM__V1__BLOB_KIND__BLOB_MASK, INPUT_MASK},
              {DARKROOM__V1__BLOB_KIND__BLOB_CONTROL, INPUT_CONTROL},
              {DARKROOM__V1__BLOB_KIND__BLOB_ADAPTER, INPUT_ADAPTER},
              {DARKROOM__V1__BLOB_KIND__BLOB_EMBEDDING, INPUT_EMBEDDING}};
  for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
    if (rows[i].said == kind) {
      *out = rows[i].kind;
      return OK;
    }
  }
  return fail(BAD_INPUT, "an input of kind %d", (int)kind);
}

static enum status read_row(const struct parcel *parcel, const Darkroom__Pipe__Input *said,
                            struct engine_input *out) {
  struct engine_input row = {.index = said->index,
                             .width = said->width,
                             .height = said->height,
                             .channels = said->channels,
                             .bytes = (size_t)said->bytes};
  TRY(kind_of(said->kind, &row.kind));
  bool inside = said->offset <= parcel->bytes && said->bytes <= parcel->bytes - said->offset;
  bool picture = row.kind <= INPUT_CONTROL;
  uint64_t pixels = (uint64_t)row.width * row.height;
  if (!inside || row.width > JOB_SIDE_PIXELS_MAX || row.height > JOB_SIDE_PIXELS_MAX ||
      row.channels > 3 || (picture && pixels * row.channels != said->bytes)) {
    return fail(BAD_INPUT, "an input of another size than its memory");
  }
  row.data = (const uint8_t *)parcel->memory + said->offset;
  *out = row;
  return OK;
}

static enum status fill(struct pipe *pipe, const Darkroom__Pipe__Admit *admit,
                        struct parcel *parcel) {
  int fd = -1;
  TRY(pipe_take_descriptor(pipe, &fd));
  enum status status = map(fd, parcel);
  close(fd);
  TRY(status);
  for (size_t i = 0; i < admit->n_input; i++) {
    TRY(read_row(parcel, admit->input[i], &parcel->row[i]));
  }
  parcel->list = (struct engine_inputs){parcel->row, admit->n_input};
  return OK;
}

enum status parcel_open(struct pipe *pipe, const Darkroom__Pipe__Admit *admit, struct parcel *out) {
  struct parcel parcel = {0};
  if (admit->n_input > JOB_INPUTS_MAX) {
    return fail(BAD_INPUT, "%zu inputs of one job", admit->n_input);
  }
  enum status status = admit->n_input > 0 ? fill(pipe, admit, &parcel) : OK;
  if (status != OK) {
    parcel_close(&parcel);
    return status;
  }
  parcel_move(&parcel, out);
  return OK;
}

void parcel_close(struct parcel *parcel) {
  if (parcel->memory != NULL) {
    munmap(parcel->memory, parcel->bytes);
  }
  *parcel = (struct parcel){0};
}

void parcel_move(struct parcel *from, struct parcel *to) {
  *to = *from;
  to->list.input = to->row;
  *from = (struct parcel){0};
}
