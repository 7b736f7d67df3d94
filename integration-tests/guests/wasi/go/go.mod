module harsh

go 1.24
