/* residence.h - which models an engine has, found by id: those that are pinned are loaded at the
 * start and stay, of the others an outline (model.h) is here and the weights come and go
 * (arrivals.h). A resident's address is the key of all that is kept of it. */
#ifndef DARKROOM_WORKER_ENGINE_RESIDENCE_H
#define DARKROOM_WORKER_ENGINE_RESIDENCE_H

#include "base/limits.h"
#include "worker/engine/engine.h"
#include "worker/model/preview.h"
#include "worker/sampler/noise_levels.h"

enum presence { AT_HOME, AWAY, COMING, TRIED };

struct resident {
  const char *id;
  const char *sha256;
  struct model *model;         /* the outline where it is not at home: it must not compute */
  const struct family *family; /* the facts below */
  struct family facts;
  struct noise_levels *levels;
  bool previews;          /* preview is known (glimpses.h) */
  struct preview preview; /* the colours of its latents */
  struct tiny_vae *tiny;  /* its tiny decoder, one of the tinies; NULL: it has none */
  int max_side;           /* pixels: the largest side of a picture that there is memory for */
  enum presence presence; /* from here on: of one that is not pinned; TRIED: its weights are here,
                             but it is not offered yet (trial.h) */
  struct model *outline;  /* NULL: it is pinned */
  struct model_source source;
  size_t bytes;        /* that it takes of the budget at home: about, until it was there once */
  int64_t asked_ms;    /* since when a job waits for it; 0: none does */
  int64_t home_ms;     /* since when it is here */
  uint64_t last_job;   /* the number of the last one that was admitted for it */
  enum status trouble; /* how the last load failed; OK: it did not, */
  int64_t trouble_ms;  /* when, */
  char reason[FAIL_REASON_MAX]; /* and why */
};

/* A control net at home; told apart by its place. */
struct net {
  const char *id;
  struct control *control;
};
#define NETS_MAX 32 /* of a device */

/* A tiny decoder at home (tinies.h). */
struct tiny_decoder {
  const char *id, *family; /* NULL: of every family with latents like those it decodes */
  struct tiny_vae *vae;
};
#define TINIES_MAX 32 /* of a device */

struct residence {
  size_t count;
  struct resident rows[MODELS_MAX];
  size_t net_count;
  struct net nets[NETS_MAX];
  size_t tiny_count;
  struct tiny_decoder tinies[TINIES_MAX];
};

/* Opens all models, or none; of those on demand the outline. Texts are copied into memory. *out is
 * filled in its place, for rows point into themselves: it is empty after a failure. */
enum status residence_open(struct arena *memory, struct device *device,
                           const struct engine_model *models, size_t count, struct residence *out);
/* Opens the control nets among the extras that go with one of its models; others are for other
 * devices. */
enum status residence_open_nets(struct arena *memory, struct device *device,
                                const struct engine_extra *extras, size_t count,
                                struct residence *residence);
void residence_close(struct residence *residence);

/* NULL when no model has that id. */
const struct resident *residence_find(const struct residence *residence, const char *id);
/* Weights from here on, or NULL: only the outline. */
void resident_move(struct resident *resident, struct model *weights);

/* What is told of it. Texts are borrowed. */
void resident_info(const struct resident *resident, Darkroom__V1__ModelInfo *out);
/* Pixels of the side the model was made for; what both sides of a picture must be a multiple of. */
int resident_side(const struct resident *resident);
int resident_multiple(const struct resident *resident);

#endif
