#include "report.h"

#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <set>

#include "launch.h"
#include "memory.h"
#include "runtime.h"

namespace emu {
namespace {

constexpr size_t kMostReports = 50;

int count;
std::string last;
std::set<std::pair<std::string, const void *>> told;

// source_line asks binutils' addr2line for the place in a .cu file that a call returns to. Inlined code has a chain of places, from the
// inside out: the first in a .cu file is the kernel's.
std::string source_line(const void *pc) {
  Dl_info image;
  if (!pc || !dladdr(pc, &image)) return "";
  char command[1024], line[512];
  size_t offset = static_cast<const char *>(pc) - static_cast<const char *>(image.dli_fbase) - 1; // the call, not what follows it
  snprintf(command, sizeof command, "addr2line -i -s -e '%s' %#zx 2>/dev/null", image.dli_fname, offset);
  std::string place;
  if (FILE *f = popen(command, "r")) {
    while (fgets(line, sizeof line, f)) {
      std::string s = line;
      s = s.substr(0, s.find_first_of(" \n"));
      if (place.empty() || s.find(".cu:") != s.npos) place = s;
      if (s.find(".cu:") != s.npos) break;
    }
    pclose(f);
  }
  if (place.empty() || place[0] == '?') {
    snprintf(line, sizeof line, "%s+%#zx", image.dli_fname, offset);
    return line;
  }
  return place;
}

std::string triple(const char *what, unsigned x, unsigned y, unsigned z) {
  char s[80];
  snprintf(s, sizeof s, ", %s (%u,%u,%u)", what, x, y, z);
  return s;
}

} // namespace

void report(const std::string &what, uintptr_t address, const void *pc, const std::string &place) {
  ++count;
  if (!told.insert({what + place, pc}).second || told.size() > kMostReports) return;
  std::string s = "cuemu: ERROR: " + what;
  if (const char *kernel = running_kernel()) {
    s += std::string("; kernel ") + kernel + triple("block", block.index.x, block.index.y, block.index.z);
    if (current) s += triple("thread", current->index.x, current->index.y, current->index.z);
  } else if (const char *call = running_call()) {
    s += std::string("; ") + call;
  }
  std::string at = place.empty() ? source_line(pc) : place;
  if (!at.empty()) s += "; " + at;
  if (address) s += "; " + memory_describe(address);
  last = s;
  fprintf(stderr, "%s\n", s.c_str());
}

int report_count() { return count; }
const char *report_last() { return last.c_str(); }

void report_trace(const std::string &line) {
  static const bool on = getenv("CUEMU_TRACE") != nullptr;
  if (on) fprintf(stderr, "cuemu: %s\n", line.c_str());
}

} // namespace emu
