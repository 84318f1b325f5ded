//! How many make a majority, and how many may fail.

/// The smallest majority of `members`: half of them, rounded down, and one. 0 members have none.
#[must_use]
pub const fn quorum(members: usize) -> usize {
    if members == 0 { 0 } else { members / 2 + 1 }
}

/// How many of `members` may fail with a majority left.
#[must_use]
pub const fn tolerates(members: usize) -> usize {
    members - quorum(members)
}

/// Whether one member fewer would tolerate as many failures: true for every even number. Worth a
/// warning to whoever asks for such a replica count.
#[must_use]
pub const fn is_wasteful(members: usize) -> bool {
    members > 0 && members.is_multiple_of(2)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn majorities_follow_the_published_table() {
        // (cluster nodes, majority needed, can tolerate failures)
        let table = [
            (3, 2, 1),
            (4, 3, 1),
            (5, 3, 2),
            (6, 4, 2),
            (7, 4, 3),
            (8, 5, 3),
            (9, 5, 4),
            (1, 1, 0),
            (2, 2, 0),
        ];
        for (members, majority, failures) in table {
            assert_eq!((quorum(members), tolerates(members)), (majority, failures), "{members}");
        }
        assert_eq!((quorum(0), tolerates(0)), (0, 0));
    }

    #[test]
    fn an_even_member_adds_no_tolerance() {
        for members in 1..=20 {
            assert_eq!(
                is_wasteful(members),
                tolerates(members) == tolerates(members - 1) && members > 1,
                "{members}"
            );
        }
    }
}
