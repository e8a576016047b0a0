/* pipe.c - two byte buffers and a non-blocking socket. */
#include "worker/engine/pipe.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define HEADER_BYTES 4
#define RECEIVE_BYTES ((size_t)256 * 1024)

enum status pipe_open(struct pipe *pipe, int fd) {
  *pipe = (struct pipe){.fd = fd};
  bytes_open(&pipe->input, PIPE_MESSAGE_BYTES_MAX + HEADER_BYTES + RECEIVE_BYTES);
  bytes_open(&pipe->output, PIPE_OUTPUT_BYTES_MAX);
  int flags = fcntl(fd, F_GETFL);
  if (flags < 0 || fcntl(fd, F_SETFL, flags | O_NONBLOCK) < 0) {
    return fail(UNAVAILABLE, "engine pipe: %s", strerror(errno));
  }
  return OK;
}

void pipe_close(struct pipe *pipe) {
  if (pipe->fd >= 0) {
    close(pipe->fd);
  }
  bytes_close(&pipe->input);
  bytes_close(&pipe->output);
  pipe->fd = -1;
  pipe->taken = 0;
  pipe->sent = 0;
}

/* Moves what is left to the front once the part before it is the larger one, so that a byte moves
 * at most once or so. */
static void drop_front(struct bytes *bytes, size_t *front) {
  size_t left = bytes->length - *front;
  if (left > *front && bytes->length > 0) {
    return;
  }
  if (left > 0) {
    memmove(bytes->data, bytes->data + *front, left);
  }
  bytes->length = left;
  *front = 0;
}

/* ---- out ---- */

bool pipe_waiting(const struct pipe *pipe) { return pipe->output.length > pipe->sent; }

enum status pipe_flush(struct pipe *pipe) {
  while (pipe_waiting(pipe)) {
    ssize_t sent = send(pipe->fd, pipe->output.data + pipe->sent, pipe->output.length - pipe->sent,
                        MSG_NOSIGNAL);
    if (sent < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) {
      break;
    }
    if (sent < 0 && errno != EINTR) {
      return fail(UNAVAILABLE, "engine pipe: %s", strerror(errno));
    }
    pipe->sent += sent > 0 ? (size_t)sent : 0;
  }
  drop_front(&pipe->output, &pipe->sent);
  return OK;
}

enum status pipe_send(struct pipe *pipe, const ProtobufCMessage *message) {
  size_t bytes = protobuf_c_message_get_packed_size(message);
  assert(bytes <= PIPE_MESSAGE_BYTES_MAX);
  uint8_t *room = NULL;
  TRY(bytes_reserve(&pipe->output, bytes + HEADER_BYTES, &room));
  for (int i = 0; i < HEADER_BYTES; i++) {
    room[i] = (uint8_t)(bytes >> (8 * i));
  }
  protobuf_c_message_pack(message, room + HEADER_BYTES);
  pipe->output.length += bytes + HEADER_BYTES;
  return pipe_flush(pipe);
}

/* ---- in ---- */

/* Length of the message at the front of the input; false while its header is not whole. */
static bool front_length(const struct pipe *pipe, size_t *length) {
  if (pipe->input.length - pipe->taken < HEADER_BYTES) {
    return false;
  }
  const uint8_t *header = pipe->input.data + pipe->taken;
  *length = (size_t)header[0] | (size_t)header[1] << 8 | (size_t)header[2] << 16 |
            (size_t)header[3] << 24;
  return true;
}

static bool front_is_whole(const struct pipe *pipe) {
  size_t length = 0;
  return front_length(pipe, &length) && pipe->input.length - pipe->taken - HEADER_BYTES >= length;
}

static enum status check_front(const struct pipe *pipe) {
  size_t length = 0;
  if (front_length(pipe, &length) && length > PIPE_MESSAGE_BYTES_MAX) {
    return fail(BAD_INPUT, "engine pipe: a message of %zu bytes is over the maximum", length);
  }
  return OK;
}

enum status pipe_receive(struct pipe *pipe) {
  drop_front(&pipe->input, &pipe->taken);
  while (!pipe->ended && !front_is_whole(pipe)) {
    uint8_t *room = NULL;
    TRY(check_front(pipe));
    TRY(bytes_reserve(&pipe->input, RECEIVE_BYTES, &room));
    ssize_t got = recv(pipe->fd, room, RECEIVE_BYTES, 0);
    if (got < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) {
      return OK;
    }
    if (got < 0 && errno != EINTR && errno != ECONNRESET) {
      return fail(UNAVAILABLE, "engine pipe: %s", strerror(errno));
    }
    pipe->ended = got == 0 || (got < 0 && errno == ECONNRESET);
    pipe->input.length += got > 0 ? (size_t)got : 0;
  }
  return check_front(pipe);
}

/* protobuf-c 1.4.1 expands some payloads and relies on zeroed memory in places: it only gets memory
 * from an arena. */
static void *unpack_take(void *arena, size_t bytes) { return arena_take_zeroed(arena, bytes); }

static void unpack_drop(void *arena, void *piece) {
  (void)arena;
  (void)piece;
}

enum status pipe_unpack(const ProtobufCMessageDescriptor *type, const uint8_t *data, size_t length,
                        struct arena *arena, ProtobufCMessage **out) {
  ProtobufCAllocator allocator = {unpack_take, unpack_drop, arena};
  ProtobufCMessage *message = protobuf_c_message_unpack(type, &allocator, length, data);
  if (message == NULL) {
    return fail(BAD_INPUT, "engine pipe: not a %s, or too large to unpack", type->name);
  }
  *out = message;
  return OK;
}

enum status pipe_take(struct pipe *pipe, const ProtobufCMessageDescriptor *type,
                      struct arena *arena, ProtobufCMessage **out) {
  size_t length = 0;
  if (!front_is_whole(pipe) || !front_length(pipe, &length)) {
    *out = NULL;
    return OK;
  }
  const uint8_t *data = pipe->input.data + pipe->taken + HEADER_BYTES;
  pipe->taken += HEADER_BYTES + length;
  return pipe_unpack(type, data, length, arena, out);
}
