//! What a message carries: its name, and bytes that follow from the name, so that one altered byte is seen.

use crate::chance::Chance;

/// A payload as it was read back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Payload {
    /// The message's name, or what stands in its place.
    pub name: String,
    /// Whether all bytes are those that were sent.
    pub intact: bool,
}

/// The payload of the message of that name: most are small, some are several kilobytes, so that segments fill.
#[must_use]
pub fn write(name: &str) -> Vec<u8> {
    let mut chance = Chance::new(name.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
    }));
    let length = chance.between_magnitudes(16, 16_384);
    let mut bytes = format!("{name} ").into_bytes();
    for _ in 0..length / 8 {
        bytes.extend_from_slice(&chance.bits().to_le_bytes());
    }
    bytes
}

/// Reads a payload.
#[must_use]
pub fn read(bytes: &[u8]) -> Payload {
    let name = bytes.split(|byte| *byte == b' ').next().unwrap_or_default();
    let name = String::from_utf8_lossy(&name[..name.len().min(64)]).into_owned();
    let intact = write(&name) == bytes;
    Payload { name, intact }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_written_is_intact() {
        for name in ["w0-1", "w5-12345", "cas1-9"] {
            assert_eq!(read(&write(name)), Payload { name: name.into(), intact: true });
        }
    }

    #[test]
    fn every_altered_byte_is_seen() {
        let bytes = write("w1-2");
        for at in 0..bytes.len() {
            let mut altered = bytes.clone();
            altered[at] ^= 1;
            let payload = read(&altered);
            assert!(!payload.intact || payload.name != "w1-2", "byte {at}");
        }
        assert!(!read(&bytes[..bytes.len() - 1]).intact);
        assert!(!read(b"").intact);
    }
}
