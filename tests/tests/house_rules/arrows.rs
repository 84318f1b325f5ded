//! Which crate may use which: the layout of ARCHITECTURE.md, as a table.

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Layer {
    Core,
    Shell,
    Program,
    Tests,
}

/// What a crate may use of the others. Arrows point down only: a crate stands below all that name it.
///
/// A new crate is added here first: that is where it is decided what it is.
pub(crate) const ARROWS: &[(&str, Layer, &[&str])] = &[
    ("flotilla-mutation", Layer::Core, &[]),
    ("flotilla-subject", Layer::Core, &[]),
    ("flotilla-proto", Layer::Core, &["flotilla-subject"]),
    ("flotilla-config", Layer::Core, &["flotilla-subject"]),
    // Streams do not know Raft, and Raft does not know streams.
    ("flotilla-stream", Layer::Core, &["flotilla-mutation", "flotilla-subject"]),
    ("flotilla-raft", Layer::Core, &["flotilla-mutation"]),
    ("flotilla-jsapi", Layer::Core, &["flotilla-stream", "flotilla-subject"]),
    ("flotilla-disk", Layer::Core, &["flotilla-mutation", "flotilla-raft"]),
    (
        "flotilla-meta",
        Layer::Core,
        &["flotilla-mutation", "flotilla-raft", "flotilla-stream", "flotilla-subject"],
    ),
    (
        "flotilla-host",
        Layer::Core,
        &[
            "flotilla-disk",
            "flotilla-jsapi",
            "flotilla-meta",
            "flotilla-mutation",
            "flotilla-raft",
            "flotilla-stream",
            "flotilla-subject",
        ],
    ),
    // What proves the cores drives them as the shells do.
    (
        "simulator",
        Layer::Tests,
        &[
            "flotilla-disk",
            "flotilla-host",
            "flotilla-meta",
            "flotilla-mutation",
            "flotilla-raft",
            "flotilla-stream",
        ],
    ),
    ("flotilla-storage", Layer::Shell, &["flotilla-disk", "flotilla-raft"]),
    ("flotilla-routes", Layer::Shell, &[]),
    ("flotilla-monitor", Layer::Shell, &["flotilla-jsapi"]),
    (
        "flotilla-server-core",
        Layer::Shell,
        &["flotilla-config", "flotilla-proto", "flotilla-subject"],
    ),
    (
        "flotilla-jetstream",
        Layer::Shell,
        &[
            "flotilla-config",
            "flotilla-disk",
            "flotilla-host",
            "flotilla-jsapi",
            "flotilla-meta",
            "flotilla-proto",
            "flotilla-raft",
            "flotilla-server-core",
            "flotilla-storage",
            "flotilla-stream",
            "flotilla-subject",
        ],
    ),
    (
        "flotilla-cluster",
        Layer::Shell,
        &[
            "flotilla-config",
            "flotilla-disk",
            "flotilla-host",
            "flotilla-jetstream",
            "flotilla-jsapi",
            "flotilla-meta",
            "flotilla-monitor",
            "flotilla-proto",
            "flotilla-raft",
            "flotilla-routes",
            "flotilla-server-core",
            "flotilla-storage",
            "flotilla-stream",
            "flotilla-subject",
        ],
    ),
    (
        "flotilla-server",
        Layer::Program,
        &[
            "flotilla-cluster",
            "flotilla-config",
            "flotilla-disk",
            "flotilla-host",
            "flotilla-jetstream",
            "flotilla-jsapi",
            "flotilla-meta",
            "flotilla-monitor",
            "flotilla-proto",
            "flotilla-raft",
            "flotilla-routes",
            "flotilla-server-core",
            "flotilla-storage",
            "flotilla-stream",
            "flotilla-subject",
        ],
    ),
    // They speak the wire like any client.
    ("flotilla-loads", Layer::Shell, &[]),
    ("flotilla", Layer::Program, &["flotilla-loads"]),
    ("flotilla-tests", Layer::Tests, &["flotilla-relay"]),
];

/// What cores may use besides each other: data and arithmetic, nothing that reaches the world.
pub(crate) const CORE_LIBRARIES: &[&str] = &[
    "bytes",
    "crc-fast",
    "data-encoding",
    "indexmap",
    "memchr",
    "protobuf",
    "raft",
    "rmp-serde",
    "serde",
    "serde_json",
    "sha2",
    "slog",
    "smallvec",
    "thiserror",
    "xxhash-rust",
];

/// Libraries with one home: nobody else may name them.
pub(crate) const ONE_HOME: &[(&str, &str)] = &[
    ("raft", "flotilla-raft"),
    ("protobuf", "flotilla-raft"),
    ("quinn", "flotilla-routes"),
    ("axum", "flotilla-monitor"),
];

/// The table of arrows itself: whoever stands lower is named first, and no lower layer uses a higher one.
#[test]
fn the_arrows_make_an_order() {
    for (at, (name, layer, may_use)) in ARROWS.iter().enumerate() {
        for used in may_use.iter().filter(|used| **used != "flotilla-relay") {
            let found = ARROWS[..at].iter().find(|(lower, ..)| lower == used);
            let Some((_, lower, _)) = found else { panic!("{name} stands above {used}") };
            let down = *layer != Layer::Core || *lower == Layer::Core;
            assert!(down, "{name} is a core and uses a shell, {used}");
        }
    }
}
