// The emulator's own test: every planted bug is found and named, at its line, under every seed; no correct twin raises an alarm.
//
//	selftest_test SEED..
//
// Each case runs in a process of its own, because an error ends a context, and its reports are read from standard error. The fast build
// is held to the bugs that it can find (.fast) and to silence on the twins.
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>
#include <fstream>
#include <functional>
#include <string>
#include <vector>

#include "abi.h"
#include "hostcases.h"

namespace {

constexpr int kElements = 64;

struct KernelCase {
  const char *name;  // of the kernels bug_<name> and ok_<name>
  const char *found; // what the report must say
  unsigned blocks = 1, threads = kElements;
  bool fast = false, line = true; // found by the fast build too; the report names the marked line
};

const KernelCase kernel_cases[] = {
    {"write_past_end", "write outside", 2, 64, true},
    {"read_before_begin", "read outside"},
    {"far_away", "outside", 1, 64, true},
    {"shared_static", "index 64 outside 'float [64]'"},
    {"shared_pointer", "write outside"},
    {"shared_dynamic", "outside", 1, 64, true},
    {"local_index", "index 4 outside 'float [4]'"},
    {"misaligned", "float4' needs a multiple of 16"},
    {"uninitialised", "read of uninitialised memory"},
    {"divide", "integer division by zero", 1, 64, true},
    {"stack", "a thread's stack is full", 1, 64, true, false},
    {"half_a_word", "read of uninitialised memory"},
    {"read_after_write", "race: read after a write without a barrier|race: write after a read without a barrier"},
    {"write_after_read", "race: write after a read without a barrier|race: read after a write without a barrier", 1, 64, false, false},
    {"write_after_write", "race: write after a write"},
    {"syncwarp", "in the same warp, without __syncwarp"},
    {"late_syncwarp", "in the same warp, without __syncwarp"},
    {"blocks", "by another block", 3},
    {"neighbour_block", "by another block", 2, 16, false, false},
    {"last_block", "by another block", 4},
    {"copy_async", "read of uninitialised memory"},
    {"barrier_left_out", "__syncthreads that some threads of the block left out", 1, 64, true},
    {"barrier_two_places", "threads of a block wait at different __syncthreads", 1, 64, true},
    {"deadlock", "deadlock", 1, 64, true},
    {"shuffle_gone", "the mask of a shuffle names lanes that have returned", 1, 64, true},
    {"shuffle_half", "the mask of a shuffle names lanes that have returned", 1, 64, true},
    {"shuffle_masks", "lanes that meet name different masks", 1, 64, true},
    {"shuffle_from", "shuffle from a lane that the mask does not name", 1, 64, true},
};

void run_kernel(const KernelCase &c, bool bug) {
  Session s;
  CUdeviceptr y = s.zeros(kElements), x = s.iota(kElements);
  s.launch((bug ? "bug_" : "ok_") + std::string(c.name), c.blocks, c.threads, y, x, kElements, kElements * sizeof(float));
  s.end();
}

// run_apart runs f in a child and returns what it printed; status is its exit status, or 128 and more where a signal ended it.
std::string run_apart(const std::function<void()> &f, uint64_t seed, int *status) {
  int ends[2];
  if (pipe(ends)) perror("pipe"), exit(2);
  pid_t child = fork();
  if (child == 0) {
    dup2(ends[1], 2);
    close(ends[0]), close(ends[1]);
    alarm(60);
    setenv("CUEMU_SEED", std::to_string(seed).c_str(), 1);
    f();
    exit(0);
  }
  close(ends[1]);
  std::string text;
  char buffer[4096];
  for (ssize_t n; (n = read(ends[0], buffer, sizeof buffer)) > 0;) text.append(buffer, n);
  close(ends[0]);
  int s;
  waitpid(child, &s, 0);
  *status = WIFEXITED(s) ? WEXITSTATUS(s) : 128 + WTERMSIG(s);
  return text;
}

// marked_line finds the line of bugs.cu that ends in "// name".
std::string marked_line(const std::string &name) {
  std::ifstream in(std::string(SOURCES) + "selftest/bugs.cu");
  std::string line, mark = "// " + name;
  for (int n = 1; std::getline(in, line); n++)
    if (line.size() >= mark.size() && line.substr(line.size() - mark.size()) == mark) return "bugs.cu:" + std::to_string(n);
  return "bugs.cu has no such mark: " + name;
}

bool mentions_one(const std::string &text, const std::string &alternatives) {
  for (size_t at = 0; at != std::string::npos;) {
    size_t end = alternatives.find('|', at);
    if (text.find(alternatives.substr(at, end == std::string::npos ? end : end - at)) != std::string::npos) return true;
    at = end == std::string::npos ? end : end + 1;
  }
  return false;
}

int failures;
void fail(const std::string &name, uint64_t seed, const char *why, const std::string &text, int status) {
  failures++;
  printf("FAIL %s, seed %llu: %s (exit status %d)\n%s", name.c_str(), (unsigned long long)seed, why, status, text.c_str());
}

// hold runs one case, with the bug and without.
void hold(const std::string &name, const char *found, bool must_find, const std::string &line, bool harmless, const std::function<void(bool)> &run,
          uint64_t seed) {
  int status;
  std::string text;
  if (must_find) {
    text = run_apart([&] { run(true); }, seed, &status);
    if (!mentions_one(text, found)) fail(name, seed, "the bug was not found", text, status);
    else if (!line.empty() && text.find(line) == text.npos) fail(name, seed, ("the report does not name " + line).c_str(), text, status);
    else if (status > 1) fail(name, seed, "the process died", text, status);
    else if (seed == 0) printf("found  %s", (text.substr(0, text.find('\n')) + "\n").c_str());
  }
  if (harmless) {
    text = run_apart([&] { run(false); }, seed, &status);
    if (!text.empty() || status) fail(name, seed, "an alarm where there is no bug", text, status);
  }
}

} // namespace

int main(int argc, char **argv) {
  setvbuf(stdout, nullptr, _IONBF, 0);
  bool checked = cuemuChecked();
  int cases = 0, found = 0;
  for (int i = 1; i < argc; i++) {
    uint64_t seed = strtoull(argv[i], nullptr, 10);
    cases = found = 0;
    for (auto &c : kernel_cases) {
      bool must = checked || c.fast;
      hold(c.name, checked ? c.found : "cuemu: ERROR", must, checked && c.line ? marked_line(c.name) : "", true, [&](bool bug) { run_kernel(c, bug); }, seed);
      cases++, found += must;
    }
    for (auto &c : host_cases()) {
      bool must = checked || c.fast;
      hold(c.name, c.found, must, "", true, c.run, seed);
      cases++, found += must;
    }
  }
  printf("%s build: %d bugs, of which %d must be found here, %d seeds: %s\n", checked ? "checked" : "fast", cases, found, argc - 1,
         failures ? "FAILED" : "ok");
  return failures != 0;
}
