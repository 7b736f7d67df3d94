module notices_go

go 1.24

require (
	github.com/pantopic/rangewatch/sdk/go v0.0.0
	watcher_go v0.0.0
)

replace (
	github.com/pantopic/rangewatch/sdk/go => ../../../sdk/go
	watcher_go => ../watcher_go
)
