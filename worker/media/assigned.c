/* assigned.c - unpacked through the wire's own checks, though it has passed them before. */
#include "worker/media/assigned.h"

#include "base/limits.h"
#include "proto/wire.h"

enum status assigned_open(const struct bytes *packed, struct assigned *out) {
  TRY(arena_open(NULL, UNPACK_BYTES_MAX + UNPACK_BYTES_MAX, &out->arena));
  ProtobufCMessage *message = NULL;
  TRY(wire_unpack_type(&darkroom__v1__assign__descriptor, packed->data, packed->length, out->arena,
                       &message, NULL));
  Darkroom__V1__Assign *assign = (Darkroom__V1__Assign *)message;
  if (assign->job == NULL) {
    return fail(BAD_INPUT, "an assignment without a job");
  }
  out->assign = assign;
  return OK;
}

void assigned_close(struct assigned *assigned) { arena_close(&assigned->arena); }
