# For the stages whose tests are transcripts: `tests/transcripts.rs` plays them.
# shellcheck shell=bash disable=SC2034,SC2154 # Variables of `run`.

prepare() {
    local program
    debian etcd-server etcd-client
    program=$(
        cd "$repository" || exit
        # shellcheck disable=SC2086 # Several options.
        cargo test --quiet --locked ${PACKAGES:---package etcd-example} --test transcripts --no-run \
            --message-format json | sed -n 's/.*"name":"transcripts".*"executable":"\([^"]*\)".*/\1/p'
    )
    ln -sf "$program" "$work/transcripts.test"
}

transcripts() { basename --suffix .txt --multiple "$repository"/examples/etcd/tests/transcripts/*.txt; }

judge() {
    command=("$work/transcripts.test" --exact "$1")
}
