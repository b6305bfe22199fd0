// The driver's calls for streams, events and graphs: thin, over schedule.h.
#include "call.h"
#include "schedule.h"

using namespace emu;

// ---- streams

DRIVER_API cuStreamCreate(CUstream *stream, unsigned flags) {
  DRIVER_CALL;
  return stream_create(stream, flags);
}
DRIVER_API cuStreamCreateWithPriority(CUstream *stream, unsigned flags, int) {
  DRIVER_CALL;
  return stream_create(stream, flags);
}
DRIVER_API cuStreamDestroy_v2(CUstream stream) {
  DRIVER_CALL;
  if (uintptr_t(stream) <= 2 || !stream_known(stream)) return CUDA_ERROR_INVALID_HANDLE;
  return stream_destroy(stream);
}
DRIVER_API cuStreamSynchronize(CUstream stream) {
  DRIVER_CALL;
  if (!stream_known(stream)) return CUDA_ERROR_INVALID_HANDLE;
  if (CUresult r = refuse_capture()) return r;
  return finish(stream_of(stream)->last);
}
DRIVER_API cuStreamQuery(CUstream stream) {
  DRIVER_CALL;
  if (!stream_known(stream)) return CUDA_ERROR_INVALID_HANDLE;
  OperationPtr last = stream_of(stream)->last;
  if (last && !last->done) make_progress();
  if (last && !last->done) return CUDA_ERROR_NOT_READY;
  return finish(last);
}
DRIVER_API cuStreamGetFlags(CUstream stream, unsigned *flags) {
  DRIVER_CALL;
  if (!stream_known(stream)) return CUDA_ERROR_INVALID_HANDLE;
  *flags = stream_of(stream)->blocking ? 0 : CU_STREAM_NON_BLOCKING;
  return CUDA_SUCCESS;
}
DRIVER_API cuStreamGetPriority(CUstream, int *priority) {
  DRIVER_CALL;
  *priority = 0;
  return CUDA_SUCCESS;
}
DRIVER_API cuStreamWaitEvent(CUstream stream, CUevent event, unsigned) {
  DRIVER_CALL;
  if (!event || !stream_known(stream)) return CUDA_ERROR_INVALID_HANDLE;
  return stream_wait(stream, event);
}

// ---- events

DRIVER_API cuEventCreate(CUevent *event, unsigned) {
  DRIVER_CALL;
  *event = new CUevent_st{};
  born(Kind::event);
  return CUDA_SUCCESS;
}
DRIVER_API cuEventDestroy_v2(CUevent event) {
  DRIVER_CALL;
  if (!event) return CUDA_ERROR_INVALID_HANDLE;
  delete event;
  died(Kind::event);
  return CUDA_SUCCESS;
}
DRIVER_API cuEventRecord(CUevent event, CUstream stream) {
  DRIVER_CALL;
  if (!event || !stream_known(stream)) return CUDA_ERROR_INVALID_HANDLE;
  return event_record(event, stream);
}
DRIVER_API cuEventSynchronize(CUevent event) {
  DRIVER_CALL;
  if (!event) return CUDA_ERROR_INVALID_HANDLE;
  if (event->capture) return CUDA_ERROR_CAPTURED_EVENT;
  return finish(event->operation);
}
DRIVER_API cuEventQuery(CUevent event) {
  DRIVER_CALL;
  if (!event) return CUDA_ERROR_INVALID_HANDLE;
  if (event->capture) return CUDA_ERROR_CAPTURED_EVENT;
  if (event->operation && !event->operation->done) make_progress();
  if (event->operation && !event->operation->done) return CUDA_ERROR_NOT_READY;
  return finish(event->operation);
}
DRIVER_API cuEventElapsedTime(float *ms, CUevent from, CUevent to) {
  DRIVER_CALL;
  if (!from || !to || !from->operation || !to->operation) return CUDA_ERROR_INVALID_HANDLE;
  if (!from->operation->done || !to->operation->done) return CUDA_ERROR_NOT_READY;
  *ms = (to->time->tv_sec - from->time->tv_sec) * 1e3f + (to->time->tv_nsec - from->time->tv_nsec) * 1e-6f;
  return sticky_error();
}

// ---- graphs

DRIVER_API cuStreamBeginCapture_v2(CUstream stream, int mode) {
  DRIVER_CALL;
  if (!stream_known(stream)) return CUDA_ERROR_INVALID_HANDLE;
  return capture_begin(stream, mode);
}
DRIVER_API cuStreamEndCapture(CUstream stream, CUgraph *graph) {
  DRIVER_CALL;
  if (uintptr_t(stream) <= 2 || !stream_known(stream)) return CUDA_ERROR_INVALID_HANDLE;
  CUresult r = capture_end(stream, graph);
  if (!r) born(Kind::graph);
  return r;
}
DRIVER_API cuStreamIsCapturing(CUstream stream, int *status) {
  DRIVER_CALL;
  if (!stream_known(stream)) return CUDA_ERROR_INVALID_HANDLE;
  auto c = stream_of(stream)->capture;
  *status = !c ? 0 : c->invalid ? 2 : 1;
  return CUDA_SUCCESS;
}
DRIVER_API cuGraphInstantiateWithFlags(CUgraphExec *exec, CUgraph graph, unsigned long long) {
  DRIVER_CALL;
  if (!graph) return CUDA_ERROR_INVALID_HANDLE;
  *exec = graph_instantiate(*graph);
  born(Kind::exec);
  return CUDA_SUCCESS;
}
DRIVER_API cuGraphLaunch(CUgraphExec exec, CUstream stream) {
  DRIVER_CALL;
  if (!exec || !stream_known(stream)) return CUDA_ERROR_INVALID_HANDLE;
  return graph_launch(*exec, stream);
}
DRIVER_API cuGraphGetNodes(CUgraph graph, void *, size_t *n) { // the number only
  DRIVER_CALL;
  if (!graph || !n) return CUDA_ERROR_INVALID_VALUE;
  *n = graph->nodes.size();
  return CUDA_SUCCESS;
}
DRIVER_API cuGraphExecDestroy(CUgraphExec exec) {
  DRIVER_CALL;
  if (!exec) return CUDA_ERROR_INVALID_HANDLE;
  delete exec;
  died(Kind::exec);
  return CUDA_SUCCESS;
}
DRIVER_API cuGraphDestroy(CUgraph graph) {
  DRIVER_CALL;
  if (!graph) return CUDA_ERROR_INVALID_HANDLE;
  delete graph;
  died(Kind::graph);
  return CUDA_SUCCESS;
}
