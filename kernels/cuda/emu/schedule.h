// schedule.h: streams, events and captured graphs. Nothing that is put into a stream runs before something waits for it: a host that
// reads too early reads poison. What must precede what is kept exactly, as vector clocks, and the checked build asks happened_before()
// about every word that two operations touch.
//
// With a seed, operations of different streams run in a random order that their dependencies allow; without one, in the order of
// issue, and only those that are waited for.
#pragma once
#include <time.h>
#include <functional>
#include <memory>
#include <vector>
#include "abi.h"

namespace emu {

// Work does an operation. A Task is called when the operation enters a stream and gives its work: a graph's task is called once a launch.
using Work = std::function<CUresult()>;
using Task = std::function<Work()>;

// A timeline is a stream, or one branch of a graph; its operations are numbered from 1. A clock says, for each timeline, up to which
// number everything has happened.
using Clock = std::vector<uint32_t>;

struct Operation {
  const char *name;
  Work work;
  int timeline;
  uint32_t number;
  Clock clock; // itself included
  std::vector<std::shared_ptr<Operation>> before; // emptied once it is done
  bool done = false;
};
using OperationPtr = std::shared_ptr<Operation>;

struct Node { // of a graph
  const char *name;
  Task task;
  int branch;              // which of the captured streams
  std::vector<int> before; // nodes
};

struct Capture {
  int mode;
  bool invalid = false, ended = false;
  CUstream origin;
  std::vector<CUstream> streams; // by branch
  std::vector<Node> nodes;
};

// issue puts a task into a stream, or into the graph that the stream is captured for. A null stream waits for all blocking ones.
CUresult issue(CUstream stream, const char *name, Task task);
// finish runs what the operation needs and itself, and tells the host's clock.
CUresult finish(const OperationPtr &operation);
CUresult finish_all();
// issue_and_finish is a synchronous call on the null stream.
CUresult issue_and_finish(const char *name, Task task);
// refuse_capture is the error of a call that must not happen while a stream is captured (allocations, synchronisations), which also
// spoils the capture; CUDA_SUCCESS where none is.
CUresult refuse_capture();
// spoil_capture makes the capture of a stream invalid; it tells whether there is one.
bool spoil_capture(CUstream stream);

bool happened_before(uint64_t interval); // whether the operation of that interval precedes the running one

CUresult sticky_error();
void set_sticky_error(CUresult error); // the first one stays; CUDA_SUCCESS clears it
void forget_streams();                 // the context ends

} // namespace emu

struct CUstream_st {
  int timeline;
  bool blocking; // synchronises with the null stream
  emu::OperationPtr last;
  std::shared_ptr<emu::Capture> capture;
  int branch;
  std::vector<int> tail; // nodes that the next captured one follows
};

struct CUevent_st {
  emu::OperationPtr operation;
  std::shared_ptr<timespec> time; // when it ran
  std::shared_ptr<emu::Capture> capture;
  std::vector<int> nodes;
};

struct CUgraph_st {
  std::vector<emu::Node> nodes;
  int branches;
};

struct CUgraphExec_st {
  std::vector<emu::Node> nodes;
  std::vector<int> timelines;
  emu::OperationPtr last; // a graph's launches follow each other, whatever their streams
};

namespace emu {
bool stream_known(CUstream s);  // null and the legacy handles included
CUstream stream_of(CUstream s); // these as the null stream
CUresult stream_create(CUstream *s, unsigned flags);
CUresult stream_destroy(CUstream s);
CUresult stream_wait(CUstream s, CUevent e);
CUresult event_record(CUevent e, CUstream s);
CUresult capture_begin(CUstream s, int mode);
CUresult capture_end(CUstream s, CUgraph *g);
CUgraphExec graph_instantiate(const CUgraph_st &g);
CUresult graph_launch(CUgraphExec_st &x, CUstream s);
void make_progress(); // runs one operation that can, so that polling ends
int streams_live();
} // namespace emu
