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
#include "kernel.h"

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

// update does a step to one Vector: the parameter and the states at from, the new ones to.
template <class Vector, class Step, int n>
__device__ __forceinline__ void update(const Step &step, bool shut, Vector g, const float *const (&from)[n], float *const (&to)[n], int64_t at) {
  Vector s[n];
  s[0] = *reinterpret_cast<const Vector *>(from[0] + at);
#pragma unroll
  for (int k = 1; k < n; k++) s[k] = __ldcs(reinterpret_cast<const Vector *>(from[k] + at));
  if (!shut) each(step, g, s);
  *reinterpret_cast<Vector *>(to[0] + at) = s[0];
#pragma unroll
  for (int k = 1; k < n; k++) __stcs(reinterpret_cast<Vector *>(to[k] + at), s[k]);
}

// dense does a step to all elements of a parameter.
template <class Step, int n>
__device__ __forceinline__ void dense(int64_t elements, const Step &step, const float *gate, const float *g, const float *const (&from)[n],
                                      float *const (&to)[n]) {
  int64_t at = 4 * thread_index();
  bool shut = __ldg(gate) == 0.f;
  if (at + 4 <= elements) {
    update(step, shut, gradient<float4>(shut ? nullptr : g + at), from, to, at);
    return;
  }
  for (; at < elements; at++) update(step, shut, gradient<float>(shut ? nullptr : g + at), from, to, at);
}

KERNEL(256, adam, int64_t elements, float b1, float a1, float b2, float a2, float eps, float decay, int decoupled, const float *p, const float *m,
       const float *v, const float *g, const float *rates, const float *scale, const float *gate, float *p_out, float *m_out, float *v_out) {
  STARTED();
  const float *const from[] = {p, m, v};
  float *const to[] = {p_out, m_out, v_out};
  dense(elements, AdamStep(b1, a1, b2, a2, eps, decay, decoupled != 0, rates, scale), gate, g, from, to);
}
EXPORT_KERNEL(adam)
KERNEL(256, adagrad, int64_t elements, float eps, float decay, const float *p, const float *s, const float *g, const float *rates,
       const float *scale, const float *gate, float *p_out, float *s_out) {
  STARTED();
  const float *const from[] = {p, s};
  float *const to[] = {p_out, s_out};
  dense(elements, AdagradStep(eps, decay, rates, scale), gate, g, from, to);
}
EXPORT_KERNEL(adagrad)
KERNEL(256, sgd, int64_t elements, float momentum, float decay, int nesterov, const float *p, const float *g, const float *rates,
       const float *scale, const float *gate, float *p_out) {
  STARTED();
  const float *const from[] = {p};
  float *const to[] = {p_out};
  dense(elements, SGDStep(momentum, decay, nesterov != 0, rates, scale), gate, g, from, to);
}
EXPORT_KERNEL(sgd)
KERNEL(256, sgd_momentum, int64_t elements, float momentum, float decay, int nesterov, const float *p, const float *b, const float *g,
       const float *rates, const float *scale, const float *gate, float *p_out, float *b_out) {
  STARTED();
  const float *const from[] = {p, b};
  float *const to[] = {p_out, b_out};
  dense(elements, SGDStep(momentum, decay, nesterov != 0, rates, scale), gate, g, from, to);
}
EXPORT_KERNEL(sgd_momentum)

// touched does a step, in place, to the rows that a batch touched: a thread a Vector. vectors is their number in G, d that of a row.
template <class Vector, class Step, int n>
__device__ __forceinline__ void touched(int64_t vectors, int d, const Step &step, const float *gate, const float *g, const int *rows,
                                        float *const (&table)[n]) {
  const int size = sizeof(Vector) / sizeof(float);
  int64_t at = thread_index();
  if (at >= vectors || __ldg(gate) == 0.f) return;
  int64_t i = at / d;
  int column = at - i * d, row = __ldg(rows + i);
  if (row < 0) return;
  const float *from[n];
#pragma unroll
  for (int k = 0; k < n; k++) from[k] = table[k];
  update(step, false, gradient<Vector>(g + at * size), from, table, ((int64_t)row * d + column) * size);
}

KERNEL(256, row_adam, int64_t vectors, int d, float b1, float a1, float b2, float a2, float eps, float decay, int decoupled, const float *g,
       const int *rows, const float *rates, const float *scale, const float *gate, float *p, float *m, float *v) {
  STARTED();
  float *const table[] = {p, m, v};
  touched<float>(vectors, d, AdamStep(b1, a1, b2, a2, eps, decay, decoupled != 0, rates, scale), gate, g, rows, table);
}
EXPORT_KERNEL(row_adam)
KERNEL(256, row_adagrad, int64_t vectors, int d, float eps, float decay, const float *g, const int *rows, const float *rates,
       const float *scale, const float *gate, float *p, float *s) {
  STARTED();
  float *const table[] = {p, s};
  touched<float>(vectors, d, AdagradStep(eps, decay, rates, scale), gate, g, rows, table);
}
EXPORT_KERNEL(row_adagrad)
KERNEL(256, row_adam4, int64_t vectors, int d, float b1, float a1, float b2, float a2, float eps, float decay, int decoupled, const float *g,
       const int *rows, const float *rates, const float *scale, const float *gate, float *p, float *m, float *v) {
  STARTED();
  float *const table[] = {p, m, v};
  touched<float4>(vectors, d, AdamStep(b1, a1, b2, a2, eps, decay, decoupled != 0, rates, scale), gate, g, rows, table);
}
EXPORT_KERNEL(row_adam4)
KERNEL(256, row_adagrad4, int64_t vectors, int d, float eps, float decay, const float *g, const int *rows, const float *rates,
       const float *scale, const float *gate, float *p, float *s) {
  STARTED();
  float *const table[] = {p, s};
  touched<float4>(vectors, d, AdagradStep(eps, decay, rates, scale), gate, g, rows, table);
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

// by_rows does a step to all rows of a table, of which those of a batch have a gradient: a thread a Vector. vectors is their number in the table, d that
// of a row.
template <class Vector, class Step, int n>
__device__ __forceinline__ void by_rows(int64_t vectors, int d, int batch, const Step &step, const float *gate, const float *g, const int *rows,
                                        const float *const (&from)[n], float *const (&to)[n]) {
  const int size = sizeof(Vector) / sizeof(float);
  int64_t at = thread_index();
  if (at >= vectors) return;
  bool shut = __ldg(gate) == 0.f;
  int64_t row = at / d;
  int place = shut ? -1 : place_of(row, rows, batch);
  update(step, shut, gradient<Vector>(place < 0 ? nullptr : g + (place * (int64_t)d + (at - row * d)) * size), from, to, at * size);
}

KERNEL(256, row_adam_dense, int64_t vectors, int d, int batch, float b1, float a1, float b2, float a2, float eps, float decay, int decoupled,
       const float *p, const float *m, const float *v, const float *g, const int *rows, const float *rates, const float *scale, const float *gate,
       float *p_out, float *m_out, float *v_out) {
  STARTED();
  const float *const from[] = {p, m, v};
  float *const to[] = {p_out, m_out, v_out};
  by_rows<float>(vectors, d, batch, AdamStep(b1, a1, b2, a2, eps, decay, decoupled != 0, rates, scale), gate, g, rows, from, to);
}
EXPORT_KERNEL(row_adam_dense)
KERNEL(256, row_adam_dense4, int64_t vectors, int d, int batch, float b1, float a1, float b2, float a2, float eps, float decay, int decoupled,
       const float *p, const float *m, const float *v, const float *g, const int *rows, const float *rates, const float *scale, const float *gate,
       float *p_out, float *m_out, float *v_out) {
  STARTED();
  const float *const from[] = {p, m, v};
  float *const to[] = {p_out, m_out, v_out};
  by_rows<float4>(vectors, d, batch, AdamStep(b1, a1, b2, a2, eps, decay, decoupled != 0, rates, scale), gate, g, rows, from, to);
}
EXPORT_KERNEL(row_adam_dense4)
