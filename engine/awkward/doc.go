// Package awkward holds, as tests only, the middle of every model that is awkward to write in operators: routing, re-contrast, sampled softmax,
// a three-round bilevel step, Sinkhorn, bags, row optimisers, queues. Each is a toy of the real thing over the public interface of the engine,
// and each is held to
//
//   - finite differences in float64, with what the model stops frozen;
//   - an independent computation in plain Go, where that is short;
//   - the same plan on other devices, in another order, and without any rewrite;
//   - a few steps of training in float32 without a NaN.
//
// They came before the models, so that the list of kernel families in docs/kernel-families.md could be frozen early; a test keeps that list,
// and the number of instructions of each plan, true.
package awkward
