/* keys.h - CURVE keys in files, in the certificate format of pyzmq.
 *
 * A key of a peer is a pair, and the public key of the brokers that it talks to. As text a key is
 * 40 letters of Z85 (ZeroMQ RFC 32). A file with a secret in it belongs to its owner alone. The
 * format (ZPL, ZeroMQ RFC 4; pyzmq's zmq.auth.load_certificate reads these files, ours those):
 *
 *     metadata
 *         name = "acme"
 *         server-key = "..."
 *     curve
 *         public-key = "..."
 *         secret-key = "..."
 */
#ifndef DARKROOM_PROTO_KEYS_H
#define DARKROOM_PROTO_KEYS_H

#include <stdbool.h>
#include <stddef.h>

#include "base/bytes.h"
#include "base/limits.h"
#include "base/status.h"

#define KEY_TEXT_BYTES 41 /* with its NUL */
#define KEY_BYTES 32
#define KEY_PATH_BYTES_MAX 1024

struct key_pair {
  char path[KEY_PATH_BYTES_MAX];   /* where it was read, "" of one just made */
  char name[JOB_ID_BYTES_MAX + 1]; /* whose it is, "" when the file does not say */
  char public_key[KEY_TEXT_BYTES];
  char secret_key[KEY_TEXT_BYTES]; /* "" of a file without */
  char server_key[KEY_TEXT_BYTES]; /* the brokers' public key, "" when the file does not say */
};

/* The row of a program's settings, whose structure has const char *key. */
#define KEY_SETTING(structure, words)                                                 \
  {                                                                                   \
    .name = "key", .type = SETTING_TEXT, .field = offsetof(structure, key), .min = 1, \
    .max = KEY_PATH_BYTES_MAX - 1, .help = words                                      \
  }

/* 40 letters of Z85. */
bool key_valid(const char *text);

/* A new pair; its name and server_key are "". UNAVAILABLE: no random bytes. */
enum status keys_make(struct key_pair *out);

/* Reads a file. BAD_INPUT names the setting, the file and what is wrong with it: not the format, a
 * text that is no key, a public key that is not the secret one's, or a secret that others may read.
 * UNAVAILABLE: it cannot be read. need_secret: a file without one is refused. */
enum status keys_read(const char *setting, const char *path, bool need_secret,
                      struct key_pair *out);

/* The file's text. EXHAUSTED without memory. */
enum status keys_text(const struct key_pair *pair, struct bytes *out);

/* Locks a DEALER before it connects, and a ROUTER before it binds: later endpoints alone. The
 * ROUTER refuses everybody while nobody answers its questions (ZAP, ZeroMQ RFC 27). */
enum status keys_lock_peer(void *socket, const struct key_pair *pair);
enum status keys_lock_broker(void *socket, const struct key_pair *pair);

#endif
