package awkward

// middles lists every awkward part.
func middles() []middle {
	return []middle{
		{"simgcl", simGCL, wantSimGCL},
		{"sgl", sgl, nil},
		{"comirec-dr", comiRecDR, wantDR},
		{"mind", mind, wantMIND},
		{"comirec-sa", comiRecSA, wantSA},
		{"re4-recommend", re4Recommend, nil},
		{"re4-contrast", reContrast, wantReContrast},
		{"re4-attend", reAttend, wantReAttend},
		{"re4-construct", reConstruct, wantReConstruct},
		{"sampled-softmax", sampledSoftmax, wantSampledSoftmax},
		{"bm3", bm3, wantBM3},
		{"tower-symmetric", symmetric, wantSymmetric},
		{"tower-refined", refined, wantRefined},
		{"tower-mixed", mixed, wantMixed},
		{"tower-hard", hard(false), wantHard},
		{"tower-hard-gathered", hard(true), wantHard},
		{"tower-exposed", exposed, wantExposed},
		{"tower-features", features, wantFeatures},
		{"tower-bags-gathered", gatheredBags, wantGatheredBags},
		{"concat", concat, wantConcat},
		{"cml-contrast", contrast, wantContrast},
		{"cml-inner", cmlInner, nil},
		{"cml-first", cmlFirst, nil},
		{"cml-bilevel", cmlBilevel, nil},
		{"second-order", penalised, nil},
		{"skeleton-first", skeletonMiddle(first), nil},
		{"skeleton-bilevel", skeletonMiddle(bilevel), nil},
	}
}
