// A WASI command in Go: prints `hello <name>` for every line of stdin.
package main

import (
	"bufio"
	"os"
)

func main() {
	out := bufio.NewWriter(os.Stdout)
	lines := bufio.NewScanner(os.Stdin)
	for lines.Scan() {
		out.WriteString("hello ")
		out.Write(lines.Bytes())
		out.WriteByte('\n')
	}
	if lines.Err() != nil || out.Flush() != nil {
		os.Exit(1)
	}
}
