/* assigned.c - unpacked through the wire's own checks, though it has passed them before. */
#include "worker/media/assigned.h"

#include "base/limits.h"
#include "proto/wire.h"

enum status assigned_open(const struct bytes *packed, struct assigned *out) {
  struct assigned assigned = {0};
  ProtobufCMessage *message = NULL;
  TRY(arena_open(NULL, UNPACK_BYTES_MAX + UNPACK_BYTES_MAX, &assigned.arena));
  enum status status = wire_unpack_type(&darkroom__v1__assign__descriptor, packed->data,
                                        packed->length, assigned.arena, &message, NULL);
  assigned.assign = (Darkroom__V1__Assign *)message;
  if (status == OK && assigned.assign->job == NULL) {
    status = fail(BAD_INPUT, "an assignment without a job");
  }
  if (status != OK) {
    assigned_close(&assigned);
    return status;
  }
  *out = assigned;
  return OK;
}

void assigned_close(struct assigned *assigned) { arena_close(&assigned->arena); }
