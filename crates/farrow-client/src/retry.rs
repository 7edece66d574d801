//! Asking again where that cannot do harm.

use std::time::{Duration, Instant};

use backon::{ExponentialBuilder, Retryable};

use crate::error::ClientError;

/// Before the second attempt; each further pause is twice as long, and up to as much again by chance.
const FIRST_PAUSE: Duration = Duration::from_millis(50);

/// Attempts after the first: pauses of 1.6 to 3.1 s in all, so that an agent may be restarted meanwhile.
const MORE: usize = 5;

/// The time after which nothing is asked again: whoever asked has waited long enough to be told.
const LONGEST: Duration = Duration::from_secs(10);

/// The first answer that there is, or the last error; asks again only after one that is [transient].
///
/// [transient]: ClientError::is_transient
pub(crate) async fn retried<T, F: Future<Output = Result<T, ClientError>>>(
    ask: impl FnMut() -> F,
) -> Result<T, ClientError> {
    retried_after(FIRST_PAUSE, ask).await
}

async fn retried_after<T, F: Future<Output = Result<T, ClientError>>>(
    first_pause: Duration,
    ask: impl FnMut() -> F,
) -> Result<T, ClientError> {
    let pauses = ExponentialBuilder::new().with_min_delay(first_pause).with_max_times(MORE).with_jitter();
    let again = |error: &ClientError, pause| tracing::debug!(%error, ?pause, "asking again");
    let begun = Instant::now();
    let may_pass = |error: &ClientError| error.is_transient() && begun.elapsed() < LONGEST;
    ask.retry(pauses).when(may_pass).notify(again).await
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use farrow_proto::Reason;
    use tonic::Code;

    use super::*;

    fn refused(reason: Option<Reason>) -> ClientError {
        ClientError::Refused { reason, code: Code::Aborted, message: String::new(), advice: None }
    }

    /// Counts how often it is asked if every answer is this.
    async fn times(answer: impl Fn() -> Result<(), ClientError>) -> usize {
        let asked = Cell::new(0);
        let ask = || {
            asked.set(asked.get() + 1);
            std::future::ready(answer())
        };
        assert_eq!(retried_after(Duration::ZERO, ask).await.is_ok(), answer().is_ok());
        asked.get()
    }

    #[tokio::test]
    async fn only_what_may_pass_is_asked_again() {
        assert_eq!(times(|| Ok(())).await, 1);
        let gone = || ClientError::Unavailable { address: String::new(), message: String::new() };
        assert_eq!(times(|| Err(gone())).await, 1 + MORE);
        for reason in Reason::ALL {
            let expected = if reason.retry() == farrow_proto::Retry::Yes { 1 + MORE } else { 1 };
            assert_eq!(times(|| Err(refused(Some(reason)))).await, expected, "{reason:?}");
        }
        assert_eq!(times(|| Err(refused(None))).await, 1);
    }
}
