module github.com/pantopic/rangewatch/sdk/go

go 1.24
