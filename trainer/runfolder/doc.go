// Package runfolder keeps a training run on disk: its configuration, what it measured, its logs, checkpoints and embeddings.
//
//	config.yaml             every option of the run, readable by -config; its first line marks the folder as a run
//	metrics.jsonl           one JSON object a line for each event, in order
//	log.jsonl               zap's log as JSON lines
//	checkpoint/last.ckpt    all state of the last saved step
//	checkpoint/previous.ckpt  the one before it: the last one takes this name when its successor is whole and synced
//	checkpoint/best.ckpt    all state of the best epoch
//	embeddings.safetensors  what the model exports
//	weights.safetensors     the same of a model that ranks by sparse weights between items
//	users.txt, items.txt    line n is the id whose embedding is row n (from 0)
//	user-attributes.txt, item-attributes.txt    the same for the rows of a model's attributes: field, tab, value, as a JSON string
//	result.json             the final numbers
//	per-user.tsv.gz         the metrics of each user of the test split
//	lock                    held by the process that trains (flock, LockFileEx)
//
// Files other than the two logs are written beside their place, synced, and renamed: a reader never meets half a file, and a
// crash leaves the former one. (On Windows the rename is as atomic as the file system makes it.)
//
// # Checkpoint format, version 1
//
// All integers are little-endian.
//
//	offset  size  content
//	0       8     magic "NRFRCKPT"
//	8       4     format version, uint32 = 1
//	12      4     zero
//	16      8     M, length of the manifest, uint64
//	24      M     manifest, JSON
//	        pad   zeros up to a multiple of 64
//	              data: the entries in the manifest's order, each at a multiple of 64, zeros between them
//	        4     CRC-32C (Castagnoli) of every byte before it, uint32; the file ends here
//
// The manifest is
//
//	{
//	  "header":  any JSON value of the caller (of package trainer: below)
//	  "entries": [{
//	    "name":   "user_embedding",
//	    "dtype":  "float32" | "float64" | "int32" | "bfloat16",
//	    "shape":  [31668, 64],   at most 4 dimensions, row-major; [] is a scalar
//	    "offset": 0,             from the start of the data
//	    "length": 8107008,       in bytes: the shape's elements times the dtype's size
//	    "crc32c": 305419896      of the entry's bytes
//	  }]
//	}
//
// The trainer's header says where the run stands: step (the next one), sums (of the losses of the epoch under way), best and best_epoch (of the
// selection metric), worse (evaluations without a better one), evaluated (the last epoch that was), lost_best, device (with its kernel set),
// train_seconds, wall_seconds, data (the data's checksum), and constants (checksums of what is rebuilt from the data). The entries are the parameters,
// the optimiser's moments, and whatever else a model carries from step to step. Random numbers have no state: they are functions of seed and position.
//
// Names are distinct. A reader refuses a file whose size is not exactly what the manifest implies, so that no length in the
// file makes it allocate more than the file's own size.
//
// # Embeddings
//
// safetensors files have the published format (https://github.com/huggingface/safetensors): uint64 length of the header, a
// JSON header padded with spaces to a multiple of 8, the tensors without holes. Ids are kept beside them and not in the
// header's metadata, which the format limits to 100 MB and which readers load whole. An id that holds control characters or
// begins with a quotation mark is written as a JSON string.
package runfolder
