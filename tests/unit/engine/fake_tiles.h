/* fake_tiles.h - the fake model's decode a tile a turn: latents are kept in the block from the
 * first turn on, and each turn looks whether the block is as its last one has left it. */
#ifndef DARKROOM_TESTS_UNIT_ENGINE_FAKE_TILES_H
#define DARKROOM_TESTS_UNIT_ENGINE_FAKE_TILES_H

/* The block, from its beginning. */
struct fake_block {
  const struct model *model;
  int64_t next; /* tile */
  float latents[];
};

int64_t model_decode_turns(const struct model *model, int height, int width) {
  (void)model, (void)height, (void)width;
  return fake.decode_turns;
}

size_t model_decode_turns_bytes(const struct model *model, int height, int width) {
  (void)model;
  size_t cell = fake.turns_bytes != 0 ? fake.turns_bytes : 4 * sizeof(float);
  return (sizeof(struct fake_block) + (size_t)(height * width) * cell + 63) / 64 * 64;
}

enum status model_decode_turn(struct model *model, struct arena *block, const struct decode *decode,
                              int64_t first, int64_t count) {
  struct arena_mark mark = arena_mark(block);
  int height = (int)decode->pixels.shape[0] / model->family.scale_factor;
  int width = (int)decode->pixels.shape[1] / model->family.scale_factor;
  struct fake_block *own = arena_take(block, model_decode_turns_bytes(model, height, width));
  TRY(own != NULL ? OK : EXHAUSTED);
  arena_release(block, mark);
  if (first == 0) {
    own->model = model;
    memcpy(own->latents, decode->row->latents, (size_t)(height * width) * 4 * sizeof(float));
  }
  if (first != 0 && (own->next != first || own->model != model)) {
    return fail(BROKEN, "tile %lld in a block of another", (long long)first);
  }
  own->next = first + count;
  fake.tiles += (int)count;
  TRY(fake.tiles_fit == 0 || fake.tile_turns < fake.tiles_fit ? OK : fail(EXHAUSTED, "a tile"));
  fake.tile_turns++;
  clock_move(fake.tile_ms * count);
  if (first + count == fake.decode_turns) {
    fake.decoded++;
    fake_picture(model, decode, own->latents);
  }
  return OK;
}

/* Encodes likewise: what the first turn was given is kept in the block. */
int64_t model_encode_turns(const struct model *model, int height, int width) {
  (void)model, (void)height, (void)width;
  return fake.encode_turns;
}

size_t model_encode_turns_bytes(const struct model *model, int height, int width) {
  (void)model;
  return (sizeof(struct fake_block) + (size_t)(height * width) * 64 + 63) / 64 * 64;
}

enum status model_encode_turn(struct model *model, struct arena *block, const struct encode *encode,
                              int64_t first, int64_t count) {
  struct arena_mark mark = arena_mark(block);
  int height = (int)encode->latents.shape[0], width = (int)encode->latents.shape[1];
  struct fake_block *own = arena_take(block, model_encode_turns_bytes(model, height, width));
  TRY(own != NULL ? OK : EXHAUSTED);
  arena_release(block, mark);
  if (first == 0) {
    own->model = model;
  }
  if (first != 0 && (own->next != first || own->model != model)) {
    return fail(BROKEN, "tile %lld in a block of another", (long long)first);
  }
  own->next = first + count;
  fake.encode_tiles += (int)count;
  clock_move(fake.tile_ms * count);
  return first + count == fake.encode_turns ? fake_encode(encode) : OK;
}

#endif
