/* verbs.c - the table, made from proto/verbs.def. */
#include "broker/verbs.h"

/* A row per message that peers send, at its number; what only brokers say has none. A verb of the
 * contract whose halves are not written does not link. */
#define VERB_CLIENT(name, number, payload) [number] = {name, payload##_ask, payload##_answer},
#define VERB_WORKER(name, number, payload) VERB_CLIENT(name, number, payload)
#define VERB_BROKER(name, number, payload)
static const struct verb table[] = {
#define VERB(id, number, payload, sender, roles) VERB_##sender(#id, number, payload)
#include "proto/verbs.def"
#undef VERB
};

const struct verb *verb_find(enum wire_verb verb) {
  size_t number = (size_t)verb;
  return number < sizeof table / sizeof table[0] && table[number].ask != NULL ? &table[number]
                                                                              : NULL;
}
