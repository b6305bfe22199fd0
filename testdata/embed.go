// Package testdata is the small real data set that every nearfar binary carries, so that it trains and its tests run without a
// checkout or a download. README.md names its origin and licence.
package testdata

import "embed"

// AmazonElectronics is the folder of Files that holds train.txt and test.txt.
const AmazonElectronics = "amazon-electronics"

// Files holds the data, one folder a data set. On Windows too its paths have forward slashes.
//
//go:embed amazon-electronics/train.txt amazon-electronics/test.txt
var Files embed.FS
