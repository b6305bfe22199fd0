// Package sample draws the batches of a training step: feeds of the engine.
//
// A feed is a pure function of (seed, step): the engine calls it ahead of the step on another goroutine, a second time with the
// same bytes, and after a resume as though nothing had happened. Fill allocates nothing; scratch memory belongs to the feed.
package sample
