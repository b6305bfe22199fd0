// Package sweep plans several runs over one data set, finds in their folders how far they are, and sums them up.
//
// A sweep is trials times seeds. A trial is a setting of some options, from a grid or drawn at random; each of its runs is an ordinary run's
// folder under the sweep's:
//
//	sweep.yaml                        every option of the sweep; its first line marks the folder and has the checksum of the data
//	001-tau=0.1,lambda=0.05-s1/       a run (package runfolder); failed.json instead of result.json where it has failed
//	summary.json, summary.md          the table, written anew after every run
//	lock                              held by the process that trains
//
// The folders are all the state that there is: what has a result is finished, what has a checkpoint goes on from it, what has neither begins
// anew. No number in a summary depends on time, so a sweep that was killed and resumed ends with the bytes of one that was not.
package sweep
