//! The eight characters by which NATS tools show a server: made from its name, for display and for requests.

use sha2::{Digest, Sha256};

const DIGITS: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
const LENGTH: usize = 8;

/// The peer id of the server called `name`: of each of the first bytes of the name's SHA-256, its remainder as a digit
/// of base 62. Two servers may have the same one; only their stores tell them apart for certain.
#[must_use]
pub fn peer_id(name: &str) -> String {
    let digest = Sha256::digest(name);
    digest.iter().take(LENGTH).map(|byte| char::from(DIGITS[usize::from(byte % 62)])).collect()
}

#[cfg(test)]
mod tests {
    use super::peer_id;

    /// As a reference cluster of servers with these names shows them.
    #[test]
    fn ids_are_those_of_the_reference() {
        assert_eq!(["n1", "n2", "n3"].map(peer_id), ["fjFyEjc1", "44jzkV9D", "BXScrY9i"]);
    }
}
