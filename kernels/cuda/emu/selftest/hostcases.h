// hostcases.h: bugs of the host's code, and the session that both halves of the self-test run in.
#pragma once
#include <functional>
#include <string>
#include <vector>
#include "abi.h"

// A Session is a context with the self-test's kernels. Calls that must work end the process with a line where they do not.
struct Session {
  CUcontext context;
  CUmodule module;
  Session();
  CUdeviceptr zeros(int n);
  CUdeviceptr iota(int n); // 0, 1, 2, ..
  void launch(const std::string &kernel, unsigned blocks, unsigned threads, CUdeviceptr y, CUdeviceptr x, int n, unsigned dynamic = 0,
              CUstream stream = nullptr);
  void end(); // synchronises; exits with 1 where that is an error
};

struct HostCase {
  const char *name, *found;
  bool fast;
  std::function<void(bool bug)> run;
};
const std::vector<HostCase> &host_cases();

void every_call_fails_once(bool bug); // failures.cc
