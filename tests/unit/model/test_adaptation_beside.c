/* test_adaptation_beside.c - weights of adapters that are made beside other work of the device. */
#include "tests/unit/model/adapter_group.h"
#include "worker/model/adaptation.h"
#include "worker/model/loader.h"

/* How often it was asked, and at which time it is to end. */
struct asked {
  int between, begun, last;
  size_t used; /* of the device, when it began */
};

static enum status ask_between(void *context) {
  struct asked *asked = context;
  asked->between++;
  return asked->between != asked->last ? OK : UNAVAILABLE;
}
static void say_beside(void *context, bool reading) {
  struct asked *asked = context;
  assert_false(reading);
  assert_int_equal(device_memory_used(tiny.device), asked->used); /* nothing before it is said */
  asked->begun++;
}

static enum status open_beside(const struct adapter_use *use, struct asked *asked,
                               struct adaptation **out) {
  const struct loader_pauses pauses = {asked, ask_between, say_beside};
  asked->used = device_memory_used(tiny.device);
  return adaptation_open_beside(tiny.model, use, 1, &pauses, out);
}

/* Wherever it is given up nothing is left of it; it stops between the rows of every sum. */
static void what_is_made_beside_other_work_stops_and_ends_anywhere(void **state) {
  (void)state;
  struct adapter_report report;
  struct adapter *adapter = fixture_adapter(tiny.model, "lora/loha", &report);
  const struct adapter_use use = {adapter, 1, 1};
  assert_false(adaptation_is_quick(tiny.model, &use, 1));
  struct asked whole = {0};
  struct adaptation *adaptation = NULL;
  assert_ok(open_beside(&use, &whole, &adaptation));
  assert_non_null(adaptation_merged(adaptation));
  assert_true(device_memory_used(tiny.device) - whole.used <=
              adaptation_bytes(tiny.model, &use, 1));
  adaptation_close(&adaptation);
  assert_int_equal(whole.begun, 1);
  assert_true(whole.between > 10 * report.changed);
  for (int last = 1; last <= whole.between; last += 1 + last / 8) {
    struct asked part = {.last = last};
    assert_int_equal(open_beside(&use, &part, &adaptation), UNAVAILABLE);
    assert_null(adaptation);
    assert_int_equal(device_memory_used(tiny.device), part.used);
    assert_int_equal(part.between, last);
  }
  adapter_close(&adapter);
}

static void a_product_at_linear_layers_is_quick(void **state) {
  (void)state;
  struct adapter_report report;
  struct adapter *quick = fixture_adapter(tiny.model, "lora/peft", &report);
  struct adapter *slow = fixture_adapter(tiny.model, "lora/locon", &report);
  const struct adapter_use uses[] = {{quick, 1, 1}, {slow, 1, 1}};
  assert_true(adaptation_is_quick(tiny.model, uses, 1));
  assert_false(adaptation_is_quick(tiny.model, uses, 2));
  adapter_close(&quick);
  adapter_close(&slow);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(what_is_made_beside_other_work_stops_and_ends_anywhere),
      cmocka_unit_test(a_product_at_linear_layers_is_quick),
  };
  return cmocka_run_group_tests(tests, open_ref, close_tiny) +
         cmocka_run_group_tests(tests, open_cpu, close_tiny);
}
