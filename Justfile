# The commands of every day. `verify` is what a change must pass.

# List the commands
default:
    @just --list --unsorted

# Check everything, change nothing: format, lints, tests, documentation
verify:
    cargo fmt --all --check
    cargo clippy --workspace --all-targets -- -D warnings
    RUSTDOCFLAGS="-D warnings" cargo doc --workspace --no-deps
    ./tests/run

# Format, and apply what clippy knows how to fix
fix:
    cargo clippy --workspace --all-targets --fix --allow-dirty --allow-staged
    cargo fmt --all

# Run the tests; arguments go to `cargo test`, for example `just test -p flotilla-raft`
test *args:
    {{ if args == "" { "./tests/run" } else { "cargo test " + args } }}

# Start a cluster of three servers on this machine
run *args:
    ./tools/run {{ args }}

# Measure Flotilla beside nats-server, in turn, on this machine: `just bench --help`
bench *args:
    cargo build --release --package flotilla-server --package flotilla-bench
    target/release/flotilla-bench {{ args }}

# Do harm to real servers under load, as root, and check what clients were told: `just chaos run --help`
chaos *args:
    cargo build --package flotilla-server --package flotilla-chaos
    target/debug/flotilla-chaos {{ args }}

# Put known bugs back, one at a time, and look whether the simulator finds each (docs/testing.md)
mutations *args:
    cargo run --profile simulation --package simulator --features mutations -- --mutations {{ args }}

# Measure the write-ahead log alone on the disk below `dir`
bench-log dir="target" seconds="3":
    cargo run --release --package flotilla-storage --example wal -- {{ dir }} {{ seconds }}

# Show async-raft losing acknowledged writes (docs/decisions/0001-raft-library.md)
evidence:
    cd tools/async-raft-evidence && cargo run
