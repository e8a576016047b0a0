/* layer_name.c - all names are our own, so they fit. */
#include "worker/model/layer_name.h"

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>

struct module_name name_of(const char *format, ...) {
  struct module_name name;
  va_list arguments;
  va_start(arguments, format);
  int length = vsnprintf(name.text, sizeof name.text, format, arguments);
  va_end(arguments);
  assert(length >= 0 && (size_t)length < sizeof name.text); /* all names are our own */
  return name;
}
