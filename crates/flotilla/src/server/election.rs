//! What every command that provokes an election needs: how to ask for it, and how to see its end.

use std::time::Duration;

use serde_json::{Value, json};
use tokio::time::{Instant, sleep, timeout};

use crate::exit::Failure;
use crate::output::duration;

/// How long an election may take before it counts as failed: the longest election timeout of NATS servers
/// is 9 s.
const LONGEST: Duration = Duration::from_secs(10);
/// How long one look at who leads may take: during an election the question may get lost.
const LOOK: Duration = Duration::from_secs(1);
/// Between two looks.
const PAUSE: Duration = Duration::from_millis(200);

/// The body of a step-down request.
pub(crate) fn request(preferred: Option<&str>) -> Value {
    preferred.map_or(Value::Null, |server| json!({"placement": {"preferred": server}}))
}

/// Looks until a leader other than `leader` is named, and returns its name with what else `look` saw. A look
/// that sees nothing is taken again: in the middle of an election nobody answers, or the answer names nobody.
///
/// # Errors
/// No other leader was elected in time.
pub(crate) async fn concluded<T>(
    leader: &str,
    mut look: impl AsyncFnMut() -> Option<(String, T)>,
) -> Result<(String, T), Failure> {
    let deadline = Instant::now() + LONGEST;
    while Instant::now() < deadline {
        if let Ok(Some((now, seen))) = timeout(LOOK, look()).await
            && !now.is_empty()
            && now != leader
        {
            return Ok((now, seen));
        }
        sleep(PAUSE).await;
    }
    let waited = duration::short(LONGEST);
    Err(Failure::Late(format!("no other leader than {leader:?} was elected within {waited}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn an_election_ends_with_another_leader() {
        let mut looks = [None, Some("n1"), Some(""), Some("n2")].into_iter();
        let look = async || looks.next().flatten().map(|name| (name.to_owned(), ()));
        assert_eq!(concluded("n1", look).await.unwrap().0, "n2");
    }

    #[tokio::test(start_paused = true)]
    async fn an_election_without_end_is_reported() {
        let failure = concluded("n1", async || Some(("n1".to_owned(), ()))).await.unwrap_err();
        assert!(matches!(failure, Failure::Late(_)), "{failure}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_question_that_gets_lost_is_asked_again() {
        let mut asked = 0;
        let look = async || {
            asked += 1;
            if asked == 1 { std::future::pending().await } else { Some(("n2".to_owned(), ())) }
        };
        assert_eq!(concluded("n1", look).await.unwrap().0, "n2");
    }
}
