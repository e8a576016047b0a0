/* pipe.h - framed protobuf messages over a socket pair, without blocking: u32 length (little
 * endian), then that many bytes. A descriptor may come along with a message.
 *
 * Both ends use it: the parent sends Orders and takes Reports, the child the reverse. A pipe
 * belongs to one thread.
 */
#ifndef DARKROOM_WORKER_ENGINE_PIPE_H
#define DARKROOM_WORKER_ENGINE_PIPE_H

#include <protobuf-c/protobuf-c.h>
#include <stdbool.h>

#include "base/arena.h"
#include "base/bytes.h"
#include "base/limits.h"
#include "base/status.h"

/* The largest picture and what is said beside it. */
#define PIPE_MESSAGE_BYTES_MAX ((size_t)JOB_SIDE_PIXELS_MAX * JOB_SIDE_PIXELS_MAX * 3 + 64 * 1024)
/* What an arena must hold at most to unpack one message into it. */
#define PIPE_UNPACK_BYTES_MAX (PIPE_MESSAGE_BYTES_MAX + UNPACK_BYTES_MAX)
/* Waiting to be sent, at most: beyond it the other side is not reading. */
#define PIPE_OUTPUT_BYTES_MAX (2 * PIPE_MESSAGE_BYTES_MAX)

struct pipe {
  int fd;
  bool ended;         /* the other side closed; what it sent before can still be taken */
  struct bytes input; /* received; input.data[taken..] not yet taken */
  size_t taken;
  struct bytes output; /* output.data[sent..] not yet sent */
  size_t sent;
  struct bytes leaving; /* descriptors on their way: struct passenger, in the order of the stream */
  struct bytes arrived; /* descriptors that came and are not taken yet, in that order */
  size_t arrived_taken;
  uint64_t output_begin; /* where in the stream output.data[0] is */
  bool accepts;          /* descriptors; who does not expect any is not given any */
};

/* Takes fd over and makes it non-blocking. */
enum status pipe_open(struct pipe *pipe, int fd);
/* Closes fd. Safe on a closed pipe. */
void pipe_close(struct pipe *pipe);

/* Packs a message behind what waits and sends as much as goes without blocking. UNAVAILABLE when
 * the other side is gone, EXHAUSTED when it has stopped reading (nothing was added then). */
enum status pipe_send(struct pipe *pipe, const ProtobufCMessage *message);
/* The same with a descriptor (SCM_RIGHTS), which is the pipe's from now on, also when the call
 * fails. */
enum status pipe_send_descriptor(struct pipe *pipe, const ProtobufCMessage *message,
                                 int descriptor);
/* Sends more of what waits: when poll says POLLOUT. UNAVAILABLE when the other side is gone. */
enum status pipe_flush(struct pipe *pipe);
/* Whether something waits to be sent: poll for POLLOUT then. */
bool pipe_waiting(const struct pipe *pipe);

/* Receives what is there, at most one message more than is whole: when poll says POLLIN or POLLHUP.
 * Sets ended at the end of the stream, which is no failure. UNAVAILABLE when the socket failed,
 * BAD_INPUT for a frame over the maximum. */
enum status pipe_receive(struct pipe *pipe);
/* Takes the next whole message, *out NULL when there is none. It lives in the arena. BAD_INPUT when
 * it is not of that type or too large for the arena. Call until NULL after each pipe_receive. */
enum status pipe_take(struct pipe *pipe, const ProtobufCMessageDescriptor *type,
                      struct arena *arena, ProtobufCMessage **out);

/* The descriptor that came with the message taken last, which the caller closes. A message says
 * whether one came with it; BAD_INPUT when none did. Only where pipe->accepts. */
enum status pipe_take_descriptor(struct pipe *pipe, int *out);

/* The same as pipe_take for bytes from elsewhere: protobuf-c gets memory from the arena alone,
 * zeroed. */
enum status pipe_unpack(const ProtobufCMessageDescriptor *type, const uint8_t *data, size_t length,
                        struct arena *arena, ProtobufCMessage **out);

#endif
