/* https.h - one GET over TLS: no redirects, no proxy of the environment, no credentials. */
#ifndef DARKROOM_STORE_HTTPS_H
#define DARKROOM_STORE_HTTPS_H

#include "store/reader.h"

/* For reader.c: outcomes as reader_read. */
enum status https_read(struct reader *reader, const char *url, struct bytes *content,
                       struct read_result *how);
void https_close(struct reader *reader);

#endif
