/* memory.c - /proc/meminfo, /proc/self/cgroup, /proc/self/mountinfo and the groups' own files. */
#include "base/memory.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { LINE_MAX_BYTES = 4096 };
/* Version 1 writes "no limit" as the largest number of whole pages. */
#define NO_LIMIT_FROM (UINT64_C(1) << 60)

static FILE *open_file(const char *root, const char *folder, const char *name) {
  char path[2 * MEMORY_PATH_MAX];
  int length = snprintf(path, sizeof path, "%s%s/%s", root, folder, name);
  return length < (int)sizeof path ? fopen(path, "re") : NULL;
}

static uint64_t number_of(const char *text) {
  char *end = NULL;
  errno = 0;
  unsigned long long number = strtoull(text, &end, 10);
  bool good = end != text && errno == 0 && number < NO_LIMIT_FROM;
  return good ? number : MEMORY_UNLIMITED; /* "max" among them */
}

/* A file that holds one number. */
static uint64_t read_number(const char *root, const char *folder, const char *name) {
  char line[64] = "";
  FILE *file = open_file(root, folder, name);
  if (file == NULL) {
    return MEMORY_UNLIMITED;
  }
  bool good = fgets(line, sizeof line, file) != NULL;
  fclose(file);
  return good ? number_of(line) : MEMORY_UNLIMITED;
}

/* The number behind a word at the start of a line; MEMORY_UNLIMITED when there is none. */
static uint64_t read_row(const char *root, const char *folder, const char *name, const char *word) {
  char line[LINE_MAX_BYTES];
  uint64_t found = MEMORY_UNLIMITED;
  FILE *file = open_file(root, folder, name);
  size_t length = strlen(word);
  while (file != NULL && found == MEMORY_UNLIMITED && fgets(line, sizeof line, file) != NULL) {
    if (strncmp(line, word, length) == 0 && line[length] == ' ') {
      found = number_of(line + length);
    }
  }
  if (file != NULL) {
    fclose(file);
  }
  return found;
}

/* ---- a group --------------------------------------------------------------------------------- */

/* What the two versions call the same things. */
static const struct version {
  const char *type; /* of the file system */
  const char *limit, *soft_limit, *usage;
  const char *inactive, *active; /* pages of files, in memory.stat */
} versions[] = {
    {"cgroup", "memory.limit_in_bytes", NULL, "memory.usage_in_bytes", "total_inactive_file",
     "total_active_file"},
    /* over memory.high a group is not killed, but made to crawl */
    {"cgroup2", "memory.max", "memory.high", "memory.current", "inactive_file", "active_file"},
};
enum { VERSIONS = sizeof versions / sizeof versions[0] };

static uint64_t least(uint64_t a, uint64_t b) { return a < b ? a : b; }

static uint64_t known(uint64_t number) { return number == MEMORY_UNLIMITED ? 0 : number; }

static uint64_t left_in(const char *root, const char *folder, const struct version *version) {
  uint64_t limit = read_number(root, folder, version->limit);
  if (version->soft_limit != NULL) {
    limit = least(limit, read_number(root, folder, version->soft_limit));
  }
  if (limit == MEMORY_UNLIMITED) {
    return MEMORY_UNLIMITED;
  }
  uint64_t usage = known(read_number(root, folder, version->usage));
  uint64_t pages = known(read_row(root, folder, "memory.stat", version->inactive)) +
                   known(read_row(root, folder, "memory.stat", version->active));
  usage = usage > pages ? usage - pages : 0;
  return limit > usage ? limit - usage : 0;
}

/* From the folder up to where the groups are mounted, `top` characters of it. */
static void look_upwards(const char *root, char *folder, size_t top, const struct version *version,
                         struct memory *out) {
  for (;;) {
    uint64_t left = left_in(root, folder, version);
    if (left < out->group) {
      out->group = left;
      snprintf(out->group_path, sizeof out->group_path, "%s", folder);
    }
    char *slash = strrchr(folder, '/');
    if (slash == NULL || (size_t)(slash - folder) < top) {
      return;
    }
    *slash = '\0';
  }
}

/* ---- where our groups are -------------------------------------------------------------------- */

/* Whether a word is in a list with commas. */
static bool lists(const char *list, const char *word) {
  size_t length = strlen(word);
  for (const char *at = list; at != NULL; at = strchr(at, ',')) {
    at += *at == ',';
    if (strncmp(at, word, length) == 0 && (at[length] == ',' || at[length] == '\0')) {
      return true;
    }
  }
  return false;
}

/* The path of our group as /proc/self/cgroup has it, "id:controllers:path"; version 2 has no
 * controllers there. */
static bool find_group(const char *root, const struct version *version, char *out, size_t room) {
  char line[LINE_MAX_BYTES];
  bool found = false, second = strcmp(version->type, "cgroup2") == 0;
  FILE *file = open_file(root, "/proc/self", "cgroup");
  while (file != NULL && !found && fgets(line, sizeof line, file) != NULL) {
    line[strcspn(line, "\n")] = '\0';
    char *controllers = strchr(line, ':');
    char *path = controllers != NULL ? strchr(controllers + 1, ':') : NULL;
    if (path == NULL) {
      continue;
    }
    *path++ = '\0';
    controllers++;
    found = second ? controllers[0] == '\0' : lists(controllers, "memory");
    if (found) {
      snprintf(out, room, "%s", path);
    }
  }
  if (file != NULL) {
    fclose(file);
  }
  return found;
}

_Static_assert(MEMORY_PATH_MAX == 512, "the formats below say 511 characters");
struct mount {
  char from[MEMORY_PATH_MAX]; /* the group that is seen at the mount's top */
  char at[MEMORY_PATH_MAX];
};

/* "36 35 98:0 FROM AT options [optional fields] - TYPE source superoptions" */
static bool read_mount(char *line, const struct version *version, struct mount *out) {
  char *behind = strstr(line, " - ");
  char type[32] = "", options[256] = "";
  if (behind == NULL || sscanf(line, "%*s %*s %*s %511s %511s", out->from, out->at) != 2 ||
      sscanf(behind + 3, "%31s %*s %255s", type, options) < 1 || strcmp(type, version->type) != 0) {
    return false;
  }
  return strcmp(type, "cgroup2") == 0 || lists(options, "memory");
}

/* Our group's folder under the mount. A container may see its own group at the top, or a path that
 * leads nowhere here: then the top is all there is to see. */
static void look_under(const char *root, const struct mount *mount, const char *group,
                       const struct version *version, struct memory *out) {
  size_t length = strcmp(mount->from, "/") == 0 ? 0 : strlen(mount->from);
  bool inside = strncmp(group, mount->from, length) == 0 &&
                (group[length] == '/' || group[length] == '\0') && strstr(group, "/..") == NULL;
  char folder[MEMORY_PATH_MAX];
  int written = snprintf(folder, sizeof folder, "%s%s", mount->at, inside ? group + length : "");
  if (written >= (int)sizeof folder) { /* deeper than we can name: what is above still counts */
    snprintf(folder, sizeof folder, "%s", mount->at);
  }
  look_upwards(root, folder, strlen(mount->at), version, out);
}

static void look_at_groups(const char *root, const struct version *version, struct memory *out) {
  char line[LINE_MAX_BYTES], group[MEMORY_PATH_MAX];
  if (!find_group(root, version, group, sizeof group)) {
    return;
  }
  FILE *file = open_file(root, "/proc/self", "mountinfo");
  while (file != NULL && fgets(line, sizeof line, file) != NULL) {
    struct mount mount;
    if (read_mount(line, version, &mount)) {
      look_under(root, &mount, group, version, out);
    }
  }
  if (file != NULL) {
    fclose(file);
  }
}

void memory_look(const char *root, struct memory *out) {
  *out = (struct memory){.machine = MEMORY_UNLIMITED, .group = MEMORY_UNLIMITED};
  uint64_t kib = read_row(root, "/proc", "meminfo", "MemAvailable:");
  out->machine = kib == MEMORY_UNLIMITED ? MEMORY_UNLIMITED : kib * 1024;
  for (int i = 0; i < VERSIONS; i++) {
    look_at_groups(root, &versions[i], out);
  }
}
