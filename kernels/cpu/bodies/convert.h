/* convert.h - values of one float type into another. Part of every level_*.c. */
#ifndef DARKROOM_KERNELS_CPU_BODIES_CONVERT_H
#define DARKROOM_KERNELS_CPU_BODIES_CONVERT_H

#include "kernels/cpu/bodies/vector.h"
#include "kernels/cpu/panels.h"

INLINE vec load_any(const void *data, enum element element, int64_t index) {
  return element == ELEMENT_F16 ? widen_half((const uint16_t *)data + index)
                                : load_all(data, element, index);
}

static void convert(const void *arguments, int64_t first, int64_t end) {
  const struct convert *c = arguments;
  for (int64_t i = first; i < end; i += LANES) {
    int64_t some = lanes_left(i, end), size = (int64_t)element_bytes(c->from_element);
    char part[LANES * sizeof(float)] = {0};
    vec value;
    if (some == LANES) {
      value = load_any(c->from, c->from_element, i);
    } else {
      memcpy(part, (const char *)c->from + i * size, (size_t)(some * size));
      value = load_any(part, c->from_element, 0);
    }
    store_some(c->to, c->to_element, i, value, some);
  }
}

#endif
