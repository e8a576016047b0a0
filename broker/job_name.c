/* job_name.c - names put together and taken apart, here and nowhere else. */
#include "broker/job_name.h"

#include <stdio.h>
#include <string.h>

#include "proto/keyring.h"

enum status job_name(struct arena *arena, const char *tenant, const char *id, const char **out) {
  if (tenant == NULL || strcmp(tenant, KEYRING_TENANT_STANDARD) == 0) {
    *out = id;
    return OK;
  }
  size_t bytes = strlen(tenant) + strlen(id) + 2;
  char *name = arena_take(arena, bytes);
  if (name == NULL) {
    return fail(EXHAUSTED, "no memory for the name of a job");
  }
  snprintf(name, bytes, "%s/%s", tenant, id);
  *out = name;
  return OK;
}

const char *job_name_id(const char *name) {
  const char *slash = strchr(name, '/');
  return slash != NULL ? slash + 1 : name;
}

const char *job_name_tenant(const char *name, char text[JOB_ID_BYTES_MAX + 1]) {
  const char *slash = strchr(name, '/');
  int bytes = slash != NULL && slash - name <= JOB_ID_BYTES_MAX ? (int)(slash - name) : 0;
  snprintf(text, JOB_ID_BYTES_MAX + 1, "%.*s", bytes, slash != NULL ? name : "");
  if (slash == NULL) {
    snprintf(text, JOB_ID_BYTES_MAX + 1, "%s", KEYRING_TENANT_STANDARD);
  }
  return text;
}
