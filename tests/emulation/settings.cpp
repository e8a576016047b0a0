/* settings.cpp - the environment read once. */
#include "tests/emulation/settings.h"

#include <fcntl.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>
#include <vector>

#include "emulation/thread.h"
#include "tests/emulation/machine.h"

namespace emulation {

static unsigned long long number_of(const char *name, unsigned long long otherwise,
                                    unsigned long long limit) {
  const char *text = getenv(name);
  if (text == nullptr || *text == '\0') {
    return otherwise;
  }
  char *end;
  unsigned long long value = strtoull(text, &end, 10);
  if (*end != '\0' || *text == '-' || value > limit) {
    refuse("%s=%s: a number 0..%llu is wanted", name, text, limit);
  }
  return value;
}

static Settings read_settings() {
  Settings s = {};
  s.seed = number_of("EMULATION_SEED", 0, UINT64_MAX);
  s.devices = static_cast<int>(number_of("EMULATION_DEVICES", 1, DEVICES_OF_A_MACHINE_MAX));
  s.memory = number_of("EMULATION_MEMORY", size_t{2} << 30, size_t{1} << 40);
  s.capability = static_cast<int>(number_of("EMULATION_CAPABILITY", 90, 999));
  return s;
}

const Settings &settings() {
  static const Settings read = read_settings();
  return read;
}

Dice::Dice(uint64_t salt)
    : state(settings().seed * 0x9e3779b97f4a7c15u + salt), natural(settings().seed == 0) {}

/* splitmix64 (Steele et al. 2014) */
uint64_t Dice::draw() {
  uint64_t z = state += 0x9e3779b97f4a7c15u;
  z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
  z = (z ^ z >> 27) * 0x94d049bb133111ebu;
  return z ^ z >> 31;
}
size_t Dice::below(size_t count) { return natural || count < 2 ? 0 : draw() % count; }
bool Dice::one_in(size_t count) { return !natural && draw() % count == 0; }

/* ---- faults: "launch:120", "malloc:3+", "hang:7@/path", several with commas between ---- */

static const char *const fault_names[] = {"launch", "hang", "skip",  "malloc",
                                          "pin",    "copy", "graph", "library"};
static_assert(sizeof fault_names / sizeof fault_names[0] == static_cast<size_t>(Fault::count),
              "a name each");

struct Order {
  Fault fault;
  unsigned long number;
  bool onward;       /* that one and all after it */
  long device;       /* on this one alone; -1: on any */
  std::string token; /* a file: only the first process that can make it obeys */
  bool armed;        /* rather the first that can take it away: a test makes it when it is time */
};

static Order read_order(const std::string &text) {
  Order order = {};
  order.device = -1;
  size_t colon = text.find(':'), at = text.find_first_of("@!");
  std::string name = text.substr(0, colon);
  for (size_t i = 0; i < static_cast<size_t>(Fault::count) && colon != std::string::npos; i++) {
    char *end;
    order.number = strtoul(text.c_str() + colon + 1, &end, 10);
    order.onward = *end == '+';
    end += order.onward;
    if (*end == '%') {
      order.device = strtol(end + 1, &end, 10);
    }
    if (name == fault_names[i] && order.number > 0 &&
        (*end == '\0' || *end == '@' || *end == '!')) {
      order.fault = static_cast<Fault>(i);
      order.token = at == std::string::npos ? "" : text.substr(at + 1);
      order.armed = at != std::string::npos && text[at] == '!';
      return order;
    }
  }
  refuse(
      "EMULATION_FAULT=%s: KIND:NUMBER[+][%%DEVICE][@FILE or !FILE] is wanted, KIND one of launch, "
      "hang, skip, malloc, pin, copy, graph, library",
      text.c_str());
}

static std::vector<Order> read_orders() {
  std::vector<Order> orders;
  const char *text = getenv("EMULATION_FAULT");
  std::string rest = text == nullptr ? "" : text;
  while (!rest.empty()) {
    size_t comma = rest.find(',');
    orders.push_back(read_order(rest.substr(0, comma)));
    rest = comma == std::string::npos ? "" : rest.substr(comma + 1);
  }
  return orders;
}

static bool takes_token(const Order &order) {
  if (order.token.empty()) {
    return true;
  }
  if (order.armed) {
    return unlink(order.token.c_str()) == 0;
  }
  int file = open(order.token.c_str(), O_CREAT | O_EXCL | O_WRONLY | O_CLOEXEC, 0600);
  if (file < 0) {
    return false;
  }
  close(file);
  return true;
}

bool fault_strikes(Fault fault) {
  static const std::vector<Order> orders = read_orders();
  static unsigned long counts[static_cast<size_t>(Fault::count)];
  unsigned long count = ++counts[static_cast<size_t>(fault)];
  for (const Order &order : orders) {
    bool struck = order.onward ? count >= order.number : count == order.number;
    bool on_it = order.device < 0 || order.device == current_device();
    if (order.fault == fault && struck && on_it && takes_token(order)) {
      fprintf(stderr, "emulation: fault %s:%lu strikes\n", fault_names[static_cast<int>(fault)],
              count);
      return true;
    }
  }
  return false;
}

}  // namespace emulation
