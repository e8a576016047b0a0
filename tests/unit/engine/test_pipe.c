/* test_pipe.c - frames over a real socket pair: whole, in pieces, many, huge, broken and ended. */
#include "worker/engine/pipe.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "worker/engine/pipe.pb-c.h"

struct fixture {
  struct pipe near, far;
  struct arena *arena;
};

static int setup(void **state) {
  static struct fixture fixture;
  int pair[2];
  assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
  assert_int_equal(pipe_open(&fixture.near, pair[0]), OK);
  assert_int_equal(pipe_open(&fixture.far, pair[1]), OK);
  assert_int_equal(arena_open(NULL, PIPE_UNPACK_BYTES_MAX, &fixture.arena), OK);
  *state = &fixture;
  return 0;
}

static int teardown(void **state) {
  struct fixture *fixture = *state;
  pipe_close(&fixture->near);
  pipe_close(&fixture->far);
  pipe_close(&fixture->far);
  arena_close(&fixture->arena);
  return 0;
}

static enum status send_stop(struct pipe *pipe, const char *id) {
  Darkroom__Pipe__Stop stop = DARKROOM__PIPE__STOP__INIT;
  Darkroom__Pipe__Order order = DARKROOM__PIPE__ORDER__INIT;
  stop.id = (char *)id;
  order.stop = &stop;
  return pipe_send(pipe, &order.base);
}

/* The next order at the far end, NULL when none is whole. */
static const Darkroom__Pipe__Order *take(struct fixture *fixture) {
  ProtobufCMessage *message = NULL;
  if (fixture->near.fd >= 0) {
    assert_int_equal(pipe_flush(&fixture->near), OK);
  }
  assert_int_equal(pipe_receive(&fixture->far), OK);
  assert_int_equal(
      pipe_take(&fixture->far, &darkroom__pipe__order__descriptor, fixture->arena, &message), OK);
  return (const Darkroom__Pipe__Order *)message;
}

static void many_messages_keep_their_order(void **state) {
  struct fixture *fixture = *state;
  for (int i = 0; i < 500; i++) {
    char id[32];
    snprintf(id, sizeof id, "job-%d", i);
    assert_int_equal(send_stop(&fixture->near, id), OK);
  }
  for (int i = 0; i < 500; i++) {
    char id[32];
    snprintf(id, sizeof id, "job-%d", i);
    const Darkroom__Pipe__Order *order = take(fixture);
    assert_non_null(order);
    assert_string_equal(order->stop->id, id);
  }
  assert_null(take(fixture));
}

static void a_message_in_pieces_waits_until_it_is_whole(void **state) {
  struct fixture *fixture = *state;
  uint8_t frame[64];
  Darkroom__Pipe__Order order = DARKROOM__PIPE__ORDER__INIT;
  order.has_finish = 1;
  order.finish = 1;
  size_t length = darkroom__pipe__order__pack(&order, frame + 4);
  memcpy(frame, (uint8_t[]){(uint8_t)length, 0, 0, 0}, 4);
  for (size_t i = 0; i < length + 4; i++) {
    assert_null(take(fixture));
    assert_int_equal(send(fixture->near.fd, frame + i, 1, 0), 1);
  }
  assert_true(take(fixture)->finish);
}

/* Much more than a socket holds: the sender keeps the rest and neither side blocks. */
static void the_largest_picture_goes_through(void **state) {
  struct fixture *fixture = *state;
  size_t bytes = (size_t)JOB_SIDE_PIXELS_MAX * JOB_SIDE_PIXELS_MAX * 3;
  uint8_t *rgb = malloc(bytes);
  for (size_t i = 0; i < bytes; i++) {
    rgb[i] = (uint8_t)(i * 7 + i / 251);
  }
  Darkroom__Pipe__Pixels pixels = DARKROOM__PIPE__PIXELS__INIT;
  Darkroom__Pipe__Report report = DARKROOM__PIPE__REPORT__INIT;
  pixels.has_rgb = 1;
  pixels.rgb.data = rgb;
  pixels.rgb.len = bytes;
  report.pixels = &pixels;
  assert_int_equal(pipe_send(&fixture->near, &report.base), OK);
  assert_true(pipe_waiting(&fixture->near));
  assert_int_equal(pipe_send(&fixture->near, &report.base), OK);
  assert_int_equal(pipe_send(&fixture->near, &report.base), EXHAUSTED); /* nobody reads */
  for (int got = 0; got < 2;) {
    assert_int_equal(pipe_receive(&fixture->far), OK);
    ProtobufCMessage *message = NULL;
    arena_drop(fixture->arena);
    assert_int_equal(
        pipe_take(&fixture->far, &darkroom__pipe__report__descriptor, fixture->arena, &message),
        OK);
    if (message != NULL) {
      const Darkroom__Pipe__Pixels *come = ((const Darkroom__Pipe__Report *)message)->pixels;
      assert_int_equal(come->rgb.len, bytes);
      assert_memory_equal(come->rgb.data, rgb, bytes);
      got++;
    }
    assert_int_equal(pipe_flush(&fixture->near), OK);
  }
  assert_false(pipe_waiting(&fixture->near));
  free(rgb);
}

static void the_end_comes_after_what_was_sent(void **state) {
  struct fixture *fixture = *state;
  assert_int_equal(send_stop(&fixture->near, "last"), OK);
  pipe_close(&fixture->near);
  assert_string_equal(take(fixture)->stop->id, "last");
  assert_null(take(fixture));
  assert_true(fixture->far.ended);
  enum status status = send_stop(&fixture->far, "too late");
  assert_int_equal(status, UNAVAILABLE);
}

static void nonsense_is_refused(void **state) {
  struct fixture *fixture = *state;
  ProtobufCMessage *message = NULL;
  static const uint8_t garbage[] = {5, 0, 0, 0, 0xff, 0xff, 0xff, 0xff, 0xff};
  static const uint8_t huge[] = {0xff, 0xff, 0xff, 0xff};
  assert_int_equal(send(fixture->near.fd, garbage, sizeof garbage, 0), sizeof garbage);
  assert_int_equal(pipe_receive(&fixture->far), OK);
  assert_int_equal(
      pipe_take(&fixture->far, &darkroom__pipe__order__descriptor, fixture->arena, &message),
      BAD_INPUT);
  assert_int_equal(send(fixture->near.fd, huge, sizeof huge, 0), sizeof huge);
  assert_int_equal(pipe_receive(&fixture->far), BAD_INPUT);
}

static void a_message_one_byte_too_long_is_refused_by_its_header(void **state) {
  struct fixture *fixture = *state;
  size_t length = PIPE_MESSAGE_BYTES_MAX + 1;
  const uint8_t header[] = {(uint8_t)length, (uint8_t)(length >> 8), (uint8_t)(length >> 16),
                            (uint8_t)(length >> 24)};
  assert_int_equal(send(fixture->near.fd, header, sizeof header, 0), sizeof header);
  assert_int_equal(pipe_receive(&fixture->far), BAD_INPUT);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

static enum status send_with_memory(struct pipe *pipe, const char *id, const char *content) {
  int fd = memfd_create("content", MFD_CLOEXEC);
  assert_true(fd >= 0 && write(fd, content, strlen(content)) == (ssize_t)strlen(content));
  Darkroom__Pipe__Stop stop = DARKROOM__PIPE__STOP__INIT;
  Darkroom__Pipe__Order order = DARKROOM__PIPE__ORDER__INIT;
  stop.id = (char *)id;
  order.stop = &stop;
  return pipe_send_descriptor(pipe, &order.base, fd);
}

static void a_descriptor_comes_with_its_message(void **state) {
  struct fixture *fixture = *state;
  fixture->far.accepts = true;
  static char large[128 * 1024];
  memset(large, 'x', sizeof large - 1);
  for (int i = 0; i < 40; i++) { /* more than a socket holds: what does not go waits */
    char text[32];
    snprintf(text, sizeof text, "%d", i);
    assert_int_equal(send_stop(&fixture->near, large), OK);
    assert_int_equal(send_with_memory(&fixture->near, text, text), OK);
  }
  for (int i = 0; i < 80; i++) {
    const Darkroom__Pipe__Order *order = take(fixture);
    while (order == NULL) {
      order = take(fixture);
    }
    if (i % 2 == 1) {
      int fd = -1;
      char found[32] = "";
      assert_int_equal(pipe_take_descriptor(&fixture->far, &fd), OK);
      assert_true(pread(fd, found, sizeof found - 1, 0) > 0);
      assert_string_equal(found, order->stop->id);
      close(fd);
    }
    arena_drop(fixture->arena);
  }
  int none = -1;
  assert_int_equal(pipe_take_descriptor(&fixture->far, &none), BAD_INPUT);
}

static int open_files(void) {
  int count = 0;
  for (int fd = 0; fd < 256; fd++) {
    count += fcntl(fd, F_GETFD) >= 0;
  }
  return count;
}

static void descriptors_that_nobody_takes_are_closed(void **state) {
  struct fixture *fixture = *state;
  int before = open_files();
  assert_int_equal(send_with_memory(&fixture->near, "a", "a"), OK); /* to who expects none */
  assert_non_null(take(fixture));
  assert_int_equal(open_files(), before);
  fixture->far.accepts = true;
  assert_int_equal(send_with_memory(&fixture->near, "b", "b"), OK);
  assert_non_null(take(fixture));
  assert_int_equal(open_files(), before + 1);
  pipe_close(&fixture->far);
  assert_int_equal(open_files(), before - 1); /* the socket, too */
}

int main(void) {
  const struct CMUnitTest tests[] = {
      TEST(many_messages_keep_their_order),
      TEST(a_message_in_pieces_waits_until_it_is_whole),
      TEST(the_largest_picture_goes_through),
      TEST(the_end_comes_after_what_was_sent),
      TEST(nonsense_is_refused),
      TEST(a_message_one_byte_too_long_is_refused_by_its_header),
      TEST(a_descriptor_comes_with_its_message),
      TEST(descriptors_that_nobody_takes_are_closed),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
