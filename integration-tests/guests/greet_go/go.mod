module greet_go

go 1.24
