/* json.h - the JSON form of any message of the contract: --json of the client, the sidecar beside a
 * picture.
 *
 * Field names as in darkroom.proto; enum values in lower case without their prefix ("dpmpp_2m",
 * "succeeded"); fields that are not set are left out; repeated fields are arrays, present when not
 * empty; numbers are JSON numbers (all u64 of the contract are below 2^53); numbers that are not
 * finite become null; a field of bytes is how many they are.
 */
#ifndef DARKROOM_PROTO_JSON_H
#define DARKROOM_PROTO_JSON_H

#include "base/bytes.h"
#include "base/status.h"
#include "proto/darkroom.pb-c.h"

/* Appends one line of JSON, without a line end. EXHAUSTED when out is full; BAD_INPUT for a text
 * that is not UTF-8. */
enum status message_to_json(const ProtobufCMessage *message, struct bytes *out);

/* The same for the sidecar, which names the sampler as the client does: "sampler": "euler_karras".
 */
enum status job_to_json(const Darkroom__V1__Job *job, struct bytes *out);

#endif
