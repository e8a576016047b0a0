/* fuzz_frame.c - any 12 bytes as a header, any bytes behind them as the payload of its verb. */
#include <assert.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "base/limits.h"
#include "proto/json.h"
#include "proto/wire.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* What was taken for valid can be packed, read back as the same bytes, and shown as JSON. */
static void round_trip(const ProtobufCMessage *message, struct arena *arena) {
  size_t bytes = protobuf_c_message_get_packed_size(message);
  if (bytes > FRAME_BYTES_MAX) {
    return;
  }
  uint8_t *packed = arena_take(arena, 2 * bytes);
  protobuf_c_message_pack(message, packed);
  ProtobufCMessage *again = NULL;
  if (wire_unpack_type(message->descriptor, packed, bytes, arena, &again, NULL) == OK) {
    assert(protobuf_c_message_pack(again, packed + bytes) == bytes);
    assert(memcmp(packed, packed + bytes, bytes) == 0);
  }
  struct bytes text;
  bytes_open(&text, (size_t)16 << 20);
  assert(message_to_json(message, &text) == OK);
  bytes_close(&text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  static struct arena *arena;
  if (arena == NULL && arena_open(NULL, (size_t)32 << 20, &arena) != OK) {
    return 0;
  }
  enum wire_verb verb;
  uint64_t correlation = 0;
  struct refusal why = {0};
  size_t head = size < WIRE_HEADER_BYTES ? size : WIRE_HEADER_BYTES;
  ProtobufCMessage *message = NULL;
  arena_drop(arena);
  if (wire_header_decode(data, head, &verb, &correlation, &why) == OK &&
      wire_unpack(verb, data + head, size - head, arena, &message, &why) == OK) {
    assert(arena_used(arena) <= UNPACK_BYTES_MAX);
    round_trip(message, arena);
  } else {
    assert(why.code != 0 && why.message[0] != '\0');
  }
  return 0;
}
