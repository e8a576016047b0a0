/* wrong.h - says what is wrong and ends the test; after cmocka.h. */
#ifndef DARKROOM_TESTS_UNIT_KERNELS_WRONG_H
#define DARKROOM_TESTS_UNIT_KERNELS_WRONG_H

/* cmocka's fail_msg needs its fail. */
#define WRONG(...)            \
  do {                        \
    print_error(__VA_ARGS__); \
    print_error("\n");        \
    assert_true(false);       \
  } while (0)

#endif
