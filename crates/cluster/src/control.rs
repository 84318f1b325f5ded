//! Frames of the control lane.
//!
//! A frame is a version byte, a kind, and a body in MessagePack, whose structs are maps, so that fields can be added.

use bytes::{BufMut, Bytes, BytesMut};
use flotilla_host::Behind;
use flotilla_jetstream::{Claim, Wire};
use flotilla_meta::{DamagedCommand, Message};
use serde::{Deserialize, Serialize};
use thiserror::Error;

/// The version that a frame begins with.
const VERSION: u8 = 1;

/// Second byte of a frame.
mod kind {
    pub(super) const CALL: u8 = 1;
    pub(super) const CLAIMS: u8 = 2;
    pub(super) const ALL_CLAIMS: u8 = 3;
    pub(super) const CLAIMS_WANTED: u8 = 4;
    pub(super) const BOOTSTRAP: u8 = 5;
    pub(super) const BEHIND: u8 = 6;
}

/// What servers tell each other about their stores.
#[derive(Debug)]
pub(crate) enum Control {
    /// A call, or its answer.
    Call(Wire),
    /// What changed in what the sender leads.
    Claims(Vec<Claim>),
    /// All that the sender leads; what else was known of it is out of date.
    AllClaims(Vec<Claim>),
    /// Say all claims again: they were forgotten, since the receiver was taken for dead.
    ClaimsWanted,
    /// A message between stores without a cluster.
    Bootstrap(Message),
    /// The receiver's log is not what it was; nobody listens to it.
    Behind(Behind),
}

/// A frame that no server of this version sends.
#[derive(Debug, Error)]
pub(crate) enum ControlError {
    #[error("a control frame has version {0:?}, this server reads version {VERSION}")]
    Version(Option<u8>),
    #[error("a control frame is of the unknown kind {0:?}")]
    Kind(Option<u8>),
    #[error("a control frame cannot be read: {0}")]
    Body(#[from] rmp_serde::decode::Error),
    #[error(transparent)]
    Bootstrap(#[from] DamagedCommand),
}

impl Control {
    /// Reads a frame.
    pub(crate) fn decode(frame: &Bytes) -> Result<Self, ControlError> {
        let (head, body) = frame.split_at(frame.len().min(2));
        match head.first() {
            Some(&VERSION) => {}
            other => return Err(ControlError::Version(other.copied())),
        }
        match head.get(1).copied() {
            Some(kind::CALL) => Ok(Self::Call(read(body)?)),
            Some(kind::CLAIMS) => Ok(Self::Claims(read(body)?)),
            Some(kind::ALL_CLAIMS) => Ok(Self::AllClaims(read(body)?)),
            Some(kind::CLAIMS_WANTED) => Ok(Self::ClaimsWanted),
            Some(kind::BEHIND) => Ok(Self::Behind(read(body)?)),
            Some(kind::BOOTSTRAP) => Ok(Self::Bootstrap(Message::decode(body)?)),
            other => Err(ControlError::Kind(other)),
        }
    }
}

/// A frame with a call.
pub(crate) fn call(wire: &Wire) -> Bytes {
    body(kind::CALL, wire)
}

/// A frame with claims: all of them, or those that changed.
pub(crate) fn claims(claims: &[Claim], are_all: bool) -> Bytes {
    body(if are_all { kind::ALL_CLAIMS } else { kind::CLAIMS }, claims)
}

/// A frame that asks for all claims.
pub(crate) fn claims_wanted() -> Bytes {
    Bytes::from_static(&[VERSION, kind::CLAIMS_WANTED])
}

/// A frame with a message of the bootstrap.
pub(crate) fn bootstrap(message: &Message) -> Bytes {
    [&[VERSION, kind::BOOTSTRAP][..], &message.encode()].concat().into()
}

/// A frame that tells a store that its log is not what it was.
pub(crate) fn behind(behind: &Behind) -> Bytes {
    body(kind::BEHIND, behind)
}

fn body(kind: u8, body: &(impl Serialize + ?Sized)) -> Bytes {
    let mut frame = BytesMut::with_capacity(256).writer();
    frame.get_mut().put_slice(&[VERSION, kind]);
    // These types are plain data; writing them into memory cannot fail. If it did, the receiver would cut the link.
    if let Err(error) =
        body.serialize(&mut rmp_serde::Serializer::new(&mut frame).with_struct_map())
    {
        log::error!("A control frame cannot be written: {error}");
    }
    frame.into_inner().freeze()
}

fn read<'a, T: Deserialize<'a>>(body: &'a [u8]) -> Result<T, rmp_serde::decode::Error> {
    rmp_serde::from_slice(body)
}

#[cfg(test)]
mod tests {
    use super::*;
    use flotilla_host::{Answer, MetaRequest, Request, StoredMessage};
    use flotilla_meta::{PeerLimits, ServerInfo};
    use flotilla_raft::{GroupId, Membership, ReplicaId, StoreId};
    use proptest::prelude::*;

    fn wires() -> Vec<Wire> {
        let info = ServerInfo {
            store: StoreId(u64::MAX),
            name: "n".to_owned(),
            cluster: "c".to_owned(),
            tags: vec!["t".to_owned()],
            limits: PeerLimits { jetstream: true, ..PeerLimits::default() },
        };
        let register = Request::Meta(MetaRequest::Register { info, rejoin: true });
        let founding = Membership {
            voters: vec![ReplicaId(1)],
            stores: [(ReplicaId(1), StoreId(9))].into(),
            ..Membership::default()
        };
        let registered = Answer::Registered { cluster: 3, replica: ReplicaId(4), founding };
        let message = StoredMessage {
            subject: "a.b".to_owned(),
            seq: 5,
            time: flotilla_stream_time(),
            headers: Bytes::new(),
            payload: vec![255; 1000].into(),
            last_seq: 6,
        };
        vec![
            Wire::Ask { id: 1, group: GroupId::META, request: register },
            Wire::Answer { id: 1, answer: registered },
            Wire::Answer { id: 2, answer: Answer::Message(message) },
            Wire::Answer { id: 3, answer: Answer::NotLeader },
        ]
    }

    fn flotilla_stream_time<T: Default>() -> T {
        T::default()
    }

    #[test]
    fn calls_survive_the_wire() {
        for wire in wires() {
            let frame = call(&wire);
            let Ok(Control::Call(read)) = Control::decode(&frame) else { panic!("{wire:?}") };
            assert_eq!(format!("{read:?}"), format!("{wire:?}"));
        }
    }

    #[test]
    fn a_payload_is_bytes_and_not_a_list_of_numbers() {
        assert!(call(&wires()[2]).len() < 1200);
    }

    #[test]
    fn claims_survive_the_wire() {
        let list = [Claim { group: GroupId(7), term: 2, leads: true }];
        let read = Control::decode(&claims(&list, true)).unwrap();
        assert!(matches!(read, Control::AllClaims(read) if read == list));
        let read = Control::decode(&claims(&list, false)).unwrap();
        assert!(matches!(read, Control::Claims(read) if read == list));
        assert!(matches!(Control::decode(&claims_wanted()), Ok(Control::ClaimsWanted)));
        let known = Behind { end: 3, known: u64::MAX };
        assert!(
            matches!(Control::decode(&behind(&known)), Ok(Control::Behind(read)) if read == known)
        );
    }

    #[test]
    fn another_version_is_refused_by_its_first_byte() {
        let frame = Bytes::from_static(&[2, kind::CLAIMS_WANTED]);
        assert!(matches!(Control::decode(&frame), Err(ControlError::Version(Some(2)))));
        assert!(matches!(Control::decode(&Bytes::new()), Err(ControlError::Version(None))));
    }

    proptest! {
        #[test]
        fn a_damaged_frame_is_an_error_and_never_a_panic(which: usize, at: usize, byte: u8, cut: usize) {
            let wires = wires();
            let mut bytes = call(&wires[which % wires.len()]).to_vec();
            let len = bytes.len();
            bytes[at % len] = byte;
            bytes.truncate(cut % (len + 1));
            drop(Control::decode(&bytes.into()));
        }
    }
}
