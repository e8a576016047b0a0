/* pipe.c - two byte buffers and a non-blocking socket. */
#include "worker/engine/pipe.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#define HEADER_BYTES 4
#define RECEIVE_BYTES ((size_t)256 * 1024)
enum { PASSENGERS_MAX = 256 }; /* descriptors in one direction that nobody has taken */

/* A descriptor goes with the first byte of its message. */
struct passenger {
  uint64_t at; /* of that byte in the stream */
  int fd;
};

enum status pipe_open(struct pipe *pipe, int fd) {
  *pipe = (struct pipe){.fd = fd};
  bytes_open(&pipe->input, PIPE_MESSAGE_BYTES_MAX + HEADER_BYTES + RECEIVE_BYTES);
  bytes_open(&pipe->output, PIPE_OUTPUT_BYTES_MAX);
  bytes_open(&pipe->leaving, PASSENGERS_MAX * sizeof(struct passenger));
  bytes_open(&pipe->arrived, PASSENGERS_MAX * sizeof(int));
  int flags = fcntl(fd, F_GETFL);
  if (flags < 0 || fcntl(fd, F_SETFL, flags | O_NONBLOCK) < 0) {
    return fail(UNAVAILABLE, "engine pipe: %s", strerror(errno));
  }
  return OK;
}

static size_t passenger_count(const struct pipe *pipe) {
  return pipe->leaving.length / sizeof(struct passenger);
}

static struct passenger passenger_at(const struct pipe *pipe, size_t index) {
  struct passenger passenger;
  memcpy(&passenger, pipe->leaving.data + index * sizeof passenger, sizeof passenger);
  return passenger;
}

static void close_descriptors(struct pipe *pipe) {
  for (size_t i = 0; i < passenger_count(pipe); i++) {
    close(passenger_at(pipe, i).fd);
  }
  int fd = -1;
  while (pipe->arrived_taken < pipe->arrived.length && pipe_take_descriptor(pipe, &fd) == OK) {
    close(fd);
  }
  bytes_close(&pipe->leaving);
  bytes_close(&pipe->arrived);
  pipe->arrived_taken = 0;
}

void pipe_close(struct pipe *pipe) {
  if (pipe->fd >= 0) {
    close(pipe->fd);
  }
  close_descriptors(pipe);
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

/* Room for one descriptor, aligned as its head. */
union control {
  struct cmsghdr head;
  char room[CMSG_SPACE(sizeof(int))];
};

bool pipe_waiting(const struct pipe *pipe) { return pipe->output.length > pipe->sent; }

/* Up to the next message that a descriptor goes with, or with it. */
static ssize_t send_some(struct pipe *pipe) {
  uint64_t at = pipe->output_begin + pipe->sent;
  size_t bytes = pipe->output.length - pipe->sent;
  struct iovec piece = {pipe->output.data + pipe->sent, bytes};
  struct msghdr message = {.msg_iov = &piece, .msg_iovlen = 1};
  union control control = {0};
  bool passenger = passenger_count(pipe) > 0;
  if (passenger && passenger_at(pipe, 0).at > at) {
    uint64_t before = passenger_at(pipe, 0).at - at;
    piece.iov_len = before < bytes ? (size_t)before : bytes;
    passenger = false;
  } else if (passenger) {
    int fd = passenger_at(pipe, 0).fd;
    if (passenger_count(pipe) > 1 && passenger_at(pipe, 1).at - at < bytes) {
      piece.iov_len = (size_t)(passenger_at(pipe, 1).at - at);
    }
    message.msg_control = control.room;
    message.msg_controllen = sizeof control.room;
    control.head = (struct cmsghdr){CMSG_LEN(sizeof fd), SOL_SOCKET, SCM_RIGHTS};
    memcpy(CMSG_DATA(&control.head), &fd, sizeof fd);
  }
  ssize_t sent = sendmsg(pipe->fd, &message, MSG_NOSIGNAL);
  if (sent > 0 && passenger) {
    close(passenger_at(pipe, 0).fd);
    pipe->leaving.length -= sizeof(struct passenger);
    memmove(pipe->leaving.data, pipe->leaving.data + sizeof(struct passenger),
            pipe->leaving.length);
  }
  return sent;
}

enum status pipe_flush(struct pipe *pipe) {
  while (pipe_waiting(pipe)) {
    ssize_t sent = send_some(pipe);
    if (sent < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) {
      break;
    }
    if (sent < 0 && errno != EINTR) {
      return fail(UNAVAILABLE, "engine pipe: %s", strerror(errno));
    }
    pipe->sent += sent > 0 ? (size_t)sent : 0;
  }
  size_t before = pipe->sent;
  drop_front(&pipe->output, &pipe->sent);
  pipe->output_begin += before - pipe->sent;
  return OK;
}

static enum status append(struct pipe *pipe, const ProtobufCMessage *message) {
  size_t bytes = protobuf_c_message_get_packed_size(message);
  assert(bytes <= PIPE_MESSAGE_BYTES_MAX);
  uint8_t *room = NULL;
  TRY(bytes_reserve(&pipe->output, bytes + HEADER_BYTES, &room));
  for (int i = 0; i < HEADER_BYTES; i++) {
    room[i] = (uint8_t)(bytes >> (8 * i));
  }
  protobuf_c_message_pack(message, room + HEADER_BYTES);
  pipe->output.length += bytes + HEADER_BYTES;
  return OK;
}

enum status pipe_send(struct pipe *pipe, const ProtobufCMessage *message) {
  TRY(append(pipe, message));
  return pipe_flush(pipe);
}

enum status pipe_send_descriptor(struct pipe *pipe, const ProtobufCMessage *message,
                                 int descriptor) {
  struct passenger passenger = {pipe->output_begin + pipe->output.length, descriptor};
  enum status status = bytes_append(&pipe->leaving, &passenger, sizeof passenger);
  if (status != OK) {
    close(descriptor);
    return status;
  }
  status = append(pipe, message);
  if (status != OK) { /* the last passenger is this one */
    close(descriptor);
    pipe->leaving.length -= sizeof passenger;
    return status;
  }
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

/* Keeps what came along; false when there is no room for it. */
static bool keep_descriptor(struct pipe *pipe, struct msghdr *message) {
  struct cmsghdr *head = CMSG_FIRSTHDR(message);
  if (head == NULL || head->cmsg_level != SOL_SOCKET || head->cmsg_type != SCM_RIGHTS) {
    return true;
  }
  int fd = -1;
  memcpy(&fd, CMSG_DATA(head), sizeof fd);
  if (bytes_append(&pipe->arrived, &fd, sizeof fd) != OK) {
    close(fd);
    return false;
  }
  return (message->msg_flags & MSG_CTRUNC) == 0;
}

static ssize_t receive_some(struct pipe *pipe, void *room) {
  struct iovec piece = {room, RECEIVE_BYTES};
  union control control = {0};
  struct msghdr message = {.msg_iov = &piece, .msg_iovlen = 1};
  if (pipe->accepts) {
    message.msg_control = control.room;
    message.msg_controllen = sizeof control.room;
  }
  ssize_t got = recvmsg(pipe->fd, &message, MSG_CMSG_CLOEXEC);
  if (got > 0 && pipe->accepts && !keep_descriptor(pipe, &message)) {
    errno = EPROTO;
    return -1;
  }
  return got;
}

enum status pipe_take_descriptor(struct pipe *pipe, int *out) {
  if (pipe->arrived_taken == pipe->arrived.length) {
    return fail(BAD_INPUT, "engine pipe: a descriptor that was told of has not come");
  }
  int fd = -1;
  memcpy(&fd, pipe->arrived.data + pipe->arrived_taken, sizeof fd);
  pipe->arrived_taken += sizeof fd;
  drop_front(&pipe->arrived, &pipe->arrived_taken);
  *out = fd;
  return OK;
}

enum status pipe_receive(struct pipe *pipe) {
  drop_front(&pipe->input, &pipe->taken);
  while (!pipe->ended && !front_is_whole(pipe)) {
    uint8_t *room = NULL;
    TRY(check_front(pipe));
    TRY(bytes_reserve(&pipe->input, RECEIVE_BYTES, &room));
    ssize_t got = receive_some(pipe, room);
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
