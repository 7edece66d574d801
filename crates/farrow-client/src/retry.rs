//! Asking again where that cannot do harm.

use std::time::Duration;

use backon::{ExponentialBuilder, Retryable};

use crate::error::ClientError;

/// Before the second attempt; each further pause is twice as long, and up to as much again by chance.
const FIRST_PAUSE: Duration = Duration::from_millis(50);

/// Attempts after the first: pauses of 1.6 to 3.1 s in all, so that an agent may be restarted meanwhile.
const MORE: usize = 5;

/// The first answer that there is, or the last error; asks again only after one that is [transient].
///
/// [transient]: ClientError::is_transient
pub(crate) async fn retried<T, F: Future<Output = Result<T, ClientError>>>(
    ask: impl FnMut() -> F,
) -> Result<T, ClientError> {
    let pauses = ExponentialBuilder::new().with_min_delay(FIRST_PAUSE).with_max_times(MORE).with_jitter();
    let again = |error: &ClientError, pause| tracing::debug!(%error, ?pause, "asking again");
    ask.retry(pauses).when(ClientError::is_transient).notify(again).await
}
