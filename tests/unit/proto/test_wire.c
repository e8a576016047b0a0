/* test_wire.c - frames over real sockets, and bytes that should never have been sent. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#undef fail /* cmocka has a macro of this name */

#include "base/limits.h"
#include "proto/wire.h"

static void *context;
static void *router;
static void *dealer;
static struct arena *arena;
static struct wire_message message;

static int start(void **state) {
  (void)state;
  context = zmq_ctx_new();
  router = zmq_socket(context, ZMQ_ROUTER);
  dealer = zmq_socket(context, ZMQ_DEALER);
  message = (struct wire_message){0};
  return wire_socket_options(router, WIRE_ROLE_BROKER) == OK &&
                 wire_socket_options(dealer, WIRE_ROLE_PEER) == OK &&
                 zmq_bind(router, "inproc://broker") == 0 &&
                 zmq_connect(dealer, "inproc://broker") == 0 &&
                 arena_open(NULL, UNPACK_BYTES_MAX, &arena) == OK
             ? 0
             : -1;
}

static int stop(void **state) {
  (void)state;
  wire_message_close(&message);
  zmq_close(router);
  zmq_close(dealer);
  zmq_ctx_term(context);
  arena_close(&arena);
  return 0;
}

static enum wire_got receive(void *socket) {
  zmq_pollitem_t item = {.socket = socket, .events = ZMQ_POLLIN};
  zmq_poll(&item, 1, 2000);
  assert_int_equal(wire_receive(socket, &message), OK);
  return message.got;
}

static void test_there_and_back(void **state) {
  (void)state;
  Darkroom__V1__Get get = DARKROOM__V1__GET__INIT;
  get.id = (char *)"job-1";
  assert_int_equal(wire_send(dealer, NULL, WIRE_GET, 0x1122334455667788, &get.base), OK);
  assert_int_equal(receive(router), WIRE_MESSAGE);
  assert_int_equal(message.verb, WIRE_GET);
  assert_true(message.correlation == 0x1122334455667788);
  assert_true(message.from.identity_bytes > 0);
  assert_false(message.from.delimiter);
  ProtobufCMessage *unpacked = NULL;
  assert_int_equal(
      wire_unpack(WIRE_GET, message.payload, message.payload_bytes, arena, &unpacked, &message.why),
      OK);
  assert_string_equal(((Darkroom__V1__Get *)unpacked)->id, "job-1");
  struct wire_address peer = message.from;
  Darkroom__V1__JobStatus status = DARKROOM__V1__JOB_STATUS__INIT;
  assert_int_equal(wire_send(router, &peer, WIRE_JOB_STATUS, 7, &status.base), OK);
  assert_int_equal(receive(dealer), WIRE_MESSAGE);
  assert_int_equal(message.verb, WIRE_JOB_STATUS);
  assert_int_equal(message.payload_bytes, 0);
  assert_int_equal(wire_receive(router, &message), OK);
  assert_int_equal(message.got, WIRE_NOTHING);
}

static void test_req_gets_its_delimiter_back(void **state) {
  (void)state;
  void *req = zmq_socket(context, ZMQ_REQ);
  int linger = 0;
  zmq_setsockopt(req, ZMQ_LINGER, &linger, sizeof linger);
  assert_int_equal(zmq_connect(req, "inproc://broker"), 0);
  uint8_t header[WIRE_HEADER_BYTES];
  wire_header_encode(WIRE_STATUS, 5, header);
  assert_int_equal(zmq_send(req, header, sizeof header, ZMQ_SNDMORE), sizeof header);
  assert_int_equal(zmq_send(req, "", 0, 0), 0);
  assert_int_equal(receive(router), WIRE_MESSAGE);
  assert_true(message.from.delimiter);
  struct wire_address peer = message.from;
  Darkroom__V1__FleetStatus fleet = DARKROOM__V1__FLEET_STATUS__INIT;
  assert_int_equal(wire_send(router, &peer, WIRE_FLEET_STATUS, 5, &fleet.base), OK);
  assert_int_equal(zmq_recv(req, header, sizeof header, 0), WIRE_HEADER_BYTES);
  assert_int_equal(header[3], WIRE_FLEET_STATUS);
  zmq_close(req);
}

struct frame {
  const void *data;
  size_t bytes;
};

static void send_frames(const struct frame *frames, size_t count) {
  for (size_t i = 0; i < count; i++) {
    int flags = i + 1 < count ? ZMQ_SNDMORE : 0;
    assert_true(zmq_send(dealer, frames[i].data, frames[i].bytes, flags) >= 0);
  }
}

static void refused(const struct frame *frames, size_t count, Darkroom__V1__ErrorCode code,
                    uint64_t correlation) {
  send_frames(frames, count);
  assert_int_equal(receive(router), WIRE_UNREADABLE);
  assert_int_equal(message.why.code, code);
  assert_true(message.correlation == correlation);
  struct wire_address peer = message.from;
  struct refusal why = message.why;
  assert_int_equal(wire_send_refusal(router, &peer, message.correlation, &why), OK);
  assert_int_equal(receive(dealer), WIRE_MESSAGE);
  assert_int_equal(message.verb, WIRE_ERROR);
  ProtobufCMessage *error = NULL;
  assert_int_equal(
      wire_unpack(WIRE_ERROR, message.payload, message.payload_bytes, arena, &error, NULL), OK);
  assert_int_equal(((Darkroom__V1__Error *)error)->code, code);
}

#define MALFORMED DARKROOM__V1__ERROR_CODE__ERROR_MALFORMED

static void test_bad_frames(void **state) {
  (void)state;
  static uint8_t large[FRAME_BYTES_MAX + 1];
  struct frame good = {"DK\x01\x03\x09\0\0\0\0\0\0\0", 12};
  struct frame nothing = {"", 0};
  refused((struct frame[]){{"DK\x02\x03\x09\0\0\0\0\0\0\0", 12}, nothing}, 2,
          DARKROOM__V1__ERROR_CODE__ERROR_VERSION, 9);
  refused((struct frame[]){{"DK\x01\x40\x09\0\0\0\0\0\0\0", 12}, nothing}, 2,
          DARKROOM__V1__ERROR_CODE__ERROR_VERB, 9);
  refused((struct frame[]){{"DK\x01\xff\x09\0\0\0\0\0\0\0", 12}, nothing}, 2,
          DARKROOM__V1__ERROR_CODE__ERROR_VERB, 9);
  refused((struct frame[]){{"dk\x01\x03\x09\0\0\0\0\0\0\0", 12}, nothing}, 2, MALFORMED, 0);
  refused((struct frame[]){{"DK\x01\x03\x09\0\0\0\0\0\0", 11}, nothing}, 2, MALFORMED, 0);
  refused((struct frame[]){{"x", 1}}, 1, MALFORMED, 0);
  refused((struct frame[]){nothing}, 1, MALFORMED, 0);
  refused((struct frame[]){nothing, nothing}, 2, MALFORMED, 0);
  refused((struct frame[]){good}, 1, MALFORMED, 9);
  refused((struct frame[]){good, nothing, nothing}, 3, MALFORMED, 9);
  refused((struct frame[]){good, {large, sizeof large}}, 2, MALFORMED, 9);
  refused((struct frame[]){good, good, good, good, good}, 5, MALFORMED, 9);
  send_frames((struct frame[]){good, nothing}, 2);
  assert_int_equal(receive(router), WIRE_MESSAGE);
}

static void test_a_peer_that_is_gone_is_unavailable(void **state) {
  (void)state;
  struct wire_address nobody = {.identity = "nobody", .identity_bytes = 6};
  Darkroom__V1__Ack ack = DARKROOM__V1__ACK__INIT;
  assert_int_equal(wire_send(router, &nobody, WIRE_ACK, 1, &ack.base), UNAVAILABLE);
  nobody.delimiter = true;
  assert_int_equal(wire_send(router, &nobody, WIRE_ACK, 1, &ack.base), UNAVAILABLE);
}

static void test_too_large_is_not_sent(void **state) {
  (void)state;
  static char text[FRAME_BYTES_MAX + 1];
  memset(text, 'x', sizeof text - 1);
  Darkroom__V1__Get get = DARKROOM__V1__GET__INIT;
  get.id = text;
  assert_int_equal(wire_send(dealer, NULL, WIRE_GET, 1, &get.base), BAD_INPUT);
  assert_int_equal(wire_receive(router, &message), OK);
  assert_int_equal(message.got, WIRE_NOTHING);
}

/* What a stranger can make us hold is bounded before anything is read: the frame's length alone
 * ends the connection, and others are served on. */
static void test_oversized_frames_end_the_connection(void **state) {
  (void)state;
  char endpoint[64];
  size_t bytes = sizeof endpoint;
  int linger = 0;
  void *stranger = zmq_socket(context, ZMQ_DEALER);
  void *other = zmq_socket(context, ZMQ_DEALER);
  static uint8_t large[FRAME_BYTES_TOLD_MAX + 1];
  assert_int_equal(zmq_bind(router, "tcp://127.0.0.1:*"), 0);
  assert_int_equal(zmq_getsockopt(router, ZMQ_LAST_ENDPOINT, endpoint, &bytes), 0);
  zmq_setsockopt(stranger, ZMQ_LINGER, &linger, sizeof linger);
  assert_int_equal(zmq_connect(stranger, endpoint), 0);
  assert_true(zmq_send(stranger, large, sizeof large, 0) > 0);
  zmq_pollitem_t item = {.socket = router, .events = ZMQ_POLLIN};
  assert_int_equal(zmq_poll(&item, 1, 300), 0);
  assert_int_equal(wire_socket_options(other, WIRE_ROLE_PEER), OK);
  assert_int_equal(zmq_connect(other, endpoint), 0);
  zmq_msg_t frame;
  assert_int_equal(zmq_msg_init_size(&frame, FRAME_BYTES_MAX), 0);
  memset(zmq_msg_data(&frame), 0, FRAME_BYTES_MAX);
  assert_int_equal(wire_send_frame(other, NULL, WIRE_SUBMIT, 1, &frame), OK);
  assert_int_equal(receive(router), WIRE_MESSAGE);
  assert_int_equal(message.payload_bytes, FRAME_BYTES_MAX);
  zmq_close(stranger);
  zmq_close(other);
}

static void test_verb_table(void **state) {
  (void)state;
  int count = 0;
  for (unsigned verb = 0; verb < 300; verb++) {
    const struct wire_verb_row *row = wire_verb(verb);
    count += row != NULL;
    if (row != NULL) {
      assert_int_equal(row->verb, verb);
      assert_int_equal(row->sender == WIRE_FROM_BROKER, verb >= 64);
    }
  }
  assert_int_equal(count, 32);
  assert_string_equal(wire_verb(127)->name, "ERROR");
}

/* unpacking ----------------------------------------------------------------------------------- */

static enum status unpack(enum wire_verb verb, const void *data, size_t bytes,
                          struct refusal *why) {
  ProtobufCMessage *out = NULL;
  return wire_unpack(verb, data, bytes, arena, &out, why);
}

static void test_texts_are_checked_on_the_wire(void **state) {
  (void)state;
  struct refusal why = {0};
  assert_int_equal(unpack(WIRE_GET,
                          "\x0a\x03"
                          "a\0b",
                          5, &why),
                   BAD_INPUT);
  assert_int_equal(why.code, DARKROOM__V1__ERROR_CODE__ERROR_FIELD);
  assert_string_equal(why.field, "id");
  static const char *const bad[] = {"\xc3", "\xff", "\xc0\xaf", "\xed\xa0\x80", "\xf4\x90\x80\x80"};
  for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
    char payload[32];
    size_t bytes = strlen(bad[i]);
    snprintf(payload, sizeof payload, "\x0a%c\x22%c%s", (char)(bytes + 2), (char)bytes, bad[i]);
    assert_int_equal(unpack(WIRE_SUBMIT, payload, bytes + 4, &why), BAD_INPUT);
    assert_string_equal(why.field, "prompt");
  }
  assert_int_equal(unpack(WIRE_SUBMIT, "\x0a\x04\x22\x02\xc3\xa9", 6, &why), OK);
}

static void test_malformed_payloads(void **state) {
  (void)state;
  static const struct frame bad[] = {
      {"\x0a", 1},
      {"\x0a\x05x", 3},
      {"\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff", 11},
      {"\x0b\x0c", 2},
      {"\x0a\xff\xff\xff\xff\xff\xff\xff\xff\x7f", 10},
      {"\x07", 1},
      {"\x0d\x01\x02", 3},
      {"\x0a\x02x\xff", 3},    /* one byte longer than what there is, and that byte is no text */
      {"\x82\x80\x00\x00", 4}, /* a field of number 0, its tag padded */
  };
  for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
    struct refusal why = {0};
    assert_int_equal(unpack(WIRE_GET, bad[i].data, bad[i].bytes, &why), BAD_INPUT);
    assert_int_equal(why.code, MALFORMED);
    assert_int_equal(arena_used(arena), 0);
  }
}

/* Empty sub-messages unpack to sixty times their bytes. */
static void test_expansion_is_capped(void **state) {
  (void)state;
  static char payload[FRAME_BYTES_MAX];
  for (size_t i = 0; i + 1 < sizeof payload; i += 2) {
    payload[i] = 0x1a;
    payload[i + 1] = 0;
  }
  struct refusal why = {0};
  assert_int_equal(unpack(WIRE_HELLO, payload, sizeof payload, &why), BAD_INPUT);
  assert_int_equal(why.code, MALFORMED);
  assert_int_equal(arena_used(arena), 0);
  assert_true(arena_peak(arena) < (size_t)UNPACK_FACTOR_MAX * FRAME_BYTES_MAX + (64 << 10));
  assert_int_equal(unpack(WIRE_JOB_LIST, payload, sizeof payload, &why), BAD_INPUT);
  assert_true(arena_peak(arena) <= UNPACK_BYTES_MAX);
  assert_int_equal(unpack(WIRE_HELLO, payload, sizeof payload + 1, &why), BAD_INPUT);
}

/* The caps must not bite honest messages: the fullest answer to LIST that fits in a frame. */
static void test_long_lists_unpack(void **state) {
  (void)state;
  enum { JOBS = LIST_JOBS_MAX };
  static Darkroom__V1__JobStatus status[JOBS];
  static Darkroom__V1__JobStatus *pointer[JOBS];
  Darkroom__V1__JobList list = DARKROOM__V1__JOB_LIST__INIT;
  list.n_job = JOBS;
  list.job = pointer;
  for (int i = 0; i < JOBS; i++) {
    darkroom__v1__job_status__init(&status[i]);
    status[i].id = (char *)"01hf8z";
    status[i].has_state = 1;
    status[i].state = DARKROOM__V1__JOB_STATE__JOB_STATE_QUEUED;
    status[i].has_submitted_ms = 1;
    status[i].submitted_ms = 1700000000123;
    status[i].has_fence = 1;
    status[i].fence = 3;
    status[i].has_steps = 1;
    status[i].steps = 20;
    status[i].has_step = 1;
    pointer[i] = &status[i];
  }
  size_t bytes = protobuf_c_message_get_packed_size(&list.base);
  uint8_t *payload = malloc(bytes);
  protobuf_c_message_pack(&list.base, payload);
  ProtobufCMessage *out = NULL;
  struct refusal why = {0};
  assert_int_equal(wire_unpack(WIRE_JOB_LIST, payload, bytes, arena, &out, &why), OK);
  assert_int_equal(((Darkroom__V1__JobList *)out)->n_job, JOBS);
  free(payload);
}

static void test_full_beat_unpacks(void **state) {
  (void)state;
  char payload[SAMPLES_MAX * 6];
  for (int i = 0; i < SAMPLES_MAX; i++) {
    memcpy(payload + i * 6, "\x1a\x04\x10\x01\x18\x01", 6);
  }
  assert_int_equal(unpack(WIRE_BEAT, payload, sizeof payload, NULL), OK);
}

static void test_unknown_fields_are_kept_out_of_the_way(void **state) {
  (void)state;
  ProtobufCMessage *out = NULL;
  const uint8_t payload[] = {0x0a, 0x01, 'x', 0xf8, 0x07, 0x05, 0xfa, 0x07, 0x02, 0xff, 0x00};
  assert_int_equal(wire_unpack(WIRE_GET, payload, sizeof payload, arena, &out, NULL), OK);
  assert_string_equal(((Darkroom__V1__Get *)out)->id, "x");
  assert_int_equal(wire_unpack(WIRE_STATUS, NULL, 0, arena, &out, NULL), OK);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test_setup_teardown(test_there_and_back, start, stop),
      cmocka_unit_test_setup_teardown(test_req_gets_its_delimiter_back, start, stop),
      cmocka_unit_test_setup_teardown(test_bad_frames, start, stop),
      cmocka_unit_test_setup_teardown(test_a_peer_that_is_gone_is_unavailable, start, stop),
      cmocka_unit_test_setup_teardown(test_too_large_is_not_sent, start, stop),
      cmocka_unit_test_setup_teardown(test_oversized_frames_end_the_connection, start, stop),
      cmocka_unit_test(test_verb_table),
      cmocka_unit_test_setup_teardown(test_texts_are_checked_on_the_wire, start, stop),
      cmocka_unit_test_setup_teardown(test_malformed_payloads, start, stop),
      cmocka_unit_test_setup_teardown(test_expansion_is_capped, start, stop),
      cmocka_unit_test_setup_teardown(test_long_lists_unpack, start, stop),
      cmocka_unit_test_setup_teardown(test_full_beat_unpacks, start, stop),
      cmocka_unit_test_setup_teardown(test_unknown_fields_are_kept_out_of_the_way, start, stop),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
