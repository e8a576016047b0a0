/* memory.cpp - the memory of emulated devices, and pinned memory of the host.
 *
 * A device's memory is a region that nobody may touch but while one of its operations runs; blocks
 * in it begin on a page, with a page between them, and AddressSanitizer guards their ends. New memory
 * reads as NaN: every page of it is first a private view of one file that is full of ones, so that
 * taking a gigabyte costs nothing.
 */
#include <sanitizer/asan_interface.h>
#include <signal.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cstdlib>
#include <cstring>
#include <map>

#include "tests/emulation/machine.h"

namespace emulation {

constexpr size_t PAGE = 4096;
constexpr size_t CHUNK = size_t{4} << 20; /* of the file of ones */
/* Guarding costs time for every page in use: a device that holds more is closed to the host once in
 * so many times. What the host does wrong it does again and again. */
constexpr size_t ALWAYS_GUARDED = size_t{32} << 20;
constexpr unsigned GUARDED_ONCE_IN = 16;
constexpr size_t ROOM_FACTOR = 4; /* address space over memory: holes cost nothing */

struct Block {
  size_t bytes; /* asked for */
  size_t room;  /* whole pages */
};
struct DeviceMemory {
  char *base;
  size_t room, used;
  int opened;    /* how many Opened there are */
  bool open;     /* to everybody */
  unsigned left; /* times that it could have been closed */
  std::map<char *, Block> blocks;
};
static DeviceMemory memories[DEVICES_OF_A_MACHINE_MAX];
static std::map<char *, size_t> pinned;

static size_t whole_pages(size_t bytes) { return (bytes + PAGE - 1) / PAGE * PAGE; }

static int file_of_ones() {
  static int file = -1;
  if (file < 0) {
    file = memfd_create("emulation", MFD_CLOEXEC);
    void *view = ftruncate(file, CHUNK) == 0
                     ? mmap(nullptr, CHUNK, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0)
                     : MAP_FAILED;
    if (view == MAP_FAILED) {
      refuse("no memory for a device");
    }
    memset(view, 0xff, CHUNK);
    munmap(view, CHUNK);
  }
  return file;
}

/* Says what the address is, if it is a device's, before whoever was asked so far reports it. */
static struct sigaction reporter;
static void say_whose(int signal, siginfo_t *info, void *context) {
  Region region = region_of(info->si_addr);
  if (region.kind == Kind::device) {
    fprintf(stderr, "emulation: %p is of device %d: %s\n", info->si_addr, region.device,
            here != nullptr ? "a kernel leaves its memory" : "the host may not touch it");
  }
  if ((reporter.sa_flags & SA_SIGINFO) != 0) {
    reporter.sa_sigaction(signal, info, context);
  }
  abort();
}
static void watch_faults() {
  struct sigaction action = {};
  action.sa_sigaction = say_whose;
  action.sa_flags = SA_SIGINFO | SA_ONSTACK;
  sigaction(SIGSEGV, &action, &reporter);
}

static DeviceMemory &memory_of(int device) {
  DeviceMemory &memory = memories[device];
  if (memory.base == nullptr) {
    static std::once_flag watched;
    std::call_once(watched, watch_faults);
    memory.room = whole_pages(settings().memory) * ROOM_FACTOR;
    void *base =
        mmap(nullptr, memory.room, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (base == MAP_FAILED) {
      refuse("no address space for a device of %zu bytes", settings().memory);
    }
    memory.base = static_cast<char *>(base);
  }
  return memory;
}

static void protect(const DeviceMemory &memory, int protection) {
  for (const auto &entry : memory.blocks) {
    if (mprotect(entry.first, entry.second.room, protection) != 0) {
      refuse("a device's memory cannot be guarded");
    }
  }
}

Opened::Opened(int which) : device(which) {
  DeviceMemory &memory = memory_of(device);
  if (memory.opened++ == 0 && !memory.open) {
    protect(memory, PROT_READ | PROT_WRITE);
    memory.open = true;
  }
}
Opened::~Opened() {
  DeviceMemory &memory = memory_of(device);
  bool guard = memory.used <= ALWAYS_GUARDED || ++memory.left % GUARDED_ONCE_IN == 0;
  if (--memory.opened == 0 && guard) {
    protect(memory, PROT_NONE);
    memory.open = false;
  }
}

/* The first hole that is large enough; nullptr when the device is full. */
static char *find_hole(const DeviceMemory &memory, size_t room) {
  char *at = memory.base + PAGE;
  for (const auto &entry : memory.blocks) {
    if (entry.first - at >= static_cast<ptrdiff_t>(room + PAGE)) {
      break;
    }
    at = entry.first + entry.second.room + PAGE;
  }
  bool fits = memory.used + room <= settings().memory &&
              memory.base + memory.room - at >= static_cast<ptrdiff_t>(room + PAGE);
  return fits ? at : nullptr;
}

static void map_ones(char *at, size_t room, int protection) {
  for (size_t done = 0; done < room; done += CHUNK) {
    size_t part = room - done < CHUNK ? room - done : CHUNK;
    if (mmap(at + done, part, protection, MAP_PRIVATE | MAP_FIXED | MAP_NORESERVE, file_of_ones(),
             0) == MAP_FAILED) {
      refuse("no memory for a device");
    }
  }
}

static cudaError_t take(DeviceMemory &memory, size_t bytes, void **out) {
  size_t room = whole_pages(bytes);
  char *at = find_hole(memory, room);
  if (at == nullptr || fault_strikes(Fault::malloc)) {
    return cudaErrorMemoryAllocation;
  }
  map_ones(at, room, memory.open ? PROT_READ | PROT_WRITE : PROT_NONE);
  ASAN_UNPOISON_MEMORY_REGION(at, room);
  ASAN_POISON_MEMORY_REGION(at + bytes, room - bytes);
  ASAN_POISON_MEMORY_REGION(at - PAGE, PAGE);
  ASAN_POISON_MEMORY_REGION(at + room, PAGE);
  memory.blocks[at] = {bytes, room};
  memory.used += room;
  *out = at;
  return cudaSuccess;
}

static void drop(DeviceMemory &memory, std::map<char *, Block>::iterator block) {
  char *at = block->first;
  size_t room = block->second.room;
  if (mmap(at, room, PROT_NONE, MAP_PRIVATE | MAP_FIXED | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0) ==
      MAP_FAILED) {
    refuse("a device's memory cannot be given back");
  }
  ASAN_POISON_MEMORY_REGION(at, room);
  memory.used -= room;
  memory.blocks.erase(block);
}

/* ---- where an address lies ---- */

template <typename Map>
static typename Map::const_iterator block_below(const Map &map, char *address) {
  auto above = map.upper_bound(address);
  return above == map.begin() ? map.end() : --above;
}

Region region_of(const void *address) {
  char *at = const_cast<char *>(static_cast<const char *>(address));
  for (int d = 0; d < settings().devices; d++) {
    auto block = block_below(memories[d].blocks, at);
    if (block != memories[d].blocks.end() && at < block->first + block->second.bytes) {
      return {Kind::device, d, block->first, block->second.bytes};
    }
    if (memories[d].base != nullptr && at >= memories[d].base &&
        at < memories[d].base + memories[d].room) {
      return {Kind::device, d, at, 0}; /* no block: nothing fits */
    }
  }
  auto block = block_below(pinned, at);
  if (block != pinned.end() && at < block->first + block->second) {
    return {Kind::pinned, 0, block->first, block->second};
  }
  return {Kind::pageable, 0, nullptr, 0};
}

/* ---- pinned memory ---- */

static cudaError_t pin(void **out, size_t bytes) {
  if (out == nullptr || bytes == 0) {
    return cudaErrorInvalidValue;
  }
  void *block = fault_strikes(Fault::pin)
                    ? nullptr
                    : aligned_alloc(PAGE, whole_pages(bytes)); /* CUDA aligns to a page */
  if (block == nullptr) {
    return cudaErrorMemoryAllocation;
  }
  memset(block, 0xff, whole_pages(bytes));
  ASAN_POISON_MEMORY_REGION(static_cast<char *>(block) + bytes, whole_pages(bytes) - bytes);
  pinned[static_cast<char *>(block)] = bytes;
  *out = block;
  return cudaSuccess;
}

static cudaError_t unpin(void *block) {
  auto entry = pinned.find(static_cast<char *>(block));
  if (entry == pinned.end()) {
    return cudaErrorInvalidValue;
  }
  ASAN_UNPOISON_MEMORY_REGION(entry->first, whole_pages(entry->second));
  pinned.erase(entry);
  free(block);
  return cudaSuccess;
}

}  // namespace emulation

using namespace emulation;

/* AddressSanitizer calls it before it reports: for the ends of blocks. */
extern "C" void __asan_on_error(void) {
  Region region = region_of(__asan_get_report_address());
  if (region.kind == Kind::device) {
    fprintf(stderr, "emulation: the address is of device %d: %s\n", region.device,
            here != nullptr ? "a kernel leaves its memory" : "the host may not touch it");
  }
}

cudaError_t cudaMalloc(void **out, size_t bytes) {
  Entry entry;
  if (broken() != cudaSuccess) {
    return broken();
  }
  if (forbidden_by_capture()) {
    return outcome(cudaErrorStreamCaptureUnsupported);
  }
  if (out == nullptr) {
    return outcome(cudaErrorInvalidValue);
  }
  if (bytes == 0) {
    *out = nullptr;
    return cudaSuccess;
  }
  return outcome(take(memory_of(current_device()), bytes, out));
}

/* Waits for the device, as CUDA's does. */
cudaError_t cudaFree(void *block) {
  Entry entry;
  if (forbidden_by_capture()) {
    return outcome(cudaErrorStreamCaptureUnsupported);
  }
  if (block == nullptr) {
    return broken();
  }
  run_everything();
  Region region = region_of(block);
  if (region.kind != Kind::device || region.first != block || region.bytes == 0) {
    return outcome(cudaErrorInvalidValue);
  }
  DeviceMemory &memory = memory_of(region.device);
  drop(memory, memory.blocks.find(region.first));
  return broken();
}

cudaError_t cudaMemGetInfo(size_t *free_bytes, size_t *total) {
  Entry entry;
  *total = settings().memory;
  *free_bytes = *total - memory_of(current_device()).used;
  return broken();
}

cudaError_t cudaHostAlloc(void **out, size_t bytes, unsigned) {
  Entry entry;
  if (broken() != cudaSuccess) {
    return broken();
  }
  if (forbidden_by_capture()) {
    return outcome(cudaErrorStreamCaptureUnsupported);
  }
  return outcome(pin(out, bytes));
}
cudaError_t cudaMallocHost(void **out, size_t bytes) { return cudaHostAlloc(out, bytes, 0); }

cudaError_t cudaFreeHost(void *block) {
  Entry entry;
  if (block == nullptr) {
    return broken();
  }
  run_everything();
  cudaError_t error = unpin(block);
  return error != cudaSuccess ? outcome(error) : broken();
}

cudaError_t cudaHostRegister(void *block, size_t bytes, unsigned) {
  Entry entry;
  if (block == nullptr || bytes == 0) {
    return outcome(cudaErrorInvalidValue);
  }
  if (region_of(block).kind == Kind::pinned) {
    return outcome(cudaErrorHostMemoryAlreadyRegistered);
  }
  pinned[static_cast<char *>(block)] = bytes;
  return broken();
}
cudaError_t cudaHostUnregister(void *block) {
  Entry entry;
  run_everything();
  return pinned.erase(static_cast<char *>(block)) == 1 ? broken()
                                                       : outcome(cudaErrorHostMemoryNotRegistered);
}

cudaError_t cudaPointerGetAttributes(struct cudaPointerAttributes *out, const void *pointer) {
  Entry entry;
  static const cudaMemoryType types[] = {cudaMemoryTypeUnregistered, cudaMemoryTypeHost,
                                         cudaMemoryTypeDevice};
  Region region = region_of(pointer);
  bool device = region.kind == Kind::device, host = region.kind == Kind::pinned;
  *out = {};
  out->type = types[static_cast<int>(region.kind)];
  out->device = region.device;
  out->devicePointer = device || host ? const_cast<void *>(pointer) : nullptr;
  out->hostPointer = host ? const_cast<void *>(pointer) : nullptr;
  return broken();
}
