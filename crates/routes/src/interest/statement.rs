//! What a server's own clients listen to.

use bytes::{BufMut, Bytes, BytesMut};

use super::{DecodeError, EncodeError, Input, kind, length};

/// Bytes after which [`Statement::resync`] begins another frame.
const FRAME: usize = 256 * 1024;

/// How many subscriptions a server holds for its own clients on one subject.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Interest {
    /// Account of the subscriptions.
    pub account: Bytes,
    /// Subject, maybe with wildcards.
    pub subject: Bytes,
    /// Queue group; plain subscriptions and each queue group are stated apart.
    pub queue: Option<Bytes>,
    /// How many there are now: zero ends the interest. The number weighs the choice among servers
    /// for a queue group.
    pub weight: u32,
}

/// A list of interest.
///
/// ```text
/// kind 2 (adds) or 3 (replaces all) (u8), then until the end:
/// weight (u32) | queue group? (u8, 0 or 1) | account (u16 length, bytes) | subject (same)
/// | queue group (same, if there is one)
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Statement {
    /// Whether everything known of the sender is forgotten first.
    pub replaces: bool,
    /// What is to be known then.
    pub interests: Vec<Interest>,
}

impl Statement {
    /// Writes the frame.
    pub fn encode(&self) -> Result<Bytes, EncodeError> {
        let mut bytes = BytesMut::new();
        begin(&mut bytes, self.replaces);
        for interest in &self.interests {
            interest.write(&mut bytes)?;
        }
        Ok(bytes.freeze())
    }

    /// States all interest, in as many frames as it takes; one at least.
    pub fn resync<'a>(
        interests: impl IntoIterator<Item = &'a Interest>,
    ) -> Result<Vec<Bytes>, EncodeError> {
        let mut frames = Vec::new();
        let mut bytes = BytesMut::new();
        begin(&mut bytes, true);
        for interest in interests {
            if bytes.len() >= FRAME {
                frames.push(bytes.split().freeze());
                begin(&mut bytes, false);
            }
            interest.write(&mut bytes)?;
        }
        frames.push(bytes.freeze());
        Ok(frames)
    }

    /// Reads what follows the kind.
    pub(super) fn read(mut input: Input, replaces: bool) -> Result<Self, DecodeError> {
        let mut interests = Vec::new();
        while !input.0.is_empty() {
            interests.push(Interest::read(&mut input)?);
        }
        Ok(Self { replaces, interests })
    }
}

fn begin(bytes: &mut BytesMut, replaces: bool) {
    bytes.put_u8(if replaces { kind::REPLACE } else { kind::UPDATE });
}

impl Interest {
    fn write(&self, bytes: &mut BytesMut) -> Result<(), EncodeError> {
        bytes.put_u32_le(self.weight);
        bytes.put_u8(u8::from(self.queue.is_some()));
        let names = [("account", &self.account), ("subject", &self.subject)];
        let queue = self.queue.iter().map(|queue| ("queue group", queue));
        for (field, name) in names.into_iter().chain(queue) {
            bytes.put_u16_le(length(field, name.len())?);
            bytes.put_slice(name);
        }
        Ok(())
    }

    fn read(input: &mut Input) -> Result<Self, DecodeError> {
        let weight = input.u32()?;
        let has_queue = input.u8()?;
        let (account, subject) = (input.name()?, input.name()?);
        let queue = match has_queue {
            0 => None,
            1 => Some(input.name()?),
            other => return Err(DecodeError::Flags(other)),
        };
        Ok(Self { account, subject, queue, weight })
    }
}

#[cfg(test)]
mod tests {
    use super::super::Frame;
    use super::*;
    use proptest::collection::vec;
    use proptest::prelude::*;

    fn interest() -> impl Strategy<Value = Interest> {
        let name = || vec(any::<u8>(), 0..40).prop_map(Bytes::from);
        (name(), name(), proptest::option::of(name()), any::<u32>()).prop_map(
            |(account, subject, queue, weight)| Interest { account, subject, queue, weight },
        )
    }

    #[test]
    fn a_large_resync_replaces_once_and_then_adds() {
        let interest = Interest { subject: vec![b's'; 1000].into(), ..Interest::default() };
        let all = vec![interest; 3 * FRAME / 1000];
        let frames = Statement::resync(&all).unwrap();
        let statements: Vec<_> = frames
            .into_iter()
            .map(|frame| match Frame::decode(frame) {
                Ok(Frame::Statement(statement)) => statement,
                other => panic!("{other:?}"),
            })
            .collect();
        assert!(statements.len() > 1);
        assert!(statements[0].replaces && statements[1..].iter().all(|later| !later.replaces));
        let seen: Vec<_> =
            statements.into_iter().flat_map(|statement| statement.interests).collect();
        assert_eq!(seen, all);
    }

    #[test]
    fn no_interest_at_all_is_stated_too() {
        let frames = Statement::resync([]).unwrap();
        let empty = Statement { replaces: true, interests: Vec::new() };
        assert_eq!(frames.len(), 1);
        assert_eq!(Frame::decode(frames[0].clone()), Ok(Frame::Statement(empty)));
    }

    proptest! {
        #[test]
        fn statements_survive_their_encoding(interests in vec(interest(), 0..8), replaces: bool) {
            let statement = Statement { replaces, interests };
            let frame = statement.encode().unwrap();
            prop_assert_eq!(Frame::decode(frame), Ok(Frame::Statement(statement)));
        }

        #[test]
        fn decoding_is_strict(bytes in vec(any::<u8>(), 0..80)) {
            if let Ok(Frame::Statement(statement)) = Frame::decode(Bytes::from(bytes.clone())) {
                prop_assert_eq!(statement.encode().unwrap(), bytes);
            }
        }
    }
}
