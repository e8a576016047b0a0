/* version.h - the version all programs of one build carry. */
#ifndef DARKROOM_BASE_VERSION_H
#define DARKROOM_BASE_VERSION_H

#define DARKROOM_VERSION "0.1.0"

#endif
