//! Waiting for a condition, never for a time.

use std::time::Duration;

use anyhow::{Result, bail};
use tokio::time::{Instant, sleep, timeout};

/// Between two looks at a condition.
const PAUSE: Duration = Duration::from_millis(50);
/// How long one look may take: a question to a server that is just dying gets no answer.
const LOOK: Duration = Duration::from_secs(3);

/// Looks until there is something to see, and returns it. A look that fails, or takes too long, saw nothing.
///
/// # Errors
/// There was nothing within `patience`; the error names `what`, and the last look's error.
pub async fn eventually<T>(
    patience: Duration,
    what: &str,
    mut look: impl AsyncFnMut() -> Result<Option<T>>,
) -> Result<T> {
    let deadline = Instant::now() + patience;
    let last = loop {
        let error = match timeout(LOOK, look()).await {
            Ok(Ok(Some(seen))) => return Ok(seen),
            Ok(Ok(None)) => None,
            Ok(Err(error)) => Some(error),
            Err(_) => Some(anyhow::anyhow!("no answer within {LOOK:?}")),
        };
        if Instant::now() >= deadline {
            break error;
        }
        sleep(PAUSE).await;
    };
    match last {
        Some(error) => Err(error.context(format!("waited {patience:?} for {what}"))),
        None => bail!("waited {patience:?} for {what}"),
    }
}
