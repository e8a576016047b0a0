/* warp.cpp - the lanes of a warp meeting, and copies that go on while a thread works. */
#include <algorithm>
#include <cstdlib>
#include <cstring>

#include "tests/emulation/block.h"
#include "tests/emulation/settings.h"

namespace emulation {

/* A meeting that not all lanes have come to; free when none has. A lane of one part of the warp may
 * wait for all while another part still meets, so masks that overlap can be open at once. */
struct Meeting {
  unsigned mask, came;
  void *lanes[32];
  const char *file;
  int line;
  Together all;
};
struct Warp {
  unsigned ended;   /* lanes; those that a last, narrow warp lacks too */
  unsigned highest; /* meeting that was ever used */
  Meeting meetings[32];
};
static std::vector<Warp> warps;

void start_warps(size_t threads) {
  warps.assign((threads + 31) / 32, Warp{});
  if (threads % 32 != 0) {
    warps.back().ended = ~0u << threads % 32;
  }
}

static void close_meeting(unsigned warp, Meeting *meeting, unsigned waiting) {
  if (meeting->all != nullptr) {
    meeting->all(meeting->lanes);
  }
  for (unsigned lane = 32; lane-- > 0;) {
    if ((waiting >> lane & 1) != 0) {
      wake(&threads_of_block()[warp * 32 + lane]);
    }
  }
  *meeting = {};
}

/* A lane waits in one at a time: there are never more than lanes. */
static Meeting *meeting_of(Warp *warp, unsigned mask) {
  Meeting *unused = nullptr;
  for (Meeting &meeting : warp->meetings) {
    if (meeting.came != 0 && meeting.mask == mask) {
      return &meeting;
    }
    if (meeting.came == 0 && unused == nullptr) {
      unused = &meeting;
    }
    if (meeting.came == 0 && &meeting > &warp->meetings[warp->highest]) {
      break;
    }
  }
  warp->highest = std::max(warp->highest, static_cast<unsigned>(unused - warp->meetings));
  return unused;
}

void meet(unsigned mask, void *mine, Together all, const char *file, int line) {
  Warp *warp = &warps[here->warp];
  if ((mask >> here->lane & 1) == 0) {
    refuse("%s:%d: a lane calls with a mask %08x that lacks it", file, line, mask);
  }
  Meeting *meeting = meeting_of(warp, mask);
  if (meeting->came != 0 &&
      (meeting->line != line ||
       (meeting->file != file && (meeting->file != file && strcmp(meeting->file, file) != 0)))) {
    refuse("lanes of a warp meet at different places: %s:%d (mask %08x) and %s:%d (mask %08x)",
           file, line, mask, meeting->file, meeting->line, meeting->mask);
  }
  meeting->mask = mask;
  meeting->came |= 1u << here->lane;
  meeting->lanes[here->lane] = mine;
  meeting->file = file;
  meeting->line = line;
  meeting->all = all;
  if ((meeting->came | (warp->ended & mask)) == mask) {
    close_meeting(here->warp, meeting, meeting->came & ~(1u << here->lane));
    return;
  }
  wait_here(file, line);
}

void end_of_thread(Thread *thread) {
  if (!thread->copies.empty()) {
    async_wait_all(); /* they are made even so */
  }
  Warp *warp = &warps[thread->place.warp];
  warp->ended |= 1u << thread->place.lane;
  for (Meeting &meeting : warp->meetings) {
    if (meeting.came != 0 && (meeting.came | (warp->ended & meeting.mask)) == meeting.mask) {
      close_meeting(thread->place.warp, &meeting, meeting.came);
    }
  }
}

static void count_votes(void *const lanes[32]) {
  unsigned votes = 0, voters = 0;
  for (unsigned lane = 0; lane < 32; lane++) {
    if (lanes[lane] != nullptr) {
      voters |= 1u << lane;
      votes |= static_cast<unsigned>(static_cast<Ballot *>(lanes[lane])->value != 0) << lane;
    }
  }
  for (unsigned lane = 0; lane < 32; lane++) {
    if (lanes[lane] != nullptr) {
      static_cast<Ballot *>(lanes[lane])->votes = votes;
      static_cast<Ballot *>(lanes[lane])->voters = voters;
    }
  }
}

unsigned ballot(unsigned mask, int value, unsigned *voters, const char *file, int line) {
  Ballot mine = {value, 0, 0};
  meet(mask, &mine, count_votes, file, line);
  *voters = mine.voters;
  return mine.votes;
}

/* ---- copies that go on ---- */

static void make_copy(const Copy &copy) {
  if (copy.source_bytes == 16) {
    memcpy(copy.to, copy.from, 16); /* a size that the compiler knows is no call */
    return;
  }
  memcpy(copy.to, copy.from, copy.source_bytes);
  memset(static_cast<char *>(copy.to) + copy.source_bytes, 0, copy.bytes - copy.source_bytes);
}

void async_copy(void *to, const void *from, unsigned bytes, unsigned source_bytes) {
  Thread *thread = running_thread();
  bool aligned = reinterpret_cast<uintptr_t>(to) % bytes == 0 &&
                 (source_bytes == 0 || reinterpret_cast<uintptr_t>(from) % bytes == 0);
  if ((bytes != 4 && bytes != 8 && bytes != 16) || source_bytes > bytes || !aligned) {
    refuse(
        "a copy of %u bytes, %u of them there, from %p to %p: 4, 8 or 16 aligned ones are wanted",
        bytes, source_bytes, from, to);
  }
  if (bytes == 16) {
    memset(to, 0xff, 16);
  } else {
    memset(to, 0xff, bytes);
  }
  thread->copies.push_back({to, from, bytes, source_bytes, thread->groups});
}

void async_commit() { running_thread()->groups++; }

/* Copies stand in the order of their groups. */
static void make_older(Thread *thread, unsigned group) {
  size_t made = 0;
  while (made < thread->copies.size() && thread->copies[made].group < group) {
    make_copy(thread->copies[made++]);
  }
  thread->copies.erase(thread->copies.begin(),
                       thread->copies.begin() + static_cast<ptrdiff_t>(made));
}

void async_wait(unsigned groups_left) {
  Thread *thread = running_thread();
  make_older(thread, thread->groups > groups_left ? thread->groups - groups_left : 0);
}
void async_wait_all() { make_older(running_thread(), ~0u); }

void async_lapse(Thread *thread) {
  static Dice dice(3);
  if (!thread->copies.empty() && dice.one_in(2)) {
    make_older(thread, ~0u);
  }
}

}  // namespace emulation
