//! The bugs.

/// Makes the list of all of them with the enum.
macro_rules! mutations {
    ($($(#[doc = $doc:literal])* $name:ident,)*) => {
        /// A bug that this project, or one like it, has had or could have.
        ///
        /// Of nats-server (commits and issues of nats-io/nats-server) where a number stands; of this project's own past
        /// where it says "ours", and the document that has the rule is named.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum Mutation {
            $($(#[doc = $doc])* $name,)*
        }

        impl Mutation {
            /// All of them.
            pub const ALL: &[Self] = &[$(Self::$name,)*];
        }
    };
}

mutations! {
    /// A leader commits entries of an earlier term as soon as a majority has them (commit c8687fc4d; Raft, 5.4.2).
    EarlierTermCommittedByCounting,
    /// A leader commits what it alone has on its disk (async-raft 0.6.1, docs/decisions/0001-raft-library.md).
    CommittedByOne,
    /// A leader's own copy counts before it is synced (docs/raft.md, what leaves when).
    OwnCopyCountedBeforeSync,
    /// Votes and "appended" leave before what they speak of is synced (docs/raft.md, what leaves when).
    SpokenBeforeSync,
    /// A unit that needs no sync itself speaks before the units before it are synced (docs/raft.md, what leaves when).
    AppendedBeforeEarlierSync,
    /// Whom a replica voted for is not written: after a restart it votes again (commit bf8ebe7dd; Raft, 5.2).
    VoteNotWritten,
    /// Voters are exchanged one by one at once, not by way of a joint configuration: two majorities without a member in
    /// common (commit 12fff3a32; Raft, 6).
    NotJoint,
    /// That a change of membership is committed is not written (ours; docs/decisions/0005-commit-index-not-written.md).
    ChangeCommitNotWritten,
    /// Meta hears that a member is out before a majority knows it for good, and the replica is destroyed (commits
    /// efabcbf87 and f618bca80 count removed peers; ours: docs/decisions/0005-commit-index-not-written.md).
    RemovedBeforeKnown,
    /// The log says that a batch is synced when most are not yet (the default of nats-server: a sync every two minutes).
    AckBeforeSync,
    /// The log goes on after a sync that failed, as if it had not (commit 860e23645).
    FailedSyncIgnored,
    /// What a failed sync left in the page cache is taken for durable by the next life (ours; docs/storage-format.md).
    FailedSyncTrusted,
    /// With a torn last write all of its file is cut off, and the replicas vote (commit dca7a8763).
    LogCutAtTornTail,
    /// Batches of an earlier use of a file are replayed: neither generation nor LSN is looked at (docs/storage-format.md).
    StaleRecordReplayed,
    /// Files of the log are given up on the word of a base that is not synced yet (docs/storage-format.md).
    ReclaimedBeforeSync,
    /// A base is written before the segments that it speaks of (docs/raft.md, log and state).
    BaseBeforeSegments,
    /// Segments are not synced before the log forgets what is in them (issues 8456 and 8475).
    SegmentNotSynced,
    /// A state given by a peer becomes visible before its record is synced (docs/raft.md, catch-up).
    InstalledBeforeSync,
    /// A member is offered a base from before it was one (ours; found by `flotilla-chaos`).
    OfferedToStranger,
    /// A replica that is gone is begun again under its id, with an empty log (issue 5939; rabbitmq-server 15725).
    CreatedAgain,
    /// A replica is created over another one of its group that is still there, and counted on (ours; found
    /// with this list; issue 8413: recreated assets take over old state).
    BegunOverAnother,
    /// Files go before the end of their replica is durable (issue 8199: state deleted that is still needed).
    FilesRemovedBeforeEnd,
    /// Meta hears that a replica is destroyed before that is durable: it comes back when nobody knows it any more (ours).
    ConfirmedBeforeSync,
    /// What meta does not know is put aside although meta is not current after a restart (issues 8199 and 8324).
    PutAsideWhileBehind,
    /// A late replica begins with the configuration of today and applies the whole log to it (ours).
    BegunWithTodaysConfig,
    /// A group sleeps although a member does not have, or does not know of, the last commit (docs/raft.md, sleep).
    SleepsBehind,
    /// A group sleeps that has a change of its members before it (ours).
    SleepsWithWorkLeft,
    /// A leader answers reads without asking whether it still is one (docs/raft.md, what leaves when).
    ReadWithoutIndex,
    /// An acknowledgement goes out for whatever is applied at the index, of another term and on a follower, too (commit
    /// b4506ec4a).
    AckByIndexAlone,
    /// An expected sequence is not checked where the order is known: at apply (issue 8057 has it too early).
    ExpectedSequenceNotChecked,
    /// A second message with an id is stored.
    DuplicateStored,
    /// The id of a message that was refused is remembered: its next attempt is "a duplicate" (issue 6415).
    RefusedIsRemembered,
    /// The ids of the window are lost with a restart, or with a state from a peer.
    WindowForgotten,
    /// A purge of everything begins with the first sequence again (issue 6753).
    SequencesBeginAgain,
    /// A consumer confirms an acknowledgement that is not committed (issue 6232).
    AckAnsweredBeforeCommit,
}
