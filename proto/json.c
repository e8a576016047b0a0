/* json.c - walks a message by its descriptor, so that a new field of the contract is in the JSON
 * without a line here. */
#include "proto/json.h"

#include <ctype.h>
#include <jansson.h>
#include <math.h>
#include <string.h>

#include "proto/job.h"

#define NAME_BYTES_MAX 64
#define REAL_DIGITS 15

/* How much of the value names every value of the enum shares, up to an underscore:
 * "NOISE_SCHEDULE_". */
static size_t prefix_bytes(const ProtobufCEnumDescriptor *type) {
  const char *first = type->values[0].name;
  size_t shared = strlen(first);
  for (unsigned i = 1; i < type->n_values; i++) {
    size_t same = 0;
    while (same < shared && type->values[i].name[same] == first[same]) {
      same++;
    }
    shared = same;
  }
  while (shared > 0 && first[shared - 1] != '_') {
    shared--;
  }
  return shared;
}

/* "dpmpp_2m"; the number itself when it is not in the contract. */
static json_t *enum_json(const ProtobufCEnumDescriptor *type, int value) {
  const ProtobufCEnumValue *found = protobuf_c_enum_descriptor_get_value(type, value);
  if (found == NULL) {
    return json_integer(value);
  }
  char name[NAME_BYTES_MAX];
  const char *from = found->name + prefix_bytes(type);
  size_t bytes = strnlen(from, sizeof name);
  for (size_t i = 0; i < bytes; i++) {
    name[i] = (char)tolower((unsigned char)from[i]);
  }
  return json_stringn(name, bytes);
}

static json_t *message_json(const ProtobufCMessage *message);

/* member points at the value of one field, or at one item of a repeated one. */
static json_t *value_json(const ProtobufCFieldDescriptor *field, const void *member) {
  switch (field->type) {
    case PROTOBUF_C_TYPE_UINT32:
      return json_integer(*(const uint32_t *)member);
    case PROTOBUF_C_TYPE_UINT64:
      return json_integer((json_int_t) * (const uint64_t *)member);
    case PROTOBUF_C_TYPE_BOOL:
      return json_boolean(*(const protobuf_c_boolean *)member);
    case PROTOBUF_C_TYPE_ENUM:
      return enum_json(field->descriptor, *(const int *)member);
    case PROTOBUF_C_TYPE_STRING:
      return json_string(*(const char *const *)member);
    case PROTOBUF_C_TYPE_MESSAGE:
      return message_json(*(const ProtobufCMessage *const *)member);
    case PROTOBUF_C_TYPE_DOUBLE: {
      double value = *(const double *)member;
      return isfinite(value) ? json_real(value) : json_null();
    }
    case PROTOBUF_C_TYPE_BYTES: /* the JSON form is for reading: what is in a file is not */
      return json_integer((json_int_t)((const ProtobufCBinaryData *)member)->len);
    default:
      return NULL; /* the contract has no other types; the caller fails */
  }
}

static size_t item_bytes(const ProtobufCFieldDescriptor *field) {
  switch (field->type) {
    case PROTOBUF_C_TYPE_UINT32:
    case PROTOBUF_C_TYPE_ENUM:
      return 4;
    case PROTOBUF_C_TYPE_BOOL:
      return sizeof(protobuf_c_boolean);
    default:
      return 8;
  }
}

static json_t *array_json(const ProtobufCFieldDescriptor *field, const char *items, size_t count) {
  json_t *array = json_array();
  for (size_t i = 0; i < count; i++) {
    if (json_array_append_new(array, value_json(field, items + i * item_bytes(field))) != 0) {
      json_decref(array);
      return NULL;
    }
  }
  return array;
}

/* Whether the field is set: texts and messages by their pointer, numbers by their has_ flag, arrays
 * by their count. */
static bool field_set(const ProtobufCFieldDescriptor *field, const char *base) {
  if (field->label == PROTOBUF_C_LABEL_REPEATED) {
    return *(const size_t *)(base + field->quantifier_offset) > 0;
  }
  if (field->type == PROTOBUF_C_TYPE_STRING || field->type == PROTOBUF_C_TYPE_MESSAGE) {
    return *(void *const *)(base + field->offset) != NULL;
  }
  return *(const protobuf_c_boolean *)(base + field->quantifier_offset) != 0;
}

static json_t *message_json(const ProtobufCMessage *message) {
  const char *base = (const char *)message;
  json_t *object = json_object();
  for (unsigned i = 0; i < message->descriptor->n_fields; i++) {
    const ProtobufCFieldDescriptor *field = &message->descriptor->fields[i];
    if (!field_set(field, base)) {
      continue;
    }
    bool repeated = field->label == PROTOBUF_C_LABEL_REPEATED;
    const void *member = base + field->offset;
    json_t *value = repeated ? array_json(field, *(const char *const *)member,
                                          *(const size_t *)(base + field->quantifier_offset))
                             : value_json(field, member);
    if (json_object_set_new(object, field->name, value) != 0) {
      json_decref(object);
      return NULL;
    }
  }
  return object;
}

static int append(const char *text, size_t bytes, void *out) {
  return bytes_append(out, text, bytes) == OK ? 0 : -1;
}

/* Takes the object. */
static enum status dump(json_t *object, struct bytes *out) {
  if (object == NULL) {
    return fail(BAD_INPUT, "a message has a text that is not UTF-8");
  }
  int failed =
      json_dump_callback(object, append, out, JSON_COMPACT | JSON_REAL_PRECISION(REAL_DIGITS));
  json_decref(object);
  return failed == 0 ? OK : fail(EXHAUSTED, "the JSON form of a message is too large");
}

enum status message_to_json(const ProtobufCMessage *message, struct bytes *out) {
  return dump(message_json(message), out);
}

enum status job_to_json(const Darkroom__V1__Job *job, struct bytes *out) {
  json_t *object = message_json(&job->base);
  const char *name = job->has_sampler && job->has_noise_schedule
                         ? job_sampler_name(job->sampler, job->noise_schedule)
                         : NULL;
  if (object != NULL && name != NULL) {
    json_object_set_new(object, "sampler", json_string(name));
    json_object_del(object, "noise_schedule");
  }
  return dump(object, out);
}
