/* weights_look.h - a first look at one weight file. */
#ifndef DARKROOM_WORKER_WEIGHTS_LOOK_H
#define DARKROOM_WORKER_WEIGHTS_LOOK_H

#include "base/status.h"

/* BAD_INPUT (field "weights") for a file that is not there, a pickle whatever its name is, or
 * something that does not begin as safetensors does. */
enum status weights_look(const char *path);

#endif
