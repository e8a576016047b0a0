/* keys.c - key files, and sockets that are locked with them. */
#include "proto/keys.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <zmq.h>

#include "base/text.h"
#include "proto/job.h"

enum { FILE_BYTES_MAX = 16 * 1024 };
#define ZAP_DOMAIN "darkroom"

/* ZMQ_ZAP_ENFORCE_DOMAIN: every libzmq since 4.3 has it, and zmq.h hides it among the drafts. One
 * without it does not know the number, and then nothing is locked and no broker starts. */
enum { ENFORCE_DOMAIN = 93 };

bool key_valid(const char *text) {
  uint8_t key[KEY_BYTES];
  return strlen(text) == KEY_TEXT_BYTES - 1 && zmq_z85_decode(key, text) != NULL;
}

enum status keys_make(struct key_pair *out) {
  struct key_pair pair = {0};
  if (zmq_curve_keypair(pair.public_key, pair.secret_key) != 0) {
    return fail(UNAVAILABLE, "no key can be made: %s", zmq_strerror(errno));
  }
  *out = pair;
  return OK;
}

/* ---- reading --------------------------------------------------------------------------------- */

struct file {
  const char *setting, *path;
};

static enum status refuse_file(const struct file *file, const char *why) {
  return fail_field(BAD_INPUT, file->setting, "--%s %.200s: %s", file->setting, file->path, why);
}

/* Group may read it: that is how a mounted secret of a container comes. */
static enum status check_mode(const struct file *file) {
  struct stat found;
  if (stat(file->path, &found) != 0) {
    return fail_field(UNAVAILABLE, file->setting, "--%s %.200s: %s", file->setting, file->path,
                      strerror(errno));
  }
  return (found.st_mode & (S_IWGRP | S_IRWXO)) == 0
             ? OK
             : refuse_file(file, "others may read or write this file: chmod 600");
}

/* The value of a line "name = "value"", NULL for another line. */
static char *value_of(char *line, const char *name) {
  size_t bytes = strlen(name);
  char *rest = strncmp(line, name, bytes) == 0 ? text_trim(line + bytes) : NULL;
  if (rest == NULL || rest[0] != '=') {
    return NULL;
  }
  rest = text_trim(rest + 1);
  size_t length = strlen(rest);
  bool quoted = length >= 2 && (rest[0] == '"' || rest[0] == '\'') && rest[length - 1] == rest[0];
  if (quoted) {
    rest[length - 1] = '\0';
    rest++;
  }
  return rest;
}

static enum status take_line(const struct file *file, char *line, struct key_pair *out) {
  const struct {
    const char *name;
    char *to;
    const char *wrong;
  } fields[] = {
      {"public-key", out->public_key, "public-key is not 40 letters of Z85"},
      {"secret-key", out->secret_key, "secret-key is not 40 letters of Z85"},
      {"server-key", out->server_key, "server-key is not 40 letters of Z85"},
  };
  const char *name = value_of(line, "name");
  if (name != NULL && !job_id_valid(name)) {
    return refuse_file(file, "name is not 1..64 of A-Za-z0-9._-");
  }
  if (name != NULL) {
    snprintf(out->name, sizeof out->name, "%s", name);
  }
  for (size_t i = 0; i < sizeof fields / sizeof fields[0]; i++) {
    const char *value = value_of(line, fields[i].name);
    if (value != NULL && !key_valid(value)) {
      return refuse_file(file, fields[i].wrong);
    }
    if (value != NULL) {
      snprintf(fields[i].to, KEY_TEXT_BYTES, "%s", value);
    }
  }
  return OK;
}

static enum status check_pair(const struct file *file, const struct key_pair *pair,
                              bool need_secret) {
  char public_key[KEY_TEXT_BYTES];
  if (pair->public_key[0] == '\0') {
    return refuse_file(file, "there is no public-key in it");
  }
  if (pair->secret_key[0] == '\0') {
    return need_secret ? refuse_file(file, "there is no secret-key in it") : OK;
  }
  TRY(check_mode(file));
  return zmq_curve_public(public_key, pair->secret_key) == 0 &&
                 strcmp(public_key, pair->public_key) == 0
             ? OK
             : refuse_file(file, "its public-key does not belong to its secret-key");
}

enum status keys_read(const char *setting, const char *path, bool need_secret,
                      struct key_pair *out) {
  struct file file = {setting, path};
  struct key_pair pair = {0};
  struct bytes text;
  bytes_open(&text, FILE_BYTES_MAX);
  enum status status = bytes_read_text_file(&text, path);
  if (status != OK) {
    char why[200];
    snprintf(why, sizeof why, "%s", fail_reason());
    fail_record(setting, "--%s: %s", setting, why);
  }
  char *rest = (char *)text.data;
  for (char *line; status == OK && rest != NULL && (line = strsep(&rest, "\n")) != NULL;) {
    line = text_trim(line);
    status = line[0] == '#' ? OK : take_line(&file, line, &pair);
  }
  status = status == OK ? check_pair(&file, &pair, need_secret) : status;
  bytes_close(&text);
  if (status != OK) {
    return status;
  }
  snprintf(pair.path, sizeof pair.path, "%s", path);
  *out = pair;
  return OK;
}

/* ---- writing --------------------------------------------------------------------------------- */

static enum status field_text(struct bytes *out, const char *name, const char *value) {
  return value[0] == '\0' ? OK : bytes_printf(out, "    %s = \"%s\"\n", name, value);
}

enum status keys_text(const struct key_pair *pair, struct bytes *out) {
  TRY(bytes_append_text(out, pair->secret_key[0] != '\0'
                                 ? "# a key of darkroom, with its secret: for nobody else to read\n"
                                 : "# a public key of darkroom\n"));
  TRY(bytes_append_text(out, "metadata\n"));
  TRY(field_text(out, "name", pair->name));
  TRY(field_text(out, "server-key", pair->server_key));
  TRY(bytes_append_text(out, "curve\n"));
  TRY(field_text(out, "public-key", pair->public_key));
  return field_text(out, "secret-key", pair->secret_key);
}

/* ---- locking --------------------------------------------------------------------------------- */

struct option {
  int option;
  const void *value;
  size_t bytes;
};

static enum status set_options(void *socket, const struct option *options, size_t count) {
  for (size_t i = 0; i < count; i++) {
    if (zmq_setsockopt(socket, options[i].option, options[i].value, options[i].bytes) != 0) {
      return fail(BROKEN, "cannot lock the socket: %s", zmq_strerror(errno));
    }
  }
  return OK;
}

enum status keys_lock_peer(void *socket, const struct key_pair *pair) {
  const struct option options[] = {
      {ZMQ_CURVE_SERVERKEY, pair->server_key, KEY_TEXT_BYTES},
      {ZMQ_CURVE_PUBLICKEY, pair->public_key, KEY_TEXT_BYTES},
      {ZMQ_CURVE_SECRETKEY, pair->secret_key, KEY_TEXT_BYTES},
  };
  return set_options(socket, options, sizeof options / sizeof options[0]);
}

/* Domain enforced: without it libzmq lets everybody in whose handshake nobody was asked about. */
enum status keys_lock_broker(void *socket, const struct key_pair *pair) {
  static const int one = 1;
  const struct option options[] = {
      {ZMQ_CURVE_SERVER, &one, sizeof one},
      {ZMQ_CURVE_SECRETKEY, pair->secret_key, KEY_TEXT_BYTES},
      {ZMQ_ZAP_DOMAIN, ZAP_DOMAIN, sizeof ZAP_DOMAIN - 1},
      {ENFORCE_DOMAIN, &one, sizeof one},
  };
  return set_options(socket, options, sizeof options / sizeof options[0]);
}
