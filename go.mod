module nearfar

go 1.26

require (
	github.com/chewxy/hm v1.0.0
	github.com/james-bowman/sparse v0.0.0-20260216202247-495ee4f84d35
	go.uber.org/zap v1.28.0
	gorgonia.org/gorgonia v0.9.18
	gorgonia.org/tensor v0.9.24
)

require go4.org/unsafe/assume-no-moving-gc v0.0.0-20231121144256-b99613f794b6 // indirect
