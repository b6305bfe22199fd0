package models

import (
	"fmt"

	"nearfar/engine"
)

// XSimGCLOptions are XSimGCL's, as SELFRec has it.
type XSimGCLOptions struct {
	_                  struct{} `title:"XSimGCL (Yu et al., TKDE 2023)"`
	PropagationOptions `defaults:"layers=3 readout=mean1" source:"SELFRec"`
	BPROptions         `defaults:"l2=final" source:"SELFRec"`
	ContrastOptions    `defaults:"lambda=0.2 tau=0.15 negatives=batch unique=true" source:"SELFRec, yelp2018"`
	Eps                float64 `flag:"eps" default:"0.2" min:"0" help:"length of the noise added to each node's embedding in each layer" source:"SELFRec, yelp2018"`
	ContrastLayer      int     `flag:"contrast-layer" default:"1" min:"1" help:"layer that the final embedding is contrasted with (l*)" source:"SELFRec, yelp2018"`
}

// Check finds what the options' own bounds cannot see.
func (o *XSimGCLOptions) Check() error {
	if o.ContrastLayer > o.Layers {
		return fmt.Errorf("-contrast-layer %d is above -layers %d", o.ContrastLayer, o.Layers)
	}
	return nil
}

// New makes the model.
func (o *XSimGCLOptions) New(d Data) (Model, error) {
	if err := o.Check(); err != nil {
		return nil, err
	}
	r, err := newRanked(o.PropagationOptions, o.BPROptions, d, o.Unique, 2)
	return &xsimgcl{noisy{r, o.Eps, draw}, o}, err
}

// xsimgcl has one pass do both tasks: the noisy final embedding ranks, and is contrasted with an earlier layer of the same pass.
type xsimgcl struct {
	noisy
	o *XSimGCLOptions
}

// Train is eq. 11: BPR on the noisy pass, contrast between its final embedding and its layer l*.
func (m *xsimgcl) Train(b *engine.Builder) engine.Objective {
	layers := m.perturbed(b, 1)
	z := m.read(layers)
	o := m.bpr(b, z, m.embedding(b))
	return append(o, engine.Term{Name: "ssl", Weight: m.o.Lambda, Value: m.contrast(b, z, layers[m.o.ContrastLayer], m.o.ContrastOptions)})
}
