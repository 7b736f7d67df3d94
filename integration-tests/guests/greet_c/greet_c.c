// A WASI command in C: prints `hello <name>` for every line of stdin and exits with the number of
// lines.

#include <stdio.h>
#include <string.h>

int main(void) {
    char line[256];
    int n_lines = 0;
    while (fgets(line, sizeof line, stdin)) {
        line[strcspn(line, "\n")] = 0;
        fputs("hello ", stdout);
        puts(line);
        n_lines++;
    }
    return n_lines;
}
