/* places.h - which URLs a job may name: of its worker's store what is the job's own, and what the
 * operator has listed.
 *
 * A worker's credentials, files and network are not the job's: without this anybody who may submit
 * a job could look at them through it. Nor is all of the store: everybody's results are there. A
 * job reads inputs/SHA256 (who knows the hash has had the file) and the results of its tenant.
 */
#ifndef DARKROOM_STORE_PLACES_H
#define DARKROOM_STORE_PLACES_H

#include <stddef.h>

#include "base/status.h"

#define PLACES_MAX 16

struct places {
  const char *store;             /* its URL */
  const char *below[PLACES_MAX]; /* further URLs (s3://bucket/prefix, file:///folder): the same */
  size_t below_count;
  const char *host[PLACES_MAX]; /* of https:, "images.example.com" or with ":port" */
  size_t host_count;
};

/* OK, or BAD_INPUT that says where may be read. tenant: the job's, as its broker has named it;
 * NULL: it has no results. A listed place that holds the store opens nothing of the store; one that
 * lies inside of it is open to all. Segments "." and ".." are refused in all of them. A file: URL
 * is held to how it is spelled here, and to what it really is once it is open (reader.c): links
 * lead nowhere else. */
enum status places_check(const struct places *places, const char *tenant, const char *url);
/* The same for a path without links. */
enum status places_check_path(const struct places *places, const char *tenant, const char *path);

#endif
