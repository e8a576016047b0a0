/* keys.c - the environment's keys, or a profile of a shared credentials file. */
#include "s3/keys.h"

#include <openssl/crypto.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>

#include "base/bytes.h"
#include "base/text.h"
#include "s3/variable.h"

/* the file ---------------------------------------------------------------------------------- */

/* "[name]", and "[profile name]" as the config file beside it has it. */
static bool begins_profile(char *line, const char *profile) {
  line[strcspn(line, "]")] = '\0';
  char *name = text_trim(line + 1);
  if (strncmp(name, "profile ", 8) == 0) {
    name = text_trim(name + 8);
  }
  return strcmp(name, profile) == 0;
}

/* One "name = value" of the profile. */
static enum status take_pair(char *line, struct s3_keys *out) {
  const struct {
    const char *name;
    char *to;
    size_t room;
  } wanted[] = {
      {"aws_access_key_id", out->access_key, sizeof out->access_key},
      {"aws_secret_access_key", out->secret_key, sizeof out->secret_key},
      {"aws_session_token", out->session_token, sizeof out->session_token},
  };
  char *equals = strchr(line, '=');
  if (equals == NULL) {
    return OK;
  }
  *equals = '\0';
  const char *name = text_trim(line);
  for (size_t i = 0; i < sizeof wanted / sizeof wanted[0]; i++) {
    if (strcasecmp(wanted[i].name, name) == 0) {
      return s3_copy(wanted[i].to, wanted[i].room, wanted[i].name, text_trim(equals + 1));
    }
  }
  return OK;
}

/* Changes text. */
static enum status read_profile(char *text, struct s3_keys *out) {
  bool inside = false;
  text += strncmp(text, "\xef\xbb\xbf", 3) == 0 ? 3 : 0;
  for (char *line = strsep(&text, "\n"); line != NULL; line = strsep(&text, "\n")) {
    line = text_trim(line);
    if (line[0] == '[') {
      inside = begins_profile(line, out->profile);
    } else if (inside && line[0] != '#' && line[0] != ';') {
      TRY(take_pair(line, out));
    }
  }
  if (out->access_key[0] == '\0' || out->secret_key[0] == '\0') {
    return fail_field(BAD_INPUT, "store",
                      "store: %s has no %s under [%s], and AWS_ACCESS_KEY_ID is not set", out->path,
                      out->access_key[0] == '\0' ? "aws_access_key_id" : "aws_secret_access_key",
                      out->profile);
  }
  return OK;
}

/* Looks at the file before reading it: what changes in between is seen the next time. */
static enum status read_file(struct s3_keys *out) {
  struct stat facts = {0};
  struct bytes content;
  bytes_open(&content, S3_KEYS_FILE_BYTES_MAX);
  enum status status = stat(out->path, &facts) == 0 ? OK : fail(UNAVAILABLE, "not there");
  status = status == OK ? bytes_read_file(&content, out->path) : status;
  if (status != OK) {
    status = fail_field(BAD_INPUT, "store",
                        "store: AWS_ACCESS_KEY_ID is not set, and %s cannot be read", out->path);
  } else if (content.length > 0) {
    status = read_profile((char *)content.data, out);
    OPENSSL_cleanse(content.data, content.length);
  } else {
    status = fail_field(BAD_INPUT, "store", "store: AWS_ACCESS_KEY_ID is not set, and %s is empty",
                        out->path);
  }
  out->changed = facts.st_mtim;
  out->inode = facts.st_ino;
  out->bytes = facts.st_size;
  bytes_close(&content);
  return status;
}

static enum status file_of(struct s3_keys *out) {
  const char *path = s3_variable("AWS_SHARED_CREDENTIALS_FILE", NULL);
  const char *home = s3_variable("HOME", NULL);
  if (path == NULL && home == NULL) {
    return fail_field(BAD_INPUT, "store", "store: AWS_ACCESS_KEY_ID is not set");
  }
  TRY(s3_copy(out->profile, sizeof out->profile, "AWS_PROFILE",
              s3_variable("AWS_PROFILE", "default")));
  int length = path != NULL ? snprintf(out->path, sizeof out->path, "%s", path)
                            : snprintf(out->path, sizeof out->path, "%s/.aws/credentials", home);
  return length < (int)sizeof out->path
             ? OK
             : fail_field(BAD_INPUT, "store", "store: AWS_SHARED_CREDENTIALS_FILE is too long");
}

static enum status read_environment(const char *access_key, const char *secret_key,
                                    struct s3_keys *out) {
  if (access_key == NULL || secret_key == NULL) {
    return fail_field(BAD_INPUT, "store", "store: %s is not set",
                      access_key == NULL ? "AWS_ACCESS_KEY_ID" : "AWS_SECRET_ACCESS_KEY");
  }
  TRY(s3_copy(out->access_key, sizeof out->access_key, "AWS_ACCESS_KEY_ID", access_key));
  TRY(s3_copy(out->secret_key, sizeof out->secret_key, "AWS_SECRET_ACCESS_KEY", secret_key));
  return s3_copy(out->session_token, sizeof out->session_token, "AWS_SESSION_TOKEN",
                 s3_variable("AWS_SESSION_TOKEN", ""));
}

enum status s3_keys_read(struct s3_keys *out) {
  struct s3_keys keys = {0};
  const char *access_key = s3_variable("AWS_ACCESS_KEY_ID", NULL);
  const char *secret_key = s3_variable("AWS_SECRET_ACCESS_KEY", NULL);
  if (access_key != NULL || secret_key != NULL) {
    TRY(read_environment(access_key, secret_key, &keys));
  } else {
    TRY(file_of(&keys));
    TRY(read_file(&keys));
  }
  *out = keys;
  OPENSSL_cleanse(&keys, sizeof keys);
  return OK;
}

/* again ------------------------------------------------------------------------------------- */

static bool looks_the_same(const struct s3_keys *keys) {
  struct stat facts;
  return stat(keys->path, &facts) == 0 && facts.st_mtim.tv_sec == keys->changed.tv_sec &&
         facts.st_mtim.tv_nsec == keys->changed.tv_nsec && facts.st_ino == keys->inode &&
         facts.st_size == keys->bytes;
}

bool s3_keys_refresh(struct s3_keys *keys, bool refused) {
  if (keys->path[0] == '\0' || (!refused && looks_the_same(keys))) {
    return false;
  }
  struct s3_keys fresh = *keys;
  fresh.access_key[0] = fresh.secret_key[0] = fresh.session_token[0] = '\0';
  bool read = read_file(&fresh) == OK;
  bool others = read && (strcmp(fresh.access_key, keys->access_key) != 0 ||
                         strcmp(fresh.secret_key, keys->secret_key) != 0 ||
                         strcmp(fresh.session_token, keys->session_token) != 0);
  if (read) {
    *keys = fresh;
  }
  OPENSSL_cleanse(&fresh, sizeof fresh);
  return others;
}
