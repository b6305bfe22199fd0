// Package evaluate measures a recommender: full-ranking metrics over every item of the catalogue, and the geometry of its
// embeddings.
package evaluate
