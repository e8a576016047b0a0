/* adapter_check.c - which parts a kind of change has, and their shapes. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "worker/model/adapter_change.h"

#define REFUSE(...) fail_field(BAD_INPUT, "adapter", __VA_ARGS__)

/* ---- which kind ---- */

static bool has(const struct change_named *named, enum change_part part) {
  return named->part[part].name != NULL;
}

/* The parts of each kind are one after another. */
static const struct {
  enum change_kind kind;
  enum change_part first, last;
  const char *needed; /* for messages */
} kinds[] = {
    {CHANGE_LOW_RANK, PART_DOWN, PART_MID, "lora_down (lora_A) and lora_up (lora_B)"},
    {CHANGE_HADAMARD, PART_HADA_W1_A, PART_HADA_T2,
     "hada_w1_a, hada_w1_b, hada_w2_a and hada_w2_b, and t1 with t2"},
    {CHANGE_KRONECKER, PART_LOKR_W1, PART_LOKR_T2,
     "lokr_w1 (or w1_a and w1_b) and lokr_w2 (or w2_a and w2_b)"},
    {CHANGE_WHOLE, PART_DIFF, PART_DIFF_BIAS, "diff or diff_b"},
};
enum { KINDS = sizeof kinds / sizeof *kinds };

static const char *first_name(const struct change_named *named, int first, int last) {
  for (int i = first; i <= last; i++) {
    if (named->part[i].name != NULL) {
      return named->part[i].name;
    }
  }
  return NULL;
}

/* A difference of the bias goes with any kind. */
static enum status find_kind(const struct change_named *named, int *out) {
  int found = -1;
  for (int i = 0; i < KINDS; i++) {
    const char *name = first_name(named, kinds[i].first, kinds[i].last);
    bool bias_alone = kinds[i].kind == CHANGE_WHOLE && !has(named, PART_DIFF);
    if (name == NULL || (found >= 0 && bias_alone)) {
      continue;
    }
    if (found >= 0) {
      return REFUSE("\"%s\" and \"%s\" change one layer in two ways", name,
                    first_name(named, kinds[found].first, kinds[found].last));
    }
    found = i;
  }
  *out = found;
  return OK;
}

static enum status refuse_lack(const struct change_named *named, int kind) {
  return REFUSE("beside \"%s\" something is missing: %s must be there",
                first_name(named, 0, PARTS - 1), kinds[kind].needed);
}

/* ---- shapes ---- */

static void shape_text(const struct tensor *tensor, char *text, size_t max) {
  size_t at = (size_t)snprintf(text, max, "[");
  for (int i = 0; i < tensor->rank && at < max; i++) {
    at += (size_t)snprintf(text + at, max - at, i > 0 ? ", %lld" : "%lld",
                           (long long)tensor->shape[i]);
  }
  if (at < max) {
    snprintf(text + at, max - at, "]");
  }
}

/* What a shape is held against: a matrix of so many rows and columns, which may be written with
 * more sides (a kernel's). */
struct shape_check {
  const struct adapter_target *target;
  const struct module *module;
  const struct change_named *named;
};

static int64_t rows_of(const struct tensor *tensor) {
  return tensor->rank > 0 ? tensor->shape[0] : 1;
}
static int64_t columns_of(const struct tensor *tensor) {
  int64_t rows = rows_of(tensor);
  return rows > 0 ? tensor_count(tensor) / rows : 0;
}

static enum status check_matrix(const struct shape_check *check, enum change_part part,
                                int64_t rows, int64_t columns) {
  const struct part_named *found = &check->named->part[part];
  if (rows_of(&found->tensor) == rows && columns_of(&found->tensor) == columns) {
    return OK;
  }
  char shape[96];
  shape_text(&found->tensor, shape, sizeof shape);
  return REFUSE(
      "\"%s\" has shape %s, for %s of %lld outputs and %lld inputs it must be [%lld, %lld]: the "
      "adapter is of another model than %s",
      found->name, shape, check->module->name, (long long)check->module->outputs,
      (long long)check->module->inputs, (long long)rows, (long long)columns, check->target->family);
}

static enum status check_rank(const struct change_named *named, enum change_part part,
                              int64_t rank) {
  if (rank >= 1 && rank <= ADAPTER_FILE_RANK_MAX) {
    return OK;
  }
  return REFUSE("\"%s\" has rank %lld, allowed are 1 to %d", named->part[part].name,
                (long long)rank, ADAPTER_FILE_RANK_MAX);
}

/* ---- the kinds ---- */

static enum status check_low_rank(const struct shape_check *check, struct change *out) {
  const struct change_named *named = check->named;
  const struct module *module = check->module;
  int64_t window = change_window(module);
  if (!has(named, PART_DOWN) || !has(named, PART_UP)) {
    return refuse_lack(named, CHANGE_LOW_RANK);
  }
  out->rank = columns_of(&named->part[PART_UP].tensor);
  TRY(check_rank(named, PART_UP, out->rank));
  TRY(check_matrix(check, PART_UP, module->outputs * check->named->target.parts, out->rank));
  if (!has(named, PART_MID)) {
    return check_matrix(check, PART_DOWN, out->rank, module->inputs * window);
  }
  int64_t inner = rows_of(&named->part[PART_DOWN].tensor);
  TRY(check_rank(named, PART_DOWN, inner));
  TRY(check_matrix(check, PART_DOWN, inner, module->inputs));
  return check_matrix(check, PART_MID, out->rank, inner * window);
}

static enum status check_factors(const struct shape_check *check, enum change_part a,
                                 enum change_part t, int64_t rows) {
  const struct change_named *named = check->named;
  enum change_part b = a + 1;
  int64_t rank = rows_of(&named->part[b].tensor), window = change_window(check->module);
  TRY(check_rank(named, b, rank));
  if (!has(named, t)) {
    TRY(check_matrix(check, a, rows, rank));
    return check_matrix(check, b, rank, check->module->inputs * window);
  }
  TRY(check_matrix(check, a, rank, rows));
  TRY(check_matrix(check, b, rank, check->module->inputs));
  return check_matrix(check, t, rank, rank * window);
}

static enum status check_hadamard(const struct shape_check *check, struct change *out) {
  const struct change_named *named = check->named;
  int64_t rows = check->module->outputs * named->target.parts;
  for (int part = PART_HADA_W1_A; part <= PART_HADA_W2_B; part++) {
    if (!has(named, (enum change_part)part)) {
      return refuse_lack(named, CHANGE_HADAMARD);
    }
  }
  if (has(named, PART_HADA_T1) != has(named, PART_HADA_T2)) {
    return refuse_lack(named, CHANGE_HADAMARD);
  }
  out->rank = rows_of(&named->part[PART_HADA_W1_B].tensor);
  TRY(check_factors(check, PART_HADA_W1_A, PART_HADA_T1, rows));
  return check_factors(check, PART_HADA_W2_A, PART_HADA_T2, rows);
}

/* One of the two factors: its rows and columns (kernel values among them), and its rank, 0 when it
 * is whole. */
struct factor {
  int64_t rows, columns, rank;
};

static enum status read_factor(const struct shape_check *check, enum change_part whole,
                               struct factor *out) {
  const struct change_named *named = check->named;
  enum change_part a = whole + 1, b = whole + 2, t = PART_LOKR_T2;
  const struct tensor *part_a = &named->part[a].tensor, *part_b = &named->part[b].tensor;
  bool turned = whole == PART_LOKR_W2 && has(named, t);
  if (has(named, whole) && !has(named, a) && !has(named, b) && !turned) {
    const struct tensor *tensor = &named->part[whole].tensor;
    *out = (struct factor){rows_of(tensor), columns_of(tensor), 0};
    return OK;
  }
  if (has(named, whole) || !has(named, a) || !has(named, b)) {
    return refuse_lack(named, CHANGE_KRONECKER);
  }
  int64_t rank = rows_of(part_b), window = change_window(check->module);
  TRY(check_rank(named, b, rank));
  if (turned) {
    TRY(check_matrix(check, a, rank, columns_of(part_a)));
    TRY(check_matrix(check, t, rank, rank * window));
    *out = (struct factor){columns_of(part_a), columns_of(part_b) * window, rank};
    return OK;
  }
  TRY(check_matrix(check, a, rows_of(part_a), rank));
  *out = (struct factor){rows_of(part_a), columns_of(part_b), rank};
  return OK;
}

static enum status check_kronecker(const struct shape_check *check, struct change *out) {
  const struct module *module = check->module;
  struct factor w1 = {0}, w2 = {0};
  TRY(read_factor(check, PART_LOKR_W1, &w1));
  TRY(read_factor(check, PART_LOKR_W2, &w2));
  int64_t wanted = module->inputs * change_window(module);
  if (w1.rows < 1 || w2.rows < 1 || w1.columns < 1 || w2.columns < 1 || w1.rows > module->outputs ||
      w2.rows > module->outputs || w1.columns > wanted || w2.columns > wanted ||
      w1.rows * w2.rows != module->outputs || w1.columns * w2.columns != wanted ||
      w2.columns % change_window(module) != 0) {
    return REFUSE(
        "\"%s\": factors of %lld x %lld and %lld x %lld values do not make %s of %lld outputs and "
        "%lld inputs",
        first_name(check->named, PART_LOKR_W1, PART_LOKR_T2), (long long)w1.rows,
        (long long)w1.columns, (long long)w2.rows, (long long)w2.columns, module->name,
        (long long)module->outputs, (long long)wanted);
  }
  /* as LyCORIS counts: the second factor's rank, where both have one */
  out->rank = w2.rank > 0 ? w2.rank : w1.rank;
  return OK;
}

static enum status check_whole(const struct shape_check *check, struct change *out) {
  const struct module *module = check->module;
  out->rank = 0;
  if (!has(check->named, PART_DIFF)) {
    return OK;
  }
  return check_matrix(check, PART_DIFF, module->outputs * check->named->target.parts,
                      module->kind == MODULE_NORM ? 1 : module->inputs * change_window(module));
}

static enum status (*const checks[])(const struct shape_check *check, struct change *out) = {
    [CHANGE_LOW_RANK] = check_low_rank,
    [CHANGE_HADAMARD] = check_hadamard,
    [CHANGE_KRONECKER] = check_kronecker,
    [CHANGE_WHOLE] = check_whole};

/* ---- what goes with any kind ---- */

/* dora_scale [1, I] and more ones: a value for each input (kohya); else one for each output, which
 * PEFT writes as [O], of a convolution as [1, O, 1, 1]. */
static enum status check_dora(const struct shape_check *check, struct change *out) {
  const struct module *module = check->module;
  const struct part_named *dora = &check->named->part[PART_DORA];
  if (dora->name == NULL) {
    return OK;
  }
  if (out->kind == CHANGE_WHOLE) {
    return refuse_lack(check->named, CHANGE_LOW_RANK);
  }
  bool peft = strstr(dora->name, "magnitude") != NULL;
  if (peft && tensor_count(&dora->tensor) == module->outputs) {
    return OK;
  }
  out->on_input =
      !peft && dora->tensor.rank > 1 && dora->tensor.shape[0] == 1 && module->outputs != 1;
  return out->on_input ? check_matrix(check, PART_DORA, 1, module->inputs)
                       : check_matrix(check, PART_DORA, module->outputs, 1);
}

/* Scale is alpha / rank, or alpha / sqrt(rank) (Kalajdzievski 2023). Without alpha, or where
 * nothing has a rank, it is 1. */
static enum status read_scale(const struct change_named *named, struct adapter_alpha alpha,
                              struct change *out) {
  const struct part_named *part = &named->part[PART_ALPHA];
  if (part->name != NULL) {
    alpha = (struct adapter_alpha){.known = true};
    elements_to_f32(part->tensor.element, part->tensor.data, 1, &alpha.alpha);
  }
  if (alpha.known && !isfinite(alpha.alpha)) {
    return REFUSE("\"%s\" has an alpha that is not a finite number",
                  first_name(named, 0, PARTS - 1));
  }
  float rank = (float)out->rank;
  out->scale = !alpha.known || out->rank == 0 ? 1 : alpha.alpha / (alpha.root ? sqrtf(rank) : rank);
  return fabsf(out->scale) <= ADAPTER_SCALE_MAX
             ? OK
             : REFUSE("\"%s\" has alpha %g at rank %lld: the scale is allowed up to %g",
                      first_name(named, 0, PARTS - 1), (double)alpha.alpha, (long long)out->rank,
                      (double)ADAPTER_SCALE_MAX);
}

/* A norm has no product of matrices, and one matrix for three layers is cut only where rows of the
 * result are rows of a part. */
static enum status check_place(const struct shape_check *check, enum change_kind kind) {
  const struct change_named *named = check->named;
  if (check->module->kind == MODULE_NORM && kind != CHANGE_WHOLE) {
    return REFUSE("\"%s\": %s is a norm, which has no matrix", first_name(named, 0, PARTS - 1),
                  check->module->name);
  }
  bool turned = kind == CHANGE_KRONECKER || has(named, PART_HADA_T1) || has(named, PART_DORA);
  if (named->target.parts > 1 && turned) {
    return REFUSE("\"%s\": changes of this kind are not implemented for q, k and v in one matrix",
                  first_name(named, 0, PARTS - 1));
  }
  return OK;
}

enum status change_check(const struct adapter_target *target, const struct change_named *named,
                         struct adapter_alpha alpha, struct change *out) {
  const struct module *module = modules_at(target->modules, named->target.module);
  struct shape_check check = {target, module, named};
  struct change change = {.module = named->target.module};
  int kind = -1;
  TRY(find_kind(named, &kind));
  if (kind < 0) {
    return refuse_lack(named, CHANGE_LOW_RANK);
  }
  change.kind = kinds[kind].kind;
  TRY(check_place(&check, change.kind));
  TRY(checks[kind](&check, &change));
  TRY(check_dora(&check, &change));
  if (has(named, PART_DIFF_BIAS)) {
    TRY(check_matrix(&check, PART_DIFF_BIAS, module->outputs * named->target.parts, 1));
  }
  TRY(read_scale(named, alpha, &change));
  for (int i = 0; i < PARTS; i++) {
    change.part[i] = named->part[i].tensor;
  }
  *out = change;
  return OK;
}
