/* test_decode_turns.c - pictures whose decode would be long or large are decoded some tiles a turn:
 * between them the steps of others go, what is promised is what is taken, and whoever comes,
 * leaves, waits or fails meanwhile, every picture is the one decoded at once. */
#include "tests/unit/engine/late_device.h" /* before cmocka's macro `fail` */
#include "worker/engine/state.h"

#include "tests/unit/engine/held_clock.h"

enum { TILES = 12, SEEDS = 12, JOBS = 24, KIB = 1024 };
#define LONG_US UINT64_C(1000000000000000)

/* As if decodes at once had been seen to be very long. */
static void slow_down(struct fixture *fixture) {
  for (size_t i = 0; i < fixture->engine->residence.count; i++) {
    const struct pace_work work = {
        .model = &fixture->engine->residence.rows[i], .kind = PACE_DECODE, .cells = 64, .rows = 1};
    pace_note(&fixture->engine->pace, &work, LONG_US);
  }
}

static void open_tiled(struct fixture *fixture, const struct engine_settings *settings) {
  fake.decode_turns = TILES;
  open_engine(fixture, settings);
  slow_down(fixture);
  fake.decoded = fake.tiles = fake.tile_turns = 0;
}

static Darkroom__V1__Job square(const char *id, uint32_t side) {
  Darkroom__V1__Job job = job_of(id, "a lake", 1);
  job.width = job.height = side;
  return job;
}

/* A picture by its own, decoded at once. */
static uint64_t hash_at_once(struct fixture *fixture, const Darkroom__V1__Job *job) {
  struct entry *entry = admit(fixture, job);
  run_all(fixture);
  assert_int_equal(entry->finished, 1);
  return entry->hash[0];
}

/* By the rates that have been measured: one tile until there is one, then as many as pass in a
 * turn's time. */
static void a_long_decode_goes_in_turns(void **state) {
  struct fixture *fixture = *state;
  Darkroom__V1__Job small = square("small", 64), large = square("large", 256);
  uint64_t hash = hash_at_once(fixture, &large);
  struct engine_settings settings = standard(fixture);
  fake.decode_ms = 300; /* 4800 for the large one */
  fake.decode_turns = TILES;
  fake.tile_ms = 600;
  open_engine(fixture, &settings);
  fake.decoded = fake.tiles = fake.tile_turns = 0;
  admit(fixture, &small); /* one turn, as ever */
  run_all(fixture);
  assert_int_equal(fake.tile_turns, 0);
  struct entry *entry = admit(fixture, &large);
  run_all(fixture);
  assert_int_equal(entry->finished, 1);
  assert_int_equal(fake.tiles, TILES);
  assert_int_equal(fake.tile_turns, 1 + (TILES - 1 + 2) / 3); /* 3 tiles in 2 s */
  assert_in_range(entry->decode_us, 600 * TILES * 1000, 600 * TILES * 1000 + 100);
  assert_true(entry->hash[0] == hash);
}

/* It was thought to be long by the rate of a small picture: seen to be short, the next one is
 * decoded at once. */
static void a_decode_that_proves_short_goes_at_once(void **state) {
  struct fixture *fixture = *state;
  struct engine_settings settings = standard(fixture);
  Darkroom__V1__Job job = square("large", 256);
  fake.decode_ms = 300;
  fake.decode_turns = TILES;
  fake.tile_ms = 10;
  open_engine(fixture, &settings);
  for (int i = 0; i < 3; i++) {
    fake.tile_turns = 0;
    assert_int_equal(engine_admit(fixture->engine, &job, 7 + (uint64_t)i, NULL), OK);
    run_all(fixture);
    assert_int_equal(fake.tile_turns > 0, i == 0);
    fake.decode_ms = 120;
  }
}

/* A small job that comes in the middle of a long decode is done before its end. */
static void others_go_between(void **state) {
  struct fixture *fixture = *state;
  struct engine_settings settings = standard(fixture);
  fake.tile_ms = 1500; /* one a turn */
  open_tiled(fixture, &settings);
  Darkroom__V1__Job large = square("large", 256), small = square("small", 64);
  large.steps = 1;
  small.steps = 8;
  struct entry *decodes = admit(fixture, &large);
  while (fake.tiles < 2) {
    run_turns(fixture, 1);
  }
  int before = fake.tiles;
  struct entry *steps = admit(fixture, &small);
  while (steps->step < 8) {
    run_turns(fixture, 1);
  }
  /* a tile is a twelfth of three rows of 1024 cells, a step two rows of 64: two steps for each */
  assert_in_range(fake.tiles - before, 3, 5);
  assert_int_equal(decodes->finished, 0);
  assert_true(fake.tiles < TILES);
  run_all(fixture);
  assert_int_equal(decodes->finished + steps->finished, 2);
}

/* Bulk work in the middle of its decode is never due while a person has steps to do; but a person
 * who waits for the block gets it, for he lends it his place. */
static void who_waits_for_the_block_lends_his_place(void **state) {
  struct fixture *fixture = *state;
  struct engine_settings settings = standard(fixture);
  fake.tile_ms = 1500;
  open_tiled(fixture, &settings);
  Darkroom__V1__Job bulk = square("bulk", 256), busy = square("busy", 64);
  Darkroom__V1__Job person = square("person", 256);
  bulk.has_priority = busy.has_priority = person.has_priority = 1;
  bulk.priority = DARKROOM__V1__PRIORITY__PRIORITY_BULK;
  busy.priority = person.priority = DARKROOM__V1__PRIORITY__PRIORITY_INTERACTIVE;
  bulk.steps = person.steps = 1;
  busy.steps = 1000;
  struct entry *holder = admit(fixture, &bulk);
  while (fake.tiles < 1) {
    run_turns(fixture, 1);
  }
  struct entry *stepping = admit(fixture, &busy), *waits = admit(fixture, &person);
  while (waits->finished == 0) {
    run_turns(fixture, 1);
  }
  assert_int_equal(holder->finished, 1);
  assert_in_range(stepping->step, 50,
                  700); /* steps went between: two decodes of 16 * 3 of theirs */
  run_all(fixture);
}

/* Eight of them at once need one block, and each is done in its turn. */
static void many_share_one_block(void **state) {
  struct fixture *fixture = *state;
  struct engine_settings settings = standard(fixture);
  static char ids[8][32];
  uint64_t hashes[8];
  for (int k = 0; k < 8; k++) {
    snprintf(ids[k], sizeof ids[k], "tiled-%d", k);
    Darkroom__V1__Job job = stranger(k);
    job.id = ids[k];
    hashes[k] = hash_at_once(fixture, &job);
  }
  fake.tile_ms = 1500;
  open_tiled(fixture, &settings);
  for (int k = 0; k < 8; k++) {
    Darkroom__V1__Job job = stranger(k);
    job.id = ids[k];
    admit(fixture, &job);
  }
  size_t block = fixture->engine->scratch[SCRATCH_TILES].bytes;
  run_all(fixture);
  assert_int_equal(fixture->engine->scratch[SCRATCH_TILES].bytes, block);
  assert_int_equal(fake.tiles, 8 * TILES);
  for (int k = 0; k < 8; k++) {
    assert_true(book_find(&fixture->book, ids[k])->hash[0] == hashes[k]);
  }
}

/* ---- memory ---- */

/* The device is held to what may be promised. */
static void open_held(struct fixture *fixture, size_t memory) {
  struct device_settings device = {.memory_max = memory};
  engine_close(&fixture->engine);
  book_close(&fixture->book);
  device_close(&fixture->device);
  assert_int_equal(device_open("ref", &device, &fixture->device), OK);
  struct engine_settings settings = standard(fixture);
  settings.memory_max = memory;
  open_engine(fixture, &settings);
}

static uint32_t side_of(struct fixture *fixture) {
  Darkroom__V1__ModelInfo info;
  engine_model_info(fixture->engine, 0, &info);
  return info.max_side;
}

/* Advertised is what can be done in turns, and it is done, whatever the pace says of it. */
static void the_largest_side_is_that_of_tiles(void **state) {
  struct fixture *fixture = *state;
  fake.blind = true;
  fake.decode_bytes = 4 * KIB;
  for (size_t memory = 256 * KIB; memory <= 4096 * KIB; memory *= 2) {
    fake.decode_turns = 0;
    open_held(fixture, memory);
    uint32_t at_once = side_of(fixture);
    fake.decode_turns = TILES;
    open_held(fixture, memory);
    uint32_t side = side_of(fixture);
    assert_true(side > at_once || side == 256);
    for (int slow = 0; slow < 2; slow++) {
      Darkroom__V1__Job most = square(slow ? "slow" : "most", side);
      most.sampler = DARKROOM__V1__SAMPLER__SAMPLER_DPMPP_2M;
      if (slow) {
        slow_down(fixture);
      }
      struct entry *entry = admit(fixture, &most);
      run_all(fixture);
      assert_int_equal(entry->finished, 1);
    }
    assert_true(fake.tile_turns > 0);
    assert_true(device_memory_peak(fixture->device) <= memory);
  }
}

/* Tiles that take more than all at once are not used for want of memory. */
static void the_way_that_fits_is_taken(void **state) {
  struct fixture *fixture = *state;
  fake.blind = true;
  fake.decode_turns = TILES;
  fake.turns_bytes = 2 * KIB;
  open_held(fixture, 1024 * KIB);
  slow_down(fixture);
  Darkroom__V1__Job small = square("small", 64), large = square("large", 256);
  admit(fixture, &small);
  run_all(fixture);
  assert_int_equal(fake.tiles, TILES);
  struct entry *entry = admit(fixture, &large);
  run_all(fixture);
  assert_int_equal(entry->finished, 1);
  assert_int_equal(fake.tiles, TILES);
}

/* Any mixture of both kinds: whatever is admitted ends. */
static void what_is_admitted_has_its_memory(void **state) {
  struct fixture *fixture = *state;
  fake.blind = true;
  fake.decode_turns = TILES;
  fake.decode_bytes = 1 * KIB;
  for (size_t memory = 128 * KIB; memory <= 2048 * KIB; memory *= 2) {
    open_held(fixture, memory);
    fake.tile_turns = fake.decoded = 0;
    for (int k = 0, begun = 0; begun < 48; k++) {
      Darkroom__V1__Job job = stranger(k);
      uint32_t side = side_of(fixture);
      job.width = 8 * (4 + (uint32_t)(k * 7) % (side / 8 - 3)); /* few cells may be of one colour */
      job.height = k % 5 == 0 ? side : 32;
      begun += engine_admit(fixture->engine, &job, 7, NULL) == OK;
      run_turns(fixture, 1);
    }
    run_all(fixture);
    for (int i = 0; i < fixture->book.jobs; i++) {
      assert_int_equal(fixture->book.entries[i].failed, 0);
    }
    assert_true(fake.tile_turns > 0);
    assert_true(device_memory_peak(fixture->device) <= memory);
  }
}

/* A block in use is not exchanged: who needs a larger one waits until it is free. */
static void a_block_in_use_does_not_move(void **state) {
  struct fixture *fixture = *state;
  struct engine_settings settings = standard(fixture);
  open_tiled(fixture, &settings);
  Darkroom__V1__Job small = square("small", 64), large = square("large", 256);
  fake.tile_ms = 1500;
  struct entry *first = admit(fixture, &small);
  while (fake.tiles < 3) {
    run_turns(fixture, 1);
  }
  assert_int_equal(engine_admit(fixture->engine, &large, 7, NULL), EXHAUSTED);
  while (first->finished == 0) {
    run_turns(fixture, 1);
  }
  struct entry *second = admit(fixture, &large);
  run_all(fixture);
  assert_int_equal(second->finished, 1);
}

/* ---- who leaves, who fails ---- */

static void who_leaves_has_left_the_block(void **state) {
  struct fixture *fixture = *state;
  struct engine_settings settings = standard(fixture);
  Darkroom__V1__Job job = square("leaves", 64), other = job_of("comes", "a boat", 2);
  uint64_t hash = hash_at_once(fixture, &other);
  fake.tile_ms = 1500;
  for (int after = 1; after < TILES; after++) {
    open_tiled(fixture, &settings);
    struct entry *leaves = admit(fixture, &job);
    while (fake.tiles < after) {
      run_turns(fixture, 1);
    }
    struct entry *comes = admit(fixture, &other);
    engine_stop(fixture->engine, "leaves", 7);
    run_all(fixture);
    assert_int_equal(leaves->finished + leaves->failed, 0);
    assert_int_equal(comes->finished, 1);
    assert_true(comes->hash[0] == hash);
  }
}

static void a_tile_without_memory_fails_its_job_alone(void **state) {
  struct fixture *fixture = *state;
  struct engine_settings settings = standard(fixture);
  Darkroom__V1__Job bad = square("bad", 64), good = square("good", 64);
  fake.tile_ms = 1500;
  open_tiled(fixture, &settings);
  fake.tiles_fit = 5;
  struct entry *fails = admit(fixture, &bad);
  while (fails->failed == 0) {
    run_turns(fixture, 1);
  }
  assert_int_equal(fails->code, DARKROOM__V1__ERROR_CODE__ERROR_EXHAUSTED);
  assert_int_equal(fails->kind, DARKROOM__V1__FAIL_KIND__FAIL_RETRY);
  fake.tiles_fit = 0;
  struct entry *lives = admit(fixture, &good);
  run_all(fixture);
  assert_int_equal(lives->finished, 1);
}

/* Looked at when it is whole, like any. */
static void an_infinite_picture_is_decoded_again(void **state) {
  struct fixture *fixture = *state;
  struct engine_settings settings = standard(fixture);
  Darkroom__V1__Job job = square("mends", 64), flat = job_of("flat", "flat", 1);
  uint64_t hash = hash_at_once(fixture, &job);
  open_tiled(fixture, &settings);
  fake.overflows = true;
  int before = fake.exact;
  struct entry *entry = admit(fixture, &job);
  run_all(fixture);
  assert_int_equal(entry->finished, 1);
  assert_int_equal(fake.exact, before + 1);
  assert_true(entry->hash[0] == hash);
  fake.overflows = false;
  struct entry *fails = admit(fixture, &flat);
  run_all(fixture);
  assert_int_equal(fails->code, DARKROOM__V1__ERROR_CODE__ERROR_NUMERIC);
  assert_int_equal(fake.tiles, 2 * TILES);
}

/* ---- on a device that works behind us ---- */

static Darkroom__V1__Job late_job(int k) {
  Darkroom__V1__Job job = stranger(k);
  job.images = 1 + (uint32_t)k % 2;
  job.has_images = 1;
  return job;
}

static void run_crowd(struct fixture *fixture) {
  for (int k = 0; k < JOBS;) {
    Darkroom__V1__Job job = late_job(k);
    k += engine_admit(fixture->engine, &job, 7, NULL) == OK;
    run_turns(fixture, 2);
    if (k % 5 == 4) {
      char id[32];
      snprintf(id, sizeof id, "stranger-%d", k - 2);
      engine_stop(fixture->engine, id, 7);
    }
  }
  run_all(fixture);
}

static void late_pictures_are_those_decoded_at_once(void **state) {
  struct fixture *fixture = *state;
  static struct entry alone[JOBS];
  int compared = 0;
  for (int k = 0; k < JOBS; k++) {
    Darkroom__V1__Job job = late_job(k);
    admit(fixture, &job);
    run_all(fixture);
    alone[k] = *book_find(&fixture->book, job.id);
  }
  for (uint64_t seed = 1; seed <= SEEDS; seed++) {
    struct engine_settings settings = standard(fixture);
    settings.device = late_open(seed, seed % 2 == 0, 0);
    fake.tile_ms = 1500; /* one a turn */
    open_tiled(fixture, &settings);
    run_crowd(fixture);
    assert_true(fake.tiles > JOBS * TILES / 2);
    for (int k = 0; k < JOBS; k++) {
      const struct entry *entry = book_find(&fixture->book, alone[k].id);
      assert_int_equal(entry->failed, 0);
      compared += entry->finished;
      if (entry->finished > 0) {
        assert_memory_equal(entry->hash, alone[k].hash, sizeof entry->hash);
      }
    }
    engine_close(&fixture->engine);
    assert_int_equal(late.device.memory_used, 0);
    late_close();
  }
  assert_true(compared > SEEDS * JOBS / 2 && compared < SEEDS * JOBS);
}

static void a_late_device_that_breaks_leaves(void **state) {
  struct fixture *fixture = *state;
  struct engine_settings settings = standard(fixture);
  Darkroom__V1__Job job = square("breaks", 64);
  settings.device = late_open(3, false, 0);
  open_tiled(fixture, &settings);
  admit(fixture, &job);
  while (fake.tiles < 3) {
    run_turns(fixture, 1);
  }
  late.broken = true;
  enum status status = OK;
  for (int i = 0; i < 100 && status == OK; i++) {
    status = engine_turn(fixture->engine);
  }
  assert_int_equal(status, BROKEN);
  late.broken = false;
  engine_close(&fixture->engine);
  late_close();
}

int main(void) {
  const struct CMUnitTest tests[] = {
      HELD_TEST(a_long_decode_goes_in_turns),
      HELD_TEST(a_decode_that_proves_short_goes_at_once),
      HELD_TEST(others_go_between),
      HELD_TEST(who_waits_for_the_block_lends_his_place),
      HELD_TEST(many_share_one_block),
      TEST(the_largest_side_is_that_of_tiles),
      TEST(the_way_that_fits_is_taken),
      TEST(what_is_admitted_has_its_memory),
      HELD_TEST(a_block_in_use_does_not_move),
      HELD_TEST(who_leaves_has_left_the_block),
      HELD_TEST(a_tile_without_memory_fails_its_job_alone),
      TEST(an_infinite_picture_is_decoded_again),
      HELD_TEST(late_pictures_are_those_decoded_at_once),
      TEST(a_late_device_that_breaks_leaves),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
