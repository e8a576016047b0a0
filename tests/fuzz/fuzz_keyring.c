/* fuzz_keyring.c - any bytes as a keyring and as a key file: what is accepted is found again by its
 * own print, and gives nobody more than its words say.
 */
#include <assert.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "proto/keyring.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_row(const struct keyring_row *row) {
  struct bytes text;
  struct keyring again;
  assert(key_valid(row->key) && row->roles != ROLE_NONE &&
         (row->roles & ~(unsigned)ROLES_ALL) == 0);
  assert(strpbrk(row->tenant, "/: \n") == NULL && row->tenant[0] != '\0');
  assert(((row->roles & ROLE_WORK) != 0) == (row->worker[0] != '\0' || row->worker_begins));
  bytes_open(&text, 8192);
  if (keyring_print(row, &text) == OK) {
    assert(keyring_parse((char *)text.data, &again) == OK && again.count == 1);
    assert(keyring_same(row, again.row) && again.row->until_s == row->until_s);
    keyring_close(&again);
  }
  bytes_close(&text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  struct keyring keyring;
  char *text = malloc(size + 1);
  assert(text != NULL);
  memcpy(text, data, size);
  text[size] = '\0';
  if (keyring_parse(text, &keyring) == OK) {
    for (size_t i = 0; i < keyring.count; i++) {
      check_row(&keyring.row[i]);
      assert(i == 0 || strcmp(keyring.row[i - 1].key, keyring.row[i].key) < 0);
    }
    keyring_close(&keyring);
  }
  free(text);
  return 0;
}
