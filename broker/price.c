/* price.c - rows for the verbs whose answers are not short. */
#include "broker/price.h"

static const struct price prices[] = {
    {WIRE_GET, MIDDLE_BYTES, true},       {WIRE_EXPLAIN, MIDDLE_BYTES, true},
    {WIRE_WATCH, MIDDLE_BYTES, true},     {WIRE_BEAT, MIDDLE_BYTES, true},
    {WIRE_LIST, FRAME_BYTES_MAX, true},   {WIRE_MODELS, FRAME_BYTES_MAX, true},
    {WIRE_STATUS, FRAME_BYTES_MAX, true}, {WIRE_HELLO, SHORT_BYTES, true},
    {WIRE_CLAIM, SHORT_BYTES, true},
};
static const struct price short_answer = {0, SHORT_BYTES, false};

const struct price *price_of(const struct note *note) {
  for (size_t i = 0; note->got == WIRE_MESSAGE && i < sizeof prices / sizeof prices[0]; i++) {
    if (prices[i].verb == note->verb) {
      return &prices[i];
    }
  }
  return &short_answer;
}
