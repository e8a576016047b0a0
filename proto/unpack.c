/* unpack.c - protobuf bytes to a message in an arena: texts checked first, then memory zeroed and
 * capped.
 *
 * protobuf-c 1.4.1 expands some payloads sixty-fold and relies on zeroed memory in places, so it
 * never sees its default allocator here. It also copies a text up to its first NUL and takes any
 * bytes for UTF-8, so texts are checked on the wire before. Its asserts are about descriptors,
 * which are compiled in, and never about bytes: what makes no sense is NULL.
 */
#include <assert.h>
#include <string.h>
#include <utf8proc.h>

#include "base/limits.h"
#include "proto/wire.h"

/* Under this a message may expand as it likes: a BEAT of many jobs with short ids takes twenty
 * times its bytes, and harms nobody. */
#define BUDGET_FLOOR_BYTES ((size_t)16 * 1024)
#define CHUNK_BYTES ((size_t)2048)
#define PIECE_BYTES ((size_t)16)
#define DEPTH_MAX 8

/* texts --------------------------------------------------------------------------------------- */

enum wire_type { TYPE_VARINT = 0, TYPE_FIXED64 = 1, TYPE_BYTES = 2, TYPE_FIXED32 = 5 };

#define FIELD_NUMBER_MAX ((UINT64_C(1) << 29) - 1) /* protobuf's own */

struct cursor {
  const uint8_t *at;
  const uint8_t *end;
};

static bool varint_read(struct cursor *cursor, uint64_t *value) {
  *value = 0;
  for (unsigned shift = 0; shift < 64 && cursor->at < cursor->end; shift += 7) {
    uint8_t byte = *cursor->at++;
    *value |= (uint64_t)(byte & 0x7f) << shift;
    if ((byte & 0x80) == 0) {
      return true;
    }
  }
  return false;
}

static bool skip(struct cursor *cursor, uint64_t bytes) {
  if (bytes > (uint64_t)(cursor->end - cursor->at)) {
    return false;
  }
  cursor->at += bytes;
  return true;
}

static bool text_valid(const uint8_t *text, size_t bytes) {
  for (size_t i = 0; i < bytes;) {
    utf8proc_int32_t point = 0;
    utf8proc_ssize_t took = utf8proc_iterate(text + i, (utf8proc_ssize_t)(bytes - i), &point);
    if (took <= 0 || point == 0) {
      return false;
    }
    i += (size_t)took;
  }
  return true;
}

static enum status scan(const ProtobufCMessageDescriptor *type, struct cursor cursor, int depth,
                        struct refusal *why);

static enum status malformed(const ProtobufCMessageDescriptor *type, struct refusal *why) {
  return refuse(why, DARKROOM__V1__ERROR_CODE__ERROR_MALFORMED, NULL, NULL,
                "the payload is not a %s message", type->short_name);
}

static enum status scan_bytes(const ProtobufCMessageDescriptor *type, uint64_t number,
                              struct cursor content, int depth, struct refusal *why) {
  const ProtobufCFieldDescriptor *field =
      number <= UINT32_MAX ? protobuf_c_message_descriptor_get_field(type, (unsigned)number) : NULL;
  if (field == NULL) {
    return OK;
  }
  if (field->type == PROTOBUF_C_TYPE_MESSAGE) {
    return scan(field->descriptor, content, depth + 1, why);
  }
  if (field->type == PROTOBUF_C_TYPE_STRING &&
      !text_valid(content.at, (size_t)(content.end - content.at))) {
    return refuse(why, DARKROOM__V1__ERROR_CODE__ERROR_FIELD, field->name, "UTF-8 without NUL",
                  "%s is not UTF-8, or has a NUL in it", field->name);
  }
  return OK;
}

/* Walks the fields of one message and of those inside it; no type of ours contains itself. */
static enum status scan(const ProtobufCMessageDescriptor *type, struct cursor cursor, int depth,
                        struct refusal *why) {
  if (depth > DEPTH_MAX) {
    return malformed(type, why);
  }
  while (cursor.at < cursor.end) {
    uint64_t tag = 0;
    uint64_t bytes = 0;
    /* protobuf-c keeps an unknown field of number 0 when its tag is padded, and cannot read it back
     * once it has packed it: a stored job that no worker could open */
    bool whole = varint_read(&cursor, &tag) && tag >> 3 >= 1 && tag >> 3 <= FIELD_NUMBER_MAX;
    switch (tag & 7) {
      case TYPE_VARINT:
        whole = whole && varint_read(&cursor, &bytes);
        break;
      case TYPE_FIXED64:
        whole = whole && skip(&cursor, 8);
        break;
      case TYPE_FIXED32:
        whole = whole && skip(&cursor, 4);
        break;
      case TYPE_BYTES: {
        whole = whole && varint_read(&cursor, &bytes);
        struct cursor content = {cursor.at, cursor.at};
        whole = whole && skip(&cursor, bytes);
        content.end = cursor.at;
        if (whole) {
          TRY(scan_bytes(type, tag >> 3, content, depth, why));
        }
        break;
      }
      default:
        whole = false;
    }
    if (!whole) {
      return malformed(type, why);
    }
  }
  return OK;
}

/* memory -------------------------------------------------------------------------------------- */

/* Hands out small zeroed pieces of chunks taken from an arena, and counts them against a budget. */
struct budget {
  struct arena *arena;
  size_t left;
  char *chunk;
  size_t chunk_left;
};

static void *budget_take(void *context, size_t bytes) {
  struct budget *budget = context;
  if (bytes > budget->left) {
    return NULL;
  }
  size_t rounded = bytes == 0 ? PIECE_BYTES : (bytes + PIECE_BYTES - 1) / PIECE_BYTES * PIECE_BYTES;
  if (rounded > budget->left) {
    return NULL;
  }
  if (rounded > budget->chunk_left) {
    size_t wanted = budget->left < CHUNK_BYTES ? budget->left : CHUNK_BYTES;
    wanted = wanted < rounded ? rounded : wanted;
    budget->chunk = arena_take_zeroed(budget->arena, wanted);
    budget->chunk_left = budget->chunk != NULL ? wanted : 0;
    if (budget->chunk == NULL) {
      return NULL;
    }
  }
  void *piece = budget->chunk;
  budget->chunk += rounded;
  budget->chunk_left -= rounded;
  budget->left -= rounded;
  return piece;
}

/* All goes with the arena. */
static void budget_drop(void *context, void *piece) {
  (void)context;
  (void)piece;
}

static size_t budget_for(size_t payload_bytes) {
  size_t bytes = BUDGET_FLOOR_BYTES + payload_bytes * UNPACK_FACTOR_MAX;
  return bytes < UNPACK_BYTES_MAX ? bytes : UNPACK_BYTES_MAX;
}

static enum status unpack(const ProtobufCMessageDescriptor *type, struct cursor payload,
                          struct budget budget, ProtobufCMessage **out, struct refusal *why) {
  size_t bytes = (size_t)(payload.end - payload.at);
  TRY(scan(type, payload, 0, why));
  struct arena_mark mark = arena_mark(budget.arena);
  ProtobufCAllocator allocator = {budget_take, budget_drop, &budget};
  ProtobufCMessage *message = protobuf_c_message_unpack(type, &allocator, bytes, payload.at);
  if (message == NULL) {
    arena_release(budget.arena, mark);
    return malformed(type, why);
  }
  *out = message;
  return OK;
}

static struct cursor cursor_over(const uint8_t *payload, size_t bytes) {
  static const uint8_t nothing[1];
  payload = payload != NULL ? payload : nothing;
  return (struct cursor){payload, payload + bytes};
}

enum status wire_unpack_type(const ProtobufCMessageDescriptor *type, const uint8_t *payload,
                             size_t payload_bytes, struct arena *arena, ProtobufCMessage **out,
                             struct refusal *why) {
  if (payload_bytes > FRAME_BYTES_MAX) {
    return malformed(type, why);
  }
  struct budget budget = {.arena = arena, .left = budget_for(payload_bytes)};
  return unpack(type, cursor_over(payload, payload_bytes), budget, out, why);
}

/* A broker's answer may be a long list of small rows, so it gets the whole maximum; its receiver
 * chose to ask. */
enum status wire_unpack(enum wire_verb verb, const uint8_t *payload, size_t payload_bytes,
                        struct arena *arena, ProtobufCMessage **out, struct refusal *why) {
  const struct wire_verb_row *row = wire_verb(verb);
  assert(row != NULL);
  if (payload_bytes > FRAME_BYTES_MAX || row->sender != WIRE_FROM_BROKER) {
    return wire_unpack_type(row->payload, payload, payload_bytes, arena, out, why);
  }
  struct budget budget = {.arena = arena, .left = UNPACK_BYTES_MAX};
  return unpack(row->payload, cursor_over(payload, payload_bytes), budget, out, why);
}
