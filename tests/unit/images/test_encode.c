/* test_encode.c - PNGs: the pixels come back, the texts are in them, equal input gives equal bytes.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#undef fail /* cmocka has a macro of this name */

#include <png.h>

#include "base/limits.h"
#include "images/encode.h"
#include "images/metadata.h"

enum { WIDTH = 24, HEIGHT = 16 };
static const struct encode_texts nothing;

static void paint(uint8_t *rgb) {
  for (int i = 0; i < WIDTH * HEIGHT * 3; i++) {
    rgb[i] = (uint8_t)(i * 7 + i / 50);
  }
}

static struct bytes encode(const struct encode_texts *texts) {
  uint8_t rgb[WIDTH * HEIGHT * 3];
  paint(rgb);
  struct bytes png;
  bytes_open(&png, 1 << 20);
  struct image image = {WIDTH, HEIGHT, 3, rgb};
  assert_int_equal(image_encode(&image, ENCODING_PNG, 90, texts, &png), OK);
  return png;
}

static bool contains(const struct bytes *png, const char *what, size_t bytes) {
  return memmem(png->data, png->length, what, bytes) != NULL;
}

static void pixels_come_back(void **state) {
  (void)state;
  struct bytes png = encode(&nothing);
  uint8_t wanted[WIDTH * HEIGHT * 3];
  uint8_t found[WIDTH * HEIGHT * 3];
  paint(wanted);
  png_image image = {.version = PNG_IMAGE_VERSION};
  assert_int_equal(png_image_begin_read_from_memory(&image, png.data, png.length), 1);
  assert_int_equal(image.width, WIDTH);
  assert_int_equal(image.height, HEIGHT);
  image.format = PNG_FORMAT_RGB;
  assert_int_equal(png_image_finish_read(&image, NULL, found, 0, NULL), 1);
  assert_memory_equal(found, wanted, sizeof wanted);
  bytes_close(&png);
}

static void equal_input_gives_equal_bytes(void **state) {
  (void)state;
  const struct encode_texts text = {"a lake", NULL};
  struct bytes first = encode(&text);
  struct bytes second = encode(&text);
  assert_int_equal(first.length, second.length);
  assert_memory_equal(first.data, second.data, first.length);
  assert_false(contains(&first, "tIME", 4));
  bytes_close(&first);
  bytes_close(&second);
}

static void ascii_is_text_and_the_rest_is_international_text(void **state) {
  (void)state;
  const struct encode_texts texts = {"a lake", "ch\xc3\xa2teau"};
  struct bytes png = encode(&texts);
  assert_true(contains(&png, "tEXtparameters\0a lake", 21));
  assert_true(contains(&png, "iTXtdarkroom\0", 13));
  assert_true(contains(&png, "ch\xc3\xa2teau", 8));
  bytes_close(&png);
}

static void xmp_holds_only_what_xml_may(void **state) {
  (void)state;
  struct bytes xmp;
  bytes_open(&xmp, 1 << 12);
  assert_int_equal(metadata_xmp("{\"<&>\x01\x7f \xef\xbf\xbe\xef\xbf\xbf \xef\xbf\xa6\n\"}", &xmp),
                   OK);
  const char *kept =
      ">{\"&lt;&amp;&gt;\xef\xbf\xbd\x7f \xef\xbf\xbd\xef\xbf\xbd \xef\xbf\xa6\n\"}<";
  assert_true(contains(&xmp, kept, strlen(kept)));
  bytes_close(&xmp);
}

static void impossible_images_are_refused(void **state) {
  (void)state;
  uint8_t rgb[3] = {0};
  struct bytes png;
  bytes_open(&png, 1 << 20);
  const struct image sizes[] = {{0, 1, 3, rgb},
                                {1, 0, 3, rgb},
                                {JOB_SIDE_PIXELS_MAX + 1, 1, 3, rgb},
                                {1, UINT32_MAX, 3, rgb},
                                {1, 1, 1, rgb}};
  for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
    assert_int_equal(image_encode(&sizes[i], ENCODING_PNG, 90, &nothing, &png), BAD_INPUT);
  }
  bytes_close(&png);
}

static void a_full_buffer_is_an_outcome(void **state) {
  (void)state;
  uint8_t rgb[WIDTH * HEIGHT * 3];
  paint(rgb);
  struct image image = {WIDTH, HEIGHT, 3, rgb};
  for (size_t room = 0; room < 100; room += 10) {
    struct bytes png;
    bytes_open(&png, room);
    assert_int_equal(image_encode(&image, ENCODING_PNG, 90, &nothing, &png), EXHAUSTED);
    bytes_close(&png);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(pixels_come_back),
      cmocka_unit_test(equal_input_gives_equal_bytes),
      cmocka_unit_test(ascii_is_text_and_the_rest_is_international_text),
      cmocka_unit_test(xmp_holds_only_what_xml_may),
      cmocka_unit_test(impossible_images_are_refused),
      cmocka_unit_test(a_full_buffer_is_an_outcome),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
