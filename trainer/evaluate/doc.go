// Package evaluate measures a recommender: metrics of accuracy and beyond over a ranking of the whole catalogue, whom they are good for, and the
// geometry of its embeddings. docs/evaluation.md has the protocol.
package evaluate
