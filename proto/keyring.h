/* keyring.h - whose keys a broker knows: a text file, one row a key.
 *
 *     # name  public key                               what it may
 *     acme    Yne@$w-vo<fVvi]a<NY6T1ed:M$fCG*[IaLV{hID  tenant=acme roles=submit
 *     render  ...                                       roles=work worker=render-* models=sd15,sdxl
 *
 * Words are separated by spaces; a line that begins with '#' is for people. Two rows may have one
 * name while its key is changed for another: they differ in key and end alone.
 */
#ifndef DARKROOM_PROTO_KEYRING_H
#define DARKROOM_PROTO_KEYRING_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/bytes.h"
#include "base/limits.h"
#include "proto/keys.h"
#include "proto/roles.h"

#define KEYRING_TENANT_STANDARD "default"

/* What one key may ask for; 0: what the broker gives everybody (its settings). */
struct key_limits {
  uint32_t messages;    /* messages=N a second, of each connection */
  uint32_t kibibytes;   /* kib=N of them a second */
  uint32_t watches;     /* watches=N of each connection */
  uint32_t connections; /* connections=N at each broker */
};

struct keyring_row {
  char name[JOB_ID_BYTES_MAX + 1];
  char key[KEY_TEXT_BYTES];
  char tenant[JOB_ID_BYTES_MAX + 1];           /* tenant=NAME, "default" when left out */
  unsigned roles;                              /* roles=ROLE,... of enum role */
  char worker[JOB_ID_BYTES_MAX + 1];           /* worker=NAME or NAME*; with the role work */
  bool worker_begins;                          /* ... as NAME*: names that begin so */
  char models[KEYRING_MODELS_BYTES_MAX];       /* models=ID,...; "": any */
  char default_model[JOB_MODEL_BYTES_MAX + 1]; /* default-model=ID: may be said as the fleet's */
  int64_t until_s;                             /* until=2026-11-28T05:00:00Z; 0: no end */
  struct key_limits limits;
  unsigned line;
};

struct keyring {
  struct keyring_row *row;
  size_t count;
};

/* Reads a whole file. BAD_INPUT names line, field and limit of the first thing that is wrong;
 * UNAVAILABLE: it cannot be read; EXHAUSTED: no memory. */
enum status keyring_read(const char *path, struct keyring *out);
/* The same of a text in memory, which is written to. */
enum status keyring_parse(char *text, struct keyring *out);
void keyring_close(struct keyring *keyring);

/* Appends the row as a line. */
enum status keyring_print(const struct keyring_row *row, struct bytes *out);

/* Whether both say the same but for the line they stand in and the end they have. */
bool keyring_same(const struct keyring_row *a, const struct keyring_row *b);

/* Whether a key's row gives it a worker's name, a model. */
bool keyring_owns_worker(const struct keyring_row *row, const char *worker);
bool keyring_has_model(const struct keyring_row *row, const char *model);

#endif
