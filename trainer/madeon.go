package trainer

import (
	"fmt"

	"nearfar/trainer/dataset"
	"nearfar/trainer/runfolder"
)

// Checksum is that of a data set and its split as results (Result.Checksum) and data reports have it.
func Checksum(data *dataset.Dataset) string { return checksum(data.Checksum()) }

func checksum(sum uint32) string { return fmt.Sprintf("%08x", sum) }

// DeviceOf is the name of the device that a run ended on; empty where no result says it.
func DeviceOf(folder *runfolder.Folder) string {
	var res struct {
		Device string `json:"device"`
	}
	folder.ReadResult(&res) // a run without one has not ended
	return res.Device
}

// MadeOn is the checksum of the data that a run was made on; empty where neither its result nor a checkpoint says it.
func MadeOn(folder *runfolder.Folder) string {
	var res struct {
		Checksum string `json:"data_checksum"`
	}
	if folder.ReadResult(&res) == nil && res.Checksum != "" {
		return res.Checksum
	}
	for _, file := range []string{runfolder.LastCheckpoint, runfolder.PreviousCheckpoint, runfolder.BestCheckpoint} {
		var at position
		if _, err := folder.ReadCheckpoint(file, &at); err == nil {
			return checksum(at.Data)
		}
	}
	return ""
}
