/* progress.c - one counter a process. */
#include "base/progress.h"

static _Atomic uint64_t own;
static _Atomic uint64_t *shared = &own;

/* Nothing is ordered by it, so relaxed is enough. */
void progress_count(void) { atomic_fetch_add_explicit(shared, 1, memory_order_relaxed); }

uint64_t progress_counted(void) { return atomic_load_explicit(shared, memory_order_relaxed); }

void progress_share(_Atomic uint64_t *count) { shared = count; }
