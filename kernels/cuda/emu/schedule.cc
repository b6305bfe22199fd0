#include "schedule.h"

#include <algorithm>
#include <set>
#include <unordered_set>

#include "check.h"
#include "fiber.h"
#include "launch.h"
#include "report.h"

namespace emu {
namespace {

CUstream_st null_stream = {0, true, nullptr, nullptr, 0, {}};
std::vector<CUstream> streams; // the null stream not included
int timelines = 1;
std::vector<uint32_t> issued = {0}; // by timeline
std::vector<OperationPtr> waiting;  // in the order of issue, which their dependencies allow
Clock host;                         // what the host has waited for
std::vector<std::shared_ptr<Capture>> captures; // that have not ended
CUresult sticky;

// Which operation an interval belonged to.
struct Span {
  uint64_t begin;
  int timeline;
  uint32_t number;
};
std::vector<Span> spans;
const Operation *running;

void merge(Clock *into, const Clock &from) {
  if (into->size() < from.size()) into->resize(from.size());
  for (size_t i = 0; i < from.size(); i++) (*into)[i] = std::max((*into)[i], from[i]);
}

bool covers(const Clock &c, int timeline, uint32_t number) { return size_t(timeline) < c.size() && c[timeline] >= number; }

int new_timeline() {
  issued.push_back(0);
  return timelines++;
}

OperationPtr enqueue(const char *name, int timeline, Work work, const std::vector<OperationPtr> &before) {
  auto o = std::make_shared<Operation>();
  o->name = name, o->work = std::move(work), o->timeline = timeline, o->number = ++issued[timeline];
  o->clock = host;
  for (auto &b : before) {
    if (!b) continue;
    merge(&o->clock, b->clock);
    if (!b->done) o->before.push_back(b);
  }
  if (o->clock.size() <= size_t(timeline)) o->clock.resize(timeline + 1);
  o->clock[timeline] = o->number;
  waiting.push_back(o);
  return o;
}

// predecessors are the operations that the stream's next must follow.
std::vector<OperationPtr> predecessors(CUstream s) {
  std::vector<OperationPtr> all = {s->last};
  if (s == &null_stream) {
    for (CUstream o : streams)
      if (o->blocking) all.push_back(o->last);
  } else if (s->blocking) {
    all.push_back(null_stream.last);
  }
  return all;
}

CUresult run(const OperationPtr &o) {
  o->done = true, o->before.clear();
  Work work = std::move(o->work);
  if (sticky || !work) return sticky; // after an error nothing runs
  uint64_t begin = begin_operation();
  if (checked) spans.push_back({begin, o->timeline, o->number});
  running = o.get();
  set_running_call(o->name);
  CUresult r = work();
  set_running_call(nullptr);
  running = nullptr;
  if (r) report_trace(std::string(o->name) + " fails with " + std::to_string(r));
  set_sticky_error(r);
  return r;
}

bool ready(const OperationPtr &o) {
  return std::all_of(o->before.begin(), o->before.end(), [](const OperationPtr &b) { return b->done; });
}

// run_any runs a random operation that can run.
bool run_any() {
  size_t n = waiting.size(), from = schedule_draw(uint32_t(n));
  for (size_t k = 0; k < n; k++) {
    OperationPtr o = waiting[(from + k) % n];
    if (o->done || !ready(o)) continue;
    run(o);
    return true;
  }
  return false;
}

void drop_done() {
  waiting.erase(std::remove_if(waiting.begin(), waiting.end(), [](const OperationPtr &o) { return o->done; }), waiting.end());
}

// run_needed runs those of `needed` in the order of issue, with others in between where there is a seed.
void run_needed(const std::unordered_set<Operation *> &needed) {
  size_t n = waiting.size();
  for (size_t i = 0; i < n; i++) {
    while (schedule_random() && schedule_draw(2) && run_any()) {}
    OperationPtr o = waiting[i];
    if (needed.count(o.get()) && !o->done) run(o);
  }
  drop_done();
}

void add_with_ancestors(std::unordered_set<Operation *> *needed, const OperationPtr &operation) {
  std::vector<Operation *> look = {operation.get()};
  while (!look.empty()) {
    Operation *o = look.back();
    look.pop_back();
    if (o->done || !needed->insert(o).second) continue;
    for (auto &b : o->before) look.push_back(b.get());
  }
}

bool restricts(const std::shared_ptr<Capture> &c) { return c->mode != CU_STREAM_CAPTURE_MODE_RELAXED; }

} // namespace

CUresult issue(CUstream stream, const char *name, Task task) {
  CUstream s = stream_of(stream);
  if (s->capture) {
    if (s->capture->invalid) return CUDA_ERROR_STREAM_CAPTURE_INVALIDATED;
    s->capture->nodes.push_back({name, std::move(task), s->branch, s->tail});
    s->tail = {int(s->capture->nodes.size()) - 1};
    return CUDA_SUCCESS;
  }
  if (s->blocking)
    for (CUstream o : streams) // the null stream and a captured blocking stream would wait for each other
      if (s == &null_stream && o->capture && o->blocking) return o->capture->invalid = true, CUDA_ERROR_STREAM_CAPTURE_IMPLICIT;
  if (sticky) return sticky;
  s->last = enqueue(name, s->timeline, task(), predecessors(s));
  return CUDA_SUCCESS;
}

CUresult finish(const OperationPtr &operation) {
  if (!operation) return sticky;
  std::unordered_set<Operation *> needed;
  add_with_ancestors(&needed, operation);
  if (!needed.empty()) run_needed(needed);
  merge(&host, operation->clock);
  return sticky;
}

CUresult finish_all() {
  std::unordered_set<Operation *> needed;
  for (auto &o : waiting) needed.insert(o.get());
  run_needed(needed);
  if (host.size() < issued.size()) host.resize(issued.size());
  host = issued;
  spans.clear(); // everything so far precedes everything to come
  return sticky;
}

CUresult issue_and_finish(const char *name, Task task) {
  if (CUresult r = refuse_capture()) return r;
  if (CUresult r = issue(nullptr, name, std::move(task))) return r;
  return finish(null_stream.last);
}

CUresult refuse_capture() {
  bool any = false;
  for (auto &c : captures)
    if (restricts(c)) any = c->invalid = true;
  return any ? CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED : CUDA_SUCCESS;
}

bool spoil_capture(CUstream s) {
  auto c = stream_of(s)->capture;
  return c && (c->invalid = true);
}

bool happened_before(uint64_t interval) {
  if (!running) return true;
  auto i = std::upper_bound(spans.begin(), spans.end(), interval, [](uint64_t t, const Span &s) { return t < s.begin; });
  return i == spans.begin() || covers(running->clock, (i - 1)->timeline, (i - 1)->number);
}

CUresult sticky_error() { return sticky; }
void set_sticky_error(CUresult error) {
  if (!error || !sticky) sticky = error ? error : sticky;
}

void forget_streams() {
  sticky = CUDA_SUCCESS;
  waiting.clear();
  null_stream.last = nullptr;
  finish_all();
}

bool stream_known(CUstream s) { return uintptr_t(s) <= 2 || std::find(streams.begin(), streams.end(), s) != streams.end(); }
CUstream stream_of(CUstream s) { return uintptr_t(s) <= 2 ? &null_stream : s; }
int streams_live() { return int(streams.size()); }

CUresult stream_create(CUstream *s, unsigned flags) {
  *s = new CUstream_st{new_timeline(), !(flags & CU_STREAM_NON_BLOCKING), nullptr, nullptr, 0, {}};
  streams.push_back(*s);
  return CUDA_SUCCESS;
}

// The work of a destroyed stream still runs, as on a GPU.
CUresult stream_destroy(CUstream s) {
  if (s->capture) s->capture->invalid = true;
  if (s->capture && s->capture->origin == s) s->capture->ended = true, captures.erase(std::find(captures.begin(), captures.end(), s->capture));
  streams.erase(std::find(streams.begin(), streams.end(), s));
  delete s;
  return CUDA_SUCCESS;
}

CUresult stream_wait(CUstream stream, CUevent e) {
  CUstream s = stream_of(stream);
  if (e->capture) { // the waiting stream joins the capture
    if (e->capture->ended) return CUDA_ERROR_INVALID_VALUE;
    if (s == &null_stream) return CUDA_ERROR_STREAM_CAPTURE_IMPLICIT;
    if (s->capture && s->capture != e->capture) return CUDA_ERROR_STREAM_CAPTURE_MERGE;
    if (!s->capture) {
      s->capture = e->capture;
      s->branch = int(s->capture->streams.size());
      s->capture->streams.push_back(s);
      s->tail.clear();
    }
    std::set<int> both(s->tail.begin(), s->tail.end());
    both.insert(e->nodes.begin(), e->nodes.end());
    s->tail.assign(both.begin(), both.end());
    return CUDA_SUCCESS;
  }
  if (s->capture) return s->capture->invalid = true, CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED; // an event from outside the capture
  if (sticky) return sticky;
  auto before = predecessors(s);
  before.push_back(e->operation);
  s->last = enqueue("cuStreamWaitEvent", s->timeline, [] { return CUDA_SUCCESS; }, before);
  return CUDA_SUCCESS;
}

CUresult event_record(CUevent e, CUstream stream) {
  CUstream s = stream_of(stream);
  e->capture = s->capture;
  if (s->capture) {
    e->nodes = s->tail;
    e->operation = nullptr;
    return CUDA_SUCCESS;
  }
  auto time = std::make_shared<timespec>();
  CUresult r = issue(stream, "cuEventRecord", [time] { return [time] { return clock_gettime(CLOCK_MONOTONIC, time.get()), CUDA_SUCCESS; }; });
  if (r) return r;
  e->time = time, e->operation = s->last;
  return CUDA_SUCCESS;
}

CUresult capture_begin(CUstream s, int mode) {
  if (stream_of(s) == &null_stream) return CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED;
  if (s->capture) return CUDA_ERROR_ILLEGAL_STATE;
  s->capture = std::make_shared<Capture>();
  s->capture->mode = mode, s->capture->origin = s, s->capture->streams = {s};
  s->branch = 0, s->tail.clear();
  captures.push_back(s->capture);
  return CUDA_SUCCESS;
}

CUresult capture_end(CUstream s, CUgraph *g) {
  *g = nullptr;
  auto c = s->capture;
  if (!c) return CUDA_ERROR_ILLEGAL_STATE;
  if (c->origin != s) return CUDA_ERROR_STREAM_CAPTURE_UNMATCHED;
  // Every node must lead back to the stream that began.
  std::vector<bool> joined(c->nodes.size());
  std::vector<int> look = s->tail;
  while (!look.empty()) {
    int n = look.back();
    look.pop_back();
    if (joined[n]) continue;
    joined[n] = true;
    look.insert(look.end(), c->nodes[n].before.begin(), c->nodes[n].before.end());
  }
  for (CUstream o : streams)
    if (o->capture == c) o->capture = nullptr, o->tail.clear();
  c->ended = true; // events may still refer to it
  captures.erase(std::find(captures.begin(), captures.end(), c));
  if (c->invalid) return CUDA_ERROR_STREAM_CAPTURE_INVALIDATED;
  if (std::find(joined.begin(), joined.end(), false) != joined.end()) return CUDA_ERROR_STREAM_CAPTURE_UNJOINED;
  *g = new CUgraph_st{std::move(c->nodes), int(c->streams.size())};
  return CUDA_SUCCESS;
}

CUgraphExec graph_instantiate(const CUgraph_st &g) {
  auto *x = new CUgraphExec_st{g.nodes, {}, nullptr};
  for (int i = 0; i < g.branches; i++) x->timelines.push_back(new_timeline());
  return x;
}

CUresult graph_launch(CUgraphExec_st &x, CUstream stream) {
  CUstream s = stream_of(stream);
  if (s->capture) return s->capture->invalid = true, CUDA_ERROR_NOT_SUPPORTED; // a graph within a graph
  if (sticky) return sticky;
  std::vector<OperationPtr> of, start = predecessors(s);
  start.push_back(x.last);
  std::vector<OperationPtr> last(x.timelines.size());
  for (const Node &n : x.nodes) {
    std::vector<OperationPtr> before;
    for (int b : n.before) before.push_back(of[b]);
    if (n.before.empty()) before = start;
    of.push_back(enqueue(n.name, x.timelines[n.branch], n.task(), before));
    last[n.branch] = of.back();
  }
  last.insert(last.end(), start.begin(), start.end());
  s->last = x.last = enqueue("cuGraphLaunch", s->timeline, [] { return CUDA_SUCCESS; }, last);
  return CUDA_SUCCESS;
}

void make_progress() {
  run_any();
  drop_done();
}

} // namespace emu
