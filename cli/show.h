/* show.h - answers on stdout, for people. */
#ifndef DARKROOM_CLI_SHOW_H
#define DARKROOM_CLI_SHOW_H

#include "cli/complaint.h"
#include "proto/darkroom.pb-c.h"

/* A copy of text without control characters, cut to fit; "-" for NULL. Gives copy back. */
#define SHOW_SAFE_BYTES_MAX 512
const char *show_safe(const char *text, char *copy);

void show_status(const Darkroom__V1__JobStatus *status);
void show_list(const Darkroom__V1__JobList *list);
void show_explanation(const Darkroom__V1__Explanation *explanation);
void show_models(const Darkroom__V1__ModelList *list);
void show_fleet(const Darkroom__V1__FleetStatus *fleet);
void show_cancelled(const Darkroom__V1__Cancelled *cancelled);

/* The message as one line of JSON. */
enum exit_code show_json(const ProtobufCMessage *message);

#endif
