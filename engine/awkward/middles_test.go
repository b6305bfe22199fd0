package awkward

// middles lists every awkward part.
func middles() []middle {
	return []middle{
		{"comirec-dr", comiRecDR, wantDR},
		{"mind", mind, nil},
		{"comirec-sa", comiRecSA, wantSA},
		{"re4-recommend", re4Whole, nil},
		{"re4-contrast", reContrast, wantReContrast},
		{"re4-attend", reAttend, wantReAttend},
		{"re4-construct", reConstruct, nil},
		{"sampled-softmax", sampledSoftmax, wantSampledSoftmax},
	}
}
