/* record.c - a head, then pieces of f32. */
#include "worker/engine/record.h"

#include <math.h>
#include <string.h>

#include "base/hash.h"

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "numbers are copied as they lie");

static const char magic[8] = {'D', 'K', 'S', 'A', 'M', 'P', 'L', 'E'};

/* No holes, so that every byte is one that was set. */
struct head {
  char magic[8];
  uint32_t version, stage, cursor, drawn;
  uint64_t digest;
  double cached;
  uint32_t has_cached, next;
  uint32_t state[624];
};
_Static_assert(sizeof(struct head) == 8 + 16 + 8 + 8 + 8 + 4 * 624, "no holes");
_Static_assert(sizeof(((struct random *)0)->state) == 4 * 624, "all of the generator");

/* ---- what it belongs to ---- */

static uint64_t add_number(uint64_t number, int64_t value) {
  for (int bit = 0; bit < 64; bit += 8) {
    unsigned char byte = (unsigned char)((uint64_t)value >> bit);
    number = hash_on(number, &byte, sizeof byte);
  }
  return number;
}

static uint64_t add_float(uint64_t number, float value) {
  uint32_t bits = 0;
  memcpy(&bits, &value, sizeof bits);
  return add_number(number, bits);
}

static uint64_t add_text(uint64_t number, const char *text) {
  return hash_on(number, text, strlen(text) + 1);
}

static uint64_t add_row(uint64_t number, const struct plan_row *row, int slots) {
  number = add_float(add_float(number, row->timestep), row->input_scale);
  number = add_float(add_float(number, row->keep_clean), row->keep_begun);
  number = add_number(add_number(number, row->needs_noise), row->step);
  for (int i = 0; i < slots * (slots + 2); i++) {
    number = add_float(number, row->matrix[i]);
  }
  return number;
}

static uint64_t add_plan(uint64_t number, const struct plan *plan) {
  number = add_number(add_number(number, plan->rows), plan->slots);
  number = add_float(add_float(number, plan->start_scale), plan->start_clean);
  for (int row = 0; row < plan->rows; row++) {
    number = add_row(number, &plan->row[row], plan->slots);
  }
  return number;
}

static uint64_t add_stage(uint64_t number, const struct stage *stage) {
  const struct resident *resident = stage->resident;
  number = add_text(number, resident->sha256 != NULL ? resident->sha256 : resident->id);
  number = add_number(add_number(number, stage->latent_height), stage->latent_width);
  number = add_number(add_number(number, latent_channels(stage)), stage->planes);
  number = add_number(add_number(number, stage->keeps), stage->begin);
  return add_plan(number, &stage->plan);
}

static uint64_t digest_of(const struct recipe *recipe) {
  uint64_t number = HASH_START;
  for (int i = 0; i < recipe->stages; i++) {
    number = add_stage(number, &recipe->stage[i]);
  }
  return number;
}

/* ---- its pieces ---- */

enum { PIECES_MAX = 5 };

/* Those that a sample has, in their order. Gives how many. */
static int pieces_of(const struct sample *sample, bool drawn,
                     const struct tensor *out[PIECES_MAX]) {
  const struct tensor *all[PIECES_MAX] = {&sample->slots, drawn ? &sample->noise : NULL,
                                          &sample->clean, &sample->begun, &sample->planes};
  int count = 0;
  for (int i = 0; i < PIECES_MAX; i++) {
    if (all[i] != NULL && all[i]->data != NULL) {
      out[count++] = all[i];
    }
  }
  return count;
}

static size_t bytes_of(const struct sample *sample, bool drawn) {
  const struct tensor *pieces[PIECES_MAX];
  size_t bytes = sizeof(struct head);
  int count = pieces_of(sample, drawn, pieces);
  for (int i = 0; i < count; i++) {
    bytes += tensor_bytes(pieces[i]);
  }
  return bytes;
}

size_t sample_state_bytes(const struct sample *sample) { return bytes_of(sample, sample->drawn); }

/* ---- writing ---- */

static struct head head_of(const struct sample *sample) {
  struct head head = {.version = RECORD_VERSION,
                      .stage = (uint32_t)sample->stage,
                      .cursor = (uint32_t)sample->cursor,
                      .drawn = sample->drawn,
                      .digest = digest_of(sample->task->recipe),
                      .cached = sample->random.has_cached ? sample->random.cached : 0,
                      .has_cached = sample->random.has_cached,
                      .next = (uint32_t)sample->random.next};
  memcpy(head.magic, magic, sizeof magic);
  memcpy(head.state, sample->random.state, sizeof head.state);
  return head;
}

enum status sample_state_write(const struct sample *sample, struct device *device, uint8_t *out) {
  const struct tensor *pieces[PIECES_MAX];
  if (sample->encode != ENCODE_NONE) {
    return fail(UNAVAILABLE, "the pictures that it begins with are not encoded yet");
  }
  struct head head = head_of(sample);
  TRY(device_wait(device)); /* whatever queue it has work in */
  memcpy(out, &head, sizeof head);
  size_t at = sizeof head;
  int count = pieces_of(sample, sample->drawn, pieces);
  for (int i = 0; i < count; i++) {
    size_t bytes = tensor_bytes(pieces[i]);
    TRY(device_get(device, pieces[i], out + at, bytes));
    at += bytes;
  }
  return OK;
}

/* ---- reading ---- */

static enum status no_state(const char *why) {
  return fail_field(BAD_INPUT, "state", "not a state of this image: %s", why);
}

static enum status check_head(const struct recipe *recipe, const struct head *head) {
  if (memcmp(head->magic, magic, sizeof magic) != 0) {
    return no_state("it begins with something else");
  }
  if (head->version != RECORD_VERSION) {
    return fail_field(BAD_INPUT, "state", "a state of version %u, this engine reads %d",
                      head->version, RECORD_VERSION);
  }
  if (head->digest != digest_of(recipe)) {
    return no_state("it was made by another plan");
  }
  if (head->stage >= (uint32_t)recipe->stages ||
      head->cursor > (uint32_t)recipe->stage[head->stage].plan.rows) {
    return no_state("its place is not in the plan");
  }
  return head->next <= 624 && head->has_cached <= 1 && head->drawn <= 1 && isfinite(head->cached)
             ? OK
             : no_state("its generator is none");
}

/* Latents that overflowed are no state to go on from. */
static bool all_finite(const uint8_t *values, size_t bytes) {
  float value;
  for (size_t at = 0; at + sizeof value <= bytes; at += sizeof value) {
    memcpy(&value, values + at, sizeof value);
    if (!isfinite(value)) {
      return false;
    }
  }
  return true;
}

/* A sample at that place, for its shapes alone. */
static size_t wanted_bytes(const struct sample *sample, const struct head *head) {
  const struct recipe *recipe = sample->task->recipe;
  const struct stage *stage = recipe_ground(recipe, (int)head->stage);
  size_t pieces = (size_t)recipe->slots + (head->drawn != 0 ? 1 : 0) + (stage->keeps ? 2 : 0);
  size_t cells = (size_t)stage_cells(stage) * sizeof(float);
  return sizeof *head + pieces * latent_bytes(stage) + cells * (size_t)stage->planes;
}

static bool draws_at(const struct recipe *recipe, const struct head *head) {
  const struct plan *plan = &recipe->stage[head->stage].plan;
  return head->cursor < (uint32_t)plan->rows && plan->row[head->cursor].needs_noise;
}

enum status record_check(const struct sample *sample, const uint8_t *state, size_t bytes) {
  struct head head;
  if (bytes < sizeof head) {
    return no_state("it is too short");
  }
  memcpy(&head, state, sizeof head);
  TRY(check_head(sample->task->recipe, &head));
  if (head.drawn != 0 && !draws_at(sample->task->recipe, &head)) {
    return no_state("it has noise where none is drawn");
  }
  if (bytes != wanted_bytes(sample, &head)) {
    return no_state("its length is another");
  }
  return all_finite(state + sizeof head, bytes - sizeof head) ? OK : no_state("it has no numbers");
}

/* Steps of the user's that are behind that place. */
static uint32_t steps_before(const struct recipe *recipe, const struct head *head) {
  uint32_t steps = 0;
  for (uint32_t stage = 0; stage <= head->stage; stage++) {
    const struct plan *plan = &recipe->stage[stage].plan;
    int rows = stage < head->stage ? plan->rows : (int)head->cursor;
    for (int row = 0; row < rows; row++) {
      steps += row + 1 == plan->rows || plan->row[row + 1].step != plan->row[row].step;
    }
  }
  return steps;
}

enum status record_put(struct sample *sample, struct device *device, const uint8_t *state,
                       size_t bytes) {
  const struct tensor *pieces[PIECES_MAX];
  struct head head;
  (void)bytes;
  memcpy(&head, state, sizeof head);
  TRY(sample_enter(sample, (int)head.stage));
  sample->cursor = (int)head.cursor;
  sample->drawn = head.drawn != 0;
  sample->stale = head.cursor == 0 && sample_stage(sample)->begin == BEGIN_KEEP;
  sample->encode = ENCODE_NONE;
  sample->steps = sample->previewed = steps_before(sample->task->recipe, &head);
  sample->random.next = (int)head.next;
  sample->random.has_cached = head.has_cached != 0;
  sample->random.cached = head.cached;
  memcpy(sample->random.state, head.state, sizeof head.state);
  size_t at = sizeof head;
  int count = pieces_of(sample, sample->drawn, pieces);
  for (int i = 0; i < count; i++) {
    TRY(device_put(device, state + at, tensor_bytes(pieces[i]), pieces[i]));
    at += tensor_bytes(pieces[i]);
  }
  return OK;
}
