// One step of an optimiser over a parameter and its state, in one pass over memory, with g = scale G:
//
//	Adam     g += decay p (AdamW: p -= lr decay p);  m = b1 m + a1 g;  v = b2 v + a2 g^2;  p -= lr c1 m / (sqrt(c2 v) + eps)
//	SGD      g += decay p;  b = momentum b + g;  p -= lr b (Nesterov: lr (g + momentum b); without momentum: lr g)
//	Adagrad  g += decay p;  s += g^2;  p -= lr g / (sqrt(s) + eps)
//
// Bytes moved a parameter: Adam 28, Adagrad and SGD with momentum 20, SGD 12; 4 to 15 FLOPs. rates, scale and gate are scalars in the device's memory,
// so that a captured step stays as it is while the learning rate moves. A gate of 0 keeps everything as it was, and the gradient unread.
//
// A parameter of n elements is cut into fours, a thread each; the last thread takes the one to three that remain. The gradient and the state are
// marked as read and written once (ldcs, stcs), so that they do not drive from the L2 cache the parameter, which the next step reads.
// The outputs may lie on the inputs: a thread has read all of its elements before it writes any, and nothing here is __restrict__.
//
// The row optimisers do the same to the rows of a table [N, d] that a batch touched: G [B, d], rows [B] increasing, -1 behind. The dense ones do it to
// all rows, with a gradient of 0 where there is none: 24 bytes a parameter. A thread finds its row by halving the list, which stays in the first-level
// cache: eleven reads for 2,048 rows, of the same words in a warp.
//
// Adam's moments may be in bfloat16: 20 bytes a parameter instead of 28, 16 instead of 24. A thread draws the four words by which its four elements are
// rounded, at the place of the four in the parameter (kernels.RoundedMoments).
#include "kernel.h"
#include "philox.h"

struct AdamStep {
  float b1, a1, b2, a2, eps, decay, shrink, rate, c2, scale;

  __device__ __forceinline__ AdamStep(float b1, float a1, float b2, float a2, float eps, float weight_decay, bool decoupled, const float *rates,
                                      const float *scale)
      : b1(b1), a1(a1), b2(b2), a2(a2), eps(eps), decay(decoupled ? 0.f : weight_decay),
        shrink(decoupled ? fmaf(-__ldg(rates), weight_decay, 1.f) : 1.f), rate(__ldg(rates) * __ldg(rates + 1)), c2(__ldg(rates + 2)),
        scale(__ldg(scale)) {}

  // s is p, m, v.
  __device__ __forceinline__ void operator()(float g, float (&s)[3]) const {
    g *= scale;
    if (decay != 0.f) g = fmaf(decay, s[0], g);
    s[1] = fmaf(b1, s[1], a1 * g);
    s[2] = fmaf(b2, s[2], a2 * g * g);
    s[0] = fmaf(s[0], shrink, -(rate * s[1] / (sqrtf(s[2] * c2) + eps)));
  }
};

struct AdagradStep {
  float eps, decay, rate, scale;

  __device__ __forceinline__ AdagradStep(float eps, float decay, const float *rates, const float *scale)
      : eps(eps), decay(decay), rate(__ldg(rates)), scale(__ldg(scale)) {}

  // s is p and the sum of squares.
  __device__ __forceinline__ void operator()(float g, float (&s)[2]) const {
    g = fmaf(decay, s[0], g * scale);
    s[1] = fmaf(g, g, s[1]);
    s[0] -= rate * g / (sqrtf(s[1]) + eps);
  }
};

struct SGDStep {
  float momentum, decay, rate, scale;
  bool nesterov;

  __device__ __forceinline__ SGDStep(float momentum, float decay, bool nesterov, const float *rates, const float *scale)
      : momentum(momentum), decay(decay), rate(__ldg(rates)), scale(__ldg(scale)), nesterov(nesterov) {}

  // s is p, or p and its momentum.
  __device__ __forceinline__ void operator()(float g, float (&s)[1]) const { s[0] = fmaf(-rate, fmaf(decay, s[0], g * scale), s[0]); }
  __device__ __forceinline__ void operator()(float g, float (&s)[2]) const {
    g = fmaf(decay, s[0], g * scale);
    s[1] = fmaf(momentum, s[1], g);
    s[0] = fmaf(-rate, nesterov ? fmaf(momentum, s[1], g) : s[1], s[0]);
  }
};

// each does a step to the elements of a Vector. s is the parameter and its states.
template <class Step, int n> __device__ __forceinline__ void each(const Step &step, float g, float (&s)[n]) { step(g, s); }
template <class Step, int n> __device__ __forceinline__ void each(const Step &step, float4 g, float4 (&s)[n]) {
  float x[n], y[n], z[n], w[n];
#pragma unroll
  for (int k = 0; k < n; k++) x[k] = s[k].x, y[k] = s[k].y, z[k] = s[k].z, w[k] = s[k].w;
  step(g.x, x), step(g.y, y), step(g.z, z), step(g.w, w);
#pragma unroll
  for (int k = 0; k < n; k++) s[k] = make_float4(x[k], y[k], z[k], w[k]);
}

// gradient is the Vector at g, which is read once; zeros where g is null.
template <class Vector> __device__ __forceinline__ Vector gradient(const float *g) {
  return g ? __ldcs(reinterpret_cast<const Vector *>(g)) : zero_of<Vector>();
}

// An update does a step to one Vector at a place, of which the gradient is g; where it is shut it copies. This one's parameter and states are float32.
template <class Step, int n> struct Update {
  Step step;
  const float *from[n];
  float *to[n];

  template <class Vector> __device__ __forceinline__ void operator()(bool shut, Vector g, int64_t at) const {
    Vector s[n];
    s[0] = *reinterpret_cast<const Vector *>(from[0] + at);
#pragma unroll
    for (int k = 1; k < n; k++) s[k] = __ldcs(reinterpret_cast<const Vector *>(from[k] + at));
    if (!shut) each(step, g, s);
    *reinterpret_cast<Vector *>(to[0] + at) = s[0];
#pragma unroll
    for (int k = 1; k < n; k++) __stcs(reinterpret_cast<Vector *>(to[k] + at), s[k]);
  }
};

// As many bfloat16 as a Vector has elements, and the words that round them.
template <class Vector> struct Moments;
template <> struct Moments<float> {
  typedef uint16_t Stored;
  static __device__ __forceinline__ float wide(Stored b) { return __uint_as_float((uint32_t)b << 16); }
  static __device__ __forceinline__ Stored rounded(float x, uint32_t random) { return x != x ? 0x7fc0 : (__float_as_uint(x) + random) >> 16; }
  static __device__ __forceinline__ uint32_t words(uint4 block, int64_t at) {
    const uint32_t low = at & 1 ? block.y : block.x, high = at & 1 ? block.w : block.z;
    return at & 2 ? high : low;
  }
  static __device__ __forceinline__ Stored first(float m, uint32_t w) { return rounded(m, w & 0xffff); }
  static __device__ __forceinline__ Stored second(float v, uint32_t w) { return rounded(v, w >> 16); }
};
template <> struct Moments<float4> {
  typedef ushort4 Stored;
  typedef Moments<float> One;
  static __device__ __forceinline__ float4 wide(Stored b) { return make_float4(One::wide(b.x), One::wide(b.y), One::wide(b.z), One::wide(b.w)); }
  static __device__ __forceinline__ uint4 words(uint4 block, int64_t) { return block; }
  static __device__ __forceinline__ Stored first(float4 m, uint4 w) {
    return make_ushort4(One::first(m.x, w.x), One::first(m.y, w.y), One::first(m.z, w.z), One::first(m.w, w.w));
  }
  static __device__ __forceinline__ Stored second(float4 v, uint4 w) {
    return make_ushort4(One::second(v.x, w.x), One::second(v.y, w.y), One::second(v.z, w.z), One::second(v.w, w.w));
  }
};

// RoundedUpdate is Adam's with moments in bfloat16.
struct RoundedUpdate {
  AdamStep step;
  uint2 key;
  const int *clock;
  const float *p;
  const uint16_t *m, *v;
  float *p_out;
  uint16_t *m_out, *v_out;

  template <class Vector> __device__ __forceinline__ void operator()(bool shut, Vector g, int64_t at) const {
    typedef Moments<Vector> Of;
    typedef typename Of::Stored Stored;
    Vector s[3];
    s[0] = *reinterpret_cast<const Vector *>(p + at);
    Stored first = __ldcs(reinterpret_cast<const Stored *>(m + at)), second = __ldcs(reinterpret_cast<const Stored *>(v + at));
    if (!shut) {
      s[1] = Of::wide(first), s[2] = Of::wide(second);
      each(step, g, s);
      const uint64_t block = (uint64_t)at / 4;
      const auto words = Of::words(philox_at(key, clock, (uint32_t)(block >> 32), (uint32_t)block), at);
      first = Of::first(s[1], words), second = Of::second(s[2], words);
    }
    *reinterpret_cast<Vector *>(p_out + at) = s[0];
    __stcs(reinterpret_cast<Stored *>(m_out + at), first);
    __stcs(reinterpret_cast<Stored *>(v_out + at), second);
  }
};

// dense does an update to all elements of a parameter.
template <class Update> __device__ __forceinline__ void dense(int64_t elements, const Update &update, const float *gate, const float *g) {
  int64_t at = 4 * thread_index();
  bool shut = __ldg(gate) == 0.f;
  if (at + 4 <= elements) {
    update(shut, gradient<float4>(shut ? nullptr : g + at), at);
    return;
  }
  for (; at < elements; at++) update(shut, gradient<float>(shut ? nullptr : g + at), at);
}

KERNEL(256, adam, int64_t elements, float b1, float a1, float b2, float a2, float eps, float decay, int decoupled, const float *p, const float *m,
       const float *v, const float *g, const float *rates, const float *scale, const float *gate, float *p_out, float *m_out, float *v_out) {
  STARTED();
  const Update<AdamStep, 3> update = {AdamStep(b1, a1, b2, a2, eps, decay, decoupled != 0, rates, scale), {p, m, v}, {p_out, m_out, v_out}};
  dense(elements, update, gate, g);
}
EXPORT_KERNEL(adam)
KERNEL(256, adam_rounded, int64_t elements, float b1, float a1, float b2, float a2, float eps, float decay, int decoupled, int64_t stream,
       const float *p, const uint16_t *m, const uint16_t *v, const float *g, const int *clock, const float *rates, const float *scale,
       const float *gate, float *p_out, uint16_t *m_out, uint16_t *v_out) {
  STARTED();
  const RoundedUpdate update = {AdamStep(b1, a1, b2, a2, eps, decay, decoupled != 0, rates, scale),
                                shared_key(clock, stream), clock, p, m, v, p_out, m_out, v_out};
  dense(elements, update, gate, g);
}
EXPORT_KERNEL(adam_rounded)
KERNEL(256, adagrad, int64_t elements, float eps, float decay, const float *p, const float *s, const float *g, const float *rates, const float *scale,
       const float *gate, float *p_out, float *s_out) {
  STARTED();
  const Update<AdagradStep, 2> update = {AdagradStep(eps, decay, rates, scale), {p, s}, {p_out, s_out}};
  dense(elements, update, gate, g);
}
EXPORT_KERNEL(adagrad)
KERNEL(256, sgd, int64_t elements, float momentum, float decay, int nesterov, const float *p, const float *g, const float *rates, const float *scale,
       const float *gate, float *p_out) {
  STARTED();
  const Update<SGDStep, 1> update = {SGDStep(momentum, decay, nesterov != 0, rates, scale), {p}, {p_out}};
  dense(elements, update, gate, g);
}
EXPORT_KERNEL(sgd)
KERNEL(256, sgd_momentum, int64_t elements, float momentum, float decay, int nesterov, const float *p, const float *b, const float *g,
       const float *rates, const float *scale, const float *gate, float *p_out, float *b_out) {
  STARTED();
  const Update<SGDStep, 2> update = {SGDStep(momentum, decay, nesterov != 0, rates, scale), {p, b}, {p_out, b_out}};
  dense(elements, update, gate, g);
}
EXPORT_KERNEL(sgd_momentum)

// touched does an update, in place, to the rows that a batch touched: a thread a Vector. vectors is their number in G, d that of a row.
template <class Vector, class Update>
__device__ __forceinline__ void touched(int64_t vectors, int d, const Update &update, const float *gate, const float *g, const int *rows) {
  const int size = sizeof(Vector) / sizeof(float);
  int64_t at = thread_index();
  if (at >= vectors || __ldg(gate) == 0.f) return;
  int64_t i = at / d;
  int column = at - i * d, row = __ldg(rows + i);
  if (row < 0) return;
  update(false, gradient<Vector>(g + at * size), ((int64_t)row * d + column) * size);
}

KERNEL(256, row_adam, int64_t vectors, int d, float b1, float a1, float b2, float a2, float eps, float decay, int decoupled, const float *g,
       const int *rows, const float *rates, const float *scale, const float *gate, float *p, float *m, float *v) {
  STARTED();
  const Update<AdamStep, 3> update = {AdamStep(b1, a1, b2, a2, eps, decay, decoupled != 0, rates, scale), {p, m, v}, {p, m, v}};
  touched<float>(vectors, d, update, gate, g, rows);
}
EXPORT_KERNEL(row_adam)
KERNEL(256, row_adam_rounded, int64_t vectors, int d, float b1, float a1, float b2, float a2, float eps, float decay, int decoupled, int64_t stream,
       const float *g, const int *rows, const int *clock, const float *rates, const float *scale, const float *gate, float *p, uint16_t *m,
       uint16_t *v) {
  STARTED();
  const RoundedUpdate update = {AdamStep(b1, a1, b2, a2, eps, decay, decoupled != 0, rates, scale),
                                shared_key(clock, stream), clock, p, m, v, p, m, v};
  touched<float>(vectors, d, update, gate, g, rows);
}
EXPORT_KERNEL(row_adam_rounded)
KERNEL(256, row_adagrad, int64_t vectors, int d, float eps, float decay, const float *g, const int *rows, const float *rates, const float *scale,
       const float *gate, float *p, float *s) {
  STARTED();
  const Update<AdagradStep, 2> update = {AdagradStep(eps, decay, rates, scale), {p, s}, {p, s}};
  touched<float>(vectors, d, update, gate, g, rows);
}
EXPORT_KERNEL(row_adagrad)
KERNEL(256, row_adam4, int64_t vectors, int d, float b1, float a1, float b2, float a2, float eps, float decay, int decoupled, const float *g,
       const int *rows, const float *rates, const float *scale, const float *gate, float *p, float *m, float *v) {
  STARTED();
  const Update<AdamStep, 3> update = {AdamStep(b1, a1, b2, a2, eps, decay, decoupled != 0, rates, scale), {p, m, v}, {p, m, v}};
  touched<float4>(vectors, d, update, gate, g, rows);
}
EXPORT_KERNEL(row_adam4)
KERNEL(256, row_adam_rounded4, int64_t vectors, int d, float b1, float a1, float b2, float a2, float eps, float decay, int decoupled, int64_t stream,
       const float *g, const int *rows, const int *clock, const float *rates, const float *scale, const float *gate, float *p, uint16_t *m,
       uint16_t *v) {
  STARTED();
  const RoundedUpdate update = {AdamStep(b1, a1, b2, a2, eps, decay, decoupled != 0, rates, scale),
                                shared_key(clock, stream), clock, p, m, v, p, m, v};
  touched<float4>(vectors, d, update, gate, g, rows);
}
EXPORT_KERNEL(row_adam_rounded4)
KERNEL(256, row_adagrad4, int64_t vectors, int d, float eps, float decay, const float *g, const int *rows, const float *rates, const float *scale,
       const float *gate, float *p, float *s) {
  STARTED();
  const Update<AdagradStep, 2> update = {AdagradStep(eps, decay, rates, scale), {p, s}, {p, s}};
  touched<float4>(vectors, d, update, gate, g, rows);
}
EXPORT_KERNEL(row_adagrad4)

// place_of is where a row stands among increasing rows with -1 behind them; -1 for a row that is not there.
__device__ __forceinline__ int place_of(int row, const int *rows, int batch) {
  int from = 0, to = batch;
  while (from < to) {
    int middle = (from + to) / 2;
    if ((unsigned)__ldg(rows + middle) < (unsigned)row)
      from = middle + 1;
    else
      to = middle;
  }
  return from < batch && __ldg(rows + from) == row ? from : -1;
}

// by_rows does an update to all rows of a table, of which those of a batch have a gradient: a thread a Vector. vectors is their number in the table, d
// that of a row.
template <class Vector, class Update>
__device__ __forceinline__ void by_rows(int64_t vectors, int d, int batch, const Update &update, const float *gate, const float *g, const int *rows) {
  const int size = sizeof(Vector) / sizeof(float);
  int64_t at = thread_index();
  if (at >= vectors) return;
  bool shut = __ldg(gate) == 0.f;
  int64_t row = at / d;
  int place = shut ? -1 : place_of(row, rows, batch);
  update(shut, gradient<Vector>(place < 0 ? nullptr : g + (place * (int64_t)d + (at - row * d)) * size), at * size);
}

KERNEL(256, row_adam_dense, int64_t vectors, int d, int batch, float b1, float a1, float b2, float a2, float eps, float decay, int decoupled,
       const float *p, const float *m, const float *v, const float *g, const int *rows, const float *rates, const float *scale, const float *gate,
       float *p_out, float *m_out, float *v_out) {
  STARTED();
  const Update<AdamStep, 3> update = {AdamStep(b1, a1, b2, a2, eps, decay, decoupled != 0, rates, scale), {p, m, v}, {p_out, m_out, v_out}};
  by_rows<float>(vectors, d, batch, update, gate, g, rows);
}
EXPORT_KERNEL(row_adam_dense)
KERNEL(256, row_adam_dense_rounded, int64_t vectors, int d, int batch, float b1, float a1, float b2, float a2, float eps, float decay, int decoupled,
       int64_t stream, const float *p, const uint16_t *m, const uint16_t *v, const float *g, const int *rows, const int *clock, const float *rates,
       const float *scale, const float *gate, float *p_out, uint16_t *m_out, uint16_t *v_out) {
  STARTED();
  const RoundedUpdate update = {AdamStep(b1, a1, b2, a2, eps, decay, decoupled != 0, rates, scale),
                                shared_key(clock, stream), clock, p, m, v, p_out, m_out, v_out};
  by_rows<float>(vectors, d, batch, update, gate, g, rows);
}
EXPORT_KERNEL(row_adam_dense_rounded)
KERNEL(256, row_adam_dense4, int64_t vectors, int d, int batch, float b1, float a1, float b2, float a2, float eps, float decay, int decoupled,
       const float *p, const float *m, const float *v, const float *g, const int *rows, const float *rates, const float *scale, const float *gate,
       float *p_out, float *m_out, float *v_out) {
  STARTED();
  const Update<AdamStep, 3> update = {AdamStep(b1, a1, b2, a2, eps, decay, decoupled != 0, rates, scale), {p, m, v}, {p_out, m_out, v_out}};
  by_rows<float4>(vectors, d, batch, update, gate, g, rows);
}
EXPORT_KERNEL(row_adam_dense4)
KERNEL(256, row_adam_dense_rounded4, int64_t vectors, int d, int batch, float b1, float a1, float b2, float a2, float eps, float decay, int decoupled,
       int64_t stream, const float *p, const uint16_t *m, const uint16_t *v, const float *g, const int *rows, const int *clock, const float *rates,
       const float *scale, const float *gate, float *p_out, uint16_t *m_out, uint16_t *v_out) {
  STARTED();
  const RoundedUpdate update = {AdamStep(b1, a1, b2, a2, eps, decay, decoupled != 0, rates, scale),
                                shared_key(clock, stream), clock, p, m, v, p_out, m_out, v_out};
  by_rows<float4>(vectors, d, batch, update, gate, g, rows);
}
EXPORT_KERNEL(row_adam_dense_rounded4)
