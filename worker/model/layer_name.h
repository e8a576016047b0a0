/* layer_name.h - the name of a layer in a network, put together where it is needed. */
#ifndef DARKROOM_WORKER_MODEL_LAYER_NAME_H
#define DARKROOM_WORKER_MODEL_LAYER_NAME_H

#include "base/limits.h"

/* A module's name, by value: name_of("%s.conv1", prefix).text lives until the end of the statement.
 */
struct module_name {
  char text[SAFETENSORS_NAME_BYTES_MAX];
};
struct module_name name_of(const char *format, ...) __attribute__((format(printf, 1, 2)));

#endif
