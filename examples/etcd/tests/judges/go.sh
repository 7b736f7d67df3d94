# For the stages whose tests are in Go: Debian ships etcd's sources with their tests. They compile in a
# GOPATH in which the package `integration` is ours.
# shellcheck shell=bash disable=SC2154,SC2034 # Variables of `run`.

etcd_sources=/usr/share/gocode/src/go.etcd.io/etcd
gopath=$work/gopath
certificates=$gopath/src/go.etcd.io/etcd/integration/fixtures
export GO111MODULE=off GOFLAGS='' GOTOOLCHAIN=local GOCACHE=$work/go-cache GOPATH=$gopath:/usr/share/gocode
PATH=/usr/lib/go-1.19/bin:$PATH

# go_sources: copies what the tests of all stages share.
go_sources() {
    local integration=$gopath/src/go.etcd.io/etcd/integration
    debian etcd-server etcd-client golang-etcd-server-dev golang-1.19-go curl
    rm -rf "$gopath"
    mkdir -p "$integration" "$gopath/src/judges/tests"
    cp "$here"/stand-in/integration/*.go "$integration"
    cp -r "$etcd_sources"/integration/fixtures* "$integration"
    cp -r "$here"/stand-in/{relay,server,etcd} "$gopath/src/judges"
    # Tests find the certificates relative to their folder.
    ln -s "$integration" "$gopath/src/judges/integration"
}

# go_tests FOLDER PROGRAM: compiles the tests of a folder.
go_tests() {
    printf 'compiling %s\n' "${2##*/}"
    (cd "$1" && go test -c -o "$2" .)
}

# go_names FILE..: prints the names of all tests in these files, and of the examples with an output.
go_names() {
    awk '
        function name(line) {sub(/^func /, "", line); sub(/\(.*/, "", line); return line}
        /^func Test.*\(t \*testing\.T\)/ {print name($0)}
        /^func Example/ {example = name($0)}
        /^\t\/\/ Output:/ {print example}' "$@"
}

# go_test PROGRAM NAME [OPTION]..: sets `command` to run one test.
go_test() {
    # Shortly before `run` ends a test, it prints the stacks of its goroutines.
    # Some programs look for the option themselves, with `=`.
    command=("$1" -test.v "-test.run=^$2\$" -test.timeout "$((limit_seconds - 5))s" "${@:3}")
}
